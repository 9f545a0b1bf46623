"""Curation specifications of dicom-curate: the JSON part as options and rows over PS3.15.

Rows DC-3, DC-9 to DC-26. Table E.1-1 is resolved by Type as everywhere here, dates without a cell in a
date column follow the basic profile (C-11), and UIDs are keyed. What dicom-curate removes beyond the table
(descriptors, additional IDs, further keywords) is removed by rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names, params
from deid_node.profile.basic_rules import decide
from deid_node.profile.imports import dicom_curate_script, jsonc
from deid_node.profile.imports.dicom_curate_options import (
    READERS,
    CurateOptions,
    OptionsReader,
    composed,
)
from deid_node.profile.imports.draft import Draft
from deid_node.profile.imports.imported import Imported, Options
from deid_node.profile.imports.jsonc import Value
from deid_node.profile.options import Option
from deid_node.profile.procedure import Action, Dummies
from deid_node.standard import confidentiality, dictionary

VERSION: Final = "3.0"
_INNER: Final = "curationSpec"
_KEYS: Final = ("version", "hostProps", "dicomPS315EOptions", "dateOffset", "excludedFiletypes")
_SKIPPED_ANYWAY: Final = frozenset({"dicomdir", "dicomdir.dir", "thumbs.db", ".ds_store", "desktop.ini"})
_DATE_VRS: Final = ("DA", "DT", "TM")
_DESCRIPTOR: Final = re.compile("Comment|Description")
_ID: Final = re.compile("IDs?$")
_IDS_OF_DEVICES: Final = frozenset({"DeviceID", "RepairID", "DisplaySubsystemID", "DegreeOfFreedomID"})
_FURTHER: Final = (
    *("CommentsOnPatientPerformanceOfVisualField", "CommentsOnRadiationDose"),
    *("CommentsOnThePerformedProcedureStep", "CommentsOnTheScheduledProcedureStep"),
    *("ContactDisplayName", "ContactMethod", "ContactURI", "InstructionText", "LabelText"),
    *("PatientAlternativeCalendar", "PatientBirthDateInAlternativeCalendar"),
    *("PatientDeathDateInAlternativeCalendar", "SecondaryReviewerName"),
)
_PATTERN_LENGTH: Final = 80
_DESCRIPTORS, _CHARACTERISTICS, _PRIVATE = "113105", "113108", "113111"


def read(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a specification; of a script, with all its parts listed.

    Raises:
        ProfileError: neither a JSON specification nor a script; with every finding.
    """
    draft = Draft(name, file)
    if dicom_curate_script.is_script(text):
        return _read_script(text, draft, options)
    top = jsonc.parse(text, file)
    reading = OptionsReader(file)
    if not top.is_object:
        raise ProfileError(f"{file}: the top is not an object")
    top = _specification(top, draft)
    _check_version(top, reading)
    given = top.get("dicomPS315EOptions")
    offset = _offset(top, reading)
    _list_rest(top, draft)
    draft.head = [f"Imported from {file}, a specification of dicom-curate."]
    _write(given, offset, reading, draft, options)
    return draft.finish()


def _specification(top: Value, draft: Draft) -> Value:
    """Return the specification of a file: the whole of it, what it says about a run left out, or its options.

    A file may hold the options alone.
    """
    inner = top.get(_INNER)
    if inner is not None and inner.is_object:
        for key, line, _ in top.members or ():
            if key != _INNER:
                draft.leave_out(line, key, "how the tool is run; a profile says what is done to objects")
        return inner
    if not any(key in READERS for key, _, _ in top.members or ()):
        return top
    members = (("version", top.line, Value(top.line, VERSION)), ("dicomPS315EOptions", top.line, top))
    return Value(top.line, members=members)


