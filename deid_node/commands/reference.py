"""The reference of all commands as Markdown, made from the commands themselves.

`python -m deid_node.commands.reference > docs/reference/commands.md` writes it; a test holds that the
file says what the program does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from deid_node.commands.app import app
from deid_node.commands.exit_codes import ExitCode
from deid_node.commands.usage import words_of

_HEAD = """\
<!-- Made by `python -m deid_node.commands.reference`; change deid_node/commands instead. -->
# Commands

`deid-node COMMAND`, or `python -m deid_node COMMAND`. Results go to standard output, problems to
standard error. `--json` prints what a program would read. `--help` belongs to every command.
"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *_commands(get_command(app), "deid-node"), _exit_codes()])


def _commands(command: Any, path: str) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None or getattr(command, "invoke_without_command", False):
        yield _section(command, path)
    for name, inner in (below or {}).items():
        yield from _commands(inner, f"{path} {name}")


def _section(command: Any, path: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *map(words_of, arguments)])
    help_text = re.sub(r"[ \t]*\n[ \t]*", "\n", (command.help or "").strip())
    lines = [f"## `{path}`", "", f"    {usage}", "", help_text, ""]
    rows = [(f"`{words_of(p)}`", p) for p in arguments]
    rows += [(", ".join(f"`{word}`" for word in (*p.opts, *p.secondary_opts)), p) for p in options]
    if rows:
        lines += ["| | | default |", "| --- | --- | --- |"]
        lines += [f"| {word} | {_told(p.help)} | {_default(p)} |" for word, p in rows]
        lines.append("")
    return "\n".join(lines)


def _told(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or callable(value) or "UNSET" in repr(value).upper():
        return ""
    return f"`{str(value).lower() if value is True else value}`"


def _exit_codes() -> str:
    lines = ["## Exit statuses", "", "| status | name | |", "| --- | --- | --- |"]
    lines += [f"| {code.value} | {code.name} | {code.meaning} |" for code in ExitCode]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
