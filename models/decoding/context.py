"""The keys and values that rows attend to: those of their prompts, and those they have written.

A prompt's keys and values are stored once, however many rows continue it; prompts of similar length
share a rectangle. All rows grow by one token at a time, so what they have written is a rectangle
too and needs no mask. Forking a row copies what it has written; its prompt is not copied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

import torch

from models.decoding.llama import KeyShape

FIRST_ROOM = 64  # tokens that a row can write before its memory is first doubled
STALE = 4  # a rectangle closes up when one in so many of its prompts has no row left


class Rectangle:
    """Keys and values of stretches of tokens: per layer, [stretches, heads, length, width]."""

    def __init__(self, shape: KeyShape, lengths: Sequence[int], *, first: int = 0) -> None:
        size = (len(lengths), shape.heads, max(lengths), shape.width)
        self.keys, self.values = (
            [torch.empty(size, dtype=shape.dtype, device=shape.device) for _ in range(shape.layers)]
            for _ in range(2)
        )
        self.lengths = list(lengths)
        self.names = list(range(first, first + len(lengths)))  # numbers of the prompts stored here
        self.mask_S1L = self._mask()

    def write(self, layer: int, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Stores keys and values of the stretches from number `at` on, from their first tokens."""
        for tensor, new in ((self.keys[layer], keys), (self.values[layer], values)):
            place = tensor[at : at + len(new)]
            place[:, :, : new.shape[2]] = new
            # the rest gets an attention weight of zero, but zero times NaN would be NaN
            place[:, :, new.shape[2] :] = 0.0

    def close_up(self, alive: set[int]) -> None:
        """Once enough of the prompts have no row left, keeps only those in `alive`, in place."""
        kept = [i for i, name in enumerate(self.names) if name in alive]
        if (len(self.names) - len(kept)) * STALE < len(self.names):
            return
        self.names = [self.names[i] for i in kept]
        self.lengths = [self.lengths[i] for i in kept]
        for tensors in (self.keys, self.values):
            for layer, tensor in enumerate(tensors):
                for to, i in enumerate(kept):
                    if to != i:
                        tensor[to] = tensor[i]
                tensors[layer] = tensor[: len(kept), :, : max(self.lengths)]
        self.mask_S1L = self._mask()

    def _mask(self) -> torch.Tensor | None:
        """Minus infinity where a stretch has no token; None where all are equally long."""
        length = max(self.lengths)
        if min(self.lengths) == length:
            return None
        like = self.keys[0]
        ends = torch.tensor(self.lengths, device=like.device)[:, None, None]
        hidden = torch.arange(length, device=like.device) >= ends
        return torch.zeros(hidden.shape, dtype=like.dtype, device=like.device).masked_fill_(
            hidden, -torch.inf
        )