def _read_script(text: str, draft: Draft, options: Options) -> Imported:
    """Write what a script says in its options; its functions are for a person to write anew."""
    draft.head = [
        f"Imported from {draft.file}, a specification of dicom-curate in JavaScript.",
        "Only its dicomPS315EOptions are here. What its functions do has to be written by hand.",
    ]
    given = None
    for part in dicom_curate_script.parts(text):
        if part.name == dicom_curate_script.OPTIONS:
            found = dicom_curate_script.literal(part, draft.file)
            trial = OptionsReader(draft.file)
            if found is not None and found.is_object:
                trial.options(found)
            if found is not None and not trial.problems:
                given = composed(given, found)
                continue
        if part.name != "version" or re.fullmatch(r"[\"'](?!3(?:\.0)?[\"']).*", part.value):
            draft.leave_out(part.line, part.name, part.advice)
    if not draft.left_out:
        draft.leave_out(1, "the script", "JavaScript cannot be carried over, and no part of it is known")
    _write(given, None, OptionsReader(draft.file), draft, options)
    return draft.finish()


def _write(
    given: Value | None, offset: str | None, reading: OptionsReader, draft: Draft, options: Options
) -> None:
    """Put the options into the draft.

    Raises:
        ProfileError: an option is unknown or has a value that it cannot have.
    """
    if given is not None and given.is_text and str(given.plain).casefold() == "off":
        _raise(reading)
        _keep_identity(given.line, draft)
        return
    if given is not None and not given.is_object:
        reading.wrong(given.line, "dicomPS315EOptions is an object, or 'Off'")
    said = reading.options(given) if given is not None and given.is_object else CurateOptions()
    _raise(reading)
    draft.settings = {"base": "PS3.15"}
    _Writing(draft, said, offset).write(exact=options.exact)


def _raise(reading: OptionsReader) -> None:
    if reading.problems:
        raise ProfileError(*reading.problems)


def _check_version(top: Value, reading: OptionsReader) -> None:
    version = top.get("version")
    if version is None:
        reading.wrong(top.line, f'a specification says its version: "version": "{VERSION}"')
    elif str(version.plain) not in (VERSION, "3"):
        reading.wrong(version.line, f'version is {version.plain!r}, and only "{VERSION}" is read')


def _offset(top: Value, reading: OptionsReader) -> str | None:
    value = top.get("dateOffset")
    if value is None or value.plain is None:
        return None
    try:
        return params.duration(value.plain) if value.is_text else params.duration(None)
    except ValueError as error:
        reading.wrong(value.line, f"dateOffset: {error}")
        return None


def _list_rest(top: Value, draft: Draft) -> None:
    host = top.get("hostProps")
    for key, line, value in host.members or () if host is not None else ():
        draft.warn(line, f"hostProps.{key}: only functions of a specification read it; nothing here does")
        shown = json.dumps(value.plain) if value.items is None and not value.is_object else "..."
        draft.head_notes.append(f"hostProps.{key} = {shown}")
    excluded = top.get("excludedFiletypes")
    for item in excluded.items or () if excluded is not None else ():
        if str(item.plain).casefold() not in _SKIPPED_ANYWAY:
            why = "a profile knows no file names; files that are no DICOM objects are skipped anyway"
            draft.leave_out(item.line, f"excludedFiletypes {item.plain}", why)
    for key, line, _ in top.members or ():
        if key not in _KEYS:
            part = dicom_curate_script.PARTS.get(key, "not a key of a specification")
            draft.leave_out(line, key, part)


def _keep_identity(line: int, draft: Draft) -> None:
    draft.settings = {"base": "none", "identity": "kept"}
    draft.tables["unlisted"] = {"sop_class": "catch-all", "attribute": "K", "private": "K"}
    draft.head.append("dicomPS315EOptions is 'Off': NOTHING IS DE-IDENTIFIED by this profile.")
    draft.warn(line, "dicomPS315EOptions is 'Off': objects keep the identity of the patient")


