"""Objects full of canaries meet every end that a node knows, and no canary is on any surface of it.

The node runs under strace: what it writes to any file, pipe or socket is searched byte for byte, also in
files that are gone by the end. What is sealed is sealed; what is sent to destinations is de-identified.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from deid_node.dimse.peer import Peer
from deid_node.dimse.requestor import Requestor
from deid_node.errors import DeidNodeError
from deid_node.standard.values import AETitle
from tests.certificates import Authority
from tests.delivery.downstream import downstream
from tests.dimse import raw
from tests.e2e.canaries import UID_ROOT, VRS, WORD, found_in, object_with_canaries
from tests.node.collector import assert_valid, collecting
from tests.peers import LOOPBACK, free_port, listens, require, stop, wait_for

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning"),
]

EXPLICIT = "1.2.840.10008.1.2.1"
CALLED = (
    *("OK", "REJECT", "FAULT", "EXCLUDE", "SEAL", "DEFER", "HOLD", "REFUSE", "THROUGH", "CLOSED", "LOOKUP"),
    *("KEEP", "KEEPREJ", "KEEPHELD"),
)


class Recorder:
    """Passes connections on to the node and keeps what comes back."""

    def __init__(self, port: int) -> None:
        self.received = bytearray()
        self._to = port
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
                there = socket.create_connection((LOOPBACK, self._to))
            except OSError:
                return
            threading.Thread(target=self._pump, args=(here, there, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(there, here, self.received), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


class Site:
    """A node with everything switched on, traced, and its surroundings."""

    def __init__(
        self, folder: Path, acceptor: str, collector: int, authority: Authority, ports: dict[str, int]
    ):
        self.folder = folder
        self.home = folder / "home"
        self.state = folder / "state"
        self.out = folder / "out"
        self.trace = folder / "strace"
        self.log = folder / "node.log"
        self.port = free_port()
        self.private = folder / "private.pem"
        for path in (self.home, folder / "tmp"):
            path.mkdir()
        made = self.command("quarantine", "keys", self.private, folder / "public.pem", config=False)
        assert made.returncode == 0, made.stderr
        for name, rows in _PROFILES.items():
            (folder / f"{name.lower()}.toml").write_text(
                f'name = "{name.lower()}"\nversion = "1"\nextends = ["basic"]\n{rows}'
            )
        made = self.command("key", "new", "--key-file", folder / "sealing.key", config=False)
        assert made.returncode == 0, made.stderr
        (folder / "ids.csv").write_text("old,new\nnobody,x\n")
        self.config = folder / "deid-node.toml"
        self.config.write_text(_configuration(self, acceptor, collector, authority, ports))
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self) -> None:
        calls = (
            "open,openat,openat2,creat,memfd_create,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
        )
        written = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [
                    *(require("strace"), "-ff", "-xx", "-s", "10000000", "-o", str(self.trace)),
                    *("-e", f"trace={calls},{written}", "-e", "signal=none"),
                    *(sys.executable, "-m", "deid_node", "serve", "--config", str(self.config)),
                ],
                cwd=self.home,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        wait_for(lambda: listens(self.port), "the node listens", 60)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        [self.pid] = map(int, children)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
            self.process.wait(60)

    def command(self, *words: str | Path, config: bool = True) -> subprocess.CompletedProcess[bytes]:
        more = ["--config", str(self.config)] if config else []
        return subprocess.run(
            [sys.executable, "-m", "deid_node", *map(str, words), *more],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )


_PROFILES = {
    "REJECT": f'[[reject]]\nwhen = "PatientName matches \'{WORD}\'"\nbecause = "it is a rule"\n',
    "FAULT": '[[reject]]\nwhen = "AccessionNumber > 5"\nbecause = "never said"\n',
    "EXCLUDE": f'[[exclude]]\nwhen = "PatientName matches \'{WORD}\'"\nbecause = "it is a rule"\n',
    "LOOKUP": '[tables.ids]\nfile = "ids.csv"\nkey = "old"\nvalue = "new"\n[attributes]\n'
    'PatientID = { do = "lookup", table = "ids", missing = "hold" }\n',
}


_BORROWED = {"SEAL": "REJECT", "KEEPREJ": "REJECT", "KEEPHELD": "LOOKUP"}


def _configuration(
    site: Site, acceptor: str, collector: int, authority: Authority, ports: dict[str, int]
) -> str:
    folder = site.folder
    text = f"""
