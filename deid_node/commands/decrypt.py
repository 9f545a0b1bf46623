"""`deid-node decrypt`: values that a profile encrypted, for those who hold the key; every read is audited."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json, Profile
from deid_node.commands.terminal import complain, leave, print_json, print_table, say

if TYPE_CHECKING:
    from deid_node.commands.decrypt_values import Found, Way
    from deid_node.engine.keys import Pseudonyms
    from deid_node.settings import Settings


class Algorithm(StrEnum):
    """The algorithms of the function `encrypt`."""

    AES_SIV = "aes-siv"
    AES_GCM = "aes-gcm"
    AES_CBC = "aes-cbc"


def decrypt(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A DICOM file with encrypted values.")
    ] = None,
    attributes: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", "-a", help="Keyword or tag of an attribute. Several: all. Else every one."
        ),
    ] = None,
    text: Annotated[
        str, typer.Option("--text", help="One encrypted value, in place of FILE; - reads it.")
    ] = "",
    key: Annotated[
        str | None,
        typer.Option("--key", help="Name of the secret; empty for the project key. Else as --profile."),
    ] = None,
    algorithm: Annotated[
        Algorithm | None, typer.Option("--algorithm", help="How it was encrypted; else as the profile says.")
    ] = None,
    profile: Profile = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="File with the project key. Else the configured ones.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the original of values that a profile encrypted. It prints identifying values.

    Needs the key, and the audit stream: what is read is written there, without values, before it is
    shown. A profile says by itself how it encrypts and with which key; --algorithm and --key say it
    without one (aes-siv and the project key, where only one of them is given).
    """
    from deid_node.commands.decrypt_values import decrypted, in_file
    from deid_node.settings.load import load_settings

    if (file is None) == (not text):
        leave(ExitCode.USAGE, "Say what to decrypt: a FILE, or --text.")
    if text and attributes:
        leave(ExitCode.USAGE, "--attribute is of a FILE.")
    if file is not None and not file.is_file():
        leave(ExitCode.NO_INPUT, f"{file}: there is no such file.")
    wanted = _tags(attributes or [])
    settings = load_settings(config).settings
    ways = _ways(settings, profile, key, algorithm)
    keys = _keys(settings, ways, key_file)
    secrets = _secrets(settings, ways, keys)
    if file is None:
        value = sys.stdin.readline().strip() if text == "-" else text
        original = decrypted(value, secrets)
        _tell_audit(settings, "text", 0 if original is None else 1)
        if original is None:
            leave(ExitCode.INCOMPLETE, "It was not encrypted so, or under another key.")
        print_json([{"value": original}]) if as_json else say(original)
        return
    found = list(in_file(file, wanted, secrets))
    _tell_audit(settings, "file", len(found))
    _show(file, found, as_json=as_json)


def _tags(attributes: Sequence[str]) -> frozenset[int]:
    from deid_node.profile.selector import Selector

    tags = [Selector.parse(text).last.tag for text in attributes]
    if None in tags:
        leave(ExitCode.USAGE, "--attribute is one attribute: a keyword or (gggg,eeee).")
    return frozenset(tag for tag in tags if tag is not None)


def _ways(
    settings: Settings, profile: str | None, key: str | None, algorithm: Algorithm | None
) -> tuple[Way, ...]:
    from deid_node.commands.decrypt_values import ways_of
    from deid_node.node.procedures import load_procedure

    if key is not None or algorithm is not None:
        return (((algorithm or Algorithm.AES_SIV).value, key or ""),)
    name = profile or settings.profile
    ways = ways_of(load_procedure(name))
    if not ways:
        leave(
            ExitCode.CONFIGURATION,
            f"{name}: encrypts nothing. Name the profile that did, or say --algorithm and --key.",
        )
    return ways


def _keys(settings: Settings, ways: Sequence[Way], key_file: Path | None) -> tuple[Pseudonyms, ...]:
    """Return what the project keys derive, the one in use first; none where no way asks for them."""
    from deid_node.engine.keys import Pseudonyms
    from deid_node.node.epochs import key_ring
    from deid_node.node.key_file import read_key

    if all(name for _, name in ways):
        return ()
    if key_file is not None:
        if not key_file.is_file():
            leave(ExitCode.NO_INPUT, f"{key_file}: there is no such file.")
        return (Pseudonyms(read_key(key_file)),)
    return tuple(Pseudonyms(key) for _, key in key_ring(settings).items())


def _secrets(
    settings: Settings, ways: Sequence[Way], keys: Sequence[Pseudonyms]
) -> tuple[tuple[str, bytes], ...]:
    """Return every algorithm with every secret that it may have been used with."""
    from deid_node.engine.functions_keyed import derived_secret
    from deid_node.node.named_secrets import read_secrets

    named = read_secrets({name for _, name in ways if name}, settings.state)
    pairs: dict[tuple[str, bytes], None] = {}
    for algorithm, name in ways:
        for secret in [named[name]] if name else [derived_secret(each, "encrypt") for each in keys]:
            pairs[algorithm, secret] = None
    return tuple(pairs)


def _tell_audit(settings: Settings, how: str, count: int) -> None:
    from deid_node.node.audit import who
    from deid_node.node.records import open_audit

    audit = open_audit(settings)
    if audit is None:
        leave(ExitCode.CONFIGURATION, "Nothing is decrypted without an audit: audit.enabled is false.")
    audit.write("values-decrypted", how=how, count=count, **who())


def _show(file: Path, found: Sequence[Found], *, as_json: bool) -> None:
    if as_json:
        print_json([{"path": one.path, "tag": one.tag, "value": one.value} for one in found])
    elif found:
        print_table(("path", "tag", "value"), _lines(found))
    if not found:
        complain(f"{file}: holds no value that was encrypted so, under this key.")
        leave(ExitCode.INCOMPLETE)


def _lines(found: Sequence[Found]) -> Iterator[tuple[str, str, str]]:
    """Yield the findings; each on one line."""
    for one in found:
        yield one.path, one.tag, " ".join(one.value.split())