# --- rows over PS3.15 -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Writing:
    """The options of one specification, as rows of a draft."""

    draft: Draft
    said: CurateOptions
    offset: str | None

    def write(self, *, exact: bool) -> None:
        codes: list[str] = []
        options: list[str] = []
        options += self._dates()
        options += self._devices()
        if self.said.institution:
            options.append("retain-institution-identity")
        if self.said.uids == "on":
            options.append("retain-uids")
        elif exact:
            self._add("vr:UI", {"do": "uid", "algorithm": "dicom-curate"}, "retainUIDsOption")
        if exact:
            self.draft.settings["dummies"] = Dummies.DICOM_CURATE
            self._compound_codes()
        codes += self._characteristics()
        codes += self._descriptors()
        self._identifiers()
        if self.said.private:
            self.draft.tables["unlisted"] = {"private": "K"}
            text = "retainSafePrivateOption: private attributes stay; deidentify --private-list lists them"
            self.draft.warn(self.said.line, text)
            codes.append(_PRIVATE)
        if options:
            self.draft.settings["options"] = sorted(options)
        stamps: dict[str, object] = {"codes": sorted(codes)} if codes else {}
        if "retain-longitudinal-modified" in options:
            stamps["dates"] = "modified"
        if stamps:
            self.draft.tables["stamps"] = stamps

    def _add(self, selector: str, what: object, source: str, comment: str = "") -> None:
        written = what if isinstance(what, str) else dict(what)  # type: ignore[call-overload]
        self.draft.add(selector, written, self.said.line, source, comment)

    def _dates(self) -> list[str]:
        """DC-16: keep, move by the offset, or leave to the basic profile."""
        source = "retainLongitudinalTemporalInformationOptions"
        if self.said.dates == "full":
            return ["retain-longitudinal-full"]
        if self.said.dates == "offset" and self.offset is None:
            why = "Offset without a dateOffset; dates are removed. Write vr:DA, vr:DT and vr:TM rows"
            self.draft.leave_out(self.said.line, source, why)
        if self.said.dates == "off" or self.offset is None:
            for pattern in _patterns(_kept_dates()):
                self._add(pattern, "X", source, "dates that Table E.1-1 does not know")
            return []
        for vr in _DATE_VRS:
            self._add(f"vr:{vr}", {"do": "date_shift", "duration": self.offset}, source)
        for keyword, action in _without_date_cell():
            self._add(keyword, action, source, "no date that PS3.15 lets be retained")
        return ["retain-longitudinal-modified"]

    def _devices(self) -> list[str]:
        """DC-15: dates of devices stay under every date option, AE titles go."""
        source = "retainDeviceIdentityOption"
        if not self.said.device:
            return []
        for row in _rows_with("retain_device_id", "C"):
            self._add(row.keyword, row.basic[-1], source)
        if self.said.dates == "offset" and self.offset is not None:
            for row in _rows_with("retain_device_id", "K"):
                if row.vr in _DATE_VRS:
                    self._add(row.keyword, "K", source, "a date of the device")
        return ["retain-device-identity"]

    def _characteristics(self) -> list[str]:
        """DC-13: those listed stay, if PS3.15 has them in its column."""
        if self.said.characteristics is None:
            return []
        source = "retainPatientCharacteristicsOption"
        eligible = {row.keyword for action in "KC" for row in _rows_with("retain_patient_chars", action)}
        for keyword, line in self.said.characteristics:
            if keyword in eligible:
                self.draft.add(keyword, "K", line, source)
            else:
                near = names.did_you_mean(keyword, eligible)
                text = f"{source} {keyword}: not in that column of PS3.15, and de-identified{near}"
                self.draft.warn(line, text)
        return [_CHARACTERISTICS]

    def _descriptors(self) -> list[str]:
        """DC-20, with the exceptions limited to descriptors (C-25)."""
        if not self.said.descriptors:
            return []
        for keyword, line in self.said.exceptions:
            tag = dictionary.tag_of(keyword)
            row = confidentiality.by_tag().get(tag or 0)
            in_column = row is not None and "clean_desc" in row.options
            describes = _DESCRIPTOR.search(keyword) or in_column or keyword in _FURTHER
            if describes and tag is not None:
                self.draft.add(keyword, "K", line, "cleanDescriptorsExceptions")
                continue
            near = names.nearest_keyword(keyword) if tag is None else ""
            why = f"no descriptor, so it does not stay{near}"
            self.draft.leave_out(line, f"cleanDescriptorsExceptions {keyword}", why)
        self._add(f"re:.*({_DESCRIPTOR.pattern})", "X", "cleanDescriptorsOption")
        return [_DESCRIPTORS]

    def _compound_codes(self) -> None:
        """DC-9: of a compound code the last alternative, whatever the Type."""
        retained = {column for column, on in self._retained() if on}
        listed = {keyword for keyword, _ in (*self.said.exceptions, *(self.said.characteristics or ()))}
        for tag, row in sorted(confidentiality.by_tag().items()):
            is_date = dictionary.vr_of(tag) in _DATE_VRS
            stays = row.keyword in listed or any(row.options.get(column) == "K" for column in retained)
            moves = is_date and self.said.dates != "off"
            if "/" in row.basic and row.basic[-1] in "XZD" and not stays and not moves:
                self._add(row.keyword, row.basic[-1], "PS3.15", f"{row.basic}: the last, as in the tool")

    def _retained(self) -> tuple[tuple[str, bool], ...]:
        return (("retain_device_id", self.said.device), ("retain_institution_id", self.said.institution))

    def _identifiers(self) -> None:
        """DC-21 and DC-22: IDs and further keywords that the basic profile would leave."""
        excepted = {keyword for keyword, _ in self.said.exceptions} if self.said.descriptors else set()
        ids = [keyword for keyword in _kept_ids() if not (self.said.device and keyword in _IDS_OF_DEVICES)]
        for pattern in _patterns(ids):
            self._add(pattern, "X", "additional IDs", "")
        for keyword in _FURTHER:
            tag = dictionary.tag_of(keyword)
            if tag is not None and keyword not in excepted and not _is_removed(tag):
                self._add(keyword, "X", "further identifying keywords")


