"""The status that each malformed object is answered with: `python -m tests.malformed_codes` writes the list.

The list is kept beside this file, so that a change of any answer is seen in a review.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deid_node.engine.rewrite import Deidentifier
from deid_node.errors import ObjectRefused
from deid_node.node.answers import answer_for
from deid_node.profile.procedure import Action
from tests import malformed, malformed_values
from tests.engine.encoded import procedure, run
from tests.malformed import Case
from tests.rewriting import pseudonyms

LIST = Path(__file__).with_suffix(".tsv")


def answered(case: Case) -> str:
    """Return the status under a procedure that keeps everything, 0000 when the object passes."""
    deidentifier = Deidentifier(procedure(unlisted=Action.K), pseudonyms())
    try:
        run(deidentifier, case.dataset, transfer_syntax_uid=case.transfer_syntax_uid)
    except ObjectRefused as refusal:
        return answer_for(refusal).status.code
    return "0000"


def codes() -> Iterator[tuple[str, str, str]]:
    """Yield family, name and status of every object."""
    for family in (*malformed.FAMILIES, *malformed_values.FAMILIES):
        for case in family():
            yield family.__name__, case.name, answered(case)


def listed() -> list[tuple[str, ...]]:
    """Return what the list says."""
    return [tuple(line.split("\t")) for line in LIST.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    LIST.write_text("".join("\t".join(row) + "\n" for row in codes()), "utf-8")
