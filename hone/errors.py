"""Every error that a user can meet, and the one place that turns it into a line and an exit code.

HoneError
├── BadInput      (ValueError)         what was given cannot be used
├── NotThere      (FileNotFoundError)  a file, folder or model that was named does not exist
├── Damaged       (ValueError)         something on disk is not what it claims to be
└── Unreachable   (ConnectionError)    a server is down, busy, or speaks for something else
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable


class HoneError(Exception):
    """One line that says what went wrong, with the value, and what to do next."""

    def __str__(self) -> str:  # the OSError bases would print a tuple
        return " ".join(str(part) for part in self.args)


class BadInput(HoneError, ValueError):
    pass


class NotThere(HoneError, FileNotFoundError):
    pass


class Damaged(HoneError, ValueError):
    pass


class Unreachable(HoneError, ConnectionError):
    pass


EXIT_BAD_INPUT = 2
EXIT_LEFT_OUT = 3  # done, except for what could not be read and was named
EXIT_INTERRUPTED = 130


NO_MEMORY = (
    "the memory ran out; close other programs, or give --memory_limit_mb if the command has it;"
    " what is on disk was kept, and the same command goes on from there"
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATH = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


def run_command(main: Callable[[], int | None]) -> None:
    """Runs a command's `main` and exits: bad input ends in one line on stderr, not a traceback."""
    try:
        code = main() or 0
        sys.stdout.flush()
    except HoneError as error:
        code = _say(str(error))
    except BrokenPipeError:  # `command | head`
        code = 0
    except OSError as error:
        code = _say(spoken(error))
    except Exception as error:
        if not out_of_memory(error):
            raise
        code = _say(NO_MEMORY)
    except KeyboardInterrupt as stopped:  # its message, if any, says how to continue
        print(f"\n{str(stopped) or 'interrupted'}", file=sys.stderr)
        code = EXIT_INTERRUPTED
    _let_go_of_stdout()
    sys.exit(code)


def spoken(error: OSError) -> str:
    """The line for a disk that is full or a path that is refused. Any other error is a fault of
    ours, and is raised again."""
    where = error.filename or "the output"
    if error.errno in _FULL:
        return (
            f"cannot write to {where}: {error.strerror}; free some space or choose another"
            " folder; nothing half-written was kept"
        )
    if error.errno in _PATH and error.filename:
        return f"cannot use {where}: {error.strerror}; check the path and its permissions"
    raise error


def out_of_memory(error: Exception) -> bool:
    """Whether it is Python's error or torch's, whose name is compared to avoid importing torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _let_go_of_stdout() -> None:
    """Flushes stdout or discards it, because the interpreter flushes again as it ends and would
    complain about a full disk or a closed pipe."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT
