"""Reads prompts: their tokens stand in one line without padding, of a bounded length at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from arc.formats import Encoded
from models.decoding.context import Rectangle
from models.decoding.families import Family, part, rectangles
from models.decoding.llama import KeyShape, LlamaDecoder, Wanted
from models.decoding.products import Runs
from models.decoding.trunk_attention import joined
from models.multilora import kernels

TOKEN_BUDGET = 4096  # most tokens that are read at a time
NOTHING, LAST, ALL = 0, 1, 2  # which tokens of a stretch are wanted


@dataclass(frozen=True)
class Block:
    """Stretches of tokens, each of which attends to itself and to the one stretch in `before`."""

    stretches: Sequence[Encoded]
    slots: Sequence[int]
    wanted: int
    before: Rectangle | None = None
    into: Rectangle | None = None  # where keys and values are kept, with those of `before` in front
    at: int = 0  # the number of the first stretch in `into`

    def divided(self, budget: int) -> Iterator[Block]:
        """The same stretches in blocks of at most `budget` tokens, or of one longer stretch."""
        start, tokens = 0, 0
        for i, stretch in enumerate(self.stretches):
            if i > start and tokens + len(stretch) > budget:
                yield self._piece(start, i)
                start, tokens = i, 0
            tokens += len(stretch)
        yield self._piece(start, len(self.stretches))

    def _piece(self, start: int, end: int) -> Block:
        stretches, slots = self.stretches[start:end], self.slots[start:end]
        return replace(self, stretches=stretches, slots=slots, at=self.at + start)


def prompt_blocks(
    prompts: Sequence[Encoded], found: Sequence[Family], shape: KeyShape
) -> tuple[list[Rectangle], list[Block]]:
    """The rectangles for the prompts' keys and values, and the blocks that fill them. Prompts are
    in the families' order, and slots are numbered in the order in which they come there."""
    order = [i for family in found for i in family.members]
    lengths = [len(prompts[i]) for i in order]
    kept, blocks = [], []
    trunks: dict[int, Rectangle] = {}
    owners = [number for number, family in enumerate(found) for _ in family.members]
    slots = numbered([found[number].slot for number in owners])
    for places in rectangles(lengths):
        rectangle = Rectangle(shape, lengths[places], first=places.start)
        kept.append(rectangle)
        for start, end in _alike(owners[places], found):
            where = slice(places.start + start, places.start + end)
            family, own = found[owners[where.start]], [prompts[i] for i in order[where]]
            before = None
            if family.shared:
                number = owners[where.start]
                if number not in trunks:
                    trunks[number] = Rectangle(shape, [family.shared])
                    trunk = part(own[0], 0, family.shared)
                    blocks.append(Block([trunk], slots[where][:1], NOTHING, into=trunks[number]))
                before = trunks[number]
            stretches = [part(one, family.shared) for one in own]
            blocks.append(Block(stretches, slots[where], LAST, before, rectangle, start))
    return kept, blocks


def numbered(slots: Sequence[int]) -> list[int]:
    """Renumbers slots in the order of their first appearance."""
    names = {slot: i for i, slot in enumerate(dict.fromkeys(slots))}
    return [names[slot] for slot in slots]


def read(
    decoder: LlamaDecoder, blocks: Iterable[Block], budget: int
) -> Iterator[tuple[torch.Tensor, Runs]]:
    """The last layer's output for the wanted tokens of all blocks, some blocks at a time."""
    pieces = (piece for block in blocks for piece in block.divided(budget))
    for chunk in _chunks(pieces, budget):
        line = _Line(chunk, decoder)
        hidden = decoder.hidden(line.ids, line.positions, line.runs, line.attention, line.wanted)
        if len(line.wanted.index):
            yield hidden, line.wanted.runs


def _alike(owners: Sequence[int], found: Sequence[Family]) -> Iterator[tuple[int, int]]:
    """Splits neighbours into runs that share one beginning, or that share none."""
    start = 0
    for _, group in groupby(owners, key=lambda owner: owner if found[owner].shared else -1):
        end = start + len(list(group))
        yield start, end
        start = end


def _chunks(pieces: Iterable[Block], budget: int) -> Iterator[list[Block]]:
    chunk: list[Block] = []
    tokens = 0
    for piece in pieces:
        more = sum(map(len, piece.stretches))
        if chunk and tokens + more > budget:
            yield chunk
            chunk, tokens = [], 0
        chunk.append(piece)
        tokens += more
    if chunk:
        yield chunk


