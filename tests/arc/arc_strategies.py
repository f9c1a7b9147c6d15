"""Grids, tasks and augmentations for the property tests."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from arc.augment import Augmentation, random_augmentation, symmetry
from arc.grid import Grid, frozen
from arc.recipes import GROUPS, Recipe
from arc.task import Pair, Task


@st.composite
def grids(draw: st.DrawFn, side: int = 30) -> Grid:
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    cells = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 10, (height, width))
    return frozen(cells)


@st.composite
def tasks(draw: st.DrawFn, demos: tuple[int, int] = (1, 4), side: int = 6) -> Task:
    pairs = st.builds(Pair, grids(side), grids(side))
    train = draw(st.lists(pairs, min_size=demos[0], max_size=demos[1]))
    return Task("abc", tuple(train), (draw(pairs),))


@st.composite
def augmentations(draw: st.DrawFn, demos: int) -> Augmentation:
    """Up to three random ones in a chain after a symmetry, and a shift: all can be undone."""
    seeds = draw(st.lists(st.integers(0, 2**32), max_size=3))
    chain = symmetry(draw(st.sampled_from(["identity", "rot90", "transpose"])))
    for seed in seeds:
        rng = random.Random(seed)
        chain = chain.then(random_augmentation(rng, demos, keep_zero=rng.random() < 0.5))
    rows, columns = draw(st.integers(0, 29)), draw(st.integers(0, 29))
    return chain.then(Augmentation.parse(f"shift:{rows},{columns}"))


LARGER = [name for group in ("mirror", "size", "tile", "chain") for name in GROUPS[group]]


@st.composite
def larger(draw: st.DrawFn) -> Augmentation:
    """One that makes grids larger, at most twice in a chain with a turn between."""
    names = draw(
        st.lists(st.sampled_from([*LARGER, "scale:1,3", "tile:3,1"]), min_size=1, max_size=2)
    )
    return Augmentation.parse("+rot90+".join(names))


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    groups = draw(st.lists(st.sampled_from(sorted(GROUPS)), max_size=3))
    return Recipe(tuple(groups), draw(st.sampled_from([0.0, 0.5, 1.0])))
