"""How the commands say what they take: one line of usage, and what is wrong with a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

_OF_PYDANTIC = "Value error, "


def words_of(argument: Any) -> str:
    """Return how an argument is written in the usage: in brackets when it may be left out."""
    text = str(argument.metavar or argument.name.upper())
    return text if argument.required or text.startswith("[") else f"[{text}]"


class Command(TyperCommand):
    """A command whose usage has the words of its arguments as they are."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the name of the command."""
        arguments = [p for p in self.params if p.param_type_name == "argument"]
        options = ["[OPTIONS]"] if len(arguments) < len(self.params) else []
        return [*options, *map(words_of, arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; a wrong one is told without the library's prefix."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message = getattr(error, "message", None)
            if isinstance(message, str):
                error.message = message.removeprefix(_OF_PYDANTIC)  # type: ignore[attr-defined]
            raise


class Commands(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, **given: Any) -> Callable[[Any], Any]:
        """As of typer."""
        return super().command(name, **{"cls": Command, **given})
