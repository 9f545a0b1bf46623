"""All commands under one name."""

from __future__ import annotations

from deid_node.commands import (
    check,
    crosswalk,
    decrypt,
    deidentify,
    explain,
    key,
    peers,
    procedure,
    profile,
    quarantine,
    queue,
    running,
    sealed,
    serve,
    spool,
    table,
)
from deid_node.commands.terminal import say
from deid_node.commands.usage import Commands

app = Commands(
    name="deid-node",
    help="A DICOM network node that de-identifies on the wire and loses nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("deidentify")(deidentify.deidentify)
app.command("explain")(explain.explain)
app.command("decrypt")(decrypt.decrypt)
app.command("send")(peers.send)
app.command("echo")(peers.echo)
app.command("status")(queue.status)
app.command("settings")(running.settings)
app.add_typer(queue.app, name="queue")
app.add_typer(sealed.app, name="sealed")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(crosswalk.app, name="crosswalk")
app.add_typer(key.app, name="key")
app.add_typer(profile.app, name="profile")
app.add_typer(table.app, name="table")
app.add_typer(procedure.app, name="procedure")
app.command("fsck")(spool.fsck)
app.command("backup")(spool.backup)
app.command("restore")(spool.restore)
app.command("purge")(spool.purge)


@app.command()
def version() -> None:
    """Print the version."""
    from deid_node import __version__

    say(__version__)
