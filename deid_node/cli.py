"""The command line: which commands there are, and how errors become exit statuses.

The one place where errors end. What an operator can mend is told as a sentence; anything else is a
fault of ours and is told without its text, which may quote a value.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from deid_node.commands import (
    check,
    deidentify,
    explain,
    peers,
    procedure,
    profile,
    quarantine,
    queue,
    serve,
    spool,
)
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.terminal import complain, say
from deid_node.errors import AssociationError, ConfigurationError, DeidNodeError, SpoolError

app = typer.Typer(
    name="deid-node",
    help="A DICOM network node that de-identifies on the wire and loses nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("deidentify")(deidentify.deidentify)
app.command("explain")(explain.explain)
app.command("send")(peers.send)
app.command("echo")(peers.echo)
app.command("status")(queue.status)
app.add_typer(queue.app, name="queue")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(profile.app, name="profile")
app.add_typer(procedure.app, name="procedure")
app.command("fsck")(spool.fsck)
app.command("backup")(spool.backup)


@app.command()
def version() -> None:
    """Print the version."""
    from deid_node import __version__

    say(__version__)


_EXIT_CODES: dict[type[BaseException], ExitCode] = {
    ConfigurationError: ExitCode.CONFIGURATION,
    SpoolError: ExitCode.CANNOT_CREATE,
    AssociationError: ExitCode.UNAVAILABLE,
    DeidNodeError: ExitCode.INCOMPLETE,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="deid-node")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK
    except DeidNodeError as error:
        complain(str(error))
        return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    except Exception as error:  # the edge: what nobody expected
        return _our_fault(error)
    return ExitCode.OK


def _our_fault(error: Exception) -> ExitCode:
    from deid_node.log import describe

    told = describe(error)
    complain(f"deid-node: {told['error']}, which is an error in deid-node itself. Where it happened:")
    frames = told["frames"]
    for frame in frames if isinstance(frames, list) else []:
        complain(f"  {frame}")
    return ExitCode.SOFTWARE


if __name__ == "__main__":
    sys.exit(main())
