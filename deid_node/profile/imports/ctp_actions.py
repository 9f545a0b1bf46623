"""What the actions of a CTP script become: an action code, a function, a value, rows with conditions.

Hashes are keyed here where CTP's are bare MD5, and have the same form (decimal digits, same length).
What has no counterpart raises `NotSaid`; the caller then removes the attribute and lists the action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deid_node.profile import names
from deid_node.profile.imports import ctp_functions
from deid_node.profile.imports.ctp_absent import absent_cases
from deid_node.profile.imports.ctp_branches import BRANCHES, Case, beside
from deid_node.profile.imports.ctp_fields import FIELDS
from deid_node.profile.imports.ctp_functions import Call, Node
from deid_node.profile.imports.ctp_said import NotSaid, Said
from deid_node.profile.imports.ctp_script import Element, Script
from deid_node.profile.imports.ctp_values import VALUES
from deid_node.profile.imports.draft import Written, as_template
from deid_node.profile.imports.fitting import value_row
from deid_node.standard import dictionary

_FIXED: Final = {"keep": "K", "process": "K", "empty": "Z", "blank": "Z", "remove": "X"}


@dataclass(slots=True)
class Action:
    """One action of one element while it is read."""

    element: Element
    script: Script
    exact: bool
    said: Said = field(default_factory=lambda: Said("Z"))
    nodes: list[Node] = field(default_factory=list)

    @property
    def vr(self) -> str:
        """The VR of the element, empty when no dictionary knows it."""
        vr = dictionary.vr_of(self.element.tag) if self.element.tag is not None else ""
        return "" if vr == "UN" else vr

    @property
    def text_vr(self) -> str:
        """The VR in which a text is written: private elements become LO, as in the tool."""
        return self.vr or (dictionary.written_vr(self.element.tag) if self.element.tag is not None else "LO")

    def vr_of(self, name: str) -> str:
        """Return the VR of the attribute that an argument names, empty when there is none."""
        tag = self.tag(name)
        return dictionary.vr_of(tag) if tag is not None else ""

    def read(self, text: str) -> Said:
        """Return what the action becomes.

        Raises:
            NotSaid: it has no counterpart.
        """
        try:
            nodes = ctp_functions.parse(text)
        except ValueError as error:
            raise NotSaid(str(error)) from None
        while nodes and isinstance(nodes[0], Call) and nodes[0].name == "always":
            self.said.inserts = True
            nodes = nodes[1:]
        self.nodes = nodes
        self.said.written = self.written(nodes)
        return self.said

    def absent(self) -> list[Case]:
        """Return what @always() writes where the attribute is absent; see `absent_cases`."""
        lost = list(self.said.lost)
        found = absent_cases(self, self.nodes) if self.said.inserts and self.vr != "SQ" else []
        self.said.lost = lost  # the row says it already
        return found

    def plain_text(self) -> str:
        """Return the text of the action without what functions make, for what deid_node stamps itself."""
        try:
            nodes = ctp_functions.parse(self.element.action)
            while nodes and isinstance(nodes[0], Call) and nodes[0].name in ("always", "append"):
                nodes = [*ctp_functions.parse("".join(nodes[0].blocks[:1])), *nodes[1:]]
            parts = [node if isinstance(node, str) else self._parameter(node) for node in nodes]
        except (NotSaid, ValueError):
            return ""
        return "".join(parts).strip(" :;-")

    def _parameter(self, call: Call) -> str:
        return self.param(call.argument(0)) if call.name == "param" else ""

    def written(self, nodes: list[Node]) -> Written:
        """Return the row for the parts of an action."""
        if not nodes or all(isinstance(node, str) and not node.strip() for node in nodes):
            return "Z"
        if any(isinstance(node, Call) and node.name == "remove" for node in nodes):
            return "X"
        if len(nodes) == 1 and isinstance(nodes[0], Call):
            return self._call(nodes[0])
        at = next((at for at, node in enumerate(nodes) if isinstance(node, Call) and node.name == "if"), None)
        if at is not None:
            return beside(self, nodes, at)
        if self.vr == "UI" and any(isinstance(node, Call) and node.name != "param" for node in nodes):
            self.said.notes.append("a UID is not put together from parts; it becomes a new keyed one")
            return "U"
        return value_row(self._template(nodes), self.text_vr)

    # --- one call -------------------------------------------------------------------------------

    def _call(self, call: Call) -> Written:
        if call.name in _FIXED:
            return _FIXED[call.name]
        read = _CALLS.get(call.name)
        if read is not None:
            return read(self, call)
        if call.name in FIELDS:
            return value_row(self._template([call]), self.text_vr)
        raise NotSaid(_WHY_NOT.get(call.name, f"there is no counterpart to @{call.name}"))

    def is_own(self, name: str) -> bool:
        """Tell whether an argument means the element itself."""
        return name.strip() == "this" or self.script.tag_named(name) == self.element.tag is not None

    def number(self, call: Call, at: int, default: int) -> int:
        """Return a whole number that is given as such or as a parameter of the script."""
        text = self.param(call.argument(at)) if call.argument(at) else str(default)
        try:
            return int(text)
        except ValueError:
            raise NotSaid(f"@{call.name} with something that is no number") from None

    def param(self, name: str) -> str:
        """Return the value of @NAME, or the text itself."""
        if not name.startswith(("@", "$")):
            return name
        value = self.script.params.get(name[1:])
        if value is None:
            raise NotSaid(f"the script has no parameter {name[1:]!r}")
        return value

    # --- templates ------------------------------------------------------------------------------

    def _template(self, nodes: list[Node]) -> str:
        return "".join(as_template(node) if isinstance(node, str) else self._field(node) for node in nodes)

    def _field(self, call: Call) -> str:
        field_of = FIELDS.get(call.name)
        if field_of is None:
            raise NotSaid(f"@{call.name} cannot stand beside text")
        return field_of(self, call)

    def tag(self, name: str) -> int | None:
        """Return the tag of the attribute that an argument names, None when there is none."""
        return self.element.tag if name.strip() in ("", "this") else self.script.tag_named(name)

    def attribute(self, name: str) -> str:
        """Return the attribute that an argument names, as templates write it."""
        tag = self.tag(name)
        if tag is None:
            raise NotSaid(f"{name!r} is no attribute{names.nearest_keyword(name)}")
        return names.written(tag).replace(",", "").strip("()")


_CALLS: Final[Mapping[str, Callable[[Action, Call], Written]]] = {**VALUES, **BRANCHES}
_WHY_NOT: Final = {
    "call": "a plug-in of CTP; write a function of your own in Python",
    "decrypt": "values are not decrypted into objects; deid-node decrypt shows them to who holds the key",
}
CTP_FUNCTIONS: Final = frozenset({*_CALLS, *FIELDS, *_FIXED, *_WHY_NOT, "always", "append"})
