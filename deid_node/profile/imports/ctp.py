"""Scripts of CTP's DICOM anonymizer and of RSNA's Anonymizer as profiles.

Both have the same syntax and opposite defaults: in CTP an empty action empties and unlisted elements stay
unless an `r` says otherwise; in RSNA's an empty action keeps and unlisted elements go. `dialect_of` tells
them apart by what only one of them has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names
from deid_node.profile.imports import ctp_functions, ctp_rsna, ctp_script
from deid_node.profile.imports.ctp_actions import CTP_FUNCTIONS, Action
from deid_node.profile.imports.ctp_branches import Case
from deid_node.profile.imports.ctp_functions import Call
from deid_node.profile.imports.ctp_lookup import NEW, OLD, csv_of, read_lookup_table, table_name
from deid_node.profile.imports.ctp_said import LookedUp, NotSaid, Said
from deid_node.profile.imports.ctp_script import Element, Script
from deid_node.profile.imports.draft import Draft, Written, does
from deid_node.profile.imports.imported import Imported, LookupFile, Options
from deid_node.profile.procedure import DateChange
from deid_node.profile.protected import PROTECTED
from deid_node.standard import dictionary
from deid_node.standard.method_codes import method_codes

CTP, RSNA = "ctp", "rsna"
_SOP_CLASS_UID: Final = 0x00080016
_IDENTITY_REMOVED: Final = 0x00120062
_METHOD: Final = 0x00120063
_METHOD_CODES: Final = 0x00120064
_DATES: Final = 0x00280303
_STAMPED: Final = (_IDENTITY_REMOVED, _METHOD, _METHOD_CODES, _DATES)
_LONGEST_METHOD: Final = 64
_ALWAYS_KEPT: Final = ("SOPInstanceUID", "StudyInstanceUID", "group:0028", "group:7FE0")
_KEPT_GROUPS: Final = ("0028", "7FE0")
_CURVES: Final = ("curves", "50xx,xxxx")
_OVERLAYS: Final = ("overlays", "60xx,xxxx")
_ONLY_CTP: Final = CTP_FUNCTIONS - {
    "always",
    "empty",
    "remove",
    "hashdate",
    "round",
    "lookup",
    "incrementdate",
}


def read(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a script.

    Raises:
        ProfileError: no script, or one that could be of either tool; with every finding.
    """
    script = ctp_script.parse(text, file)
    dialect = _dialect(script, file, options)
    draft = Draft(name, file)
    for what, why, line in script.unknown:
        draft.leave_out(line, what, why)
    writing = _Writing(script, draft, options, is_rsna=dialect == RSNA)
    writing.write()
    return draft.finish()


# --- which tool -------------------------------------------------------------------------------------


def _dialect(script: Script, file: str, options: Options) -> str:
    if options.dialect:
        if options.dialect not in (CTP, RSNA):
            raise ProfileError(f"there is no dialect {options.dialect!r}; it is {CTP} or {RSNA}")
        return options.dialect
    found = dialect_of(script)
    if len(found) == 1:
        return found.pop()
    why = "has marks of both" if found else "has no mark of either"
    raise ProfileError(
        f"{file}: the script {why}, CTP (an empty action empties, unlisted elements stay) and RSNA's"
        f" Anonymizer (an empty action keeps, unlisted elements go); give the dialect, {CTP} or {RSNA}"
    )


def dialect_of(script: Script) -> set[str]:
    """Return the tools whose marks a script bears.

    CTP: parameters, kept groups and removals (`p`, `k`, `r`), functions that only CTP has, @keep().
    RSNA: its words @uid, @ptid and @acc, or an empty action for SOP Class UID, which CTP would empty. The
    removal of private groups stands in scripts of both; alone it is CTP's.
    """
    found = {CTP} if script.has_globals else set[str]()
    for element in script.elements:
        if element.tag == _SOP_CLASS_UID and not element.action:
            found.add(RSNA)
        for call in _calls(element.action):
            if ctp_rsna.is_own(call):
                found.add(RSNA)
            elif not call.is_bare and call.name in _ONLY_CTP:
                found.add(CTP)
    return found or ({CTP} if script.names_private_groups else found)


def _calls(action: str) -> Iterator[Call]:
    try:
        nodes = ctp_functions.parse(action)
    except ValueError:
        return
    for node in nodes:
        if isinstance(node, Call):
            yield node


# --- rows -------------------------------------------------------------------------------------------


