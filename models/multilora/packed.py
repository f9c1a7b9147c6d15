"""Training items without padding: tokens of all slots in one line, sorted by slot.

Linear layers, norms and the rest see [N] tokens and waste nothing; attention alone needs rows, so
items of like length form a bucket, a rectangle of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arc.formats import IGNORED, Encoded

ROUND = 32  # lengths that round up to the same multiple share a bucket


@dataclass(frozen=True)
class Bucket:
    """Items of like length: which token stands at [row, place], and where padding stands."""

    index: torch.Tensor  # [rows * width] into the tokens; padding repeats the item's last token
    padding: torch.Tensor  # [rows * width, 1] bool
    real: torch.Tensor  # where in the rows there is no padding
    rows: int
    width: int


@dataclass(frozen=True)
class Packed:
    ids: torch.Tensor  # [N]
    positions: torch.Tensor  # [N]
    ends: tuple[int, ...]  # where each slot's tokens end
    places: torch.Tensor  # [M] tokens whose next token is labelled
    targets: torch.Tensor  # [M] those labels
    owners: torch.Tensor  # [M] their slots
    weights: torch.Tensor  # [M]
    buckets: tuple[Bucket, ...]
    back: torch.Tensor  # [N] where each token stands among the buckets' rows laid end to end


def pack(slots: Sequence[Sequence[tuple[Encoded, float]]], device: torch.device | str) -> Packed:
    """Every slot's items with their weights; a slot may hold as many as it likes."""
    items = [(slot, item, weight) for slot, own in enumerate(slots) for item, weight in own]
    lengths = [len(item) for _, item, _ in items]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    counted = [np.flatnonzero(item.labels[1:] != IGNORED) for _, item, _ in items]
    ends = np.cumsum([sum(len(item) for item, _ in own) for own in slots])
    buckets, back = _buckets(lengths, starts)

    def tensor(values: Any, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype).to(device)

    many = [len(found) for found in counted]
    return Packed(
        ids=tensor(np.concatenate([item.ids for _, item, _ in items])),
        positions=tensor(np.concatenate([item.positions for _, item, _ in items])),
        ends=tuple(int(end) for end in ends),
        places=tensor(np.concatenate([f + s for f, s in zip(counted, starts, strict=True)])),
        targets=tensor(
            np.concatenate(
                [item.labels[1:][f] for (_, item, _), f in zip(items, counted, strict=True)]
            )
        ),
        owners=tensor(np.repeat([slot for slot, _, _ in items], many)),
        weights=tensor(np.repeat([weight for _, _, weight in items], many), torch.float32),
        buckets=tuple(
            Bucket(
                tensor(index),
                tensor(padding, torch.bool)[:, None],
                tensor(np.flatnonzero(~padding)),
                rows,
                width,
            )
            for index, padding, rows, width in buckets
        ),
        back=tensor(back),
    )


def _buckets(
    lengths: list[int], starts: np.ndarray[Any, Any]
) -> tuple[list[tuple[Any, Any, int, int]], np.ndarray[Any, Any]]:
    classes: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        classes.setdefault(-(-length // ROUND), []).append(i)
    buckets, offset = [], 0
    back = np.zeros(sum(lengths), dtype=np.int64)
    for _, members in sorted(classes.items()):
        width = max(lengths[i] for i in members)
        place = np.arange(width)
        own = np.array([lengths[i] for i in members])[:, None]
        index = np.minimum(place, own - 1) + starts[members][:, None]
        padding = place >= own
        for row, i in enumerate(members):
            back[starts[i] : starts[i] + lengths[i]] = offset + row * width + place[: lengths[i]]
        buckets.append((index.ravel(), padding.ravel(), len(members), width))
        offset += len(members) * width
    return buckets, back
