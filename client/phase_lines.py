"""The line that is printed when each phase of a text query is over, made from its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kb.wire import Hit

Trace = Mapping[str, Any]
_BASE_ANSWERS = {
    "base": "the base answers",
    "nothing to train on": "nothing to train on: the base answers",
}


def loaded_line(path: str, seconds: float) -> str:
    return f"loaded {path} in {seconds:.1f} s"


def retrieved_line(hits: Sequence[Hit]) -> str:
    if not hits:
        return "retrieved nothing"
    scores = [hit.score for hit in hits]
    return f"retrieved {len(hits)} samples, similarity {max(scores):.2f} to {min(scores):.2f}"


def adapted_line(trace: Trace) -> str:
    """How the query's adapter was found or trained."""
    decision = trace["decision"]
    if decision == "quarantined":
        return f"training gave a NaN at step {trace['quarantined_at']}: the base answers"
    if losses := trace.get("losses"):
        steps, seconds = len(losses), trace["seconds"]["train"]
        begun = "" if decision == "train" else f"{decision}: "
        return (
            f"{begun}trained {steps} steps in {seconds:.1f} s, loss {losses[0]:.3f}"
            f" to {losses[-1]:.3f}"
        )
    if decision == "hit":
        return f"reused adapter {trace['adapter']}, similarity {trace['similarity']:.2f}"
    if decision in _BASE_ANSWERS:
        return _BASE_ANSWERS[decision]
    return f"adapter by {decision}"


def written_line(trace: Trace) -> str:
    return f"wrote {trace['written_tokens']} tokens in {trace['seconds']['generate']:.1f} s"