class _Writing:
    """One script on its way into a draft."""

    def __init__(self, script: Script, draft: Draft, options: Options, *, is_rsna: bool) -> None:
        self.script = script
        self.draft = draft
        self.exact = options.exact
        self.is_rsna = is_rsna
        self.removes_unlisted = is_rsna or "unspecifiedelements" in script.removes
        self.kept_groups = (
            {*_KEPT_GROUPS, *(group for group, _ in script.keeps)} if not is_rsna else set[str]()
        )
        self.options = options
        self.lookups: dict[str, tuple[int, LookedUp]] = {}
        self.notes: dict[str, list[Element]] = {}
        self.stamps: dict[str, object] = {}
        self.keyed = False

    def write(self) -> None:
        removes_private = self.removes_unlisted or "privategroups" in self.script.removes
        self.draft.settings = {"base": "none"}
        self.draft.tables["unlisted"] = {
            "sop_class": "catch-all",
            "attribute": "X" if self.removes_unlisted else "K",
            "private": self._private(removes_private=removes_private),
        }
        seen: dict[str, int] = {}
        for element in self._elements():
            if element.selector in seen:
                text = f"{element.source} is not used: line {seen[element.selector]} has the same tag"
                self.draft.warn(element.line, text)
                continue
            seen[element.selector] = element.line
            self._write_element(element)
        if not self.is_rsna:
            self._write_globals()
        self._write_notes()
        self._write_lookups()
        self._write_head()
        if self.draft.shifts_dates:
            self.stamps.setdefault("dates", "modified")
        if self.stamps:
            self.draft.tables["stamps"] = self.stamps

    def _write_notes(self) -> None:
        """Say once what holds for several elements."""
        for note, elements in self.notes.items():
            if len(elements) == 1:
                self.draft.warn(elements[0].line, f"{elements[0].source}: {note}")
                continue
            lines = ", ".join(str(element.line) for element in elements)
            self.draft.warnings.append(f"{self.draft.file} lines {lines}: {note}")

    def _write_head(self) -> None:
        tool = "RSNA's Anonymizer" if self.is_rsna else "CTP's DICOM anonymizer"
        stays = "is removed" if self.removes_unlisted else "stays as it is"
        self.draft.head = [
            f"Imported from {self.draft.file}, a script of {tool}.",
            f"As there, what has no row {stays}. Rows hold at every depth.",
        ]
        if self.keyed:
            self.draft.head.append("Hashes and UIDs are keyed here, so they differ from those of the tool.")

    def _write_element(self, element: Element) -> None:
        action = Action(element, self.script, self.exact)
        if element.tag in _STAMPED:
            self._write_stamp(element, action.plain_text())
            return
        try:
            said = ctp_rsna.read(action, element.action) if self.is_rsna else action.read(element.action)
        except NotSaid as error:
            self.draft.leave_out(element.line, element.source, f"{error}; removed instead")
            self._add(element, "X", f"{element.action}: {error}")
            return
        if not self._fits_tables(said):
            why = "a lookup table has one kind of keys; removed instead"
            self.draft.leave_out(element.line, element.source, why)
            self._add(element, "X")
            return
        for kind, looked_up in said.lookups.items():
            known = self.lookups.setdefault(kind, (element.line, looked_up))[1]
            known.rejects = known.rejects or looked_up.rejects
        self._add(element, said.written)
        self._insert(element, said.written, action)
        self._tell(element, said)

    def _fits_tables(self, said: Said) -> bool:
        known = {kind: looked_up for kind, (_, looked_up) in self.lookups.items()}
        return all(known.get(kind, one) == one for kind, one in said.lookups.items())

    def _insert(self, element: Element, written: Written, action: Action) -> None:
        """Write a value where the attribute is absent."""
        try:
            found = action.absent()
        except (NotSaid, ValueError) as error:
            self.draft.leave_out(element.line, element.source, f"{error}; not written where it is absent")
            return
        for case in found:
            if "action" in case:
                self._reject(element, case)
        cases = [case for case in found if "action" not in case]
        if not cases:
            return
        makes_plain = written == "Z" or (isinstance(written, Mapping) and "value" in written)
        if len(cases) == 1 and "when" not in cases[0]:
            one: Case = cases[0] if makes_plain else {**cases[0], "only_absent": True}
            value: Written = str(one["value"]) if list(one) == ["value"] else one
        else:
            value = [{**case, "only_absent": True} for case in cases]
        self.draft.insert(element.selector, value, element.line, element.source)

    def _reject(self, element: Element, case: Mapping[str, object]) -> None:
        absent = f"not exists({names.written(element.tag)})" if element.tag is not None else ""
        when = " and ".join(f"({one})" for one in (absent, case.get("when")) if one)
        self.draft.gates.append(("reject", {"when": when, "because": case["because"]}))

    def _tell(self, element: Element, said: Said) -> None:
        for note in dict.fromkeys(said.notes):
            self.notes.setdefault(note, []).append(element)
        for lost in said.lost:
            self.draft.leave_out(element.line, element.source, lost)

    def _add(self, element: Element, written: Written, comment: str = "") -> None:
        if self._needs_no_row(element, written):
            return
        self.keyed = self.keyed or does(written) in ("U", "hash")
        self.draft.add(element.selector, written, element.line, element.source, comment)
        if element.tag is not None and element.tag >> 16 & 1 and element.tag & 0xFF00 and written != "X":
            self._keep_creator(element)

    def _keep_creator(self, element: Element) -> None:
        """Keep the private creator of a block of which something stays, as CTP does."""
        tag = element.tag or 0
        creator = dictionary.tag_text(tag & 0xFFFF0000 | (tag & 0xFF00) >> 8)
        if all(row.selector != creator for row in self.draft.rows):
            self.draft.add(creator, "K", element.line, element.source, "private creator")

    def _needs_no_row(self, element: Element, written: Written) -> bool:
        """Tell whether [unlisted] says the same as a row would."""
        if element.tag is None or element.tag >> 16 & 1:
            return False
        group = f"{element.tag >> 16:04X}"
        in_wide = group[:2] in ("50", "60")
        if element.tag in PROTECTED:
            return written == "K"
        return self.removes_unlisted and written == "X" and group not in self.kept_groups and not in_wide

    def _elements(self) -> Iterator[Element]:
        """Yield what counts: RSNA's tool does not ask whether an element is switched on."""
        for element in self.script.elements:
            if element.has_no_switch and not self.is_rsna:
                text = f"{element.source}: nothing says whether it is switched on; it counts"
                self.draft.warn(element.line, text)
            if element.is_on or self.is_rsna:
                yield element

    # --- what is not one element ----------------------------------------------------------------

    def _write_globals(self) -> None:
        for name, selector in (_CURVES, _OVERLAYS):
            line = self.script.removes.get(name)
            if line is not None:
                self.draft.add(selector, "X", line, name)
            elif self.removes_unlisted:
                self.draft.add(selector, "K", 0, f"{name} are not removed")
        if not self.removes_unlisted:
            for group, line in self.script.keeps:
                text = f"keep group {group}: unlisted elements stay in any case"
                self.draft.warn(line, text)
            return
        named = {row.selector for row in self.draft.rows}
        line = self.script.removes["unspecifiedelements"]
        for selector in _ALWAYS_KEPT:
            if selector not in named:
                self.draft.add(selector, "K", line, "unspecifiedelements", "the tool never removes it")
        for group, line in self.script.keeps:
            if f"group:{group}" not in _ALWAYS_KEPT:
                self.draft.add(f"group:{group}", "K", line, f"keep group {group}")

    def _private(self, *, removes_private: bool) -> str:
        """Return what becomes of private attributes without an action."""
        line = self.script.keeps_safe_private
        if not removes_private:
            return "K"
        if not line or self.is_rsna:
            return "X"
        text = "safe private elements are those of PS3.15: texts are cleaned, UIDs new, dates removed"
        self.draft.warn(line, text)
        return "safe"

    def _write_lookups(self) -> None:
        """Write a lookup table for every key type; without its rows, one to be filled in."""
        source = self.options.lookup_table
        known = read_lookup_table(source, self.options.lookup_file) if source is not None else {}
        if source is not None and not self.lookups:
            self.draft.warn(0, f"no action looks anything up in {self.options.lookup_file}")
        for kind, (line, looked_up) in self.lookups.items():
            name, rows = table_name(kind), known.get(kind.strip(), {})
            file = f"{self.draft.name}-{name}.csv"
            key = list(looked_up.keys) or OLD
            self.draft.tables[f"tables.{name}"] = {"file": file, "key": key, "value": NEW}
            text, unfit = csv_of(rows, looked_up)
            self.draft.lookups.append(LookupFile(file, text))
            empty = sum(not new for new in rows.values())
            why = ""
            if not rows:
                where = self.options.lookup_file if source is not None else "the script"
                why = f"{where} has none of its rows; fill in {file} (deid-node table collect), or name the"
                why += " tool's lookup table with --lookup-table; until then "
                why += "such objects are rejected" if looked_up.rejects else "no value has a row"
            elif empty:
                why = f"{empty} rows without a replacement count as not there"
            if unfit:
                what = "numbers of days" if looked_up.days else "dates"
                what = "keys" if looked_up.keys else what
                why = "; ".join(
                    [*([why] if why else []), f"{unfit} rows with other {what} count as not there"]
                )
            if why:
                self.draft.leave_out(line, f"lookup table {kind}", why)

    def _write_stamp(self, element: Element, value: str) -> None:
        """Carry over what a script stamps; deid_node stamps these attributes itself."""
        if element.tag == _METHOD and 0 < len(value) <= _LONGEST_METHOD and "\\" not in value:
            self.stamps["method"] = value
        elif element.tag == _METHOD_CODES and value:
            codes = [code.strip() for code in value.split("/") if code.strip().lower() not in ("", "reset")]
            self.stamps["codes"] = [code for code in codes if code in method_codes()]
            for code in codes:
                if code not in method_codes():
                    self.draft.leave_out(element.line, element.source, f"{code} is no code of CID 7050")
        elif element.tag == _DATES and value.upper() in list(DateChange):
            self.stamps["dates"] = value.lower()
        elif element.tag != _IDENTITY_REMOVED or value != "YES":
            keyword = dictionary.keyword_of(element.tag or 0)
            self.draft.warn(element.line, f"{element.source}: deid_node stamps {keyword} itself")
