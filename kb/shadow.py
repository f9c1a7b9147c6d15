"""The vectors once more, in bf16, and how far scores that are computed from them can be off.

A number takes half the memory, and processors that multiply bf16 do so twice as fast as float32 or
faster. A score s of the shadow is no score of the vectors, but it is never far from it:

    |<x, q> - s|  <=  r |q| + (X + r) |q - q'| + 2 d 2^-23 (X + r) (|q| + |q - q'|) + |s| / 255

where q' is q in bf16, r the longest |x - x'| and X the longest |x| of all vectors (Cauchy and
Schwarz, twice). The third term is for d sums in float32, of s and of the score that is computed in
the end; the last is there where s comes in bf16, which has 8 significant bits.
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

SPARE = 32  # rows of zeros behind the last, so that groups of rows can be whole
_AT_ONCE = 16384  # rows
_ROUNDED = 1.001  # lengths are computed in float32
_STEP = 2.0**-23  # of float32
_OF_SCORE = 1 / 255
_SHORTEST, _LONGEST = 2.0**-50, 2.0**50  # lengths between which no product leaves float32's range


@dataclass(frozen=True)
class Shadow:
    codes: Any  # FAISS's index, which holds the memory
    rows: torch.Tensor  # [vectors + SPARE, dimension] bf16, the same memory
    lost: float  # |x - x'| at most
    longest: float  # |x| at most

    @classmethod
    def of(cls, vectors: VectorFile) -> Shadow | None:
        """Of vectors that are read once and given back; None where lengths are out of range."""
        codes, rows = _empty(*vectors.shape)
        vectors.run(range(vectors.shape[0]))  # all of it is checked, by all processors
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
        """The least score of any row that is really as near as each of those rows that the shadow
        gives at least this score, a query each."""
        rounded = _OF_SCORE if in_bf16 else 0.0
        off = self.off(queries, queries.bfloat16())
        truly = scores - rounded * np.abs(scores) - off  # what those rows have at least
        same = truly - off
        cutoffs: Floats = same / (1 + np.copysign(rounded, same))
        return cutoffs

    def off(self, queries: torch.Tensor, multiplied: torch.Tensor) -> Floats:
        """How far scores can be off, but for their own rounding to bf16; nan, which no score
        reaches, where a query's length is out of range."""
        length = queries.double().norm(dim=1).numpy()
        lost = (queries.double() - multiplied).norm(dim=1).numpy()
        reach = self.longest + self.lost
        sums = 2 * queries.shape[1] * _STEP * reach * (length + lost)
        within = (length > _SHORTEST) & (length < _LONGEST)
        found: Floats = np.where(within, self.lost * length + reach * lost + sums, np.nan)
        return found


def most_candidates(k: int) -> int:
    """From here on looking candidates up is no faster than looking at all vectors."""
    return 8 * k + 1024


def _empty(count: int, dimension: int) -> tuple[Any, torch.Tensor]:
    """FAISS's codes in bf16, and the same as torch has them."""
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
