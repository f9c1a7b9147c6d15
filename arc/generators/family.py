"""A family: a way of drawing tasks that all ask for the same kind of thinking.

A family is one short function. Given a random source it settles what is the same throughout one
task (which colour, which direction) and returns a `Rule`: how to draw an input, and what to make of
it. The registry fills as the concept modules are imported.

    @family("gravity", concept="gravity")
    def gravity(rng: Random) -> Rule: ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from arc.grid import COLOURS, Grid, frozen, same
from arc.task import Pair, Task
from hone.errors import BadInput

Change = Callable[[Grid], Grid]


@dataclass(frozen=True)
class Rule:
    draw: Callable[[], Grid]  # an input of this task
    apply: Change  # its output, from the input alone
    rivals: Sequence[Change] = ()  # other readings; a task shows a demo that refutes each


@dataclass(frozen=True)
class Family:
    name: str
    concept: str
    held_out: bool  # kept from training and from knowledge bases, so that it can measure
    start: Callable[[Random], Rule]

    @property
    def says(self) -> str:
        """What its tasks ask for, in a sentence or two."""
        return " ".join((self.start.__doc__ or "").split())


FAMILIES: dict[str, Family] = {}


def family(
    name: str, *, concept: str, held_out: bool = False
) -> Callable[[Callable[[Random], Rule]], Callable[[Random], Rule]]:
    def register(start: Callable[[Random], Rule]) -> Callable[[Random], Rule]:
        if name in FAMILIES:
            raise RuntimeError(f"two families are called {name}")
        FAMILIES[name] = Family(name, concept, held_out, start)
        return start

    return register


def training_families() -> list[Family]:
    return [found for _, found in sorted(FAMILIES.items()) if not found.held_out]


def held_out_families() -> list[Family]:
    return [found for _, found in sorted(FAMILIES.items()) if found.held_out]


def held_out_tasks(count: int, seed: int) -> list[Task]:
    """Tasks of held-out families, each family once before any comes again."""
    families, rng = held_out_families(), Random(seed)
    rounds = -(-count // len(families))
    chosen = [f for _ in range(rounds) for f in rng.sample(families, len(families))][:count]
    return [sample_task(found, rng.getrandbits(32)) for found in chosen]


def sample_task(chosen: Family, seed: int, demos: int = 3) -> Task:
    """The task that `seed` draws: inputs all different, no output equal to its input, not one
    output for all, and no other reading of its rule that all demos allow."""
    return sample_with_rule(chosen, seed, demos)[0]


def sample_with_rule(chosen: Family, seed: int, demos: int = 3) -> tuple[Task, Rule]:
    """The task and the rule that made it, which can answer further inputs."""
    if demos < 1:
        raise BadInput(f"{demos} demos were asked for; a task has at least 1")
    rng = Random(f"{chosen.name}:{seed}")
    for _ in range(100):
        rule = on_ground(_ground(rng, chosen), chosen.start(rng))
        pairs = _distinct_pairs(rule, demos + 1)
        if pairs is not None and _refuted(rule.rivals, pairs[:-1]):
            task = Task(f"{chosen.name}-{seed}", tuple(pairs[:-1]), (pairs[-1],))
            return task, rule
    raise BadInput(
        f"family {chosen.name} drew no task with {demos} demos in 100 tries; ask for another number"
    )


def on_ground(ground: int, rule: Rule) -> Rule:
    """The same rule with `ground` in the place of black, and black in the place of `ground`."""
    if ground == 0:
        return rule
    table = np.arange(COLOURS, dtype=np.uint8)
    table[[0, ground]] = ground, 0

    def exchanged(change: Change) -> Change:
        return lambda cells: table[change(table[cells])]

    rivals = [exchanged(rival) for rival in rule.rivals]
    return Rule(lambda: table[rule.draw()], exchanged(rule.apply), rivals)


def _ground(rng: Random, chosen: Family) -> int:
    """Black for three tasks of four; always for families held out, so that a seed goes on drawing
    the tasks that scores were published on."""
    return 0 if chosen.held_out or rng.random() < 0.75 else rng.randrange(1, COLOURS)


def _refuted(rivals: Sequence[Change], demos: Sequence[Pair]) -> bool:
    """Whether each of the other readings fails on some demo; of a single one that is too much."""
    return len(demos) == 1 or all(
        any(not same(rival(demo.input), demo.output) for demo in demos) for rival in rivals
    )


def _distinct_pairs(rule: Rule, count: int) -> list[Pair] | None:
    found: list[Pair] = []
    for _ in range(20 * count):
        cells = frozen(rule.draw())
        made = frozen(rule.apply(cells))
        if same(cells, made) or any(same(cells, pair.input) for pair in found):
            continue
        found.append(Pair(cells, made))
        if len(found) == count:
            varied = any(not same(pair.output, made) for pair in found)
            return found if varied else None
    return None
