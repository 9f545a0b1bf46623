"""The page of `deid-node explain --html`: one file, no network, everything escaped.

What a reviewer needs in one place: every attribute before and after, the row that decided and why, and
findings by level. It holds original values and says so. Its policy lets nothing in but its own style
and script.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from deid_node.engine.deidentified import Finding
from deid_node.engine.explain import Explanation
from deid_node.profile.procedure import Action

MARK: Final = "<!-- deid-node explain -->"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8885; --bad: #b00020; --warn: #9a5b00; --note: #00658a;
  --ok: #2a6f3c }
@media (prefers-color-scheme: dark) {
  :root { --bad: #ff8a95; --warn: #f0b35c; --note: #7cc7e8; --ok: #84cf98 }
}
body { font: 14px/1.45 system-ui, sans-serif; margin: 0 1.5rem 3rem }
h1 { font-size: 1.3rem; margin: 1rem 0 .3rem }
.identifies { border: 2px solid var(--bad); color: var(--bad); padding: .5rem .8rem; font-weight: 600 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .8rem 0 }
dt { opacity: .7 } dd { margin: 0; overflow-wrap: anywhere }
form { position: sticky; top: 0; background: Canvas; padding: .6rem 0; border-bottom: 1px solid var(--line);
  display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; z-index: 1 }
input, select { font: inherit; padding: .3rem .5rem; max-width: 100% }
input[type=search] { flex: 0 1 24rem }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
th { font-weight: 600 } .value { font-family: ui-monospace, monospace; white-space: pre-wrap }
.act { width: 4.5rem; text-align: center } .why, .above { opacity: .75 }
.absent { opacity: .7; font-style: italic }
.removed td.after, .action-R .act { color: var(--bad) } .kept .act { color: var(--ok) }
.finding { display: block; font-weight: 600 } .reject { color: var(--bad) } .warn { color: var(--warn) }
.name .why, .name .above { font-weight: 400 } tfoot td { border: 0 }
.note { color: var(--note) } .nothing { display: none; padding: 1rem 0; font-style: italic }
tbody:not(:has(tr:not([hidden]))) ~ tfoot .nothing { display: block }
@media (max-width: 50rem) {
  body { margin: 0 .8rem 2rem }
  form { gap: .4rem } input[type=search] { flex-basis: 100% } label { flex: 1 1 auto }
  table, tbody, tfoot { display: block } thead { display: none }
  tbody tr { display: grid; grid-template-columns: 1fr 2rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line) }
  td { border: 0; padding: .05rem 0 } td.name { grid-row: 1; font-weight: 600 }
  td.act { grid-row: 1; grid-column: 2; width: auto; font-weight: 600 }
  td.before, td.after, td.because { grid-column: 1 / -1; display: grid; grid-template-columns: 4rem 1fr }
  td.before::before { content: 'before' } td.after::before { content: 'after' }
  td.because::before { content: 'why' }
  td::before { opacity: .7; font-family: system-ui, sans-serif; color: CanvasText }
}
tr[hidden] { display: none !important }
"""
_SCRIPT: Final = """
'use strict';
const form = document.querySelector('form');
const rows = Array.from(document.querySelectorAll('tbody tr'));
const texts = rows.map(row => row.textContent.toLowerCase());
const shown = document.getElementById('shown');
function fits(row, value) {
  return value === 'all' || row.classList.contains(value);
}
function filter() {
  const words = form.search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  rows.forEach((row, at) => {
    const found = words.every(word => texts[at].includes(word)) &&
      fits(row, form.what.value) && fits(row, form.action.value);
    row.hidden = !found;
    if (found) count += 1;
  });
  shown.textContent = count + ' of ' + rows.length;
}
let waiting;
form.addEventListener('input', () => {
  clearTimeout(waiting);
  waiting = setTimeout(filter, rows.length > 1000 ? 150 : 0);
});
form.addEventListener('submit', event => event.preventDefault());
document.addEventListener('keydown', event => {
  if (event.key === '/' && document.activeElement !== form.search) {
    event.preventDefault();
    form.search.focus();
  }
});
filter();
"""
_WHAT: Final = (
    ("all", "all attributes"),
    ("different", "what changed"),
    ("removed", "what was removed"),
    ("added", "what was added"),
    ("same", "what stays as it was"),
    ("found", "what has findings"),
    ("has-reject", "what would be rejected"),
    ("has-warn", "what is warned of"),
)
_ACTIONS: Final = {
    Action.K: "kept",
    Action.X: "removed",
    Action.Z: "emptied",
    Action.D: "dummy",
    Action.U: "new UID",
    Action.C: "cleaned",
    Action.R: "rejects",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says: about which file, under which profile, what became of it, and its attributes."""

    file: str
    profile: str
    outcome: str
    rows: Sequence[Explanation] = ()
    findings: Sequence[Finding] = ()
    warnings: Sequence[str] = ()


def render(page: Page) -> str:
    """Return the page as HTML."""
    by_path: dict[str, list[Finding]] = {}
    for finding in page.findings:
        by_path.setdefault(finding.path, []).append(finding)
    known = {row.path for row in page.rows}
    loose = [finding for finding in page.findings if finding.path not in known]
    policy = (
        f"default-src 'none'; style-src '{_digest(_STYLE)}'; script-src '{_digest(_SCRIPT)}';"
        " base-uri 'none'; form-action 'none'"
    )
    what = "".join(f'<option value="{value}">{told}</option>' for value, told in _WHAT)
    body = "\n".join(_row(row, by_path.get(row.path, ())) for row in page.rows)
    return f"""<!DOCTYPE html>
{MARK}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>What is done to one object</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>What is done to one object</h1>
<p class="identifies">This page contains original values, which identify the patient. Keep it as you keep the
original.</p>
<dl>
<dt>file</dt><dd>{_safe(page.file)}</dd>
<dt>profile</dt><dd>{_safe(page.profile)}</dd>
<dt>outcome</dt><dd>{_safe(page.outcome)}</dd>
<dt>attributes</dt><dd>{_safe(_counted(page.rows))}</dd>
<dt>findings</dt><dd>{_loose(page, loose)}</dd>
</dl>
<form autocomplete="off">
<input type="search" name="search" placeholder="keyword, tag, value, reason" aria-label="search">
<label>show <select name="what">{what}</select></label>
<label>by <select name="action"><option value="all">any action</option>{_actions(page.rows)}</select></label>
<span id="shown" role="status"></span>
</form>
<table>
<thead><tr><th>attribute</th><th>before</th><th>after</th><th class="act">action</th><th>why</th></tr></thead>
<tbody>
{body}
</tbody>
<tfoot><tr><td colspan="5"><span class="nothing">No attribute fits.</span></td></tr></tfoot>
</table>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _actions(rows: Sequence[Explanation]) -> str:
    """Return the actions that occur as options, each with what it does and how often it did."""
    counts = Counter(row.action for row in rows)
    return "".join(
        f'<option value="action-{action}">{action}, {told} ({counts[action]})</option>'
        for action, told in _ACTIONS.items()
        if counts[action]
    )


def _counted(rows: Sequence[Explanation]) -> str:
    counts = Counter(_change(row) for row in rows)
    return ", ".join(f"{counts[word]} {told}" for word, told in _CHANGES.items())


_CHANGES: Final = {"same": "as they were", "changed": "changed", "removed": "removed", "added": "added"}


def _change(row: Explanation) -> str:
    if row.after is None:
        return "removed"
    if row.before is None:
        return "added"
    return "changed" if row.changed else "same"


def _loose(page: Page, loose: Sequence[Finding]) -> str:
    counts = Counter(finding.level.value for finding in page.findings)
    told = ", ".join(f"{counts[level]} {level}" for level in ("reject", "warn", "note") if counts[level])
    found = "".join(_finding(finding, with_path=True) for finding in loose)
    found += "".join(f'<span class="finding warn">{_safe(text)}</span>' for text in page.warnings)
    return _safe(told or "none") + found


def _finding(finding: Finding, *, with_path: bool = False) -> str:
    where = f" at {finding.path}" if with_path and finding.path else ""
    text = f"{finding.level.value}: {finding.message}{where}"
    return f'<span class="finding {finding.level.value}">{_safe(text)}</span>'


def _row(row: Explanation, findings: Sequence[Finding]) -> str:
    change = _change(row)
    classes = [change, f"action-{row.action}", *(["kept"] if change == "same" else ["different"])]
    classes += ["found", *(f"has-{finding.level.value}" for finding in findings)] if findings else []
    why = "".join(map(_finding, findings))
    why += f'{_safe(row.because)} <span class="why">({_safe(row.decided_by)})</span>'
    return (
        f'<tr class="{" ".join(dict.fromkeys(classes))}">'
        f'<td class="name">{_named(row.name)} <span class="why">{_safe(row.tag)} {_safe(row.vr)}</span></td>'
        f'<td class="value before"><span>{_value(row.before)}</span></td>'
        f'<td class="value after"><span>{_value(row.after)}</span></td>'
        f'<td class="act">{_safe(str(row.action))}</td><td class="because"><span>{why}</span></td></tr>'
    )


def _named(path: str) -> str:
    """Return a path of which the last part stands out, and which may be broken between its parts."""
    above, dot, name = path.rpartition("].")
    if not dot:
        return _safe(name)
    parts = _safe(f"{above}{dot}").replace("].", "].<wbr>")
    return f'<span class="above">{parts}</span>{_safe(name)}'


def _value(value: str | None) -> str:
    if value is None:
        return '<span class="absent">absent</span>'
    return _safe(value) if value else '<span class="absent">empty</span>'


def _safe(text: str) -> str:
    """Return text that is nothing but text in HTML; controls and marks of direction become visible."""
    seen = (
        ch if ch == "\n" or unicodedata.category(ch) not in ("Cc", "Cf", "Cs", "Co") else "�" for ch in text
    )
    return escape("".join(seen), quote=True)
