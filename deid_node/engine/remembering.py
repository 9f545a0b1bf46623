"""Remember what functions made of values, as the objects of a study repeat theirs; but no long ones.

A peer chooses the values, and a cache counts entries and not bytes: a few thousand long values would fill
the memory and stay there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def remembering(most: int, *, longest: int = 256) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator for pure functions of values.

    Args:
        most: results that are remembered.
        longest: characters or bytes of all arguments together beyond which nothing is.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        known = lru_cache(maxsize=most)(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            short = not kwargs and _size(args) <= longest
            return known(*args) if short else function(*args, **kwargs)

        return call

    return decorate


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_size, value)) if type(value) is tuple else 0
