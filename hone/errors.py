"""Every error that a user can meet, and the one place where it becomes a line and an exit code.

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
    """What went wrong, with the value, and what to do next, in one line."""

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
EXIT_INTERRUPTED = 130


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave: one line on stderr instead of a traceback for bad input."""
    try:
        code = main() or 0
        sys.stdout.flush()
    except HoneError as error:
        code = _say(str(error))
    except BrokenPipeError:  # `command | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = error.filename or "the disk"
        code = _say(
            f"cannot write to {where}: {error.strerror}; free some space or choose another"
            " folder; nothing half-written was kept"
        )
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _say(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT
