"""The first process inside the sandbox: sets its own limits, then runs the program.

It is started from its text (`python -I -c`), because no file of this project can be read in the
sandbox. It reads a JSON object from stdin. On the pipe whose number is its argument it writes two
lines: `begun`, and how the program ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from types import ModuleType

LONGEST = 300  # most characters of an error


def main() -> None:
    pipe, given = int(sys.argv[1]), json.load(sys.stdin)
    os.set_inheritable(pipe, False)
    for name, value in given["limits"].items():
        limit(getattr(resource, name), value)
    if os.getcwd() == "/":  # the root of the sandbox's own file tree
        os.chdir("/tmp")
    here = os.getpid()
    os.write(pipe, b"begun\n")
    ending = ended(given["program"])
    if os.getpid() == here:  # a process forked by the program gets here, too
        os.write(pipe, ending.encode(errors="replace") + b"\n")
    os._exit(0)  # without exit handlers that the program has registered


def limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def ended(program: str) -> str:
    """`passed` if the program ran to its end, else its exception. To exit early is not to pass."""
    module = ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(compile(program, "program", "exec"), module.__dict__)
    except BaseException as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return said[:LONGEST]
    return "passed"


if __name__ == "__main__":
    main()
