"""Several commands behind one name: `python -m kb info`, `python -m eval.bench solve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from hone.errors import BadInput

Main = Callable[[Sequence[str]], int]


def open_door(
    doors: Mapping[str, Main], argv: Sequence[str] | None, description: str, nobody: str
) -> int:
    """Runs the command that the first word names, with the words after it. `nobody` begins the
    error where it names none."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"]):
        print(description)
        return 0
    if not words or words[0] not in doors:
        asked = f"{nobody} {words[0]!r}" if words else f"{nobody} is named"
        raise BadInput(f"{asked}; there are: {', '.join(doors)}")
    return doors[words[0]](words[1:])
