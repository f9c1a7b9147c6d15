"""What is recorded about a query: training and hits in its trace, its name with its adapter."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.jobs import Training
    from kb.wire import Hit
    from models.embedder import Query

_SHOWN = 80  # most characters of a text query


def told_training(training: Training, run: dict[str, Any]) -> dict[str, Any]:
    """The course of the training, and the seat that a replay of the run needs."""
    seat = {
        **run,
        "job": training.job,
        "slot": training.slot,
        "entered_at": training.entered_at,
        "left_at": training.left_at,
        "left": training.left,
        "seconds": training.seconds,
        "peers": sorted(training.peers),
        "step_tokens": training.step_tokens,
    }
    stopped = training.quarantined_at
    told = {"losses": training.losses, "trained_tokens": training.tokens, "seat": seat}
    return (
        told if stopped is None else told | {"decision": "quarantined", "quarantined_at": stopped}
    )


def told_hit(hit: Hit, withheld: bool) -> dict[str, Any]:
    told = {
        "id": hit.id,
        "source": hit.source,
        "score": round(hit.score, 4),
        "multiplicity": hit.multiplicity,
    }
    return told | {"withheld": True} if withheld else told


def told_query(query: Query) -> str:
    """A task's id, or the beginning of a text."""
    return shorten(query, _SHOWN, placeholder=" ...") if isinstance(query, str) else query.id
