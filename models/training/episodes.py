"""Draws endless batches of ARC episodes from sources, to train a base on.

An episode is a few demos and a question that follow one rule, under a random symmetry and random
colours. An episode without demos is the question alone, preceded by the number of its task's
vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

from arc.augment import random_augmentation
from arc.canvas import VOCABULARY, CanvasFormat
from arc.formats import Encoded
from arc.generators import Family, held_out_families, sample_task
from arc.task import Task
from hone.errors import BadInput
from models.training.settings import WITHOUT_DEMOS
from models.training.sources import Source

GENERATED, NAMED = 96, 48  # questions to measure on: from all families, and from each named source


class Episodes:
    """Draws encoded episodes from weighted sources; the same seed draws the same episodes."""

    def __init__(
        self,
        sources: Sequence[Source],
        max_tokens: int,
        form: CanvasFormat,
        mode: str = "in_context",
    ) -> None:
        self.sources, self.max_tokens, self.form = list(sources), max_tokens, form
        self.weights = [source.weight for source in sources]
        self.without_demos = WITHOUT_DEMOS[mode]
        self.alone = CanvasFormat(form.positions, "pair")
        *self.firsts, self.tasks = accumulate((len(one.sets) for one in sources), initial=0)

    def draw(self, rng: Random) -> Encoded:
        """One episode that fits into `max_tokens`. Where a task is too long, demos are left out
        before another task is drawn."""
        for _ in range(1000):
            (place,) = rng.choices(range(len(self.sources)), self.weights)
            if self.without_demos and rng.random() < self.without_demos:
                fitting = self._question_alone(place, rng)
            else:
                fitting = self._fit(self.sources[place].draw(rng), rng)
            if fitting is not None:
                return fitting
        raise BadInput(f"no task of 1000 fits into {self.max_tokens} tokens; raise --max_tokens")

    def batch(self, seed: str, tokens: int) -> list[Encoded]:
        """Episodes of at least `tokens` tokens in all. The last one is kept whole, since leaving it
        out would draw long episodes too rarely."""
        rng, rows, drawn = Random(seed), [], 0
        while drawn < tokens:
            rows.append(self.draw(rng))
            drawn += len(rows[-1])
        return rows

    def _fit(self, task: Task, rng: Random) -> Encoded | None:
        demos = rng.randint(2, max(2, len(task.train)))
        varied = _varied(task, rng)
        for count in range(min(demos, len(task.train)), 0, -1):
            fewer = Task(task.id, varied.train[:count], varied.test)
            if _length(fewer) <= self.max_tokens:
                return self.form.example(fewer, every_output=True)
        return None

    def _question_alone(self, place: int, rng: Random) -> Encoded | None:
        """A pair of one of the source's tasks, without demos. TASK is replaced by the number of the
        task's vector, counted from the vocabulary's end (packed_llama.py adds the vector)."""
        source = self.sources[place]
        number = rng.randrange(len(source.sets))
        pair = rng.choice(source.sets[number].pairs)
        row = self.alone.example(_varied(Task(source.sets[number].id, (), (pair,)), rng))
        if len(row) > self.max_tokens:
            return None
        ids = row.ids.copy()
        ids[0] = VOCABULARY + self.firsts[place] + number
        return dataclasses.replace(row, ids=ids)


def _varied(task: Task, rng: Random) -> Task:
    return random_augmentation(rng, len(task.train), keep_zero=rng.random() < 0.7).apply(task)


def open_tests(
    kept_out: Sequence[Source], max_tokens: int, form: CanvasFormat
) -> dict[str, list[Encoded]]:
    """Questions that are never trained on, from held-out families and kept-out named tasks."""
    tests = {"held_out_families": held_out_episodes(GENERATED, max_tokens, form)}
    for source in kept_out:
        tests[Path(source.name).name] = kept_out_episodes(source, NAMED, max_tokens, form)
    return {name: rows for name, rows in tests.items() if rows}


def held_out_episodes(
    count: int, max_tokens: int, form: CanvasFormat, families: Sequence[Family] = ()
) -> list[Encoded]:
    """The same questions every time, from held-out families; only the answer is labelled."""
    chosen = list(families) or held_out_families()
    tasks = (sample_task(chosen[i % len(chosen)], 10_000_000 + i) for i in range(count))
    return [form.example(task) for task in tasks if _length(task) <= max_tokens]


def kept_out_episodes(
    source: Source, count: int, max_tokens: int, form: CanvasFormat
) -> list[Encoded]:
    """The same questions every time, from named tasks that are never trained on."""
    rng = Random("kept out")
    drawn = (source.draw(rng) for _ in range(20 * count))
    fitting = [form.example(task) for task in drawn if _length(task) <= max_tokens]
    return fitting[:count]


def _length(task: Task) -> int:
    pairs = [*task.train, *task.test]
    grids = [g for pair in pairs for g in (pair.input, pair.output) if g is not None]
    return sum((g.shape[1] + 1) * g.shape[0] + 2 for g in grids)
