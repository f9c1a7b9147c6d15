"""Keeps adapters trained for ARC tasks, for later runs that would train the same.

    kept = KeptAdapters(folder, lambda: adaptation.key, base_path="models/arc-base")
    kept.keep(task, adapted)
    kept.find(task)                  # in any later run that would train the same

    <folder>/<hash of task, base, training settings, knowledge base>/   one PEFT folder per task

Views, decoding and votes are not part of the hash, so a run that changes only these trains nothing.
Unlike in the AdapterStore, similarity plays no role: an adapter serves only the task that it was
trained for.
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
_TRACE = "trace"  # name of the trace in hone.json


class KeptAdapters:
    def __init__(self, folder: Path, key: Callable[[], Key], *, base_path: str) -> None:
        self.folder, self._ask, self.base_path = folder, key, base_path
        self._has_room = True

    @cached_property
    def key(self) -> Key:
        """Computed on first use: it includes the shared adapter, which is known only then."""
        return self._ask()

    def find(self, task: Task) -> Adapted | None:
        """The task's adapter with the trace of its training, times included, or None."""
        try:
            adapter = read_adapter(self._place(task))
        except NotThere:
            return None
        except HoneError as error:  # damaged: it is trained and written again
            print(f"note: {error}", file=sys.stderr)
            return None
        return _as_adapted(adapter, self._place(task).name)

    def keep(self, task: Task, adapted: Adapted) -> None:
        """Writes the task's adapter if it was trained for the task. If the disk is full, this run's
        answers are not affected; the next run has to train again."""
        own = adapted.trace["decision"] == "train"  # else it has no adapter, or the cohort's
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
