"""Streams of queries, and the share of them that each eviction policy answers without training.

Three streams are random: `popular`, topics asked by Zipf's law; `phases`, four periods with
different favourite topics; `visits`, favourite topics between topics that occur once. A fourth is a
file of questions, clustered by topic and asked in sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client.policies import STRATEGIES
from eval.cache_replay import Costs, replay
from eval.cache_sweep import cosines_of
from eval.sessions import sessions

Vectors = npt.NDArray[np.float32]
_DIMENSION, _NOISE, _LIKE = 64, 0.25, 0.8  # two queries of one topic have a cosine of about 0.94
_LIKE_TEXTS = 0.6


def hit_rates(
    texts: Path | None, queries: int, size: int, seed: int
) -> dict[str, dict[str, float]]:
    streams = {name: (vectors, _LIKE) for name, vectors in drawn_streams(queries, seed).items()}
    if texts is not None:
        streams["texts"] = (_clustered(texts, queries, seed), _LIKE_TEXTS)
    return {name: _by_strategy(*stream, size, seed) for name, stream in streams.items()}


def drawn_streams(queries: int, seed: int) -> dict[str, Vectors]:
    rng = np.random.default_rng(seed)
    popular = rng.zipf(1.3, queries) % 200
    phase = np.arange(queries) * 4 // queries
    phases = rng.zipf(1.5, queries) % 40 + 40 * phase
    once = 1000 + np.arange(queries)
    visits = np.where(rng.random(queries) < 0.5, rng.integers(0, 12, queries), once)
    topics = {"popular": popular, "phases": phases, "visits": visits}
    return {name: _near(rng, numbers) for name, numbers in topics.items()}


def _near(rng: np.random.Generator, topics: npt.NDArray[np.int64]) -> Vectors:
    centres = rng.normal(size=(int(topics.max()) + 1, _DIMENSION))
    noise = _NOISE * rng.normal(size=(len(topics), _DIMENSION))
    return (centres[topics] + noise).astype(np.float32)


def _clustered(texts: Path, queries: int, seed: int) -> Vectors:
    from eval.cache_stream import read_stream
    from models.embedder import open_embedder

    stream = read_stream(texts, most=queries)
    vectors = open_embedder("minilm").embed([asked.query for asked in stream])
    return vectors[sessions(vectors, seed)]


def _by_strategy(vectors: Vectors, threshold: float, size: int, seed: int) -> dict[str, float]:
    cosines, costs = cosines_of(vectors), _drawn_costs(len(vectors), seed)

    def rate(strategy: str) -> float:
        how = replay(cosines, costs, size=size, threshold=threshold, strategy=strategy, seed=seed)
        return round(how.hit_rate, 4)

    return {strategy: rate(strategy) for strategy in STRATEGIES}


def _drawn_costs(queries: int, seed: int) -> Costs:
    """Training costs of equal size, with times from half a typical training to twice as long."""
    rng = np.random.default_rng(seed)
    seconds: Sequence[float] = (2.0 ** rng.uniform(-1, 1, queries)).tolist()
    return Costs(seconds, [1_000_000] * queries)
