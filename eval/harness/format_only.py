"""Samples that teach only what answers look like: random records with each other's answers.

An adapter trained on them is the control of test-time training. A scorer that rewards a form (`####
42`) is satisfied by it as well as by an adapter that learned something about the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kb.wire import Hit, Retriever

_DIRECTIONS = 4  # random directions per sample, since some records are the nearest to many


def format_samples(retriever: Retriever, count: int, seed: int) -> list[Hit]:
    """The records nearest to random directions; fewer than `count` if there are no more."""
    directions = np.random.default_rng(seed).standard_normal(
        (_DIRECTIONS * count, retriever.info().dimension), dtype=np.float32
    )
    found = retriever.search(directions, 1, method="faiss")
    drawn = {hit.id: hit for hits in found for hit in hits if hit.kind == "text"}
    hits = list(drawn.values())[:count]
    return [hit.model_copy(update={"answer": hits[i - 1].answer}) for i, hit in enumerate(hits)]
