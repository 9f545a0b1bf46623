"""`deid-node profile import`: bring in the configuration of another tool as a profile.

What cannot be carried over is listed with its line, and the exit status says so; the profile is written
all the same. Keys that stand in the source go into the state folder, never into the profile.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import complain, leave, print_json, say
from deid_node.errors import ConfigurationError

if TYPE_CHECKING:
    from deid_node.profile.imports import Imported, Options


class Kind(StrEnum):
    """The tools whose configurations can be brought in."""

    GRAND_CHALLENGE = "grand-challenge"
    MICROSOFT = "microsoft"
    MICROSOFT_POC = "microsoft-poc"
    PFDICOM = "pfdicom"
    DICOM_CURATE = "dicom-curate"
    CTP = "ctp"


class Dialect(StrEnum):
    """The two tools that read CTP's syntax."""

    CTP = "ctp"
    RSNA = "rsna"


def import_profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration of the other tool.")],
    kind: Annotated[Kind, typer.Option("--from", help="The tool that FILE is for.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The profile to write (TOML).")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the profile; else that of OUT.")] = None,
    dialect: Annotated[
        Dialect | None, typer.Option("--dialect", help="ctp: which tool's script; else found out.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Prefer the other tool's unkeyed hashes and UIDs, where known.")
    ] = False,
    split_token: Annotated[
        str, typer.Option("--split-token", help="pfdicom: what stands between two pairs of tag information.")
    ] = "++",  # noqa: S107  a separator
    split_key_value: Annotated[
        str, typer.Option("--split-key-value", help="pfdicom: what stands between keyword and value.")
    ] = ",",
    remove_private: Annotated[
        bool, typer.Option("--remove-private-tags", help="pfdicom: the tool is run with this option.")
    ] = False,
    lookup_table: Annotated[
        Path | None,
        typer.Option(
            "--lookup-table",
            help="ctp: the tool's lookup table (properties). Each key type becomes a CSV file beside OUT.",
            dir_okay=False,
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the configuration of another tool as a profile.

    Everything that could not be carried over is listed with its line. The exit status is then 1, and the
    profile is written: what is listed is removed, or done more strictly, by it.
    """
    from deid_node.profile.imports import Options

    table = _text(lookup_table) if lookup_table is not None else None
    options = Options(
        dialect=dialect.value if dialect is not None else "",
        exact=exact,
        split_token=split_token,
        split_key_value=split_key_value,
        remove_private=remove_private,
        lookup_table=table,
        lookup_file=lookup_table.name if lookup_table is not None else "",
    )
    imported = _imported(kind, file, name or output.stem, options)
    if output.exists():
        leave(ExitCode.CANNOT_CREATE, f"{output}: is there already, and is not replaced.")
    imported, kept = _with_secrets_kept(imported, config)
    for lookup in imported.lookups:
        _write_lookup(output.with_name(lookup.name), lookup.text)
    _write(output, imported.toml)
    _report(output, imported, kept, as_json=as_json)


def _imported(kind: Kind, file: Path, name: str, options: Options) -> Imported:
    from deid_node.profile import imports

    try:
        return imports.read(kind.value, _text(file), file.name, name=name, options=options)
    except ConfigurationError as error:
        leave(ExitCode.CONFIGURATION, "\n".join(error.problems))


def _text(file: Path) -> str:
    from deid_node.profile.imports import text_of

    try:
        return text_of(file.read_bytes(), file.name)
    except OSError as error:
        leave(ExitCode.NO_INPUT, f"{file}: cannot be read ({error.strerror}).")
    except ConfigurationError as error:
        leave(ExitCode.CONFIGURATION, "\n".join(error.problems))


def _write_lookup(file: Path, text: str) -> None:
    """Write a lookup table for its owner only; one that is there may be filled in, and stays."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        complain(f"note: {file}: is there already, and stays as it is.")
        return
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{file}: cannot be written ({error.strerror}).")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _with_secrets_kept(imported: Imported, config: Path | None) -> tuple[Imported, dict[str, Path]]:
    """Put the keys of the source where the node finds them; return the profile with their names."""
    if not imported.secrets:
        return imported, {}
    from deid_node.node.named_secrets import keep_secret
    from deid_node.settings.load import load_settings

    state = load_settings(config).settings.state
    files = {secret.name: keep_secret(secret.name, secret.value, state) for secret in imported.secrets}
    named = imported.with_secrets_called({name: file.name for name, file in files.items()})
    return named, {file.name: file for file in files.values()}


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{output}: cannot be written ({error.strerror}).")


def _report(output: Path, imported: Imported, kept: dict[str, Path], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "profile": str(output),
                "left_out": [
                    {"where": one.where, "what": one.what, "why": one.why} for one in imported.left_out
                ],
                "warnings": list(imported.warnings),
                "lookup_tables": [str(output.with_name(lookup.name)) for lookup in imported.lookups],
                "secrets": [
                    {"name": secret.name, "from": secret.where, "file": str(kept[secret.name])}
                    for secret in imported.secrets
                ],
            }
        )
    else:
        for warning in imported.warnings:
            complain(f"note: {warning}")
        for one in imported.left_out:
            complain(f"not carried over: {one}")
        for secret in imported.secrets:
            say(f"The secret {secret.name} ({secret.where}) is kept in {kept[secret.name]}.")
        for lookup in imported.lookups:
            say(f"{output.with_name(lookup.name)} is a lookup table of the profile: guard it as the key.")
        say(f"{output} written.")
    if imported.left_out:
        count = len(imported.left_out)
        leave(
            ExitCode.INCOMPLETE, f"{count} {'thing' if count == 1 else 'things'} could not be carried over."
        )
