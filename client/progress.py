"""Progress on stderr: a bar for the current phase, shown on terminals only, and lines that stay."""

from __future__ import annotations

import sys
from typing import Any


class PhaseBar:
    """Called with the phase, the steps done and the steps in all. Removed on exit of its
    context."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet or not sys.stderr.isatty()

    def __enter__(self) -> PhaseBar:
        from tqdm import tqdm

        self.bar: tqdm[Any] = tqdm(disable=self.quiet, leave=False)
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()

    def __call__(self, phase: str, done: int, total: int) -> None:
        self.bar.set_description_str(phase, refresh=False)
        self.bar.total, self.bar.n = total, done
        self.bar.refresh()

    def say(self, line: str) -> None:
        """Prints a line that stays; the bar is hidden until it moves again."""
        self.bar.clear()
        print(line, file=sys.stderr)
