"""Scripts of CTP and of RSNA's Anonymizer for tests: made of elements, imported, run."""

from __future__ import annotations

import re

from pydicom import Dataset

from deid_node.profile.imports import Imported
from tests.profile.imports.importing import Edit, imported

PARAMS = (
    '<p t="DATEINC">-3210</p><p t="SITEID">77</p><p t="UIDROOT">1.2.3</p><p t="PROJECT">A {b} &amp; C</p>'
)
EVERYTHING = '<r en="T" t="unspecifiedelements">Remove</r>'


def script(*elements: str, params: str = PARAMS, more: str = "", **options: object) -> Imported:
    """Import a script of `TAG ACTION` elements, one a line, the first in line 2."""
    lines = [f'<e en="T" t="{line[:8]}" n="X{line[:8]}">{line[9:]}</e>' for line in elements]
    text = "\n".join([f"<script>{params}", *lines, f"{more}</script>"])
    return imported("ctp", text, "anon.script", **options)


def with_values(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def row_of(result: Imported, selector: str) -> str:
    """Return what the row for a selector says, empty when there is none."""
    found = re.search(rf'^"?{re.escape(selector)}"? = (.*?)(?:  #.*)?$', result.toml, re.MULTILINE)
    return found[1] if found else ""


RSNA = """<script>
 <e en="T" t="00080005" n="SpecificCharacterSet"></e>
 <e en="T" t="00080016" n="SOPClassUID"></e>
 <e en="T" t="00080018" n="SOPInstanceUID">@uid</e>
 <e en="T" t="00080020" n="StudyDate">@hashdate(this,PatientID)</e>
 <e en="T" t="00080030" n="StudyTime"></e>
 <e en="T" t="00080050" n="AccessionNumber">@acc</e>
 <e en="T" t="00080060" n="Modality">@keep</e>
 <e en="T" t="00080080" n="InstitutionName">@remove()</e>
 <e en="T" t="00080090" n="ReferringPhysicianName">@empty()</e>
 <e en="T" t="00100010" n="PatientName">@ptid</e>
 <e en="T" t="00100020" n="PatientID">@ptid</e>
 <e en="T" t="00101010" n="PatientAge">@round(this,10)</e>
 <e en="T" t="0020000D" n="StudyInstanceUID">@uid</e>
 <e en="T" t="0020000E" n="SeriesInstanceUID">@uid</e>
 <e en="T" t="00280010" n="Rows"></e>
 <e en="T" t="7FE00010" n="PixelData"></e>
</script>"""
