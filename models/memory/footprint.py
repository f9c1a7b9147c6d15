"""Estimates the memory that training and answering take beside the base, before anything is run.

For Llama-shaped models it is the sum of the widths of everything the decoder keeps. For any other
model, two short steps of one adapter of rank 1 are run and their memory is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from arc.formats import IGNORED, Encoded
from models.memory.live import LiveBytes
from models.multilora import kernels
from models.multilora.decoder import runs_packed
from models.multilora.flat import FlatLayout, Shape
from models.multilora.head import CHUNK_BYTES
from models.multilora.targets import find_targets, fitting_rank

STEPPING = 4  # copies of a slot's values that the optimizer makes
WAITING = 2 * 4  # bytes a value: fp32 copies of an adapter to be written and of one to answer
GROWING = 1.5  # keys and values are kept in rectangles that double when they are full
RECTANGLES = 1.5  # tokens and padding per token, where plain torch computes attention
SHORT, LONGER = 64, 128  # tokens of the two steps that are measured


@dataclass(frozen=True)
class Footprint:
    values: int  # number of values in an adapter; all else is in bytes
    slot: int  # per adapter: values, gradients, two moments, a working copy, WAITING's copies
    stepping: int  # per adapter, in addition while the optimizer steps
    token: float  # per token: what all layers keep for the backward
    again: float  # the same with checkpointing; equal to `token` where the model has none
    passing: float  # per token, while a layer is computed
    score: float  # per pair of a query and a key, while attention is computed
    features: bool  # whether the output of layers below all adapters can be cached
    logits: float  # per token whose logits are computed
    vocabulary_bytes: int  # most that logits take at once
    answerer: int  # per adapter, in addition while it answers
    reading: float  # per token of a prompt, while it is read
    cached: float  # per token that is kept while an answer is written

    @property
    def checkpoints(self) -> bool:
        return self.again < self.token

    def training(self, k: int, tokens: int, longest: int, *, checkpointing: bool) -> float:
        """The peak of a step that computes `tokens` at once, of items no longer than `longest`."""
        kept = tokens * (self.again if checkpointing else self.token)
        attending = self.score * tokens * longest
        head = min(tokens * self.logits, self.vocabulary_bytes)
        passing = max(tokens * self.passing + attending, head)
        return k * self.slot + max(kept + passing, k * self.stepping)

    def answering(self, k: int, *, kept: int, read: int) -> float:
        """The peak of answering between two steps of a training: `kept` tokens are cached and
        `read` tokens of prompts are read at once."""
        return k * (self.slot + self.answerer) + kept * self.cached + read * self.reading


def footprint_of(
    model: nn.Module, rank: int, targets: Sequence[str] = (), placement: str = "all"
) -> Footprint:
    """The footprint of adapters of this rank on the layers that `targets` and `placement` name."""
    chosen = find_targets(model, targets, placement)
    rank = fitting_rank(chosen, rank)
    like = next(model.parameters())
    wide = torch.promote_types(like.dtype, torch.float32).itemsize
    values = FlatLayout({name: Shape.of(one) for name, one in chosen.items()}, rank).size
    element = like.dtype.itemsize
    slot = values * (4 * wide + element + WAITING)
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    vocabulary = len(head.weight)
    logits = element + STEPPING * wide
    return Footprint(
        values=values,
        slot=slot,
        stepping=0 if _in_place(like) else values * STEPPING * wide,
        logits=vocabulary * logits,
        vocabulary_bytes=CHUNK_BYTES // 4 * logits,
        answerer=values * (wide + 3 * element),
        **decoding_bytes(model),
        **(
            _packed(model, chosen, rank)
            if runs_packed(model)
            else _watched(model, targets, placement, rank * len(chosen))
        ),
    )


def _packed(model: Any, targets: Mapping[str, nn.Module], rank: int) -> dict[str, Any]:
    """The part of the footprint that follows from the widths of decoder.LayerKept."""
    like = next(model.parameters())
    layers = model.base_model.layers
    attention, mlp = layers[0].self_attn, layers[0].mlp
    width = layers[0].input_layernorm.weight.shape[0]
    attended, wide = attention.o_proj.in_features, mlp.gate_proj.out_features
    qkv = attended + attention.k_proj.out_features + attention.v_proj.out_features
    depth = _layers_kept(model, targets)
    middles = rank * len(targets) / len(layers)
    element = like.dtype.itemsize
    number = torch.promote_types(like.dtype, torch.float32).itemsize
    heads = attended // attention.head_dim
    one = element * (4 * width + qkv + attended + 3 * wide + middles) + number * (2 + heads)
    turning = element * 2 * attention.head_dim
    # temporaries that plain torch makes beside its results, and the C++ kernels do not
    more = 0 if _in_place(like) else number
    through_mlp = element * (wide + 2 * width) + more * 6 * wide
    beside = 0 if _in_place(like) else element * RECTANGLES * (2 * qkv + 3 * attended)
    through_attention = element * (qkv + attended + 3 * width) + beside
    return {
        "token": depth * one + turning,
        "again": depth * element * width + one * bool(depth) + turning,
        "passing": max(through_mlp, through_attention) if depth else one + element * width,
        "score": 0.0,
        "features": depth < len(layers),
    }


def _in_place(like: torch.Tensor) -> bool:
    """Whether the C++ kernels are used: they write their results and nothing else."""
    return kernels.available() and like.device.type == "cpu" and like.dtype in kernels.KINDS


def _layers_kept(model: Any, targets: Mapping[str, nn.Module]) -> int:
    """The number of layers from the lowest adapted one up; all for an adapted embedding."""
    layers = len(model.base_model.layers)
    prefix = f"{model.base_model_prefix}.layers."
    within = [int(n.removeprefix(prefix).split(".")[0]) for n in targets if n.startswith(prefix)]
    embedded = any(isinstance(module, nn.Embedding) for module in targets.values())
    return layers if embedded else layers - min(within, default=layers)


def _watched(
    model: nn.Module, targets: Sequence[str], placement: str, middles: int
) -> dict[str, Any]:
    """The part of the footprint that is measured: a T + b T^2 bytes, fitted to the peaks of a step
    of SHORT tokens and one of LONGER tokens."""
    short, longer = (_live_bytes(model, targets, placement, tokens) for tokens in (SHORT, LONGER))
    square = max(0.0, (longer / LONGER - short / SHORT) / (LONGER - SHORT))
    token = max(0.0, short / SHORT - square * SHORT)
    token += middles * next(model.parameters()).dtype.itemsize
    return {
        "token": token,
        "again": token,
        "passing": 0.0,
        "score": square,
        "features": False,
    }


def _live_bytes(model: nn.Module, targets: Sequence[str], placement: str, tokens: int) -> int:
    """The peak of a step, without the bank's own rows. Only one token is labelled, so that almost
    no logits are counted."""
    from models.multilora.bank import AdapterBank, SlotSpec

    ids, places = np.zeros(tokens, dtype=np.int64), np.arange(tokens)
    labels = np.where(places < tokens - 1, IGNORED, ids)
    bank = AdapterBank(model, [SlotSpec(rank=1)], targets, placement=placement)
    with bank, LiveBytes() as live:
        bank.backward([[(Encoded(ids, places, labels), 1.0)]])
    peak: int = live.peak
    return peak


def decoding_bytes(model: Any) -> dict[str, Any]:
    """Bytes per prompt token while it is read, and per token whose keys and values are cached."""
    config, element = model.config.get_text_config(), next(model.parameters()).dtype.itemsize
    width: int = config.hidden_size
    head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    queries = config.num_attention_heads * head
    keys = (getattr(config, "num_key_value_heads", None) or config.num_attention_heads) * head
    wide = getattr(config, "intermediate_size", None) or 4 * width
    reading = element * (3 * wide + queries + 2 * keys + 4 * width)
    cached = GROWING * 2 * config.num_hidden_layers * keys * element
    if runs_packed(model):
        return {"reading": reading, "cached": cached}
    return {"reading": 0.0, "cached": cached + reading}  # all prompts are read at once
