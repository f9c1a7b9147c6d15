"""The sides of a comparison: whether samples are in the prompt, and which adapter answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Side:
    samples_in_prompt: bool = False
    adapter: Literal["none", "own", "format"] = "none"


SIDES = {
    "base": Side(),
    "retrieval": Side(samples_in_prompt=True),
    "ttt": Side(adapter="own"),
    "both": Side(samples_in_prompt=True, adapter="own"),
    # the gain from training on samples that have nothing to do with the question
    "format": Side(adapter="format"),
}
