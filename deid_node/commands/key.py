"""`deid-node key`: make the project key, rotate it, show of which epoch it is; never the key itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import ask, leave, print_json, print_table, say
from deid_node.commands.usage import Commands

app = Commands(
    name="key",
    help="The project key: make, rotate, show its epoch. No command prints it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path | None, typer.Option("--key-file", help="The key file. Else the configured one.")]


@app.command()
def new(key_file: File = None, config: Config = None) -> None:
    """Make a key where none is; one that is there is never replaced."""
    from deid_node.node.epochs import new_key

    file = _file(key_file, config)
    epoch = new_key(file)
    if key_file is None:  # one that is named may belong to no node yet
        write_audit(config, "key-made", epoch=epoch)
    say(f"{file} holds the key of epoch {epoch}. Keep a copy where the data never goes.")


@app.command()
def rotate(
    key_file: File = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Begin a new epoch: a new key takes the place of the one in use, which is kept beside it."""
    from deid_node.node.epochs import rotate as begin_epoch
    from deid_node.node.key_file import read_key

    file = _file(key_file, config)
    question = "From the next start on every patient gets another pseudonym. Go on?"
    ask(question, yes=yes, otherwise="Nothing was changed.")
    if key_file is None:
        write_audit(config, "key-rotated", former=read_key(file).epoch)
    former, epoch = begin_epoch(file)
    say(f"{file} holds the key of epoch {epoch}; that of {former} is {file.name}.{former}.")
    say("A node that runs goes on with the former key until it is started again.")


@app.command()
def show(key_file: File = None, config: Config = None, as_json: Json = False) -> None:
    """Show the epochs of the key in use and of the former ones beside it."""
    from deid_node.node.epochs import show as key_files

    file = _file(key_file, config)
    if not file.exists():
        leave(ExitCode.NO_INPUT, f"{file}: there is no key yet; the first start makes one, or `key new`.")
    found = key_files(file)
    if as_json:
        print_json([{"file": k.file, "epoch": k.epoch, "since": k.since, "in_use": k.in_use} for k in found])
        return
    when = [time.strftime("%Y-%m-%d %H:%M", time.localtime(key.since)) for key in found]
    print_table(
        ("epoch", "", "written", "file"),
        (
            (key.epoch, "in use" if key.in_use else "former", at, key.file)
            for key, at in zip(found, when, strict=True)
        ),
    )


def _file(named: Path | None, config: Path | None) -> Path:
    if named is not None:
        return named
    from deid_node.node.epochs import configured_file
    from deid_node.settings.load import load_settings

    return configured_file(load_settings(config).settings)