class _Line:
    """The tokens of some blocks, one after the other, as the decoder reads them."""

    def __init__(self, blocks: Sequence[Block], decoder: LlamaDecoder) -> None:
        device, many = decoder.keys.device, decoder.slots
        stretches = [stretch for block in blocks for stretch in block.stretches]
        lengths = [len(stretch) for stretch in stretches]
        slots = [slot for block in blocks for slot in block.slots]
        self.ids = torch.from_numpy(np.concatenate([s.ids for s in stretches])).to(device)
        self.positions = torch.from_numpy(np.concatenate([s.positions for s in stretches]))
        self.positions = self.positions.to(device)
        self.runs = Runs.of(slots, lengths, many, device)
        index: list[int] = []
        counts: list[int] = []
        at = 0
        for block in blocks:
            for stretch in block.stretches:
                first = {NOTHING: len(stretch), LAST: len(stretch) - 1, ALL: 0}[block.wanted]
                index += range(at + first, at + len(stretch))
                counts.append(len(stretch) - first)
                at += len(stretch)
        self.wanted = Wanted(
            torch.tensor(index, dtype=torch.long, device=device),
            Runs.of(slots, counts, many, device),
        )
        self.attention = _Attention(blocks, decoder.keys)


class _Attention:
    def __init__(self, blocks: Sequence[Block], shape: KeyShape) -> None:
        self.parts: list[tuple[slice, _Reading]] = []
        at = 0
        for block in blocks:
            reading = _Reading(block, shape)
            self.parts.append((slice(at, at + reading.tokens), reading))
            at += reading.tokens

    def __call__(
        self, layer: int, q_NHD: torch.Tensor, k_NGD: torch.Tensor, v_NGD: torch.Tensor
    ) -> torch.Tensor:
        parts = [
            reading.attend(layer, q_NHD[own], k_NGD[own], v_NGD[own]) for own, reading in self.parts
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Reading:
    """The attention of one block. Without the C++ kernel its stretches form a rectangle, and short
    ones are padded at the end."""

    def __init__(self, block: Block, shape: KeyShape) -> None:
        self.block, self.scale = block, shape.scale
        lengths = [len(stretch) for stretch in block.stretches]
        self.rows, self.width, self.tokens = len(lengths), max(lengths), sum(lengths)
        self.index: torch.Tensor | None = None
        self.real: torch.Tensor | None = None
        if min(lengths) != self.width:
            place, own = np.arange(self.width), np.array(lengths)[:, None]
            starts = np.cumsum([0, *lengths[:-1]])[:, None]
            index = np.minimum(place, own - 1) + starts
            self.index = torch.from_numpy(index.ravel()).to(shape.device)
            self.real = torch.from_numpy(np.flatnonzero(place < own)).to(shape.device)
        self.starts: torch.Tensor | None = None
        if _in_one_line(shape):
            self.starts = torch.from_numpy(np.cumsum([0, *lengths], dtype=np.int32))
        self.before = 0 if block.before is None else block.before.lengths[0]
        self.seen = self._seen(shape.device) if self.starts is None else None

    def attend(
        self, layer: int, q_NHD: torch.Tensor, k_NGD: torch.Tensor, v_NGD: torch.Tensor
    ) -> torch.Tensor:
        if self.block.into is not None:
            kept = self._with_before(layer, k_NGD, v_NGD)
            self.block.into.write(layer, self.block.at, *kept)
        if self.starts is not None:
            return self._line(layer, q_NHD, k_NGD, v_NGD, self.starts)
        q, (k, v) = self._rectangle(q_NHD), self._with_before(layer, k_NGD, v_NGD)
        out = torch.nn.functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self.seen,
            is_causal=self.seen is None,
            scale=self.scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        flat = out.transpose(1, 2).reshape(self.rows * self.width, -1)
        return flat if self.real is None else flat.index_select(0, self.real)

    def _line(
        self,
        layer: int,
        q_NHD: torch.Tensor,
        k_NGD: torch.Tensor,
        v_NGD: torch.Tensor,
        starts: torch.Tensor,
    ) -> torch.Tensor:
        out, lse_NH = kernels.attention(q_NHD, k_NGD, v_NGD, starts, self.scale)
        before = self.block.before
        if before is None:
            return out
        return joined(out, lse_NH, q_NHD, (before.keys[layer], before.values[layer]), self.scale)

    def _with_before(
        self, layer: int, k_NGD: torch.Tensor, v_NGD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values with those of `before` in front, each [rows, heads, length, D]."""
        k, v, before = self._rectangle(k_NGD), self._rectangle(v_NGD), self.block.before
        if before is None:
            return k, v
        size = (self.rows, -1, -1, -1)
        return (
            torch.cat((before.keys[layer].expand(size), k), 2),
            torch.cat((before.values[layer].expand(size), v), 2),
        )

    def _rectangle(self, x_NHD: torch.Tensor) -> torch.Tensor:
        """[rows, heads, width, D]"""
        x = x_NHD if self.index is None else x_NHD.index_select(0, self.index)
        return x.view(self.rows, self.width, *x.shape[1:]).transpose(1, 2)

    def _seen(self, device: torch.device) -> torch.Tensor | None:
        """The attention mask: all of `before`, and earlier tokens of the stretch itself. It is None
        where attention is plainly causal."""
        if not self.before:
            return None
        size = self.width, self.before + self.width
        return torch.ones(size, dtype=torch.bool, device=device).tril(self.before)


def _in_one_line(shape: KeyShape) -> bool:
    """Whether the C++ attention can be used, which needs no rectangle and is faster."""
    return shape.device.type == "cpu" and shape.dtype in kernels.KINDS and kernels.available()
