"""Runs a command under what a service unit asks of systemd, as far as a test can without systemd.

`python sandbox.py UNIT STATE CREDENTIALS COMMAND...`, as root. Follows systemd.exec(5): account, folders,
namespaces, read-only file systems, capabilities, limits, system calls, memory that cannot be executed.
A directive that is neither applied nor listed in LEFT_OUT is an error, so that none is forgotten.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ACCOUNT = 61184  # the first of those that DynamicUser= takes
STATE, CREDENTIALS = Path("/mnt/state"), Path("/mnt/credentials")
# Directives of the unit that this cannot show, and why.
LEFT_OUT = {
    "CapabilityBoundingSet AmbientCapabilities": "dropped with the account, in `_drop`",
    "ProtectClock ProtectHostname ProtectKernelLogs ProtectKernelModules": "need capabilities that are gone",
    "ProtectControlGroups ProtectKernelTunables": "/sys and /proc/sys are read-only or not there",
    "PrivateUsers PrivateMounts RemoveIPC DevicePolicy": "of namespaces and groups that systemd makes",
    "RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality": "arguments of system calls",
    "SystemCallArchitectures": "there is one",
    "MemorySwapMax MemoryMax TasksMax": "of control groups",
}
_MANAGER = (
    "Type NotifyAccess ExecStart ExecReload WatchdogSec Restart RestartSec RestartPreventExitStatus "
    "TimeoutStopSec KillMode"
)
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_NEWNS, _NEWIPC, _NEWUTS = 0x20000, 0x8000000, 0x4000000
_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_libc = ctypes.CDLL(None, use_errno=True)


def directives(unit: Path) -> dict[str, list[str]]:
    """Return the directives of the section [Service]; a line may be continued."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


_ACCOUNT_AND_FOLDERS = (
    "DynamicUser ProtectSystem StateDirectory StateDirectoryMode WorkingDirectory LoadCredential"
)
_YES = "ProtectHome PrivateTmp PrivateDevices PrivateIPC NoNewPrivileges MemoryDenyWriteExecute"
_VALUES = (
    "ProtectProc ProcSubset Environment UMask LimitCORE LimitNOFILE SystemCallErrorNumber SystemCallFilter "
    "RestrictAddressFamilies"
)


def unknown(wanted: dict[str, list[str]]) -> set[str]:
    """Return the directives that are neither applied nor left out for a reason."""
    known = " ".join((*LEFT_OUT, _MANAGER, _ACCOUNT_AND_FOLDERS, _YES, _VALUES))
    return set(wanted) - set(known.split())


def apply(wanted: dict[str, list[str]], state: Path, credentials: Path) -> None:
    """Put this process under the directives; what it executes stays there."""
    assert not unknown(wanted), unknown(wanted)
    assert all(wanted[name] == ["yes"] for name in _YES.split())
    assert (wanted["DynamicUser"], wanted["ProtectSystem"]) == (["yes"], ["strict"])
    assert (wanted["ProtectProc"], wanted["ProcSubset"]) == (["invisible"], ["pid"])
    assert wanted["SystemCallErrorNumber"] == ["EPERM"]
    allowed = _allowed(wanted["SystemCallFilter"])
    _make_namespaces(state, credentials)
    os.environ.clear()
    os.environ.update(pair.split("=", 1) for line in wanted["Environment"] for pair in line.split())
    os.environ.update(
        STATE_DIRECTORY=str(STATE), CREDENTIALS_DIRECTORY=str(CREDENTIALS), PATH="/usr/bin:/bin"
    )
    os.umask(int(wanted["UMask"][0], 8))
    for name, number in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE)):
        limit = int(wanted[name][0])
        resource.setrlimit(number, (limit, limit))
    os.chdir(STATE)
    _drop()
    _filter(allowed, [_FAMILIES[name] for name in wanted["RestrictAddressFamilies"][0].split()])


