"""The interface of embedders, which turn a query into a vector: for text and for ARC tasks alike.

`open_embedder("arc")` is the built-in ARC embedder, `open_embedder("minilm")` the packaged
all-MiniLM-L6-v2; any other name is a sentence-transformers folder or hub id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arc.task import Task

Vectors = npt.NDArray[np.float32]  # [n, dimension], unit rows
Query = str | Task


class Embedder(Protocol):
    name: str  # the name that open_embedder() takes for it
    kind: str  # "text" or "arc": which queries it reads
    dimension: int
    fingerprint: str  # changes whenever a vector could change; client and server compare it

    def embed(self, queries: Sequence[Query], *, progress: bool = False) -> Vectors: ...


def open_embedder(name: str) -> Embedder:
    if name == "arc":
        from models.arc_embedder import ArcEmbedder

        return ArcEmbedder()
    from models.text_embedder import TextEmbedder

    return TextEmbedder(name)
