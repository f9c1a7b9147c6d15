"""The sides of a comparison: what stands in the prompt, and which adapter answers."""

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
    # what training brings even where the samples have nothing to do with the question
    "format": Side(adapter="format"),
}
