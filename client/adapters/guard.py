"""The quality guard: a stored adapter answers only if it beats the base on a sample.

    verdict = Guard(base, bounds).verdict(sample, adapter)
    verdict.beats, verdict.loss, verdict.base_loss

For an ARC task the sample is made from the query's own demos. A text query contains no answer, and
retrieving a sample from the server would cost what reuse saves, so the sample is one that was
stored with the adapter: the nearest of its training samples. It detects adapters that learned
nothing or diverged; whether the adapter suits the query is left to the similarity threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from arc.formats import IGNORED, Encoded

if TYPE_CHECKING:
    from client.jobs import Item
    from models.base import Base
    from models.decoding.write import Bounds
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class Verdict:
    """Mean loss on the sample's answer, with the adapter and without."""

    loss: float
    base_loss: float

    @property
    def beats(self) -> bool:
        return self.loss < self.base_loss

    def told(self) -> dict[str, float]:
        return {"loss": round(self.loss, 5), "base_loss": round(self.base_loss, 5)}


class Guard:
    def __init__(
        self, base: Base, bounds: Callable[[], Bounds], below: AdapterFiles | None = None
    ) -> None:
        """`below` is the shared adapter, which takes the base's place if there is one."""
        self.base, self.bounds, self.below = base, bounds, below

    def verdict(self, sample: Encoded, adapter: AdapterFiles) -> Verdict:
        return Verdict(self.loss(sample, adapter), self.loss(sample, self.below))

    def loss(self, sample: Encoded, adapter: AdapterFiles | None) -> float:
        """Mean loss over the answer's tokens, with the adapter, or of the base if it is None."""
        from models.decoding.score import score
        from models.multilora.bank import bank_of

        begin = _answer_begins(sample)
        prompt = Encoded(sample.ids[:begin], sample.positions[:begin], sample.labels[:begin])
        answer = sample.ids[begin:].tolist()
        with bank_of(self.base.model, [] if adapter is None else [adapter]) as bank:
            ((logs,),) = score(
                self.base.model,
                _AsItStands(sample, begin),
                [prompt],
                [[answer]],
                slots=[0],
                bank=bank,
                bounds=self.bounds(),
            )
        return -sum(logs) / len(logs)


def first_sample(items: Sequence[Item]) -> Encoded | None:
    """The first item with an answer, to test the adapter that is trained on these items."""
    return next((i.encoded for i in items if _answer_begins(i.encoded) < len(i.encoded)), None)


def sample_as_json(sample: Encoded) -> dict[str, Any]:
    """The sample as it is stored with an adapter."""
    return {
        "ids": sample.ids.tolist(),
        "positions": sample.positions.tolist(),
        "answer_begins": _answer_begins(sample),
    }


def sample_from_json(told: Any) -> Encoded | None:
    """The stored sample; None if there is none or it cannot be read."""
    try:
        ids, positions = (np.array(told[name], dtype=np.int64) for name in ("ids", "positions"))
        begin = int(told["answer_begins"])
    except (KeyError, TypeError, ValueError):
        return None
    if not 0 < begin < len(ids) == len(positions):
        return None
    return Encoded(ids, positions, np.where(np.arange(len(ids)) < begin, IGNORED, ids))


def _answer_begins(sample: Encoded) -> int:
    """Index of the answer's first token: after the last token without a label, or the second token
    if all have labels."""
    ignored = np.flatnonzero(sample.labels == IGNORED)
    return int(ignored[-1]) + 1 if len(ignored) else 1


@dataclass
class _AsItStands:
    """A format for `score` whose answer tokens have the positions that they have in the sample."""

    sample: Encoded
    begin: int
    stop: int = -1  # no token: the answer is given

    def cursor(self, prompt: Encoded) -> _Places:
        return _Places(iter(self.sample.positions[self.begin :].tolist()))


@dataclass(frozen=True)
class _Places:
    left: Iterator[int]

    def advance(self, token: int) -> int:
        return next(self.left)
