"""ARC tasks as the material that a base is trained on: episodes on the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arc.canvas import CanvasFormat
from arc.formats import Encoded
from hone.files import write_json, write_text
from models.training.alphabet import GRIDS
from models.training.card import grids_card
from models.training.episodes import Episodes, open_tests
from models.training.record import PAIRS, TRAINING_DATA, trained_pairs, training_data
from models.training.settings import TrainBaseSettings, asked_as
from models.training.sources import open_sources

READS = 8  # the finished base's context is so many times the longest episode it was trained on


class Grids:
    alphabet = GRIDS

    def __init__(self, settings: TrainBaseSettings) -> None:
        self.settings, longest = settings, settings.max_tokens
        self.sources, self.kept_out = open_sources(
            settings.sources, settings.weights, settings.mode
        )
        form = CanvasFormat(settings.positions)
        self.episodes = Episodes(self.sources, longest, form, settings.mode)
        self.vectors = self.episodes.tasks if settings.mode != "in_context" else 0
        self.contents = [source.content for source in self.sources]

    def batch(self, seed: str, tokens: int) -> list[Encoded]:
        return self.episodes.batch(seed, tokens)

    def tests(self) -> dict[str, list[Encoded]]:
        asked = CanvasFormat(self.settings.positions, asked_as(self.settings.mode))
        return open_tests(self.kept_out, self.settings.max_tokens, asked)

    def describe(self, folder: Path, told: Mapping[str, Any]) -> None:
        pairs = trained_pairs(self.sources)
        data, context = training_data(self.sources, pairs), READS * self.settings.max_tokens
        write_json(folder / "arc_format.json", self._form(context))
        np.save(folder / PAIRS, pairs)
        write_json(folder / TRAINING_DATA, data)
        write_text(folder / "README.md", grids_card(data, told, context))

    def _form(self, context: int) -> dict[str, Any]:
        return {
            "format": "canvas",
            "positions": self.settings.positions,
            "mode": asked_as(self.settings.mode),
            "max_tokens": context,
        }
