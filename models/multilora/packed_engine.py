"""Losses and gradients of a step for Llama-shaped models: packed tokens, no autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.multilora.decoder import Layer, LayerKept, Step, layers_of, step_of
from models.multilora.dropout import Dropout
from models.multilora.head import Head, Tally
from models.multilora.layer import EmbeddingSite
from models.multilora.packed import Answers, Packed, Placed, pack
from models.multilora.site import Buffers, Site


class PackedEngine:
    """`checkpointing` keeps a layer's input alone and computes the rest again on the way back."""

    def __init__(self, model: Any, buffers: Buffers, *, checkpointing: bool = False) -> None:
        self.model, self.slots = model, len(buffers.work_KP)
        self.checkpointing = checkpointing
        decoder, head = model.base_model, model.get_output_embeddings()
        self.embedding = EmbeddingSite(
            decoder.embed_tokens, name_of(model, decoder.embed_tokens), buffers
        )
        self.layers = layers_of(model, buffers)
        self.head = Head(decoder.norm, Site([head], [name_of(model, head)], buffers))
        self.lowest = self._lowest_adapted()

    @torch.no_grad()
    def train(self, part: Sequence[Placed], tally: Tally, dropout_of: Any) -> None:
        """Adds the part's losses to the tally and its gradients to the bank's buffer."""
        batch = pack(part, self.slots, self.embedding.weight.device)
        dropout: Dropout | None = dropout_of(part, batch.starts.tolist())
        step = step_of(self.model, batch, dropout)
        h, middle = self.embedding.forward(batch.ids, batch.owned)
        kept: list[tuple[Layer, LayerKept | torch.Tensor]] = []
        for i, layer in enumerate(self.layers):
            h = self._forward(i, layer, h, step, kept)
        g = self.head.losses(h, batch.answers, tally, dropout)
        self._backward(g, kept, step, middle)

    def _forward(
        self,
        i: int,
        layer: Layer,
        h: torch.Tensor,
        step: Step,
        kept: list[tuple[Layer, LayerKept | torch.Tensor]],
    ) -> torch.Tensor:
        result, its_kept = layer.forward(h, step, self._only(layer, step.batch))
        if i >= self.lowest:
            kept.append((layer, h if self.checkpointing else its_kept))
        return result

    def _backward(
        self,
        g: torch.Tensor,
        kept: list[tuple[Layer, LayerKept | torch.Tensor]],
        step: Step,
        middle: torch.Tensor | None,
    ) -> None:
        while kept:
            layer, its_kept = kept.pop()
            only = self._only(layer, step.batch)
            if isinstance(its_kept, torch.Tensor):
                _, its_kept = layer.forward(its_kept, step, only)
            wanted = bool(kept) or middle is not None
            below = layer.backward(g, its_kept, step, only, input_wanted=wanted)
            if below is None:
                return
            g = below
        if middle is not None:
            self.embedding.backward(g, step.batch.ids, middle, step.batch.owned)

    def _only(self, layer: Layer, batch: Packed) -> Answers | None:
        """After the last attention nothing is read but the places that count."""
        return batch.answers if layer is self.layers[-1] else None

    def _lowest_adapted(self) -> int:
        """The first layer whose gradients are wanted; all of them for an adapted embedding."""
        if self.embedding.adapted:
            return 0
        adapted = [i for i, layer in enumerate(self.layers) if layer.adapted]
        return min(adapted, default=len(self.layers))


def name_of(model: Any, module: Any) -> str:
    return next((name for name, other in model.named_modules() if other is module), "")
