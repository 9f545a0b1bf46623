"""The error tree, split by who can act on an error.

Expected outcomes (a delivery that is deferred, a store status) are return values and are not here.
No message carries an attribute value: what, where and what would be right, never the value itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self


class DeidNodeError(Exception):
    """Base of every error that deid_node raises on purpose."""


# --- the operator can act -------------------------------------------------------------------------


class ConfigurationError(DeidNodeError):
    """A setting, a profile, a procedure or a key file is wrong; nothing was started.

    `problems` holds every finding of one reading, each a complete sentence with its place.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class Problems:
    """Gathers what several readings find wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def gather(self, before: str = "") -> Iterator[None]:
        """Go on after a ConfigurationError of the block, and keep its problems, with words before each."""
        try:
            yield
        except ConfigurationError as error:
            self.found += [before + problem for problem in error.problems]

    def tell(self) -> None:
        """Raise ConfigurationError with all problems, each once, if there are any."""
        if self.found:
            raise ConfigurationError(*dict.fromkeys(self.found))


class ProfileError(ConfigurationError):
    """A de-identification profile or a procedure table does not say something that can be done."""


class SpoolError(DeidNodeError):
    """The spool or the ledger cannot hold an object (disk full, sync failed, damaged ledger)."""


# --- the sender can act ---------------------------------------------------------------------------


class ObjectRefused(DeidNodeError):
    """Base of everything for which one object is not de-identified; the node goes on.

    `code` is a short fixed word for counting, `path` an attribute path without values.
    """

    code = "refused"

    def __init__(self, message: str, *, path: str = "", code: str = "") -> None:
        super().__init__(message if not path else f"{message} (at {path})")
        self.path = path
        self.reason = message
        if code:
            self.code = code

    def at(self, path: str) -> Self:
        """Say where it was, if nobody did before, and return it."""
        if not self.path:
            self.path = path
            self.args = (f"{self.reason} (at {path})",)
        return self


class Rejected(ObjectRefused):
    """A rule of the procedure decided R, with its reason."""

    code = "rejected"


class Excluded(ObjectRefused):
    """A rule of the profile excludes the object: it is acknowledged and goes nowhere."""

    code = "excluded"


class Malformed(ObjectRefused):
    """The bytes are not a dataset in the negotiated transfer syntax (PS3.5 section 7)."""

    code = "malformed"


class LimitExceeded(ObjectRefused):
    """The object asks for more depth, elements or memory than the node grants."""

    code = "limit"


class Mismatch(ObjectRefused):
    """The dataset disagrees with the C-STORE-RQ: SOP class or SOP instance (PS3.4 B.2.3, A900)."""

    code = "mismatch"


class SOPClassNotSupported(Rejected):
    """The procedure has no table for the SOP class (PS3.7 Annex C, 0122)."""

    code = "sop-class"


class Fault(ObjectRefused):
    """A rule could not be applied to a value: nothing passes, the object is quarantined or refused."""

    code = "fault"


# --- the next hop can act -------------------------------------------------------------------------


class DeliveryError(DeidNodeError):
    """A destination cannot be used at all (bad address, no common presentation context)."""


class AssociationError(DeliveryError):
    """An association could not be made or was lost (PS3.8 section 7)."""
