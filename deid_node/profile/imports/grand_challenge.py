"""Grand-Challenge procedure JSON as a profile, in the form that all imports have."""

from __future__ import annotations

from deid_node.profile.grand_challenge_import import to_toml
from deid_node.profile.imports.imported import Imported, LeftOut, Options


def read(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a procedure.

    Raises:
        ProfileError: the JSON breaks its schema.
    """
    written = to_toml(text, file, name)
    return Imported(written.text, tuple(_left_out(sentence, file) for sentence in written.left_out))


def _left_out(sentence: str, file: str) -> LeftOut:
    """Split "procedure.json, CTImageStorage: why" into its parts."""
    where, _, why = sentence.partition(": ")
    return LeftOut(file, where.removeprefix(f"{file}, "), why)
