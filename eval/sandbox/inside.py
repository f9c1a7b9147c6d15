"""The first thing that runs behind the walls: it takes limits upon itself, then runs the program.

Started by its text alone (`python -I -c`), because nothing of ours can be read from in there. On
stdin it is given a JSON object; on the pipe whose number it is told it says `begun` and how the
program ended, a line each.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from types import ModuleType

LONGEST = 300  # characters of what went wrong


def main() -> None:
    pipe, given = int(sys.argv[1]), json.load(sys.stdin)
    os.set_inheritable(pipe, False)
    for name, value in given["limits"].items():
        limit(getattr(resource, name), value)
    if os.getcwd() == "/":  # of the walls' own tree
        os.chdir("/tmp")
    here = os.getpid()
    os.write(pipe, b"begun\n")
    ending = ended(given["program"])
    if os.getpid() == here:  # a fork of the program comes by here too
        os.write(pipe, ending.encode(errors="replace") + b"\n")
    os._exit(0)  # whatever the program has registered for the end


def limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def ended(program: str) -> str:
    """`passed` where it ran to its end, else what it raised; leaving early is not passing."""
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
