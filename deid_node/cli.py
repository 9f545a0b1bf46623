"""The command line: where every error ends and becomes an exit status.

What an operator can mend is told as a sentence; anything else is a fault of ours and is told without
its text, which may quote a value. Warnings of libraries quote values too and are not shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from deid_node.commands.exit_codes import ExitCode
from deid_node.errors import AssociationError, ConfigurationError, DeidNodeError, SpoolError
from deid_node.lean import load_libraries
from deid_node.log_discretion import ignore_libraries, keep_to_yourself, tell_on_stderr

_EXIT_CODES: tuple[tuple[type[DeidNodeError], ExitCode], ...] = (
    (ConfigurationError, ExitCode.CONFIGURATION),
    (SpoolError, ExitCode.CANNOT_CREATE),
    (AssociationError, ExitCode.UNAVAILABLE),
    (DeidNodeError, ExitCode.INCOMPLETE),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Without arguments it is the program: the process is its own, and is told to keep to itself.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    ignore_libraries()
    if arguments is None:
        keep_to_yourself()
    try:
        return _run(words, ours=arguments is None)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output left; nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except DeidNodeError as error:
        print(error, file=sys.stderr)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
    except Exception as error:  # the edge: what nobody expected
        tell_on_stderr(error)
        return ExitCode.SOFTWARE


def _run(words: list[str], *, ours: bool) -> int:
    if words in (["version"], ["--version"]):  # asked for by scripts and probes: not worth an import
        from deid_node import __version__

        print(__version__)
        return ExitCode.OK
    if ours:
        load_libraries(*words[:1])
    from deid_node.commands.app import app

    app(args=words, prog_name="deid-node")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