def _rows_with(column: str, action: str) -> Iterator[confidentiality.Confidentiality]:
    for row in confidentiality.by_tag().values():
        if row.options.get(column) == action:
            yield row


@cache
def _kept_ids() -> tuple[str, ...]:
    known = confidentiality.by_tag()
    return tuple(
        attribute.keyword
        for tag, attribute in sorted(dictionary.attributes().items())
        if _ID.search(attribute.keyword) and tag not in known and attribute.vrs[0] not in ("UI", "SQ")
        if not _is_removed(tag)
    )


@cache
def _kept_dates() -> tuple[str, ...]:
    known = confidentiality.by_tag()
    return tuple(
        attribute.keyword
        for tag, attribute in sorted(dictionary.attributes().items())
        if attribute.vrs[0] in _DATE_VRS and tag not in known and not _is_removed(tag)
    )


@cache
def _without_date_cell() -> tuple[tuple[str, str], ...]:
    return tuple(
        (row.keyword, row.basic[-1])
        for tag, row in sorted(confidentiality.by_tag().items())
        if dictionary.vr_of(tag) in _DATE_VRS and "retain_long_modified" not in row.options
    )


def _is_removed(tag: int) -> bool:
    return decide(tag, "3", frozenset[Option]()).action is Action.X


def _patterns(keywords: Iterable[str]) -> Iterator[str]:
    """Return patterns that mean a list of keywords, as many in each as a line can hold."""
    some = ""
    for keyword in keywords:
        if some and len(some) + len(keyword) >= _PATTERN_LENGTH:
            yield f"re:({some})$"
            some = ""
        some = f"{some}|{keyword}" if some else keyword
    if some:
        yield f"re:({some})$"
