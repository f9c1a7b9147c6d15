"""Where the tasks to train on come from: the project's generators, folders of tasks, pair files.

A share of the named tasks is kept out of training, to measure on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import arc.generators
from arc.generators import Family, sample_task, training_families
from arc.grid import spell
from arc.readers import PairSet, read_pairs, read_tasks
from arc.task import Pair, Task
from hone.errors import BadInput, Damaged

KEPT_OUT = 16  # one named task in so many is never trained on
TOLERATED = 0.05  # share of a file's lines that may be broken
FIXED, FIXED_PAIRS = 16, 16  # tasks of a family with a vector of their own, and pairs of each
TOLD = 5  # broken lines that are printed
Draw = Callable[[Random], Task]


@dataclass(frozen=True)
class Source:
    """A named source of tasks, with its share of the episodes."""

    name: str
    weight: float
    draw: Draw
    tasks: int
    content: str  # sha256 of all that can be drawn from it; for generators, of their code
    sets: tuple[PairSet, ...] = ()  # what it draws from; empty where generators make new tasks


def open_sources(
    names: Sequence[str], weights: Sequence[float] = (), mode: str = "in_context"
) -> tuple[list[Source], list[Source]]:
    """The sources to train on, and the parts of them that are kept out to measure on."""
    sources, kept_out = [], []
    for name, weight in zip(names, weights or (1.0,) * len(names), strict=True):
        if name == "generators":
            made = generator_source(weight)
            sources.append(made if mode == "in_context" else replace(made, sets=_fixed_tasks()))
            continue
        trained, kept = file_sources(Path(name), weight)
        sources.append(trained)
        if kept is not None:
            kept_out.append(kept)
    return sources, kept_out


def generator_source(weight: float, demos: int = 4) -> Source:
    families = training_families()

    def draw(rng: Random) -> Task:
        return sample_task(rng.choice(families), rng.getrandbits(48), demos)

    names = [family.name for family in families]
    return Source("generators", weight, draw, len(families), _hash([*names, *_generator_code()]))


def file_sources(path: Path, weight: float) -> tuple[Source, Source | None]:
    """A folder of tasks or a pair file: the part to train on, and the part kept out to measure on
    (None where that is empty)."""
    sets = [found for found in _pair_sets(path) if len(found.pairs) >= 2]
    trained = [found for found in sets if not is_kept_out(found.id)]
    kept = [found for found in sets if is_kept_out(found.id)]
    if not trained:
        raise BadInput(
            f"{path} has no task to train on: {len(kept)} kept out to measure on, the others with"
            " fewer than two answered pairs; name another folder"
        )
    return _file_source(path, weight, trained), _file_source(path, weight, kept) if kept else None


def is_kept_out(task_id: str) -> bool:
    return hashlib.sha256(task_id.encode()).digest()[0] % KEPT_OUT == 0


def _file_source(path: Path, weight: float, sets: list[PairSet]) -> Source:
    def draw(rng: Random) -> Task:
        chosen = rng.choice(sets)
        pairs = rng.sample(chosen.pairs, min(5, len(chosen.pairs)))
        return Task(chosen.id, tuple(pairs[:-1]), (pairs[-1],))

    content = _hash(f"{found.id} {_spell_pairs(found.pairs)}" for found in sets)
    return Source(str(path), weight, draw, len(sets), content, tuple(sets))


def _pair_sets(path: Path) -> list[PairSet]:
    if not path.name.endswith((".jsonl.gz", ".jsonl")):
        return [PairSet(task.id, _answered(task)) for task in read_tasks(path)]
    unusable: list[str] = []
    broken: list[str] = []
    sets = list(read_pairs(path, refused=unusable.append, broken=broken.append))
    if unusable:
        print(f"{path.name}: {len(unusable)} pairs left out, the first: {unusable[0]}")
    if broken:
        _tell_broken(path, broken, len(sets) + len(broken))
    return sets


def _tell_broken(path: Path, broken: Sequence[str], lines: int) -> None:
    if len(broken) > TOLERATED * lines:
        raise Damaged(
            f"{path}: {len(broken)} of {lines} lines cannot be used, more than {TOLERATED:.0%};"
            f" the first: {broken[0]}"
        )
    print(f"{path.name}: {len(broken)} of {lines} lines left out:")
    for line in broken[:TOLD]:
        print(f"  {line}")
    if len(broken) > TOLD:
        print(f"  and {len(broken) - TOLD} more")


def _answered(task: Task) -> tuple[Pair, ...]:
    return tuple(pair for pair in (*task.train, *task.test) if pair.output is not None)


def _fixed_tasks() -> tuple[PairSet, ...]:
    """Some tasks of every family with many pairs each, since a task's vector is learned only if the
    task is drawn many times."""
    return tuple(
        PairSet(f"{family.name}-{seed}", _many_pairs(family, seed))
        for family in training_families()
        for seed in range(FIXED)
    )


def _many_pairs(family: Family, seed: int, demos: int = FIXED_PAIRS - 1) -> tuple[Pair, ...]:
    try:
        task = sample_task(family, seed, demos)
    except BadInput:  # the family has few different inputs
        if demos == 1:
            raise
        return _many_pairs(family, seed, demos // 2)
    return (*task.train, *task.test)


def _generator_code() -> list[str]:
    folder = Path(arc.generators.__file__).parent
    return [path.read_text() for path in sorted(folder.glob("*.py"))]


def _spell_pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(
        f"{spell(pair.input)}:{spell(pair.output)}" for pair in pairs if pair.output is not None
    )


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
