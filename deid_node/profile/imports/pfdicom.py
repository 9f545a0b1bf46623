"""Tag structures of pfdicom_tagSub: JSON of keyword to value template, or the same as delimited text.

Rows PF-1 to PF-9. Keywords are written also where they are absent, a `re:` key only where it meets an
attribute; an explicit key wins over a `re:` key (conflict C-3). Rows hold at every depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from deid_node.errors import ProfileError
from deid_node.profile import names, protected
from deid_node.profile.imports import jsonc, pfdicom_command
from deid_node.profile.imports.draft import Draft, Written, as_template
from deid_node.profile.imports.fitting import LONGEST, set_value, value_row
from deid_node.profile.imports.imported import Imported, Options
from deid_node.profile.layers import matched
from deid_node.profile.places import Place
from deid_node.profile.selector import Selector
from deid_node.standard import dictionary

_PIECE: Final = re.compile(
    r"%_(?P<function>[A-Za-z0-9]+)(?:\|(?P<argument>[^_]*))?_(?P<of>#tag|[A-Za-z][A-Za-z0-9]*)"
    r"|%(?P<keyword>#tag|[A-Za-z][A-Za-z0-9]*)|(?P<own>#tag)|(?P<text>[^%#]+|.)",
    re.DOTALL,
)
_FUNCTIONS: Final = frozenset({"md5", "strmsk", "nospc", "name"})
_SEPARATORS: Final = (("++", "="), ("++", ":"), (",", "="), (",", ":"))
_REGEX: Final = "re:"
_OWN: Final = "#tag"
_PATIENT_ID: Final = "PatientID"
_MD5_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class _Pair:
    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a value: literal text, or a function ("" for none) of an attribute or of #tag."""

    text: str = ""
    of: str = ""
    function: str = ""
    argument: str = ""


class _NotSaid(Exception):
    """A value that cannot be said; the text says why."""


def read(text: str, file: str, name: str, options: Options) -> Imported:
    """Return the profile for a tag structure.

    Raises:
        ProfileError: neither JSON nor delimited text.
    """
    draft = Draft(name, file)
    text, options = pfdicom_command.unwrapped(text, file, options)
    is_json = text.lstrip().startswith(("{", "//", "/*"))
    if not is_json:
        options = _separated(text, draft, options)
    pairs = list(_json_pairs(text, draft)) if is_json else list(_text_pairs(text, file, options))
    if not pairs:
        raise ProfileError(f"{file}: there is no pair of a keyword and a value")
    if not any(map(_is_known, pairs)):
        hint = "" if is_json else "; --split-token and --split-key-value say what stands between them"
        raise ProfileError(f"{file}: none of its keywords is an attribute{hint}")
    draft.head = [
        f"Imported from {file}, a tag structure of pfdicom_tagSub.",
        "As there, attributes without a row stay as they are. Rows hold at every depth.",
    ]
    draft.settings = {"base": "none", "ties": "last"}
    draft.tables["unlisted"] = {
        "sop_class": "catch-all",
        "attribute": "K",
        "private": "X" if options.remove_private else "K",
    }
    for pair in _last_of_each(pairs, draft):
        try:
            _write(pair, draft)
        except _NotSaid as error:
            _write_unsaid(pair, str(error), draft)
    return draft.finish()


# --- pairs ----------------------------------------------------------------------------------------


def _json_pairs(text: str, draft: Draft) -> Iterator[_Pair]:
    file = draft.file
    missing_commas: list[int] = []
    top = jsonc.parse(text, file, missing_commas=missing_commas)
    for line in missing_commas:  # as in the tool's own example
        draft.warn(line, "a comma is missing at the end of the line, and is read as if it were there")
    if not top.is_object:
        raise ProfileError(f"{file}: the top is not an object of keywords and values")
    problems = []
    for key, line, value in top.members or ():
        if value.items is not None or value.is_object or value.plain is None:
            problems.append(f"{Place(file, line)}: the value of {key!r} is not a text")
        else:
            yield _Pair(key.strip(), str(value.plain), line)
    if problems:
        raise ProfileError(*problems)


def _is_known(pair: _Pair) -> bool:
    """Tell whether a pair is about attributes, as far as that can be seen."""
    try:
        return pair.key.startswith(_REGEX) or bool(Selector.parse(pair.key))
    except ProfileError:
        return False


