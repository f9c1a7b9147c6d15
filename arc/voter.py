"""The ways of voting by name, for who only offers them: arc/voting.py, which votes, takes numpy
along."""

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
