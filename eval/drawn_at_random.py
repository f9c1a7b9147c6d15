"""Retrieves random records, which have nothing to do with the query: the control of retrieval.

Every record is equally likely. The choice depends on the seed and the query's vector. A shorter
list is the beginning of a longer one, as with the nearest records.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
import numpy.typing as npt

from hone.errors import BadInput
from kb.retriever import LocalRetriever, Vectors, options_of
from kb.store import Rows, Store
from kb.wire import Asked, Hit


class DrawnAtRandom(LocalRetriever):
    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store)
        self.seed = seed

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, **asked: Unpack[Asked]
    ) -> list[list[Hit]]:
        if asked.get("sources") is not None:
            raise BadInput("records are drawn from all sources; leave the list out")
        asked["method"] = "faiss"
        question = self.question(vectors, options_of(k, asked))
        rows = np.stack([self._drawn(query, question.reach) for query in question.queries])
        pairs = zip(question.queries, rows, strict=True)
        scores = np.stack([self.store.vectors(own) @ query for query, own in pairs])
        return self.hits(question, scores, rows)

    def _drawn(self, query: Vectors, many: int) -> Rows:
        words = np.frombuffer(query.astype("<f4").tobytes(), dtype="<u4")
        rng = np.random.default_rng([self.seed, *words.tolist()])
        return rng.permutation(self.store.manifest.records)[:many]
