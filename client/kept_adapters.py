"""Adapters that were trained for a task, found again by everything that shaped their training.

    kept = KeptAdapters(folder, lambda: adaptation.key, base_path="models/arc-base")
    kept.keep(task, adapted)
    kept.find(task)                  # in any later run that would train the same

    <folder>/<hash of task, base, settings of training, knowledge base>/   a PEFT folder each

Views, decoding and votes are not part of that name, so a run that changes these alone trains
nothing. Unlike the AdapterStore there is no likeness here: an adapter serves its own task or none.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from arc.task import Task, task_to_json
from client.adaptation import Adapted
from client.adapters.entry import Key
from hone.errors import HoneError, NotThere
from hone.files import short_hash
from models.multilora.peft_files import AdapterFiles, read_adapter, write_adapter

DECISION = "trained earlier"
_TRACE = "trace"  # its part of hone.json


class KeptAdapters:
    def __init__(self, folder: Path, key: Callable[[], Key], *, base_path: str) -> None:
        self.folder, self._ask, self.base_path = folder, key, base_path
        self._has_room = True

    @cached_property
    def key(self) -> Key:
        """Asked for when it is needed: what adapters stand on is known only then."""
        return self._ask()

    def find(self, task: Task) -> Adapted | None:
        """The task's adapter, with the trace of its training, times included."""
        try:
            adapter = read_adapter(self._place(task))
        except NotThere:
            return None
        except HoneError as error:  # damaged: it is trained and written again
            print(f"note: {error}", file=sys.stderr)
            return None
        return _as_adapted(adapter, self._place(task).name)

    def keep(self, task: Task, adapted: Adapted) -> None:
        """A disk that is full costs the next run's time, not this one's answers."""
        own = adapted.trace["decision"] == "train"  # else there is none, or it is the cohort's
        if adapted.adapter is None or not own or not self._has_room:
            return
        extra = adapted.adapter.extra | {_TRACE: adapted.trace}
        adapter = dataclasses.replace(adapted.adapter, extra=extra)
        try:
            write_adapter(self._place(task), adapter, self.base_path)
        except OSError as error:
            self._has_room = False
            said = f"{self.folder}: {error.strerror or error}"
            print(f"note: adapters are not kept for later runs ({said})", file=sys.stderr)

    def _place(self, task: Task) -> Path:
        asked = task_to_json(task.without_answers())
        return self.folder / short_hash(dataclasses.asdict(self.key), task.id, asked)


def _as_adapted(adapter: AdapterFiles, name: str) -> Adapted | None:
    trace = adapter.extra.get(_TRACE)
    if not isinstance(trace, dict) or not isinstance(trace.get("seconds"), dict):
        return None
    return Adapted(adapter, trace | {"decision": DECISION, "adapter": name})
