"""A family: a way of drawing tasks that all ask for the same kind of thinking.

A family is one short function. Given a random source it settles what is the same throughout one
task (which colour, which direction) and returns a `Rule`: how to draw an input, and what to make of
it. The registry fills as the concept modules are imported.

    @family("gravity", concept="gravity")
    def _(rng: Random) -> Rule: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from arc.grid import Grid
from arc.task import Pair, Task


@dataclass(frozen=True)
class Rule:
    draw: Callable[[], Grid]  # an input of this task
    apply: Callable[[Grid], Grid]  # its output


@dataclass(frozen=True)
class Family:
    name: str
    concept: str
    held_out: bool  # kept from training and from knowledge bases, so that it can measure
    start: Callable[[Random], Rule]


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


def sample_task(chosen: Family, seed: int, demos: int = 3) -> Task:
    """The task that `seed` draws: inputs all different, and no output equal to its input unless
    the rule has nothing else to offer."""
    rng = Random(f"{chosen.name}:{seed}")
    for _ in range(100):
        rule = chosen.start(rng)
        pairs = _distinct_pairs(rule, demos + 1)
        if pairs is not None:
            return Task(f"{chosen.name}-{seed}", tuple(pairs[:-1]), (pairs[-1],))
    raise RuntimeError(f"family {chosen.name} cannot draw {demos + 1} different inputs")


def _distinct_pairs(rule: Rule, count: int) -> list[Pair] | None:
    found: dict[tuple[tuple[int, ...], bytes], Pair] = {}
    for _ in range(20 * count):
        cells = rule.draw()
        made = rule.apply(cells)
        if cells.shape == made.shape and (cells == made).all():
            continue
        found.setdefault((cells.shape, cells.tobytes()), Pair(cells, made))
        if len(found) == count:
            return list(found.values())
    return None
