"""The material that a base is trained on, tasks or text; one trainer serves both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from arc.formats import Encoded
from hone.errors import BadInput
from models.training.alphabet import Alphabet
from models.training.settings import TrainBaseSettings
from models.training.text_rows import holds_text


class Material(Protocol):
    """Endless batches of sequences, and what a base needs in order to read them."""

    alphabet: Alphabet
    vectors: int  # number of tasks with a vector of their own
    contents: list[str]  # for each source, the sha256 of all that can be drawn from it

    def batch(self, seed: str, tokens: int) -> list[Encoded]:
        """Sequences of at least `tokens` tokens in all; the same seed draws the same ones."""
        ...

    def tests(self) -> dict[str, list[Encoded]]:
        """Sequences that are never trained on, to measure on, by the name of their origin."""
        ...

    def describe(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Writes into the finished base's folder how it reads, what it was trained on, and its
        README, from `told`, the record of its training."""
        ...


def open_material(settings: TrainBaseSettings) -> Material:
    from models.training.grids import Grids
    from models.training.text import Text

    texts = [name for name in settings.sources if holds_text(Path(name))]
    if not texts:
        return Grids(settings)
    if others := [name for name in settings.sources if name not in texts]:
        raise BadInput(
            f"{texts[0]} holds text, {others[0]} holds tasks; a base reads one of them: train two"
        )
    return Text(settings)
