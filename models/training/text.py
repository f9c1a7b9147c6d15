"""Text as the material that a base is trained on: rows of prompt and completion, as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from arc.formats import Encoded
from hone.errors import BadInput
from hone.files import write_json, write_text
from hone.settings import was_given
from models.training.bytes_alphabet import bytes_alphabet, bytes_tokenizer, encoded
from models.training.card import text_card
from models.training.record import TRAINING_DATA
from models.training.settings import TrainBaseSettings
from models.training.sources import is_kept_out
from models.training.text_rows import TextRow, read_rows

MEASURED = 96  # most kept-out rows of each source that the loss is measured on
OF_TASKS = ("positions", "mode")  # settings that only tasks have


@dataclass(frozen=True)
class TextSource:
    name: str
    weight: float
    rows: list[TextRow]
    kept_out: list[TextRow]
    too_long: int  # rows that were left out; none is cut
    content: str  # sha256 of the rows that are trained on


class Text:
    vectors = 0

    def __init__(self, settings: TrainBaseSettings) -> None:
        for name in OF_TASKS:
            if was_given(settings, name):
                raise BadInput(f"--{name} is about tasks, and the sources are text; leave it out")
        self.context = settings.max_tokens
        self.alphabet = bytes_alphabet(self.context)
        weights = settings.weights or (1.0,) * len(settings.sources)
        self.sources = [
            _open(Path(name), weight, self.context)
            for name, weight in zip(settings.sources, weights, strict=True)
        ]
        self.contents = [source.content for source in self.sources]

    def batch(self, seed: str, tokens: int) -> list[Encoded]:
        """The last row is kept whole, since leaving it out would draw long rows too rarely."""
        rng, rows, drawn = Random(seed), list[Encoded](), 0
        weights = [source.weight for source in self.sources]
        while drawn < tokens:
            (source,) = rng.choices(self.sources, weights)
            rows.append(encoded(*rng.choice(source.rows)))
            drawn += len(rows[-1])
        return rows

    def tests(self) -> dict[str, list[Encoded]]:
        named = {Path(source.name).name: source.kept_out[:MEASURED] for source in self.sources}
        return {name: [encoded(*row) for row in rows] for name, rows in named.items() if rows}

    def describe(self, folder: Path, told: Mapping[str, Any]) -> None:
        tokenizer: Any = bytes_tokenizer(self.context)
        tokenizer.save_pretrained(folder)
        data = self._data()
        write_json(folder / TRAINING_DATA, data)
        write_text(folder / "README.md", text_card(data, told, self.context))

    def _data(self) -> dict[str, Any]:
        total = sum(source.weight for source in self.sources)
        sources = [
            {
                "name": Path(source.name).name,
                "share": round(source.weight / total, 4),
                "rows": len(source.rows),
                "kept_out": len(source.kept_out),
                "too_long": source.too_long,
                "sha256": source.content,
            }
            for source in self.sources
        ]
        return {"sources": sources}


def _open(path: Path, weight: float, longest: int) -> TextSource:
    rows = read_rows(path)
    fitting = [row for row in rows if len(encoded(*row)) <= longest]
    trained = [row for row in fitting if not is_kept_out(row.prompt)]
    if not trained:
        raise BadInput(
            f"{path}: no row is left to train on, {len(fitting)} of {len(rows)} fit into"
            f" {longest} tokens; raise --max_tokens or give more rows"
        )
    kept = [row for row in fitting if is_kept_out(row.prompt)]
    content = hashlib.sha256("\0".join("\0".join(row) for row in trained).encode()).hexdigest()
    if too_long := len(rows) - len(fitting):
        print(f"{path.name}: {too_long} of {len(rows)} rows are longer than {longest} bytes")
    return TextSource(str(path), weight, trained, kept, too_long, content)