class Context:
    """All that the rows attend to. Rows are in the order of their prompts."""

    def __init__(self, shape: KeyShape, rectangles: Sequence[Rectangle]) -> None:
        self.shape, self.rectangles = shape, list(rectangles)
        # the number of each row's prompt
        self.prompts = [name for rectangle in rectangles for name in rectangle.names]
        self.own = _Own(shape, len(self.prompts))
        self.shares = self._shares()

    def __call__(
        self, layer: int, q_NHD: torch.Tensor, k_NGD: torch.Tensor, v_NGD: torch.Tensor
    ) -> torch.Tensor:
        """The attention of one new token per row, whose keys and values are stored."""
        self.own.write(layer, k_NGD, v_NGD)
        rows, heads, width = q_NHD.shape
        groups = self.shape.heads
        q_NGHD = (q_NHD * self.shape.scale).view(rows, groups, heads // groups, width)
        parts = [
            share.attend(q_NGHD[share.rows], layer, *self.own.of(layer, share.rows))
            for share in self.shares
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def keep(self, rows: Sequence[int]) -> None:
        """New row i continues old row `rows[i]`."""
        if list(rows) != list(range(len(self.prompts))):
            self.own.select(torch.tensor(rows, device=self.shape.device))
        self.prompts = [self.prompts[row] for row in rows]
        alive = set(self.prompts)
        self.rectangles = [one for one in self.rectangles if alive.intersection(one.names)]
        for rectangle in self.rectangles:
            rectangle.close_up(alive)
        self.shares = self._shares()

    def _shares(self) -> list[_Share]:
        shares = []
        for rectangle in self.rectangles:
            start = bisect_left(self.prompts, rectangle.names[0])
            end = bisect_left(self.prompts, rectangle.names[-1] + 1)
            counted = Counter(self.prompts[start:end])
            counts = [counted[name] for name in rectangle.names]
            shares.append(_Share(rectangle, slice(start, end), counts))
        return shares


class _Own:
    """Keys and values of what each row has written: per layer, [rows, heads, room, width]."""

    def __init__(self, shape: KeyShape, rows: int) -> None:
        self.shape, self.length = shape, 0
        size = (rows, shape.heads, 0, shape.width)
        empty = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self.keys, self.values = ([empty] * shape.layers for _ in range(2))

    def make_room(self) -> None:
        """Makes room for one more token."""
        room = self.keys[0].shape[2]
        if self.length == room:
            self._map(lambda tensor: self._wider(tensor, max(2 * room, FIRST_ROOM)))
        self.length += 1

    def write(self, layer: int, k_NGD: torch.Tensor, v_NGD: torch.Tensor) -> None:
        self.keys[layer][:, :, self.length - 1] = k_NGD
        self.values[layer][:, :, self.length - 1] = v_NGD

    def of(self, layer: int, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's keys and values of these rows, each [rows * heads, length, width]."""
        keys, values = self.keys[layer][rows], self.values[layer][rows]
        return keys.flatten(0, 1)[:, : self.length], values.flatten(0, 1)[:, : self.length]

    def select(self, rows: torch.Tensor) -> None:
        room = self.keys[0].shape[2]
        self._map(lambda tensor: self._wider(tensor[rows, :, : self.length], room))

    def _wider(self, tensor: torch.Tensor, room: int) -> torch.Tensor:
        rows, heads, length, width = tensor.shape
        wider = tensor.new_empty(rows, heads, room, width)
        wider[:, :, :length] = tensor
        return wider

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        for tensors in (self.keys, self.values):
            for layer, tensor in enumerate(tensors):
                tensors[layer] = change(tensor)


class _Share:
    """The rows that continue the prompts of one rectangle; `counts[i]` of them its i-th prompt.

    Scores against a prompt are one product for all rows that continue it. For that, rows are
    "grouped": [prompts * key heads, rows per prompt * query heads per key head, ...]. Scores
    against what rows wrote themselves are one product per row.
    """

    def __init__(self, rectangle: Rectangle, rows: slice, counts: Sequence[int]) -> None:
        self.rectangle, self.rows = rectangle, rows
        self.width = max(counts)  # rows per prompt; prompts with fewer repeat a row
        self.index: torch.Tensor | None = None
        self.back: torch.Tensor | None = None
        if min(counts) != self.width:
            self._pad(counts)

    def attend(
        self, q_NGHD: torch.Tensor, layer: int, own_k: torch.Tensor, own_v: torch.Tensor
    ) -> torch.Tensor:
        keys, values = self.rectangle.keys[layer], self.rectangle.values[layer]
        there = self._scores(self._grouped(q_NGHD), keys)
        here = torch.bmm(q_NGHD.flatten(0, 1), own_k.transpose(1, 2))
        here = self._grouped(here.view(*q_NGHD.shape[:3], -1))
        weights = _softmax(torch.cat((there, here), -1))
        length = there.shape[-1]
        attended = torch.bmm(weights[..., :length], values.flatten(0, 1))
        own = self._by_row(weights[..., length:], q_NGHD).flatten(0, 1)
        out = torch.baddbmm(self._by_row(attended, q_NGHD).flatten(0, 1), own, own_v)
        return out.view(len(q_NGHD), -1)

    def _scores(self, q: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        scores = torch.bmm(q, keys.flatten(0, 1).transpose(1, 2))
        if self.rectangle.mask_S1L is not None:
            scores.view(len(keys), -1, scores.shape[-1]).add_(self.rectangle.mask_S1L)
        return scores

    def _grouped(self, x_NGHC: torch.Tensor) -> torch.Tensor:
        if self.width == 1 and self.index is None:
            return x_NGHC.flatten(0, 1)
        x = x_NGHC if self.index is None else x_NGHC.index_select(0, self.index)
        prompts, heads = len(x) // self.width, x.shape[1]
        rows = x.view(prompts, self.width, *x.shape[1:]).transpose(1, 2)
        return rows.reshape(prompts * heads, -1, x.shape[-1])

    def _by_row(self, x: torch.Tensor, q_NGHD: torch.Tensor) -> torch.Tensor:
        """[rows, key heads, query heads per key head, C]"""
        heads, shared = q_NGHD.shape[1:3]
        if self.width == 1 and self.index is None:
            return x.view(-1, heads, shared, x.shape[-1])
        rows = x.view(-1, heads, self.width, shared, x.shape[-1]).transpose(1, 2).flatten(0, 1)
        return rows if self.back is None else rows.index_select(0, self.back)

    def _pad(self, counts: Sequence[int]) -> None:
        index, back, at = [], [], 0
        for place, count in enumerate(counts):
            # a prompt without rows repeats another prompt's row, and its result is not read
            last = max(0, at + count - 1)
            index += [min(at + i, last) for i in range(self.width)]
            back += [place * self.width + i for i in range(count)]
            at += count
        device = self.rectangle.keys[0].device
        self.index, self.back = (
            torch.tensor(index, device=device),
            torch.tensor(back, device=device),
        )


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(-1, dtype=wide).to(scores.dtype)
