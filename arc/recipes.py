"""Recipes: from which augmentations training draws, and how often it permutes colours too.

    recipe = Recipe(("symmetries", "size"), permuted=0.5)
    augmentation = recipe.draw(random.Random(0), task)

A recipe names groups of augmentations. All augmentations of its groups, and the identity, are
equally likely; one that would make a grid of the task too large is drawn again. The share
`permuted` of the draws also permutes colours and the order of demos. `mit` is what Akyurek et al.
(2024) train on at test time, with a share of one half: every augmentation of theirs comes once as
it is and once permuted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from arc.augment import Augmentation, random_permutation
from arc.steps import SIDES, SYMMETRIES
from arc.task import Task
from hone.errors import BadInput

_SOME_SHIFT = "shift"  # by how much is drawn too
_SHIFTS = 4  # by 0 to 3 rows and 0 to 3 columns, but not by nothing
_BY_KIND: dict[str, tuple[str, ...]] = {
    "symmetries": SYMMETRIES,
    "shift": (_SOME_SHIFT,),
    "mirror": tuple(f"mirror:{side}" for side in SIDES),
    "size": ("scale:2,2", "scale:2,1", "scale:1,2"),
    "tile": ("tile:2,1", "tile:1,2", "tile:2,2"),
    "chain": tuple(f"{turn}+scale:2,2" for turn in SYMMETRIES if turn != "identity"),
}
GROUPS = {**_BY_KIND, "mit": tuple(name for names in _BY_KIND.values() for name in names)}


@dataclass(frozen=True)
class Recipe:
    groups: tuple[str, ...] = ("symmetries",)
    permuted: float = 1.0  # share of draws that also permute colours and demos

    def __post_init__(self) -> None:
        for group in self.groups:
            if group not in GROUPS:
                raise BadInput(f"no augmentations {group!r}; there are: {', '.join(GROUPS)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names to draw from; the identity comes first, and always fits."""
        found: Iterable[str] = (name for group in self.groups for name in GROUPS[group])
        return tuple(dict.fromkeys(("identity", *found)))

    def draw(self, rng: Random, task: Task) -> Augmentation:
        """An augmentation under which the task still fits."""
        chosen = self._chosen(rng)
        while not chosen.fits(task):
            chosen = self._chosen(rng)
        if self.permuted < 1 and rng.random() >= self.permuted:
            return chosen
        return chosen.then(random_permutation(rng, len(task.train)))

    def _chosen(self, rng: Random) -> Augmentation:
        name = rng.choice(self.names)
        if name == _SOME_SHIFT:
            rows, columns = divmod(rng.randrange(1, _SHIFTS * _SHIFTS), _SHIFTS)
            name = f"shift:{rows},{columns}"
        return Augmentation.parse(name)


USUAL = Recipe()
