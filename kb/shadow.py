"""The shadow: a copy of the vectors in bf16, and how far scores computed from it can be off.

bf16 takes half the memory of float32, and processors that multiply it do so at least twice as fast.
A score s of the shadow is not the exact score, but its error is bounded:

    |<x, q> - s|  <=  r |q| + (X + r) |q - q'| + 2 d 2^-23 (X + r) (|q| + |q - q'|) + |s| / 255

where q' is the query q in bf16, d the dimension, r the largest |x - x'| and X the largest |x| over
all vectors x and their copies x' (Cauchy and Schwarz, twice). The third term bounds the rounding of
two float32 sums of d products: s, and the score that is computed in the end. The last term applies
where s itself comes in bf16, which has 8 significant bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kb.faiss_scan import load_faiss
from kb.vector_file import VectorFile

Floats = npt.NDArray[np.float64]

SPARE = 32  # rows of zeros after the last, so that groups of rows can be whole
_AT_ONCE = 16384  # rows
_ROUNDED = 1.001  # margin for lengths that are computed in float32
_STEP = 2.0**-23  # relative, of float32
_OF_SCORE = 1 / 255  # relative error of a score in bf16
_SHORTEST, _LONGEST = 2.0**-50, 2.0**50  # products of such lengths stay in float32's range


@dataclass(frozen=True)
class Shadow:
    codes: Any  # FAISS's index, which owns the memory
    rows: torch.Tensor  # [vectors + SPARE, dimension] bf16, in the same memory
    lost: float  # upper bound of |x - x'|
    longest: float  # upper bound of |x|

    @classmethod
    def of(cls, vectors: VectorFile) -> Shadow | None:
        """Copies the vectors, releasing their pages; None where their lengths are out of range."""
        codes, rows = _empty(*vectors.shape)
        vectors.run(range(vectors.shape[0]))  # checks the whole file, on all processors
        lost = longest = torch.zeros(())
        for run in vectors.runs(_AT_ONCE):
            exact = torch.tensor(vectors.run(run))
            own = rows[run.start : run.stop].copy_(exact)
            lost = torch.maximum(lost, _longest(exact - own))
            longest = torch.maximum(longest, _longest(exact))
            vectors.give_back()
        made = cls(codes, rows, _ROUNDED * float(lost), _ROUNDED * float(longest))
        return made if _SHORTEST < made.longest < _LONGEST else None

    def cutoffs(self, queries: torch.Tensor, scores: Floats, *, in_bf16: bool) -> Floats:
        """[queries] the cutoffs of shadow scores: if k rows of a query have a shadow score of at
        least `scores` [queries], no row below the query's cutoff is among its k nearest."""
        rounded = _OF_SCORE if in_bf16 else 0.0
        off = self.off(queries, queries.bfloat16())
        truly = scores - rounded * np.abs(scores) - off  # exact scores of those k rows, at least
        same = truly - off
        cutoffs: Floats = same / (1 + np.copysign(rounded, same))
        return cutoffs

    def off(self, queries: torch.Tensor, multiplied: torch.Tensor) -> Floats:
        """[queries] how far shadow scores can be off, apart from their own rounding to bf16. NaN,
        which no score reaches, where a query's length is out of range."""
        length = queries.double().norm(dim=1).numpy()
        lost = (queries.double() - multiplied).norm(dim=1).numpy()
        reach = self.longest + self.lost
        sums = 2 * queries.shape[1] * _STEP * reach * (length + lost)
        within = (length > _SHORTEST) & (length < _LONGEST)
        found: Floats = np.where(within, self.lost * length + reach * lost + sums, np.nan)
        return found


def most_candidates(k: int) -> int:
    """From this many candidates on, reading them is no faster than reading all vectors."""
    return 8 * k + 1024


def _empty(count: int, dimension: int) -> tuple[Any, torch.Tensor]:
    """An empty bf16 index of FAISS, and its memory as a tensor."""
    faiss = load_faiss()
    kind, metric = faiss.ScalarQuantizer.QT_bf16, faiss.METRIC_INNER_PRODUCT
    codes = faiss.IndexScalarQuantizer(dimension, kind, metric)
    size = 2 * (count + SPARE) * dimension  # bytes
    codes.codes.resize(size)
    codes.ntotal = count
    memory = torch.from_numpy(faiss.rev_swig_ptr(codes.codes.data(), size))
    rows: torch.Tensor = memory.view(torch.bfloat16).view(count + SPARE, dimension)
    return codes, rows


def _longest(rows: torch.Tensor) -> torch.Tensor:
    longest: torch.Tensor = torch.linalg.vector_norm(rows, dim=1).max()
    return longest
