"""What an import gives back: the profile as text, what it lacks, and the secrets that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that the profile does not say as the source did.

    `where` is a place in the source ("rules.json line 12"), `what` what stands there, `why` why it could
    not be carried over and what the profile does instead.
    """

    where: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that stood in the source; the profile only names it.

    `where` says where the value stands, for the person who keeps it. `value` never prints itself.
    """

    name: str
    where: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LookupFile:
    """A lookup table that lies beside the profile: its file name and the CSV text.

    The text is a crosswalk of patients and never prints itself.
    """

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Imported:
    """The TOML text of a profile; what was left out; what is different and should be known."""

    toml: str
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    lookups: tuple[LookupFile, ...] = ()

    def with_secrets_called(self, new_names: Mapping[str, str]) -> Imported:
        """Return the same profile with other names of its secrets."""

        def renamed(found: re.Match[str]) -> str:
            return f'key = "{new_names.get(found[1], found[1])}"'

        secrets = tuple(replace(one, name=new_names.get(one.name, one.name)) for one in self.secrets)
        return replace(self, toml=re.sub(r'key = "([^"]+)"', renamed, self.toml), secrets=secrets)


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may add to a file that does not say it itself.

    Args:
        dialect: of a CTP script, "ctp" or "rsna"; empty finds out.
        exact: prefers the unkeyed algorithms of the other tool where the profile language has them.
        split_token, split_key_value: separators of pfdicom tag information.
        remove_private: pfdicom's --removePrivateTags.
        lookup_table: the text of CTP's lookup table, None when there is none; lookup_file: its name.
    """

    dialect: str = ""
    exact: bool = False
    split_token: str = "++"  # noqa: S105  a separator
    split_key_value: str = ","
    remove_private: bool = False
    lookup_table: str | None = field(default=None, repr=False)
    lookup_file: str = "lookup table"