def _separated(text: str, draft: Draft, options: Options) -> Options:
    """Return the separators of tag information; where the default ones fit nothing, those that fit all."""
    if (options.split_token, options.split_key_value) != (Options().split_token, Options().split_key_value):
        return options
    found: list[tuple[int, Options]] = []
    for token, between in ((options.split_token, options.split_key_value), *_SEPARATORS):
        tried = replace(options, split_token=token, split_key_value=between)
        try:
            pairs = list(_text_pairs(text, draft.file, tried))
        except ProfileError:
            continue
        if pairs and all(map(_is_known, pairs)):
            found.append((len(pairs), tried))
    chosen = max(found, key=lambda one: one[0])[1] if found else options
    if chosen != options:
        token, between = chosen.split_token, chosen.split_key_value
        draft.warn(1, f"read with {token!r} between pairs, and {between!r} between keyword and value")
    return chosen


def _text_pairs(text: str, file: str, options: Options) -> Iterator[_Pair]:
    """Split tag information; what is no pair stops the import: half of it would hide too little."""
    problems = []
    line = 1
    for part in text.split(options.split_token):
        start = line + part[: len(part) - len(part.lstrip())].count("\n")
        line += part.count("\n") + options.split_token.count("\n")
        if not part.strip():
            continue
        key, separator, value = part.partition(options.split_key_value)
        if key.strip().startswith(_REGEX.rstrip(":")) and options.split_key_value == ":" and separator:
            rest, separator, value = value.partition(options.split_key_value)
            key = f"{key}:{rest}"
        if not separator or not key.strip():
            what = f"no {options.split_key_value!r} between keyword and value"
            hint = f"pairs are separated by {options.split_token!r}; both separators can be given"
            problems.append(f"{Place(file, start)}: {what}; {hint}")
            continue
        yield _Pair(key.strip(), value.strip(), start)
    if problems:
        raise ProfileError(*problems)


def _last_of_each(pairs: list[_Pair], draft: Draft) -> list[_Pair]:
    last = {pair.key: pair for pair in pairs}
    for pair in pairs:
        if last[pair.key] is not pair:
            draft.warn(pair.line, f"{pair.key} stands again below, and the last one counts")
    return list(last.values())


# --- values ---------------------------------------------------------------------------------------


def _parts(pair: _Pair, draft: Draft) -> list[_Part]:
    is_regex = pair.key.startswith(_REGEX)
    parts: list[_Part] = []
    for found in _PIECE.finditer(pair.value):
        if found["function"]:
            keyword, rest = _keyword(found["of"])
            if found["function"] not in _FUNCTIONS:
                raise _NotSaid(f"there is no function {found['function']!r}")
            if not keyword:
                raise _NotSaid(f"{found['of']!r} is no attribute{names.nearest_keyword(found['of'])}")
            parts += [_Part("", keyword, found["function"], found["argument"] or ""), _Part(rest)]
        elif found["keyword"]:
            keyword, rest = _keyword(found["keyword"])
            if not keyword:
                draft.warn(pair.line, f"{pair.key}: %{found['keyword']} is no attribute and stays as text")
                parts.append(_Part(found[0]))
            else:
                parts += [_Part("", keyword), _Part(rest)]
        elif found["own"]:
            parts.append(_Part("", _OWN, "keyword") if is_regex else _Part(_OWN))
        else:
            parts.append(_Part(found["text"]))
    return [part for part in parts if part.text or part.of]


def _keyword(text: str) -> tuple[str, str]:
    """Split the longest keyword from what follows it."""
    if text == _OWN:
        return text, ""
    for end in range(len(text), 0, -1):
        if dictionary.tag_of(text[:end]) is not None:
            return text[:end], text[end:]
    return "", text


def _template(parts: list[_Part], own: str) -> str:
    return "".join(_field(part, own) for part in parts)


def _field(part: _Part, own: str) -> str:
    """Return a piece as a template; `own` is the attribute that #tag stands for, empty when unknown."""
    if part.text:
        return as_template(part.text)
    if part.function == "keyword":
        return "{keyword}"
    if part.of == _OWN and not part.function:
        return "{value}"
    of = own if part.of == _OWN else part.of
    if not of:
        raise LookupError
    if not part.function:
        return f"{{{of}}}"
    if part.function == "md5":
        return f"{{md5:{of}:{part.argument}}}" if _count(part) else f"{{md5:{of}}}"
    if part.function == "name":
        return f"{{fake_name:{_seed(part)}}}"
    if ":" in part.argument or "{" in part.argument or "}" in part.argument:
        raise _NotSaid(f"{part.function} with {part.argument!r}: a template has no such argument")
    if part.function == "strmsk":
        return f"{{mask:{part.argument}:{of}}}" if part.argument else ""
    return f"{{no_space:{part.argument}:{of}}}"


