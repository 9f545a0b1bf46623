"""What commands print: results to stdout, problems to stderr. rich is imported when a table is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

import typer

from deid_node.commands.exit_codes import ExitCode


def say(text: str = "") -> None:
    """Print one line of a result."""
    typer.echo(text)


def complain(text: str) -> None:
    """Print a problem to stderr."""
    typer.echo(text, err=True)


def plain(name: object) -> str:
    """Return a name from outside in one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(name))


def print_json(value: Any) -> None:
    """Print a value as JSON; paths, enums and dates become text."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def leave(code: ExitCode, problem: str = "") -> NoReturn:
    """End the command with an exit status, and a sentence on stderr when there is one to say."""
    if problem:
        complain(problem)
    raise typer.Exit(int(code))


def ask(question: str, *, yes: bool, otherwise: str) -> None:
    """Go on when the person says so, or said so with --yes; else end the command with INTERRUPTED.

    Args:
        otherwise: what is said then: that nothing was done.
    """
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        leave(ExitCode.INTERRUPTED, f"\n{otherwise} Where nobody can answer, --yes does.")
    if not agreed:
        leave(ExitCode.INTERRUPTED, otherwise)


def leave_unwritten(path: object, error: OSError) -> NoReturn:
    """End the command because a file could not be made; one that is there is none of our business."""
    if isinstance(error, FileExistsError):
        leave(ExitCode.CANNOT_CREATE, f"{path}: is there already, and is not replaced.")
    leave(ExitCode.CANNOT_CREATE, f"{path}: cannot be written ({error.strerror}).")


def tell_count(count: int, word: str, said: str, chosen: Collection[int], *, as_json: bool) -> None:
    """Say how many were meant; numbers that chose nothing are told, and leave with INCOMPLETE.

    Args:
        count: how many it was done for.
        word: the key in JSON.
        said: what follows the number, for people.
        chosen: numbers that a person gave; empty when something else chose.
    """
    print_json({word: count}) if as_json else say(f"{count} {said}.")
    missed = len(set(chosen)) - count
    if chosen and missed > 0:
        leave(ExitCode.INCOMPLETE, f"{missed} of these numbers chose nothing: the list shows what waits.")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: as a table on a terminal, tab-separated into a pipe."""
    if not sys.stdout.isatty():
        say("\t".join(columns))
        for row in rows:
            say("\t".join(str(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # UIDs and paths are there to be copied: nothing is cut
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console().print(table)
