"""The names of the voters, for modules that only offer them; arc/voting.py would import numpy."""

from __future__ import annotations

from enum import StrEnum


class Voter(StrEnum):
    SELF_CONSISTENCY = "self-consistency"
    AUGMENTATION = "augmentation"
    HIERARCHICAL = "hierarchical"
    HYBRID = "hybrid"
    EXPERTS = "experts"
    PANEL = "panel"


HEARING_EXPERTS = (Voter.EXPERTS, Voter.PANEL)
