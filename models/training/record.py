"""What a run has done so far, and what is told of it beside the finished base."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arc.fingerprints import Fingerprints, fingerprints
from models.training.sources import Source

if TYPE_CHECKING:
    import torch

    from models.training.learner import Learned

TRAINING_DATA, PAIRS = "training_data.json", "trained_pairs.npy"
PLACES = ("sources", "start_from")  # settings that may name one
LAST = 200  # steps whose mean is the training loss


@dataclass
class Record:
    """Where a run stands: kept in its checkpoints, and what it was begun as."""

    settings: dict[str, Any]
    contents: list[str]  # of its sources
    budget: dict[str, Any]  # that its rates are taken from
    begun_from: str | None = None  # sha256 of the weights; None: chance
    steps: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    decaying: bool = False
    losses: list[float] = field(default_factory=list)
    held_out: list[dict[str, float]] = field(default_factory=list)
    _unread: list[torch.Tensor] = field(default_factory=list, init=False, repr=False)

    def add(self, learned: Learned) -> None:
        self.steps += 1
        self.tokens += learned.tokens
        self.flops += learned.flops
        self._unread.append(learned.loss)

    def spelled(self) -> dict[str, Any]:
        self.read()
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def read(self) -> None:
        """Waits for the steps whose losses are not known yet."""
        import torch  # not where batches are drawn

        if self._unread:
            self.losses += [round(loss, 4) for loss in torch.stack(self._unread).tolist()]
            self._unread = []

    @property
    def loss(self) -> float:
        self.read()
        last = self.losses[-LAST:]
        return sum(last) / len(last)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0

    def share_of(self, peak: float) -> float:
        """Of the `peak` GFLOP/s that the machine's products reach."""
        return self.flops / self.seconds / peak / 1e9 if self.seconds else 0.0


def trained_pairs(sources: Sequence[Source]) -> Fingerprints:
    """Of every pair that can be drawn from files; what generators make is covered by their code."""
    return fingerprints(pair for source in sources for found in source.sets for pair in found.pairs)


def training_data(sources: Sequence[Source], pairs: Fingerprints) -> dict[str, Any]:
    """What the base was trained on, by name and content."""
    total = sum(source.weight for source in sources)
    return {
        "sources": [
            {
                "name": Path(source.name).name,
                "share": round(source.weight / total, 4),
                "tasks": source.tasks,
                "pairs": sum(len(found.pairs) for found in source.sets),
                "sha256": source.content,
            }
            for source in sources
        ],
        "pairs": {
            "file": PAIRS,
            "fingerprint": "arc.fingerprints.pair_fingerprint",
            "count": len(pairs),
            "sha256": hashlib.sha256(pairs.tobytes()).hexdigest(),
        },
    }


def training_record(record: Record, parameters: int, device: str, peak: float) -> dict[str, Any]:
    """How the base was trained: all but what may be a place on a disk."""
    return {
        "parameters": parameters,
        "tokens": record.tokens,
        "steps": record.steps,
        "minutes": round(record.seconds / 60, 1),
        "tokens_per_second": round(record.tokens_per_second),
        "device": device,
        "gemm_peak_gflops": round(peak, 1),
        "share_of_peak": round(record.share_of(peak), 4),
        "train_loss": round(record.loss, 4),
        "held_out": record.held_out,
        "budget": record.budget,
        "begun_from": record.begun_from,
        "settings": {k: v for k, v in record.settings.items() if k not in PLACES},
    }