host = "{LOOPBACK}"
port = {site.port}
state = "{site.state}"
acceptor = "{acceptor}"
[log]
level = "debug"
[crosswalk]
enabled = true
names = true
[audit.syslog]
host = "{LOOPBACK}"
port = {collector}
name = "localhost"
ca = "{authority.file}"
[sealed]
key_file = "{folder / "sealing.key"}"
[quarantine]
public_key = "{folder / "public.pem"}"
[destinations.store]
kind = "folder"
path = "{site.out}"
"""
    for name, port in ports.items():
        text += f'[destinations.{name}]\nkind = "ae"\nhost = "{LOOPBACK}"\nport = {port}\nae_title = "DOWN"\n'
    destinations = {
        "DEFER": ["down", "busy"],
        "HOLD": ["nocontext"],
        "REFUSE": ["refusing"],
        "THROUGH": ["refusing"],
    }
    for called in CALLED:
        own = _BORROWED.get(called, called if called in _PROFILES else None)
        text += f'[routes.{called.lower()}]\ncalled = "{called}"\n'
        text += f"destinations = {destinations.get(called, ['store', 'well'])}\n".replace("'", '"')
        text += f'profile = "{folder / f"{own.lower()}.toml"}"\n' if own else ""
        text += 'on_reject = "quarantine"\n' if called == "SEAL" else ""
        text += 'intake = "sealed"\n' if called in ("KEEP", "KEEPREJ") else ""
        text += 'on_hold = "seal"\n' if called == "KEEPHELD" else ""
        text += 'acknowledge = "through"\n' if called == "THROUGH" else ""
        text += 'peers = ["nobody"]\n' if called == "CLOSED" else ""
    return text + '[peers.nobody]\nae_title = "NOBODY"\naddress = "10.9.9.9"\n'


def encoded(ds: Dataset, *, implicit: bool = False) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, implicit
    write_dataset(stream, ds)
    return stream.getvalue()


class Sender:
    """Sends datasets to the node, and takes whatever answer comes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent: list[bytes] = []
        self.answers: list[tuple[str, str]] = []

    def __call__(self, called: str, ds: Dataset, content: bytes | None = None, **uids: str) -> str:
        """Return the status as four hexadecimal digits, "" when there was none."""
        content = encoded(ds) if content is None else content
        content += b"\0" * (len(content) % 2)
        self.sent.append(content)
        uids = {
            "sop_class_uid": str(ds.SOPClassUID),
            "sop_instance_uid": str(ds.get("SOPInstanceUID", "")),
            "transfer_syntax_uid": EXPLICIT,
            **uids,
        }
        peer = Peer(LOOPBACK, self._port, AETitle(called), AETitle("SENDER"), 20)
        try:
            contexts = [(uids["sop_class_uid"], uids["transfer_syntax_uid"])]
            with Requestor.connect(peer, contexts) as assoc:
                with os.fdopen(os.memfd_create("sent"), "w+b") as file:
                    file.write(content)
                    file.flush()
                    answer = assoc.store_file(file, offset=0, length=len(content), **uids)
                status = f"{answer.status:04X}"
        except DeidNodeError as error:
            status = type(error).__name__
        self.answers.append((called, status))
        return status


def _send_to_every_end(send: Sender, port: int, *, raw_peers: bool) -> dict[str, str]:
    """Send objects to all ends, and return the answers."""
    seen: dict[str, str] = {}
    for letter, called in zip("ABCDEFGHIJKXYZ", CALLED, strict=True):
        seen[called] = send(called, object_with_canaries(letter).ds)
    again = object_with_canaries("A").ds
    seen["duplicate"] = send("OK", again)
    again.InstanceNumber = 99
    seen["revision"] = send("OK", again)
    for letter, kind in zip("MNO", ("mr", "sr", "us"), strict=True):
        with suppress(KeyError):
            seen[kind] = send("OK", object_with_canaries(letter, kind).ds)
    seen["implicit"] = send(
        "OK",
        (ds := object_with_canaries("P").ds),
        encoded(ds, implicit=True),
        transfer_syntax_uid="1.2.840.10008.1.2",
    )
    seen.update(_send_malformed(send))
    if raw_peers:
        _break_off(port)
    return seen