def _function(part: _Part) -> Written:
    """Return a function of the attribute itself as a row."""
    if part.function == "md5":
        length = _count(part)
        return {"do": "hash", "algorithm": "md5", **({"length": length} if length else {})}
    if part.function == "strmsk":
        return {"do": "mask", "mask": part.argument} if part.argument else "Z"
    if part.function == "name":
        seed = _seed(part)
        return {"do": "fake_name", **({"seed": seed} if seed != _PATIENT_ID else {})}
    return {"do": "no_space", **({"with": part.argument} if part.argument else {})}


def _count(part: _Part) -> int:
    digits = part.argument.strip()
    if digits and (not digits.isdecimal() or int(digits) == 0):
        raise _NotSaid(f"md5 with {part.argument!r} and not a number of characters")
    return min(int(digits), _MD5_DIGITS) if digits else 0


def _seed(part: _Part) -> str:
    """Return the attribute a name is made from; without one it would be another for every object."""
    word = part.argument.strip()
    keyword = word[:1].upper() + word[1:]
    if keyword and dictionary.tag_of(keyword) is None:
        raise _NotSaid(f"name with {word!r}, which is no attribute{names.nearest_keyword(keyword)}")
    return keyword or _PATIENT_ID


# --- rows -----------------------------------------------------------------------------------------


def _write(pair: _Pair, draft: Draft) -> None:
    if pair.key.startswith(_REGEX):
        _write_regex(pair, draft)
        return
    if dictionary.tag_of(pair.key) is None:
        raise _NotSaid(f"{pair.key!r} is no attribute{names.nearest_keyword(pair.key)}")
    parts = _parts(pair, draft)
    only = parts[0] if len(parts) == 1 else _Part()
    if only.function in _FUNCTIONS and only.of == pair.key:
        draft.add(pair.key, _function(only), pair.line, _said(pair))
        return
    vr = dictionary.vr_of(dictionary.tag_of(pair.key) or 0)
    parts = _cut(parts, vr, pair, draft)
    template = _template(parts, pair.key)
    written = value_row(template, vr)
    draft.add(pair.key, written, pair.line, _said(pair))
    draft.insert(pair.key, set_value(written), pair.line, _said(pair))


def _write_regex(pair: _Pair, draft: Draft) -> None:
    try:
        selector = Selector.parse(pair.key)
    except ProfileError as error:
        raise _NotSaid(str(error).split(": ", 1)[-1]) from None
    if not matched(selector.last):
        draft.warn(pair.line, f"{pair.key} meets no attribute of the dictionary")
    parts = _parts(pair, draft)
    only = parts[0] if len(parts) == 1 else _Part()
    if only.function in _FUNCTIONS and only.of == _OWN:
        draft.add(pair.key, _function(only), pair.line, _said(pair))
        return
    try:
        template = _template(parts, "")
    except LookupError:
        _write_each(pair, parts, selector, draft)
        return
    draft.add(pair.key, value_row(template, ""), pair.line, _said(pair))


def _write_each(pair: _Pair, parts: list[_Part], selector: Selector, draft: Draft) -> None:
    """Write a row for each attribute: a template has no function of the attribute that is written."""
    for tag, attribute in sorted(dictionary.attributes().items()):
        meant = selector.last.matches(tag, attribute.vrs[0]) and not protected.is_rebuilt(tag)
        if meant and attribute.vrs[0] != "SQ":
            written = value_row(_template(parts, attribute.keyword), attribute.vrs[0])
            named = any(row.selector == attribute.keyword for row in draft.rows)
            if not named:
                draft.add(attribute.keyword, written, pair.line, _said(pair), pair.key)


def _write_unsaid(pair: _Pair, why: str, draft: Draft) -> None:
    """List a pair; what it is about is removed, as its value must not stay."""
    known = dictionary.tag_of(pair.key) is not None or pair.key.startswith(_REGEX)
    try:
        Selector.parse(pair.key)
    except ProfileError:
        known = False
    if known:
        draft.add(pair.key, "X", pair.line, _said(pair), f"{_said(pair)}: {why}")
    draft.leave_out(pair.line, _said(pair), f"{why}; {'removed instead' if known else 'no row is written'}")


def _cut(parts: list[_Part], vr: str, pair: _Pair, draft: Draft) -> list[_Part]:
    """Cut a fixed text to what its VR can hold."""
    text = "".join(part.text for part in parts)
    if any(part.of for part in parts) or len(text) <= LONGEST.get(vr, len(text)):
        return parts
    draft.warn(pair.line, f"{_said(pair)}: cut to the {LONGEST[vr]} characters of VR {vr}")
    return [_Part(text[: LONGEST[vr]])]


def _said(pair: _Pair) -> str:
    return " ".join(f"{pair.key}: {pair.value}".split())
