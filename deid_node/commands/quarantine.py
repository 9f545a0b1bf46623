"""`deid-node quarantine`: objects that could not be de-identified and that a route kept, sealed."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.commands.audited import write_audit
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.options import Config, Json
from deid_node.commands.terminal import ask, complain, leave, leave_unwritten, print_json, print_table, say
from deid_node.commands.usage import Commands

if TYPE_CHECKING:
    from deid_node.node.quarantine import Note

app = Commands(
    name="quarantine",
    help="Objects that could not be de-identified, sealed to a public key.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id from `quarantine list`.")]


@app.command()
def keys(
    private: Annotated[Path, typer.Argument(metavar="PRIVATE", help="File for the private key.")],
    public: Annotated[Path, typer.Argument(metavar="PUBLIC", help="File for the public key.")],
) -> None:
    """Make a key pair. Set the public key as quarantine.public_key; keep the private one elsewhere."""
    from deid_node.node.sealing import make_key_pair

    try:
        make_key_pair(private, public)
    except OSError as error:
        leave_unwritten(error.filename, error)
    say(f"{private} reads what is sealed to {public}. Without it, quarantined objects are lost.")


@app.command("list")
def list_objects(config: Config = None, as_json: Json = False) -> None:
    """List the objects in quarantine and why each is there."""
    found = _notes(config)
    if as_json:
        print_json([asdict(note) for note in found])
    elif found:
        columns = ("id", "received", "route", "from", "bytes", "code", "reason")
        print_table(
            columns,
            ((n.id, _when(n.at), n.route, n.calling, n.size, n.code, n.reason) for n in found),
        )
    else:
        say("Nothing is in quarantine.")


@app.command()
def show(id_: Id, config: Config = None, as_json: Json = False) -> None:
    """Show what is known of one object without opening it."""
    note = next((note for note in _notes(config) if note.id == id_), None)
    if note is None:
        leave(ExitCode.NO_INPUT, f"{id_}: is not in quarantine.")
    if as_json:
        print_json(asdict(note))
        return
    for name, value in asdict(note).items():
        say(f"{name:14} {_when(value) if name == 'at' else value}")


@app.command()
def export(
    id_: Id,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The DICOM file to write.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="File with the private key.")],
    config: Config = None,
) -> None:
    """Open one object and write the original. It identifies the patient."""
    from deid_node.node.quarantine import export as write_original
    from deid_node.node.quarantine import sealed_ids
    from deid_node.node.sealing import read_private_key

    folder = _folder(config)
    if id_ not in sealed_ids(folder):
        leave(ExitCode.NO_INPUT, f"{id_}: is not in quarantine.")
    private = read_private_key(key)
    write_audit(config, "quarantine-read", id=id_)
    try:
        write_original(folder, id_, private, output)
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{error.filename or output}: {error.strerror}.")
    complain(f"{output} identifies the patient.")


@app.command()
def rerun(
    key: Annotated[Path, typer.Option("--key", "-k", help="File with the private key.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids from `list`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All objects.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for each answer.")] = 30.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give objects to the running node again, as they first came; what it takes leaves the quarantine.

    Run it on the machine of the node, as its account or as root: neither the peers of a route nor a
    certificate are asked for again. Originals are opened in memory alone. Those that are rejected again
    stay, under a new id.
    """
    from deid_node.commands.quarantine_rerun import Rerun
    from deid_node.node.sealing import read_private_key
    from deid_node.settings.load import load_settings

    if bool(ids) == every:
        leave(ExitCode.USAGE, "Say what to run again: ids, or --all.")
    settings = load_settings(config).settings
    folder = settings.quarantine_folder
    known = {note.id: note for note in _notes(config)}
    for id_ in ids or ():
        if id_ not in known:
            leave(ExitCode.NO_INPUT, f"{id_}: is not in quarantine; nothing was given.")
    private = read_private_key(key)
    chosen = [known[id_] for id_ in ids or known]
    write_audit(config, "quarantine-rerun", ids=[note.id for note in chosen])
    again = Rerun(folder, private, settings.state, timeout)
    results = [again(note) for note in chosen]
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            (say if result.is_taken else complain)(f"{result.id}: {result.told}.")
    if not all(result.is_taken for result in results):
        leave(ExitCode.INCOMPLETE)


@app.command()
def purge(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids from `list`.")] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="All that came so many days ago or earlier.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Remove objects from quarantine for good."""
    from deid_node.node.quarantine import purge as remove
    from deid_node.node.quarantine import sealed_ids

    folder = _folder(config)
    if not ids and older_than is None:
        leave(ExitCode.USAGE, "Say what to purge: ids, or --older-than DAYS.")
    known = set(sealed_ids(folder))
    for id_ in ids or ():
        if id_ not in known:
            leave(ExitCode.NO_INPUT, f"{id_}: is not in quarantine; nothing was purged.")
    chosen = list(ids or ())
    if older_than is not None:
        before = time.time() - older_than * 86400
        chosen += [note.id for note in _notes(config) if note.at <= before and note.id not in chosen]
    question = f"{len(chosen)} objects will be gone for good. Go on?"
    ask(question, yes=yes or not chosen, otherwise="Nothing was purged.")
    write_audit(config, "quarantine-purged", ids=chosen)
    try:
        remove(folder, chosen)
    except OSError as error:
        leave(ExitCode.CANNOT_CREATE, f"{error.filename}: cannot be removed ({error.strerror}).")
    say(f"{len(chosen)} purged.")


def _folder(config: Path | None) -> Path:
    from deid_node.settings.load import load_settings

    return load_settings(config).settings.quarantine_folder


def _notes(config: Path | None) -> list[Note]:
    from deid_node.node.quarantine import notes

    return notes(_folder(config))


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
