"""Rules made of rules: seen from another side, or one after the other."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from arc.generators.drawing import turned
from arc.generators.family import Rule, family


def facing(rng: Random, rule: Rule) -> Rule:
    """The rule as seen from one of the four sides, the same side throughout a task."""
    turns = rng.randrange(4)
    rivals = [turned(turns, rival) for rival in rule.rivals]
    return Rule(lambda: np.rot90(rule.draw(), -turns), turned(turns, rule.apply), rivals)


def chained(first: Rule, then: Rule) -> Rule:
    """What the first rule makes, the second changes; neither of them alone is enough."""
    return Rule(
        first.draw,
        lambda cells: then.apply(first.apply(cells)),
        rivals=[
            first.apply,
            then.apply,
            *((lambda cells, rival=rival: then.apply(rival(cells))) for rival in first.rivals),
        ],
    )


def chain(
    name: str,
    first: Callable[[Random], Rule],
    then: Callable[[Random], Rule],
    *,
    held_out: bool = False,
) -> None:
    """A family whose tasks do what two families do, one after the other."""

    def start(rng: Random) -> Rule:
        return chained(first(rng), then(rng))

    one, other = first.__doc__ or "", then.__doc__ or ""
    start.__doc__ = f"{one} Then: {other[:1].lower()}{other[1:]}"
    family(name, concept="chain", held_out=held_out)(start)
