"""Grids, tasks and augmentations for the property tests."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from arc.augment import Augmentation, random_augmentation, symmetry
from arc.grid import Grid, frozen
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
    """Up to three random ones in a chain, and a symmetry between."""
    seeds = draw(st.lists(st.integers(0, 2**32), max_size=3))
    chain = symmetry(draw(st.sampled_from(["identity", "rot90", "transpose"])))
    for seed in seeds:
        rng = random.Random(seed)
        chain = chain.then(random_augmentation(rng, demos, keep_zero=rng.random() < 0.5))
    return chain
