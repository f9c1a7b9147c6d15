"""What an embedder is worth, measured by a command."""

from __future__ import annotations

import pytest

from arc.generators import FAMILIES
from eval.embedder_recall import main
from hone.errors import BadInput


def test_first_neighbours_are_mostly_of_the_same_family(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--count", "2"]) == 0
    said = capsys.readouterr().out
    assert f"over {len(FAMILIES)} families of 2 tasks (chance 0.004)" in said
    assert float(said.split()[1]) > 0.6


def test_an_embedder_of_text_is_refused() -> None:
    with pytest.raises(BadInput, match="--embedder minilm reads text, not ARC tasks"):
        main(["--embedder", "minilm"])
