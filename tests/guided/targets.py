"""What is fuzzed: each target takes any bytes and raises nothing, and each has seeds that reach into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from deid_node.delivery.template import PathTemplate
from deid_node.engine.codestream import Comments
from deid_node.engine.rewrite import Deidentifier
from deid_node.engine.scan import Limits
from deid_node.errors import ConfigurationError, Malformed, ObjectRefused, ProfileError
from deid_node.node.part10 import read_part10
from deid_node.profile import imports
from deid_node.profile.basic import basic_procedure
from deid_node.profile.compile import compile_chain
from deid_node.profile.conditions import Condition
from deid_node.profile.grand_challenge import JSONProcedure
from deid_node.profile.procedure import Action, Procedure, Rule
from deid_node.profile.reading import read_profile
from deid_node.profile.selector import Selector
from deid_node.profile.template import Template
from tests.dimse.decoders import DECODERS
from tests.engine.encoded import procedure, run_with_summary
from tests.fuzzing import datasets
from tests.profile.imports.scripts import EVERYTHING, RSNA
from tests.profile.imports.test_import_dicom_curate import COMPOSED
from tests.profile.imports.test_import_dicom_curate import SCRIPT as CURATE
from tests.profile.imports.test_import_microsoft import FIRST_FORM
from tests.profile.imports.test_import_pfdicom import STRUCTURE
from tests.rewriting import CORPUS, pseudonyms
from tests.wheel import wheel_files

_PROFILES = Path(__file__).resolve().parents[2] / "profiles"
_LARGEST_SEED = 20_000
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_PIECES = (None, 1, 5, 64, 1000)
_WINDOWS = (1 << 20, 16, 256)


@dataclass(frozen=True, slots=True)
class Target:
    """A function of bytes that raises nothing but what is wrong with the program, and seeds for it.

    `words` are what inputs are put together from, beside what the fuzzer finds out itself.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[str, ...] = ()


def _upper_layer(content: bytes) -> None:
    """The first byte says which decoder gets the rest."""
    decode, _ = tuple(DECODERS.values())[content[0] % len(DECODERS)]
    decode(content[1:])


def _upper_layer_seeds() -> Iterator[bytes]:
    for number, (_, seeds) in enumerate(DECODERS.values()):
        yield from (bytes([number]) + seed for seed in seeds)


@cache
def _procedures() -> tuple[Procedure, ...]:
    return (
        procedure(unlisted=Action.K),
        procedure(
            {0x00080018: Action.U, 0x00100010: Action.Z, 0x00100020: Action.D, 0x00081140: Action.X},
            unlisted=Action.K,
            vrs={"UI": Rule(Action.U), "PN": Rule(Action.Z), "LO": Rule(Action.C)},
            private={(0x0019, "GEMS_ACQU_01", 0x23): Rule(Action.K)},
        ),
        basic_procedure(),
    )


@cache
def _deidentifier(number: int, window_bytes: int) -> Deidentifier:
    return Deidentifier(_procedures()[number], pseudonyms(), limits=Limits(window_bytes=window_bytes))


def _outcome(deidentifier: Deidentifier, dataset: bytes, syntax: str, piece: int | None) -> bytes | None:
    try:
        return run_with_summary(deidentifier, dataset, piece_bytes=piece, transfer_syntax_uid=syntax)[0]
    except ObjectRefused:
        return None


def _walker(content: bytes) -> None:
    """The first two bytes choose how the rest is read.

    It is refused, or what comes out is accepted again and stays the same; whole or in pieces.
    """
    if len(content) < 2:
        return
    chosen, how, dataset = content[0], content[1], content[2:]
    syntax = _SYNTAXES[chosen % 4]
    number = (chosen >> 2) % len(_procedures())
    deidentifier = _deidentifier(number, _WINDOWS[(how >> 3) % 3])
    whole = _outcome(deidentifier, dataset, syntax, None)
    assert _outcome(deidentifier, dataset, syntax, _PIECES[how % 5]) == whole
    if whole is not None and number == 0:
        assert _outcome(_deidentifier(0, 1 << 20), whole, syntax, None) == whole


def _walker_seeds() -> Iterator[bytes]:
    for at, (dataset, syntax) in enumerate([*_wheel(), *_corpus()]):
        if syntax in _SYNTAXES or len(dataset) < _LARGEST_SEED:
            number = _SYNTAXES.index(syntax) if syntax in _SYNTAXES else 0
            yield bytes((number | (at % 3) << 2, at % 15)) + dataset


def _wheel() -> Iterator[tuple[bytes, str]]:
    for _, dataset, syntax in datasets():
        if len(dataset) <= _LARGEST_SEED:
            yield dataset, syntax


