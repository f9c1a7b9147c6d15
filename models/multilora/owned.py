"""Which slot each token of a line belongs to; the tokens are sorted by slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch


@dataclass(frozen=True)
class Owned:
    """The tokens of slot k end at `ends[k]`, where those of the next slot begin."""

    ends: tuple[int, ...]

    @classmethod
    def counted(cls, counts: Sequence[int]) -> Owned:
        return cls(tuple(accumulate(counts)))

    @cached_property
    def spans(self) -> list[tuple[int, int, int]]:
        """(slot, first token, token after the last) of every slot that has tokens."""
        starts = (0, *self.ends[:-1])
        return [(k, a, b) for k, (a, b) in enumerate(zip(starts, self.ends, strict=True)) if b > a]

    @cached_property
    def ends_there(self) -> torch.Tensor:
        """`ends` as a tensor, for the C++ to read."""
        return torch.tensor(self.ends, dtype=torch.long)

    def within(self, start: int, stop: int) -> Owned:
        """The same for the tokens from `start` to `stop` alone."""
        return Owned(tuple(min(max(end, start), stop) - start for end in self.ends))

    @cached_property
    def even(self) -> slice | None:
        """The slots that have tokens, if they are neighbours with equally many each; else None."""
        spans = self.spans
        if not spans or len({b - a for _, a, b in spans}) > 1:
            return None
        first, last = spans[0][0], spans[-1][0]
        return slice(first, last + 1) if last - first + 1 == len(spans) else None
