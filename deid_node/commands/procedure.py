"""`deid-node procedure`: build a procedure in the Grand-Challenge schema, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.terminal import complain, leave, say
from deid_node.commands.usage import Commands

app = Commands(
    name="procedure",
    help="Procedures in the Grand-Challenge JSON schema.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
build = Commands(
    name="build",
    help="Build a procedure: base, then candidate, then worklist until it is empty, then final.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(build, name="build")

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write; else standard output.", dir_okay=False)
]
Classes = Annotated[list[str], typer.Argument(metavar="SOP_CLASS...", help="UIDs, names or short words.")]
Candidate = Annotated[Path, typer.Argument(metavar="CANDIDATE", help="JSON of `build candidate`.")]


@build.command()
def base(sop_classes: Classes, output: Output = None) -> None:
    """Write what the standard alone decides; null where it leaves a choice."""
    from deid_node.profile.builder import build_base
    from deid_node.standard.sop_classes import find_sop_class

    _write_json(build_base([find_sop_class(word) for word in sop_classes]), output)


@build.command()
def candidate(
    base_file: Annotated[Path, typer.Argument(metavar="BASE", help="JSON of `build base`.")],
    manual: Annotated[
        Path | None, typer.Argument(metavar="[ROWS]", help="TOML or JSON with rows that a person decided.")
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Let the basic profile decide what is still open.")
    ] = False,
    output: Output = None,
) -> None:
    """Lay manual rows over a base."""
    from deid_node.profile.builder import build_candidate, decide_undecided
    from deid_node.profile.builder_manual import read_manual

    document = _read_json(base_file)
    if manual is not None:
        document = build_candidate(document, read_manual(_read(manual), manual.name))
    _write_json(decide_undecided(document) if decide else document, output)


@build.command()
def worklist(candidate_file: Candidate, output: Output = None) -> None:
    """Write what a person has still to decide."""
    from deid_node.profile.builder_pages import worklist as open_rows

    _write(open_rows(_read_json(candidate_file)), output)


@build.command()
def final(
    candidate_file: Candidate,
    version: Annotated[str, typer.Option("--version", help="Version of the procedure.")],
    every: Annotated[
        bool, typer.Option("--all", help="Also tags inside sequences that are not kept.")
    ] = False,
    output: Output = None,
) -> None:
    """Write the procedure as it is published; every attribute must be decided."""
    from deid_node.profile.builder import build_final

    _write_json(build_final(_read_json(candidate_file), version, only_reachable=not every), output)


@app.command()
def export(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Shipped profile name, or a file.")],
    sop_classes: Annotated[
        list[str] | None, typer.Argument(metavar="[SOP_CLASS]...", help="Only these SOP classes.")
    ] = None,
    output: Output = None,
) -> None:
    """Write a profile in the schema; says on stderr what the schema cannot express."""
    from deid_node.node.procedures import load_procedure
    from deid_node.profile.builder_export import losses, to_grand_challenge
    from deid_node.standard.sop_classes import find_sop_class

    procedure = load_procedure(profile)
    uids = [find_sop_class(word) for word in sop_classes] if sop_classes else None
    for sentence in losses(procedure, uids):
        complain(sentence)
    _write_json(to_grand_challenge(procedure, uids), output)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        leave(ExitCode.NO_INPUT, f"{path}: cannot be read ({error.strerror}).")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path))
    except ValueError as error:
        leave(ExitCode.NO_INPUT, f"{path}: is not JSON ({error}).")
    if not isinstance(document, dict) or not isinstance(document.get("sopClass"), dict):
        leave(ExitCode.NO_INPUT, f"{path}: is no procedure; it has no sopClass object.")
    return document


def _write_json(document: object, output: Path | None) -> None:
    _write(json.dumps(document, indent=2) + "\n", output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{output}: cannot be written ({error.strerror}).")
    say(f"{output} written.")