def _corpus() -> Iterator[tuple[bytes, str]]:
    for path in sorted(CORPUS.rglob("*")) if CORPUS.is_dir() else ():
        if path.is_file() and path.stat().st_size <= _LARGEST_SEED:
            content = path.read_bytes()
            with suppress(Malformed):
                part10 = read_part10(BytesIO(content))
                yield content[part10.offset :], part10.transfer_syntax_uid


def _file(content: bytes) -> None:
    with suppress(Malformed):
        part10 = read_part10(BytesIO(content))
        assert 0 <= part10.offset <= len(content)


def _file_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes()[:2000] for path in wheel_files("*.dcm"))


def _frames(content: bytes) -> None:
    """Fragments of lengths that the first bytes say; what is returned is as long as what was given."""
    comments, at = Comments(), 4
    with suppress(Malformed):
        for size in content[:4]:
            fragment = memoryview(content)[at : at + size * 4]
            at += size * 4
            comments.begin()
            if comments.reads:
                assert sum(map(len, comments.clean(fragment))) == len(fragment)
        comments.end()


def _frames_seeds() -> Iterator[bytes]:
    four = b"\xff" * 4
    yield four + bytes.fromhex("ffd8ffe000104a46494600010101004800480000fffe00064142ffdb0004")
    yield four + bytes.fromhex("ff4fff51000400ffff640006000141ff90000a")
    for dataset, _ in _wheel():
        for soi in (b"\xff\xd8\xff", b"\xff\x4f\xff"):
            if (at := dataset.find(soi)) > 0:
                yield four + dataset[at : at + 3000]


def _profile(content: bytes) -> None:
    """Any text is a profile that compiles, or is told what is wrong with it."""
    text = content.decode("utf-8", "replace")
    with suppress(ProfileError):
        compile_chain([read_profile(text, "x.toml")], _no_base)


def _no_base(name: str) -> JSONProcedure:
    raise ProfileError(f"no base {name!r} here")


def _profile_seeds() -> Iterator[bytes]:
    for path in sorted(_PROFILES.glob("*.toml")):
        yield path.read_bytes()[:8000]


_PARSERS: tuple[Callable[[str], object], ...] = (
    Condition.parse,
    Selector.parse,
    Template.parse,
    PathTemplate.parse,
)
_LANGUAGE = (
    *("Rows == 1", "Modality in ('CT', 'MR')", "not exists((0028,0301)) and calling matches 'A.*'"),
    *("60xx,3000", "vr:PN", "re:.*Physician", "0019[GEMS_ACQU_01]xx23", "RequestAttributesSequence.Rows"),
    *("{pseudonym}-{PatientID}", "{PatientID}/{Modality}/{InstanceNumber:05}.dcm"),
)


def _language(content: bytes) -> None:
    """The first byte says which of the small languages the rest is in; what parses prints as written."""
    parse = _PARSERS[content[0] % len(_PARSERS)]
    text = content[1:].decode("utf-8", "replace")
    with suppress(ConfigurationError):
        parsed = parse(text)
        assert isinstance(parsed, PathTemplate) or str(parsed) == text


def _language_seeds() -> Iterator[bytes]:
    for number in range(len(_PARSERS)):
        yield from (bytes([number]) + text.encode() for text in _LANGUAGE)


_CONFIGURATIONS = {
    "ctp": (RSNA, f"<script>{EVERYTHING}</script>"),
    "grand-challenge": ('{"version": "1", "dicomStandardVersion": "2024b", "sopClass": {}}',),
    "microsoft": ('{"rules": [{"tag": "PatientName", "method": "redact"}], "customSettings": {}}',),
    "microsoft-poc": (FIRST_FORM,),
    "pfdicom": (STRUCTURE, "-r 'PatientName,anon PatientID,%_md5|4_PatientID'"),
    "dicom-curate": (CURATE, COMPOSED),
}


def _imports(content: bytes) -> None:
    """The first byte says of which tool the rest is a configuration; what is made of it loads."""
    kind = imports.KINDS[content[0] % len(imports.KINDS)]
    with suppress(ConfigurationError):
        imported = imports.read(kind, content[1:], "x")
        read_profile(imported.toml, "x.toml")


def _imports_seeds() -> Iterator[bytes]:
    for kind, texts in _CONFIGURATIONS.items():
        yield from (bytes([imports.KINDS.index(kind)]) + text.encode() for text in texts)


TARGETS = {
    "upper-layer": Target(_upper_layer, _upper_layer_seeds),
    "walker": Target(_walker, _walker_seeds),
    "file": Target(_file, _file_seeds),
    "frames": Target(_frames, _frames_seeds),
    "profile": Target(_profile, _profile_seeds, _LANGUAGE),
    "language": Target(_language, _language_seeds, _LANGUAGE),
    "imports": Target(_imports, _imports_seeds),
}
