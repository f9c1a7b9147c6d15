"""The trace of a run of client/client.py: settings, memory, and how every answer was made."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hone.files import write_json
from hone.settings import as_plain

if TYPE_CHECKING:
    from client.adaptation import Adaptation

Told = dict[str, Any]


class RunTrace:
    """The trace's file, in `trace_dir`."""

    def __init__(self, trace_dir: Path) -> None:
        self.file = trace_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:6]}.json"

    def write(self, adaptation: Adaptation, told: list[Told]) -> None:
        """Writes the trace with all answers so far."""
        settings, used = as_plain(adaptation.settings), adaptation.layout.report()
        write_json(self.file, {"settings": settings, "memory": used, "answers": told})

    def say(self) -> None:
        if self.file.is_file():
            print(f"trace: {self.file}", file=sys.stderr)
