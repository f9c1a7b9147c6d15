"""Replays a stream with every size, threshold and strategy, and summarizes each."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from eval.cache_replay import Costs, Replayed, replay
from hone.errors import BadInput

if TYPE_CHECKING:
    from eval.cache_quality import Quality
    from eval.cache_replay import Cosines
    from eval.cache_stream import Asked
    from eval.tune_cache import TuneCacheSettings
    from models.embedder import Vectors


@dataclass(frozen=True)
class Swept:
    size: int
    threshold: float
    strategy: str
    hit_rate: float
    quality: float  # share of training's gain that is kept; if not measured, mean similarity
    saved: float  # in seconds; if none are known, number of trainings
    most_mb: float  # most megabytes of adapters stored at once

    def __str__(self) -> str:
        return (
            f"size {self.size}, threshold {self.threshold:g}, {self.strategy}:"
            f" {self.hit_rate:.0%} hits, quality {self.quality:.3f}, {self.saved:.4g} saved"
        )


@dataclass(frozen=True)
class Sweep:
    """All settings, and the names of their quantities."""

    rows: Sequence[Swept]
    least_quality: float  # least quality of a recommended setting
    quality: str = "quality kept, of what training gains"
    saved: str = "Seconds saved"

    @property
    def trade(self) -> list[Swept]:
        """The settings that no other beats in both saving and quality, most saved first; of equal
        ones, the smallest store and then the highest threshold."""
        order = sorted(self.rows, key=lambda o: (-o.saved, -o.quality, o.size, -o.threshold))
        found: list[Swept] = []
        for one in order:
            if not found or one.quality > found[-1].quality:
                found.append(one)
        return found

    @property
    def best(self) -> Swept:
        """The setting that saves most among those that keep enough quality; if none does, the one
        that keeps most."""
        trade = self.trade
        return next((one for one in trade if one.quality >= self.least_quality), trade[-1])

    @property
    def strategies(self) -> list[str]:
        return list(dict.fromkeys(one.strategy for one in self.rows))

    def same_by(self, one: Swept) -> str:
        """The strategies with the same results at this size and threshold."""
        same = (other for other in self.rows if replace(other, strategy=one.strategy) == one)
        return self.named([other.strategy for other in same])

    def named(self, strategies: Sequence[str]) -> str:
        return "any" if len(strategies) == len(self.strategies) > 1 else ", ".join(strategies)


def replayed_measured(settings: TuneCacheSettings, stream: Sequence[Asked]) -> Sweep:
    from eval.cache_quality import open_quality

    if all(isinstance(asked.query, str) and asked.answer is None for asked in stream):
        raise BadInput(
            f"{settings.stream} holds no answers, so the loss by reuse cannot be measured; give"
            " --measure false"
        )
    with open_quality(settings, stream, settings.out_dir) as measured:
        costs = measured.train()
        cosines = cosines_of(measured.vectors)
        replays = _replays(settings, cosines, costs)
        gains = _gains(measured, [one for _, one in replays])
        rows = [_swept(how, one, costs, _share_kept(gains)) for how, one in replays]
    return Sweep(rows, settings.keep_quality)


def replayed_alone(settings: TuneCacheSettings, stream: Sequence[Asked]) -> Sweep:
    """Replays with vectors only, and the training times that were recorded."""
    cosines = cosines_of(vectors_of(settings, stream))
    known = [asked.seconds for asked in stream if asked.seconds is not None]
    usual_seconds = sum(known) / len(known) if known else 1.0
    seconds = [usual_seconds if one.seconds is None else one.seconds for one in stream]
    costs = Costs(seconds, [1] * len(stream))

    def likeness(one: Replayed) -> float:
        return float(np.mean([cosines[i, j] for i, j in enumerate(one.served)]))

    replays = _replays(settings, cosines, costs)
    return Sweep(
        [_swept(how, one, costs, likeness) for how, one in replays],
        settings.keep_quality,
        quality="mean likeness of what answers",
        saved="Seconds saved" if known else "Trainings saved",
    )


def in_sessions(settings: TuneCacheSettings, stream: Sequence[Asked]) -> list[Asked]:
    from eval.sessions import sessions

    return [stream[i] for i in sessions(vectors_of(settings, stream), settings.seed)]


def vectors_of(settings: TuneCacheSettings, stream: Sequence[Asked]) -> Vectors:
    from eval.cache_stream import kind_of
    from models.embedder import open_embedder

    usual = "minilm" if kind_of(stream) == "text" else "arc"
    embedder = open_embedder(usual if settings.embedder == "auto" else settings.embedder)
    return embedder.embed([asked.query for asked in stream])


def cosines_of(vectors_ND: Vectors) -> Cosines:
    unit = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, dtype=np.float32)


_How = tuple[int, float, str]  # size, threshold, strategy


def _replays(
    settings: TuneCacheSettings, cosines: Cosines, costs: Costs
) -> list[tuple[_How, Replayed]]:
    every = product(settings.sizes, settings.thresholds, settings.strategies)
    limits = {"most_bytes": settings.local_adapter_manager_mb << 20, "seed": settings.seed}
    return [
        (
            (size, threshold, strategy),
            replay(cosines, costs, size=size, threshold=threshold, strategy=strategy, **limits),
        )
        for size, threshold, strategy in every
    ]


# (i, j): by how much the adapter of query j lowers the base's loss on query i
_Gains = dict[tuple[int, int], float]


def _gains(measured: Quality, replays: Sequence[Replayed]) -> _Gains:
    """The gains of all pairs that occur under any setting. Each pair is measured once."""
    from tqdm import tqdm

    pairs = sorted({pair for one in replays for pair in enumerate(one.served)})
    pairs = sorted({*pairs, *((i, i) for i in range(len(measured.stream)))})
    found: _Gains = {}
    for i, j in tqdm(pairs, unit="pair", desc="losses", disable=None):
        base, served = measured.loss(i, None), measured.loss(i, j)
        if base is not None and served is not None:
            found[i, j] = base - served
    return found


def _share_kept(gains: _Gains) -> Callable[[Replayed], float]:
    """A function that computes the share of training's gain that a replay keeps. Gains are summed
    over the stream, so that queries without a gain have no weight. If training gains nothing at
    all, the share is 1 if the replay loses nothing either, else 0."""

    def share(one: Replayed) -> float:
        known = [(i, j) for i, j in enumerate(one.served) if (i, j) in gains and (i, i) in gains]
        kept, own = sum(gains[pair] for pair in known), sum(gains[i, i] for i, _ in known)
        return kept / own if own > 0 else float(kept >= own)

    return share


def _swept(how: _How, one: Replayed, costs: Costs, quality: Callable[[Replayed], float]) -> Swept:
    saved = sum(costs.seconds[i] for i, _ in one.hits)
    rates = (round(one.hit_rate, 4), round(quality(one), 4), round(saved, 3))
    return Swept(*how, *rates, most_mb=round(one.most_bytes / 1e6, 3))


def markdown(sweep: Sweep) -> str:
    """A table of the settings that no other beats. The CSV has all settings."""
    lines = [
        f"| {one.size} | {one.threshold:g} | {sweep.same_by(one)} | {one.hit_rate:.1%}"
        f" | {one.quality:.3f} | {one.saved:.4g} | {one.most_mb or ''}"
        f" | {'recommended' if one == sweep.best else ''} |"
        for one in sweep.trade
    ]
    head = f"| size | threshold | strategy | hits | quality | {sweep.saved.lower()} | MB | |"
    return "\n".join([head, "|---:|---:|---|---:|---:|---:|---:|---|", *lines])


def as_csv(swept: Sequence[Swept]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, asdict(swept[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(one) for one in swept)
    return text.getvalue()
