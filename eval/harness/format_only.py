"""Samples that show how answers look and nothing else: drawn at random, with each other's answers.

An adapter trained on them is the control of test-time training. A scorer that rewards a form
(`#### 42`) is satisfied by it as well as by one that has learned something of the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kb.wire import Hit, Retriever

_DIRECTIONS = 4  # drawn for each sample: some records are the nearest of many


def format_samples(retriever: Retriever, count: int, seed: int) -> list[Hit]:
    """Records nearest to random directions; fewer than `count` where there are no more."""
    directions = np.random.default_rng(seed).standard_normal(
        (_DIRECTIONS * count, retriever.info().dimension), dtype=np.float32
    )
    found = retriever.search(directions, 1, method="faiss")
    drawn = {hit.id: hit for hits in found for hit in hits if hit.kind == "text"}
    hits = list(drawn.values())[:count]
    return [hit.model_copy(update={"answer": hits[i - 1].answer}) for i, hit in enumerate(hits)]
