"""Padding: rows of unequal length in one rectangle say what they say alone."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_item, tiny_llama

from arc.formats import IGNORED
from models.batch import pad

torch.set_num_threads(1)
ROWS = [random_item(length, seed).encoded for seed, length in enumerate((5, 17, 9))]


def test_rows_stand_on_the_left_and_padding_counts_for_nothing() -> None:
    batch = pad(ROWS)
    assert batch.ids.shape == batch.positions.shape == batch.labels.shape == (3, 17)
    for i, row in enumerate(ROWS):
        assert batch.ids[i, : len(row)].tolist() == row.ids.tolist()
        assert batch.positions[i, : len(row)].tolist() == row.positions.tolist()
        assert batch.labels[i, : len(row)].tolist() == row.labels.tolist()
        assert (batch.labels[i, len(row) :] == IGNORED).all()
        assert (batch.positions[i, len(row) :] == int(row.positions[-1])).all()


@pytest.mark.parametrize(("asked", "width"), [(0, 17), (3, 17), (40, 40)])
def test_the_rectangle_is_as_wide_as_its_longest_row_or_as_asked(asked: int, width: int) -> None:
    assert pad(ROWS, length=asked).ids.shape == (3, width)


def test_the_mask_is_all_ones() -> None:
    """A missing mask would be read as packed sequences where positions jump."""
    assert (pad(ROWS).ones == 1).all()


@pytest.mark.parametrize("width", [0, 64])
def test_a_row_in_a_batch_gives_the_logits_that_it_gives_alone(width: int) -> None:
    model = tiny_llama()
    batch = pad(ROWS, length=width)

    def logits(of: object) -> torch.Tensor:
        return model(  # type: ignore[no-any-return]
            input_ids=of.ids,  # type: ignore[attr-defined]
            position_ids=of.positions,  # type: ignore[attr-defined]
            attention_mask=of.ones,  # type: ignore[attr-defined]
            use_cache=False,
        ).logits

    together = logits(batch)
    for i, row in enumerate(ROWS):
        torch.testing.assert_close(together[i, : len(row)], logits(pad([row]))[0])
