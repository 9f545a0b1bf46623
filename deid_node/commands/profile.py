"""`deid-node profile`: which profiles there are, what they do, how two differ, bring one in."""

from __future__ import annotations

from typing import Annotated

import typer

from deid_node.commands.options import Json
from deid_node.commands.profile_import import import_profile
from deid_node.commands.terminal import print_json, print_table, say
from deid_node.commands.usage import Commands

app = Commands(
    name="profile", help="De-identification profiles.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="PROFILE", help="Shipped profile name, or path of a file.")]
SOPClass = Annotated[
    str, typer.Option("--sop-class", "-s", help="UID, name, or a short word such as CT, MR, SR.")
]


@app.command("list")
def list_profiles(as_json: Json = False) -> None:
    """List the profiles that are shipped."""
    from deid_node.profile import library

    rows = []
    for name in library.shipped():
        procedure = library.load(name)
        rows.append((name, procedure.version, len(procedure.tables), procedure.method))
    if as_json:
        print_json(
            [dict(zip(("name", "version", "sop_classes", "method"), row, strict=True)) for row in rows]
        )
    else:
        print_table(("name", "version", "SOP classes", "method"), rows)


@app.command()
def show(
    profile: Name,
    sop_class: SOPClass = "CT",
    every: Annotated[
        bool, typer.Option("--all", help="Also attributes that the SOP class does not have.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the table of one SOP class: every attribute, its action, why, and which row decided."""
    from deid_node.node.procedures import load_procedure
    from deid_node.profile import listing
    from deid_node.standard.sop_classes import find_sop_class

    rows = listing.show(load_procedure(profile), find_sop_class(sop_class), every=every)
    table = [(row.selector, row.vr, str(row.action), row.how, row.because, row.decided_by) for row in rows]
    heads = ("selector", "vr", "action", "how", "because", "decided_by")
    if as_json:
        print_json([dict(zip(heads, row, strict=True)) for row in table])
    else:
        print_table(heads, table)


@app.command()
def diff(one: Name, two: Name, sop_class: SOPClass = "CT", as_json: Json = False) -> None:
    """Show what two profiles do differently with one SOP class."""
    from deid_node.node.procedures import load_procedure
    from deid_node.profile import listing
    from deid_node.standard.sop_classes import find_sop_class

    def told(row: listing.ShownRow | None) -> str:
        return "-" if row is None else f"{row.action} {row.how}".strip()

    found = listing.diff(load_procedure(one), load_procedure(two), find_sop_class(sop_class))
    rows = [(d.selector, told(d.before), told(d.after)) for d in found]
    if as_json:
        print_json([dict(zip(("selector", "before", "after"), row, strict=True)) for row in rows])
    elif rows:
        print_table(("selector", one, two), rows)
    else:
        say("No difference.")


app.command("import")(import_profile)
