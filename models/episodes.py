"""What a base is trained on: endless episodes drawn from generators, task folders and pair files.

An episode is a few demos and a question, all by one rule, under a random symmetry and random
colours. A share of the named tasks is kept from training, to measure on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from arc.augment import random_augmentation
from arc.canvas import CanvasFormat
from arc.formats import Encoded
from arc.generators import Family, held_out_families, sample_task, training_families
from arc.grid import spell
from arc.readers import PairSet, read_pairs, read_tasks
from arc.task import Pair, Task
from hone.errors import BadInput

KEPT_OUT = 16  # one named task in so many is never trained on
Draw = Callable[[Random], Task]
_FORMAT = CanvasFormat()


@dataclass(frozen=True)
class Source:
    """A named well of tasks, with its share of the episodes."""

    name: str
    weight: float
    draw: Draw
    tasks: int
    content: str  # sha256 over everything it can draw from


def generator_source(weight: float, demos: int = 4) -> Source:
    families = training_families()

    def draw(rng: Random) -> Task:
        return sample_task(rng.choice(families), rng.getrandbits(48), demos)

    return Source("generators", weight, draw, len(families), _hash([f.name for f in families]))


def file_sources(path: Path, weight: float) -> tuple[Source, Source | None]:
    """A folder of tasks or a pair file: what is trained on, and what is kept out to measure on
    (None where that is nothing)."""
    sets = [found for found in _pair_sets(path) if len(found.pairs) >= 2]
    trained = [found for found in sets if not is_kept_out(found.id)]
    kept = [found for found in sets if is_kept_out(found.id)]
    if not trained:
        raise BadInput(
            f"{path} has no task to train on: {len(kept)} kept out to measure on, the others with"
            " fewer than two answered pairs; name another folder"
        )
    return _file_source(path, weight, trained), _file_source(path, weight, kept) if kept else None


def _file_source(path: Path, weight: float, sets: list[PairSet]) -> Source:
    def draw(rng: Random) -> Task:
        chosen = rng.choice(sets)
        pairs = rng.sample(chosen.pairs, min(5, len(chosen.pairs)))
        return Task(chosen.id, tuple(pairs[:-1]), (pairs[-1],))

    content = _hash([f"{found.id} {_spell_pairs(found.pairs)}" for found in sets])
    return Source(str(path), weight, draw, len(sets), content)


def is_kept_out(task_id: str) -> bool:
    return hashlib.sha256(task_id.encode()).digest()[0] % KEPT_OUT == 0


class Episodes:
    """Draws encoded episodes from weighted sources; the same seed draws the same ones."""

    def __init__(self, sources: Sequence[Source], max_tokens: int) -> None:
        self.sources, self.max_tokens = list(sources), max_tokens
        self.weights = [source.weight for source in sources]

    def draw(self, rng: Random) -> Encoded:
        """One episode that fits; demos are left out before a task is given up."""
        for _ in range(1000):
            source = rng.choices(self.sources, self.weights)[0]
            fitting = self._fit(source.draw(rng), rng)
            if fitting is not None:
                return fitting
        raise BadInput(f"no task of 1000 fits into {self.max_tokens} tokens; raise --max_tokens")

    def _fit(self, task: Task, rng: Random) -> Encoded | None:
        demos = rng.randint(2, max(2, len(task.train)))
        varied = random_augmentation(rng, len(task.train), keep_zero=rng.random() < 0.7).apply(task)
        for count in range(min(demos, len(task.train)), 0, -1):
            fewer = Task(task.id, varied.train[:count], varied.test)
            if _length(fewer) <= self.max_tokens:
                return _FORMAT.example(fewer, every_output=True)
        return None

    def pool(self, seed: str, count: int, tokens: int) -> list[list[Encoded]]:
        """`count` episodes in batches of at most `tokens`, rows of like length together."""
        rng = Random(seed)
        drawn = sorted((self.draw(rng) for _ in range(count)), key=len)
        batches: list[list[Encoded]] = [[]]
        for row in drawn:
            if batches[-1] and (len(batches[-1]) + 1) * len(row) > tokens:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        return batches


def held_out_episodes(
    count: int, max_tokens: int, families: Sequence[Family] = ()
) -> list[Encoded]:
    """The same questions every time, from families that are never trained on; labels on the
    answer alone."""
    chosen = list(families) or held_out_families()
    tasks = (sample_task(chosen[i % len(chosen)], 10_000_000 + i) for i in range(count))
    return [_FORMAT.example(task) for task in tasks if _length(task) <= max_tokens]


def kept_out_episodes(source: Source, count: int, max_tokens: int) -> list[Encoded]:
    """The same questions every time, from named tasks that are never trained on."""
    rng = Random("kept out")
    drawn = (source.draw(rng) for _ in range(20 * count))
    fitting = [_FORMAT.example(task) for task in drawn if _length(task) <= max_tokens]
    return fitting[:count]


def _length(task: Task) -> int:
    pairs = [*task.train, *task.test]
    grids = [g for pair in pairs for g in (pair.input, pair.output) if g is not None]
    return sum((g.shape[1] + 1) * g.shape[0] + 2 for g in grids)


def _pair_sets(path: Path) -> list[PairSet]:
    if path.name.endswith((".jsonl.gz", ".jsonl")):
        unusable: list[str] = []
        sets = list(read_pairs(path, refused=unusable.append))
        if unusable:
            print(f"{path.name}: {len(unusable)} pairs left out, the first: {unusable[0]}")
        return sets
    return [PairSet(task.id, _answered(task)) for task in read_tasks(path)]


def _answered(task: Task) -> tuple[Pair, ...]:
    return tuple(pair for pair in (*task.train, *task.test) if pair.output is not None)


def _spell_pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(
        f"{spell(pair.input)}:{spell(pair.output)}" for pair in pairs if pair.output is not None
    )


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