def _send_malformed(send: Sender) -> dict[str, str]:
    ds = object_with_canaries("R").ds
    whole = encoded(ds)
    seen = {}
    name = whole.index(f"{WORD}R".encode())
    for called in ("OK", "SEAL"):
        seen[f"cut, {called}"] = send(called, ds, whole[: len(whole) // 2 * 2 - 2000])
        seen[f"cut in a header, {called}"] = send(called, ds, whole[: name + 20])
        seen[f"wrong VR, {called}"] = send(called, ds, whole[: name - 4] + b"??" + whole[name - 2 :])
        seen[f"text alone, {called}"] = send(called, ds, f"{WORD}R0000 ".encode() * 400)
        seen[f"length too long, {called}"] = send(called, ds, whole[: name - 2] + b"\xfe\xff" + whole[name:])
        seen[f"implicit as explicit, {called}"] = send(called, ds, encoded(ds, implicit=True))
        other = f"{UID_ROOT}.9.9"
        seen[f"another instance, {called}"] = send(called, ds, sop_instance_uid=other)
    deep = ds
    for _ in range(40):
        item, deep = deep, Dataset()
        deep.SOPClassUID, deep.SOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        deep.PatientName = f"{WORD}R^deep"
        deep.RequestAttributesSequence = [item]
    seen["too deep"] = send("OK", deep)
    odd = object_with_canaries("S").ds
    odd.SpecificCharacterSet = f"{WORD}S"
    seen["unknown character set"] = send("OK", odd)
    odd = object_with_canaries("T").ds
    odd.SpecificCharacterSet = "ISO_IR 192"
    text = encoded(odd).replace(f"{WORD}T0".encode(), f"{WORD}T".encode() + b"\xff")
    seen["broken UTF-8"] = send("OK", odd, text)
    missing = object_with_canaries("U").ds
    del missing.SOPInstanceUID
    seen["without an instance"] = send("OK", missing, sop_instance_uid=f"{UID_ROOT}.7")
    other_class = object_with_canaries("V").ds
    other_class.SOPClassUID = f"{UID_ROOT}.8"
    seen["unknown class"] = send("OK", other_class)
    return seen


def _break_off(port: int) -> None:
    """End associations in the middle of objects, and say things where nothing is expected."""
    ds = object_with_canaries("W").ds
    content = encoded(ds)
    begin = raw.store_rq(str(ds.SOPClassUID), str(ds.SOPInstanceUID))
    abort = bytes.fromhex("07000000000400000000")
    rest = f"{WORD}W0000".encode() * 20
    for tail in (abort, b"", raw.pdata(1, 0, rest)[:50], raw.pdata(9, 0, rest), rest, raw.RELEASE_RQ):
        with raw.RawPeer((LOOPBACK, port)) as peer:
            peer.send(raw.request(called=b"OK", calling=b"SENDER"))
            assert peer.pdu()[0] == raw.ASSOCIATE_AC
            peer.send(raw.pdata(1, 3, begin), raw.pdata(1, 0, content[:12000]), tail)
            time.sleep(0.1)
    user = struct.pack(">BBH", 2, 1, len(rest)) + rest + struct.pack(">H", 4) + b"word"
    for request in (
        raw.request(called=b"OK", calling=b"SENDER", user=raw.user_information(raw.item(0x58, user))),
        raw.request(called=b"OK", calling=b"SENDER", tail=raw.item(0x77, rest)),
        raw.request([raw.context(1, f"{UID_ROOT}.5", f"{UID_ROOT}.6")], called=b"OK", calling=b"SENDER"),
        raw.request(called=b"OK", calling=b"SENDER", application=f"{UID_ROOT}.4".encode()),
        rest,
    ):
        with raw.RawPeer((LOOPBACK, port)) as peer:
            peer.send(request)
            peer.pdu()
    for command in (
        raw.store_rq(f"{UID_ROOT}.3", f"{UID_ROOT}.2"),
        raw.store_rq(str(ds.SOPClassUID), f"{WORD}W/../x"),
        raw.command(raw.uid(2, f"{UID_ROOT}.1"), raw.us(0x100, 0x20), raw.us(0x110, 1), raw.us(0x800, 1)),
        raw.command(raw.elem(0x902, rest[:40]), raw.us(0x100, 1)),
        rest,
    ):
        with raw.RawPeer((LOOPBACK, port)) as peer:
            peer.send(raw.request(called=b"OK", calling=b"SENDER"))
            peer.pdu()
            peer.send(raw.pdata(1, 3, command), raw.pdata(1, 2, content[:12000]))
            peer.pdu()


_COMMANDS = (
    ("status",),
    ("status", "--studies"),
    ("status", "--json"),
    ("queue", "list"),
    ("queue", "list", "--json"),
    ("quarantine", "list"),
    ("quarantine", "list", "--json"),
    ("sealed", "list"),
    ("sealed", "list", "--json"),
    ("fsck",),
    ("fsck", "--json"),
    ("check",),
    ("check", "--json"),
    ("key", "show"),
    ("crosswalk", "lookup", "nobody"),
    ("queue", "retry"),
)


@contextmanager
def _running(folder: Path, acceptor: str) -> Iterator[tuple[Site, Any]]:
    authority = Authority(folder)
    with (
        collecting(folder / "rsyslog", authority) as collector,
        downstream("well") as well,
        downstream("A900") as refusing,
        downstream("refuses-context") as nocontext,
        downstream("A700") as busy,
    ):
        ports = {"well": well.port, "refusing": refusing.port, "nocontext": nocontext.port}
        ports |= {"busy": busy.port, "down": free_port()}
        site = Site(folder, acceptor, collector.port, authority, ports)
        site.start()
        try:
            yield site, collector
        finally:
            site.stop()


@pytest.mark.parametrize("acceptor", ["stream", "pynetdicom"])
def test_no_canary_is_on_any_surface(tmp_path: Path, acceptor: str) -> None:
    surfaces: dict[str, bytes] = {}
    with _running(tmp_path, acceptor) as (site, collector):
        recorder = Recorder(site.port)
        send = Sender(recorder.port)
        answers = _send_to_every_end(send, recorder.port, raw_peers=acceptor == "stream")
        wait_for(lambda: b'"held": 1' in site.command("status", "--json").stdout, "one is held", 30)
        wait_for(lambda: b"deferred" in site.command("status", "--json").stdout, "one is deferred", 30)
        for words in _COMMANDS if acceptor == "stream" else _COMMANDS[:1]:  # they are the same for both
            done = site.command(*words)
            surfaces[f"output of {' '.join(words)}"] = done.stdout + done.stderr
        listed = surfaces.get("output of quarantine list --json", b"")
        for id_ in re.findall(rb"\d{8}T\d{6}Z-[0-9a-f]{12}", listed)[:3]:
            surfaces["output of quarantine show"] = site.command("quarantine", "show", id_.decode()).stdout
        site.command("backup", tmp_path / "state" / "backup.sqlite")
        process = Path(f"/proc/{site.pid}")
        for name in ("environ", "cmdline", "comm", "limits", "mountinfo", "maps"):
            surfaces[f"/proc, {name}"] = (process / name).read_bytes()
        surfaces["names of threads"] = b" ".join(p.read_bytes() for p in process.glob("task/*/comm"))
        surfaces["open files"] = "\n".join(os.readlink(p) for p in process.glob("fd/*")).encode()
        surfaces.update(_files(tmp_path, "while it runs: "))
        surfaces["replies"] = _REPEATED.sub(b"", recorder.received)
        recorder.close()
    surfaces.update(_files(tmp_path, ""))
    surfaces["/dev/shm"] = b"\n".join(bytes(path) for path in Path("/dev/shm").iterdir())

    _assert_every_end_was_met(site, answers, acceptor)
    _assert_the_search_works(send.sent)
    _assert_files_for_writing(site)
    assert len(surfaces["strace"]) > 1_000_000
    assert len(collector.raw()) > 10
    assert_valid([line.split(" - ", 1)[1] for line in collector.raw()], tmp_path / "xml")
    hits = {name: found for name, content in surfaces.items() if (found := found_in(content))}
    assert hits == {}


def _files(folder: Path, when: str) -> dict[str, bytes]:
    """Return every file below a folder with its name; what is traced as one."""
    found = {}
    traces = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file():
            found[f"{when}name of {name}"] = name.encode()
        elif name.startswith("strace"):
            traces.append(_written(path) if not when else b"")
        elif path.suffix not in (".toml",):  # of this test
            with suppress(FileNotFoundError):
                found[f"{when}{name}"] = name.encode() + b"\n" + path.read_bytes()
    if not when:
        found["strace"] = b"\n".join(traces)
    return found


def _written(trace: Path) -> bytes:
    """Return all bytes of calls in a trace, those of each call on a line."""
    calls = (b"".join(_BYTES.findall(line)) for line in trace.read_bytes().splitlines())
    plain = (bytes.fromhex(call.replace(b"\\x", b"").decode()) for call in calls)
    return b"\n".join(_REPEATED.sub(b"", call) if call[:1] in b"\2\4" else call for call in plain)


_BYTES = re.compile(rb"(?:\\x[0-9a-f]{2})+")
# A C-STORE-RSP repeats SOP class and instance of its request (PS3.7 9.3.1.2), an A-ASSOCIATE-AC a transfer
# syntax (PS3.8 9.3.3.2): to who said them.
_REPEATED = re.compile(
    rb"\x00\x00(?:\x02\x00|\x00\x10)..\x00\x00(?:[0-9.]+|QZXWJVW/\.\./x)\x00?|\x40\x00\x00.[0-9.]+", re.DOTALL
)


def _assert_every_end_was_met(site: Site, answers: dict[str, str], acceptor: str) -> None:
    events = site.log.read_text()
    audit = (site.state / "audit" / "audit.jsonl").read_text()
    told = set(re.findall(r'"event":"([a-z-]+)"', audit))
    assert answers["OK"] == answers["EXCLUDE"] == answers["SEAL"] == answers["DEFER"] == "0000", answers
    assert answers["duplicate"] == answers["revision"] == answers["implicit"] == "0000", answers
    assert answers["KEEP"] == answers["KEEPREJ"] == answers["KEEPHELD"] == "0000", answers
    refused = {"REJECT", "FAULT", "THROUGH", "CLOSED", "LOOKUP", "too deep", "cut, OK", "text alone, OK"}
    assert all(answers[end] not in ("0000", "") for end in refused), answers
    assert {"object-stored", "object-excluded", "object-quarantined", "object-refused"} <= told
    assert {"object-delivered", "object-held", "object-not-taken"} <= told
    assert {"object-sealed", "original-held"} <= told
    assert "node.deferred" in events or "node.destination_out" in events
    assert "node.object_not_forwarded" in events
    if acceptor == "stream":
        assert "node.object_aborted" in events


def _assert_the_search_works(sent: list[bytes]) -> None:
    """What was sent is full of canaries of every VR, and the search finds them."""
    planted = object_with_canaries("A")
    assert planted.vrs >= set(VRS)
    assert planted.count > 900
    assert len(sent) >= 30
    for name in ("text", "number", "time", "FD", "FL", "US", "UL", "UV"):
        assert any(f"{name}, raw" in found_in(content) for content in sent), name
    assert "date" in found_in(sent[0])
    for form, text in (("hex", sent[0].hex()), ("base64 at 0", base64.b64encode(sent[0]).decode())):
        assert any(name.endswith(form) for name in found_in(text.encode())), form
    assert "text, reversed" in found_in(sent[0][::-1])
    assert "text, UTF-16" in found_in(WORD.encode("utf-16-le"))


def _assert_files_for_writing(site: Site) -> None:
    """Everything that was opened for writing is a file of the node, whose end is known."""
    known = (site.state, site.out, site.log, Path("/dev"), Path("/proc/self"))
    opened: set[str] = set()
    for trace in site.folder.glob("strace.*"):
        for line in trace.read_text("ascii", errors="replace").splitlines():
            call = re.match(r'(?:open|openat|openat2|creat)\((?:\S+, )?"((?:\\x[0-9a-f]{2})*)", ?(.*)', line)
            if call and re.search("O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", call.group(2)):
                opened.add(bytes.fromhex(call.group(1).replace("\\x", "")).decode())
            assert not line.startswith("memfd_create("), line
    assert any(name.endswith("ledger.sqlite-wal") or "-wal" in name for name in opened), opened
    strange = [name for name in opened if not any(Path(name).is_relative_to(place) for place in known)]
    relative = [name for name in strange if not name.startswith("/")]
    assert not [name for name in strange if name not in relative], strange


def test_a_node_that_dies_with_canaries_in_its_memory_leaves_no_core_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    port, config = free_port(), tmp_path / "node.toml"
    config.write_text(f'host = "{LOOPBACK}"\nport = {port}\nstate = "{tmp_path / "state"}"\n')
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f"ulimit -c $(ulimit -H -c); exec {sys.executable} -m deid_node serve --config {config}",
        ],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: listens(port), "the node listens", 60)
        ds = object_with_canaries("X").ds
        with raw.RawPeer((LOOPBACK, port)) as peer:
            peer.send(raw.request(called=b"DEIDNODE", calling=b"SENDER"))
            peer.pdu()
            begin = raw.store_rq(str(ds.SOPClassUID), str(ds.SOPInstanceUID))
            peer.send(raw.pdata(1, 3, begin), raw.pdata(1, 0, encoded(ds)[:12000]))
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGSEGV)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = status
    finally:
        stop(process)

    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)
    assert list(home.iterdir()) == []
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert found_in(path.read_bytes()) == [], path
