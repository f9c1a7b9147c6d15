"""What a base is trained on, tasks or text, as its sources have it; one trainer serves both."""

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
    """Endless batches of sequences, and what a base needs to read them."""

    alphabet: Alphabet
    vectors: int  # tasks with a vector of their own
    contents: list[str]  # sha256 of all that each source can draw

    def batch(self, seed: str, tokens: int) -> list[Encoded]:
        """At least so many tokens; the same seed draws the same ones."""
        ...

    def tests(self) -> dict[str, list[Encoded]]:
        """What is never trained on, to measure on."""
        ...

    def describe(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Into the finished base's folder: how it reads, what it was trained on, and its page, from
        the record of its training."""
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
