"""A step's training items without padding: the tokens of all slots in one line, sorted by slot.

The weight of each answer token in the loss is settled here. A slot's loss is the mean, over its own
answer tokens, of weight times loss, in whatever part of the step they are computed. Weights are not
normalised within a step: an item of little weight moves the adapter little, even where it is alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arc.formats import IGNORED, Encoded
from models.multilora.owned import Owned

Weighted = tuple[Encoded, float]  # an item and the weight of its answer tokens
PADDING = 0.1  # most padding, as a share of a rectangle of rows


@dataclass(frozen=True)
class Placed:
    """One item with its place in a step."""

    slot: int
    index: int  # its number among its slot's items of this step
    encoded: Encoded
    share: float  # weight of each of its answer tokens in its slot's loss


@dataclass(frozen=True)
class Packed:
    ids: torch.Tensor  # [N]
    positions: torch.Tensor  # [N]
    starts: torch.Tensor  # int32 [items + 1] where each item's tokens start
    owned: Owned  # the slots of the tokens
    answers: Answers
    items: tuple[Placed, ...]


@dataclass(frozen=True)
class Answers:
    """The labelled places, sorted by slot."""

    places: torch.Tensor  # [M] tokens whose next token is labelled
    targets: torch.Tensor  # [M] those labels
    owners: torch.Tensor  # [M] their slots
    shares: torch.Tensor  # [M] their weights in the slots' losses
    last: torch.Tensor  # [M] bool: part of its item's last answer, the one that is asked for
    owned: Owned  # the slots of the places


def parts_of(slots: Sequence[Sequence[Weighted]], token_budget: int) -> Iterator[list[Placed]]:
    """The step's items in parts of at most `token_budget` tokens, or of one item (0: one part)."""
    part: list[Placed] = []
    tokens = 0
    for one in _placed(slots):
        if part and token_budget and tokens + len(one.encoded) > token_budget:
            yield part
            part, tokens = [], 0
        part.append(one)
        tokens += len(one.encoded)
    if part:
        yield part


def parts_of_like_length(
    slots: Sequence[Sequence[Weighted]], token_budget: int
) -> Iterator[list[Placed]]:
    """The same for rows that are padded to the longest of their part: at most `PADDING` of a part
    is padding, and the budget counts padding too."""
    part: list[Placed] = []
    tokens = 0
    for one in sorted(_placed(slots), key=lambda one: -len(one.encoded)):
        longest = len(part[0].encoded) if part else len(one.encoded)
        filled, more = longest * (len(part) + 1), tokens + len(one.encoded)
        if part and (filled - more > PADDING * filled or 0 < token_budget < filled):
            yield _by_slot(part)
            part, more = [], len(one.encoded)
        part.append(one)
        tokens = more
    if part:
        yield _by_slot(part)


def _placed(slots: Sequence[Sequence[Weighted]]) -> Iterator[Placed]:
    for slot, own in enumerate(slots):
        many = sum(len(counted_places(item)) for item, _ in own)
        for index, (item, weight) in enumerate(own):
            yield Placed(slot, index, item, weight / many if many else 0.0)


def _by_slot(part: Sequence[Placed]) -> list[Placed]:
    return sorted(part, key=lambda one: (one.slot, one.index))


def pack(part: Sequence[Placed], slots: int, device: torch.device | str) -> Packed:
    lengths = [len(placed.encoded) for placed in part]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = [0] * slots
    for placed in part:
        tokens[placed.slot] += len(placed.encoded)
    return Packed(
        ids=tensor_of(np.concatenate([p.encoded.ids for p in part]), device),
        positions=tensor_of(np.concatenate([p.encoded.positions for p in part]), device),
        starts=tensor_of(starts, device, torch.int32),
        owned=Owned.counted(tokens),
        answers=_answers(part, starts, slots, device),
        items=tuple(part),
    )


def _answers(
    part: Sequence[Placed], starts: Any, slots: int, device: torch.device | str
) -> Answers:
    found = [counted_places(p.encoded) for p in part]
    many = [len(own) for own in found]
    counts = [0] * slots
    for placed, count in zip(part, many, strict=True):
        counts[placed.slot] += count
    places = [own + start for own, start in zip(found, starts, strict=False)]
    targets = [p.encoded.labels[1:][own] for p, own in zip(part, found, strict=True)]
    return Answers(
        places=tensor_of(np.concatenate(places), device),
        targets=tensor_of(np.concatenate(targets), device),
        owners=tensor_of(np.repeat([p.slot for p in part], many), device),
        shares=tensor_of(np.repeat([p.share for p in part], many), device, torch.float64),
        last=tensor_of(np.concatenate([_of_the_last(own) for own in found]), device, torch.bool),
        owned=Owned.counted(counts),
    )


def _of_the_last(places: Any) -> Any:
    """Which places belong to the last run of neighbouring places."""
    gaps = np.flatnonzero(np.diff(places) > 1)
    return np.arange(len(places)) > (gaps[-1] if len(gaps) else -1)


def counted_places(item: Encoded) -> Any:
    """The tokens whose next token is labelled."""
    return np.flatnonzero(item.labels[1:] != IGNORED)


def tensor_of(
    values: Any, device: torch.device | str, dtype: torch.dtype = torch.long
) -> torch.Tensor:
    return torch.as_tensor(values, dtype=dtype).to(device)
