"""What the exit status of deid-node says; numbers of sysexits.h where it has a word for it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit statuses, by name."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Return a status with what it says."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "everything that was asked for was done"
    INCOMPLETE = 1, "done, but not for all: an object was rejected or failed, or a peer said no"
    USAGE = 2, "the command line is wrong"
    NO_INPUT = 66, "a file or folder that was named is not there or cannot be read"
    UNAVAILABLE = 69, "a peer cannot be reached, or the association was lost"
    SOFTWARE = 70, "an error in deid-node itself"
    CANNOT_CREATE = 73, "a folder cannot be written, or the spool cannot be used"
    IO_ERROR = 74, "the disk failed under the running node; a restart finds out what is durable"
    CONFIGURATION = 78, "a setting, a profile or a key is wrong, or the port is taken; nothing was started"
    INTERRUPTED = 130, "stopped from the keyboard"