def _make_namespaces(state: Path, credentials: Path) -> None:
    _done(_libc.unshare(_NEWNS | _NEWIPC | _NEWUTS), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    for path in (state, *credentials.iterdir()):
        os.chown(path, ACCOUNT, ACCOUNT)
    needed = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[1]]
    _mount("tmpfs", "/mnt", "tmpfs")
    for number, path in enumerate((*needed, state, credentials)):
        place = Path(f"/mnt/{number}")
        place.mkdir()
        _mount(str(path), str(place), None, _MS_BIND | _MS_REC)
    for place, number in ((STATE, len(needed)), (CREDENTIALS, len(needed) + 1)):
        place.mkdir()
        _mount(f"/mnt/{number}", str(place), None, _MS_BIND)
    tops = ["/root", "/home", "/tmp", "/var/tmp", "/run/user"]
    for top in tops:
        if Path(top).is_dir():
            _mount("tmpfs", top, "tmpfs")
            os.chmod(top, 0o1777 if "tmp" in top else 0o755)
    for number, path in enumerate(needed):
        if not path.exists() or path.stat().st_dev != Path(f"/mnt/{number}").stat().st_dev:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            _mount(f"/mnt/{number}", str(path), None, _MS_BIND | _MS_REC)
    _make_devices()
    _mount("proc", "/proc", "proc", 0, "subset=pid,hidepid=invisible")
    _set_read_only("/", recursive=True)
    for place in (str(STATE), "/tmp", "/var/tmp", "/dev/shm"):
        _set_read_only(place, clear=True)


def _make_devices() -> None:
    names = ("null", "zero", "full", "random", "urandom", "tty")
    real = Path("/mnt/dev")
    real.mkdir()
    _mount("/dev", str(real), None, _MS_BIND)
    _mount("tmpfs", "/dev", "tmpfs")
    for name in names:
        Path("/dev", name).touch()
        _mount(str(real / name), f"/dev/{name}", None, _MS_BIND)
    Path("/dev/shm").mkdir()
    _mount("tmpfs", "/dev/shm", "tmpfs")
    os.chmod("/dev/shm", 0o1777)
    os.chmod("/dev", 0o755)


def _drop() -> None:
    """Become the account, without a capability to gain, and without memory that is written and run."""
    _done(_libc.prctl(65, 1, 0, 0, 0), "PR_SET_MDWE")
    for capability in range(64):
        _libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; numbers that are none are refused
    os.setgroups([])
    os.setresgid(ACCOUNT, ACCOUNT, ACCOUNT)
    os.setresuid(ACCOUNT, ACCOUNT, ACCOUNT)
    _done(_libc.prctl(38, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def _allowed(filters: list[str]) -> set[str]:
    allowed: set[str] = set()
    for line in filters:
        names = _expanded(line.removeprefix("~").split())
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def _expanded(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        listed = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
        ).stdout
        below = [line.strip() for line in listed.splitlines()[1:]]
        found |= _expanded(line for line in below if line and not line.startswith("#"))
    return found


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def _filter(allowed: set[str], families: list[int]) -> None:
    """Allow system calls, and sockets of some families; everything else fails with EPERM."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_ERRNO | 1))
    assert context
    for name in sorted(allowed - {"socket", "socketpair"}):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add_array(context, _ALLOW, number, 0, None)
    for name in ("socket", "socketpair"):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        for family in families:
            compare = (_Compare * 1)(_Compare(0, 4, family, 0))  # SCMP_CMP_EQ
            _done(seccomp.seccomp_rule_add_array(context, _ALLOW, number, 1, compare), name)
    _done(seccomp.seccomp_load(context), "seccomp_load")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None
) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _done(_libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), f"mount {target}")


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


def _set_read_only(path: str, *, recursive: bool = False, clear: bool = False) -> None:
    attributes = _Attributes(0 if clear else 1, 1 if clear else 0, 0, 0)
    flags = 0x8000 if recursive else 0  # AT_RECURSIVE
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _done(
        _libc.syscall(442, -100, path.encode(), flags, ctypes.byref(attributes), size),
        f"mount_setattr {path}",
    )


def _done(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    unit, state, credentials, *command = sys.argv[1:]
    apply(directives(Path(unit)), Path(state), Path(credentials))
    os.execv(command[0], command)
