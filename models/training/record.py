"""The progress of a run, and the records of it that are written beside the finished base."""

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
PLACES = ("sources", "start_from")  # settings that may name places on a disk
LAST = 200  # the training loss is the mean over so many last steps


@dataclass
class Record:
    """The progress of a run and what it was begun with, as its checkpoints keep it."""

    settings: dict[str, Any]
    contents: list[str]  # sha256 of each source's content
    budget: dict[str, Any]  # the Budget that its learning rates follow
    begun_from: str | None = None  # sha256 of the weights it began from; None: random ones
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
        """Reads the losses that are still on the device, which waits for their steps."""
        import torch  # here, since the processes that draw batches import this module

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
        """The reached share of `peak`, in GFLOP/s: the speed of the machine's matrix products."""
        return self.flops / self.seconds / peak / 1e9 if self.seconds else 0.0


def trained_pairs(sources: Sequence[Source]) -> Fingerprints:
    """The fingerprints of every pair that can be drawn from files. Pairs that generators make are
    covered by the hash of their code."""
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
    """How the base was trained, without settings that may name a place on a disk."""
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
