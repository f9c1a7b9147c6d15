"""Finds the tasks of a folder that a base, a knowledge base or other data have seen before.

    python eval/leakage.py --data_dir data/evaluation --seen data/training

A task was seen if one of its pairs, demo or test, is in that data under any symmetry and colours. A
base lists what it was trained on in `training_data.json` and `trained_pairs.npy`; without these it
is "unknown", and so is a knowledge base on a server. Tasks from our own generators are not listed:
for them, a base records the code of its families. Tiny grids may agree by chance, and count.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import BUNDLED_BASE
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.fingerprints import Fingerprints
    from arc.task import Pair, Task
    from client.settings import Settings
    from kb.store import KnowledgeBase

UNKNOWN = "unknown"
Leaks = dict[str, dict[str, list[str]]]  # task -> what has seen it -> which of its pairs


@dataclass(frozen=True)
class Seen:
    """The pairs that a base or data set has seen, if that is known."""

    who: str
    pairs: Fingerprints | None  # None: not known
    said: str  # where this is recorded, or why it is not known

    def spelled(self) -> dict[str, Any]:
        return {"pairs": UNKNOWN if self.pairs is None else len(self.pairs), "said": self.said}


@dataclass(frozen=True)
class LeakageSettings:
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    model_path: str = option(
        str(BUNDLED_BASE), "folder of the base", also=("model_dir",), shown="models/arc-base"
    )
    knowledge_base_path: Path | None = option(None, "knowledge base to look in")
    seen: tuple[Path, ...] = option((), "tasks and *.jsonl.gz pair files to look in as well")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        LeakageSettings, argv, env_prefix="HONE_LEAKAGE_", description=__doc__ or ""
    )
    from arc.readers import read_tasks

    if settings.data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    tasks = read_tasks(settings.data_dir)
    records = [seen_by_base(settings.model_path)]
    if settings.knowledge_base_path is not None:
        records.append(seen_by_knowledge_base(settings.knowledge_base_path))
    records += [seen_in(path) for path in settings.seen]
    for line in table(tasks, records, find_leaks(tasks, records)):
        print(line)
    return 0


def seen_in_run(settings: Settings) -> list[Seen]:
    """What was seen by a run's base and knowledge base."""
    records = [seen_by_base(settings.model_path)]
    if settings.num_ttt_samples and settings.knowledge_base_path:
        records.append(seen_by_knowledge_base(settings.knowledge_base_path))
    elif settings.num_ttt_samples and settings.server_url:
        said = f"{settings.server_url} does not list its records"
        records.append(Seen("knowledge base", None, said))
    return records


def seen_by_base(model_path: str) -> Seen:
    """What the base has seen, by its record; an incomplete record is not used."""
    import numpy as np

    from hone.files import read_json
    from models.training.record import PAIRS, TRAINING_DATA

    folder = Path(model_path).expanduser()
    if not (folder / TRAINING_DATA).is_file():
        return Seen("base", None, f"{model_path} has no {TRAINING_DATA}")
    told = read_json(folder / TRAINING_DATA)
    if not isinstance(told, dict) or not isinstance(told.get("pairs"), dict):
        return Seen("base", None, f"the {TRAINING_DATA} of {model_path} lists no pairs")
    if not (folder / PAIRS).is_file():
        return Seen("base", None, f"{model_path} lacks {PAIRS}")
    try:
        pairs = np.load(folder / PAIRS, allow_pickle=False)
    except (ValueError, EOFError):
        return Seen("base", None, f"{folder / PAIRS} is damaged")
    if hashlib.sha256(pairs.tobytes()).hexdigest() != told["pairs"].get("sha256"):
        return Seen("base", None, f"{PAIRS} is not the one that {TRAINING_DATA} describes")
    return Seen("base", pairs, f"the {TRAINING_DATA} of {model_path}")


def seen_by_knowledge_base(path: Path) -> Seen:
    from arc.fingerprints import fingerprints
    from kb.store import KnowledgeBase

    with closing(KnowledgeBase.open(path)) as opened:
        pairs = fingerprints(pair for task in _tasks_of(opened) for pair in _pairs(task))
    return Seen("knowledge base", pairs, f"the records of {path}")


def _tasks_of(opened: KnowledgeBase, at_once: int = 1000) -> Iterator[Task]:
    from kb.records import task_of

    whole = opened.manifest.records
    for start in range(0, whole, at_once):
        for record in opened.records(range(start, min(start + at_once, whole))):
            if record.kind == "arc":
                yield task_of(record, record.source)


def seen_in(path: Path) -> Seen:
    """The pairs in a folder of tasks, or in a file of generated pairs."""
    from arc.fingerprints import fingerprints
    from arc.readers import read_pairs, read_tasks

    if path.name.endswith(".jsonl.gz"):
        sets = read_pairs(path, refused=lambda line: None)
        return Seen(path.name, fingerprints(p for one in sets for p in one.pairs), str(path))
    found = fingerprints(pair for task in read_tasks(path) for pair in _pairs(task))
    return Seen(path.name, found, str(path))


def find_leaks(tasks: Iterable[Task], records: Sequence[Seen]) -> Leaks:
    """The tasks that were seen, by what, and which of their pairs."""
    found = ((task.id, dict(_seen_pairs(task, records))) for task in tasks)
    return {task_id: by_whom for task_id, by_whom in found if by_whom}


def _seen_pairs(task: Task, records: Sequence[Seen]) -> Iterator[tuple[str, list[str]]]:
    import numpy as np

    from arc.fingerprints import pair_fingerprint

    places = [f"train {i}" for i in range(len(task.train))]
    places += [f"test {i}" for i in range(len(task.test))]
    own = np.array([pair_fingerprint(pair) for pair in _pairs(task)], dtype=np.uint64)
    for one in records:
        seen = np.isin(own, [] if one.pairs is None else one.pairs)
        if seen.any():
            yield one.who, [place for place, known in zip(places, seen, strict=True) if known]


def _pairs(task: Task) -> tuple[Pair, ...]:
    return (*task.train, *task.test)


def table(tasks: Sequence[Task], records: Sequence[Seen], leaks: Leaks) -> Iterator[str]:
    for one in records:
        if one.pairs is None:
            yield f"{one.who}: {UNKNOWN} ({one.said})"
            continue
        hit = sum(one.who in by_whom for by_whom in leaks.values())
        yield f"{one.who}: {hit} of {len(tasks)} tasks share one of its {len(one.pairs):,} pairs"
    for task_id, by_whom in sorted(leaks.items()):
        told = "; ".join(f"{who}: {', '.join(places)}" for who, places in by_whom.items())
        yield f"  {task_id}  {told}"


if __name__ == "__main__":
    run_command(main)
