"""Import a configuration, load the result and put an object through it: what these tests share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file

from deid_node.engine.deidentified import Deidentified
from deid_node.engine.rewrite import Deidentifier
from deid_node.node.part10 import read_part10
from deid_node.profile import imports, library
from deid_node.profile.imports import Imported, Options
from deid_node.profile.procedure import Procedure
from tests.rewriting import pseudonyms

TODAY, NOW = date(2026, 1, 1), time(14, 30, 59)
Edit = Callable[[Dataset], object]


def imported(kind: str, text: str, file: str = "source.json", **options: object) -> Imported:
    """Import a text with options."""
    return imports.read(kind, text, file, options=Options(**options))  # type: ignore[arg-type]


def procedure_of(result: Imported, folder: Path) -> Procedure:
    """Load what was imported as a person would: from a file."""
    for lookup in result.lookups:
        (folder / lookup.name).write_text(lookup.text, encoding="utf-8")
    file = folder / "profile.toml"
    file.write_text(result.toml, encoding="utf-8")
    return library.load(file)


def run(result: Imported, folder: Path, edit: Edit = lambda ds: None, file: str = "CT_small.dcm") -> Dataset:
    """Put a file of the pydicom wheel, edited, through an imported profile.

    Raises:
        ObjectRefused: as the engine does.
    """
    ds = dcmread(str(get_testdata_file(file)))
    edit(ds)
    content = BytesIO()
    dcmwrite(content, ds)
    secrets = {secret.name: secret.value for secret in result.secrets}
    deidentifier = Deidentifier(procedure_of(result, folder), pseudonyms(), secrets=secrets)
    return rewritten(deidentifier, content.getvalue())


def rewritten(deidentifier: Deidentifier, content: bytes) -> Dataset:
    """Return the de-identified object of a file."""
    part10 = read_part10(BytesIO(content))
    rewriting = deidentifier.begin(
        transfer_syntax_uid=part10.transfer_syntax_uid, today=TODAY, time_of_day=NOW
    )
    out = bytearray()

    def take(new: Deidentified | None) -> None:
        for buffer in new.buffers if new is not None else ():
            out.extend(buffer)

    take(rewriting.feed(content[part10.offset :]))
    rest, summary = rewriting.finish()
    take(rest)
    return dcmread(BytesIO(summary.heading.meta + bytes(out)))
