"""Episodes as one line of tokens: there is no padding, and no episode sees its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from arc.formats import Encoded
from models.multilora.packed import counted_places, tensor_of

TOGETHER = 16  # questions per line when the loss is measured


@dataclass(frozen=True)
class Line:
    """N tokens, of which M are followed by a labelled token."""

    ids_N: torch.Tensor
    positions_N: torch.Tensor
    starts: torch.Tensor  # int32 [episodes + 1] where each episode's tokens start
    places_M: torch.Tensor
    targets_M: torch.Tensor  # the labelled tokens that follow these places


def in_line(rows: Sequence[Encoded]) -> Line:
    lengths = [len(row) for row in rows]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = [counted_places(row) for row in rows]
    targets = [row.labels[1:][own] for row, own in zip(rows, places, strict=True)]
    return Line(
        ids_N=tensor_of(np.concatenate([row.ids for row in rows]), "cpu"),
        positions_N=tensor_of(np.concatenate([row.positions for row in rows]), "cpu"),
        starts=tensor_of(starts, "cpu", torch.int32),
        places_M=tensor_of(
            np.concatenate([own + at for own, at in zip(places, starts, strict=False)]), "cpu"
        ),
        targets_M=tensor_of(np.concatenate(targets), "cpu"),
    )


def some_together(rows: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    """Splits the questions to measure on into groups that share a line."""
    return [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
