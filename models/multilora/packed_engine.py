"""Losses and gradients of a step for Llama-shaped models, on packed tokens and without autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.multilora.decoder import Layer, LayerKept, Step, layers_of, step_of
from models.multilora.dropout import Dropout
from models.multilora.features import FeatureStore
from models.multilora.final_states import FinalStatesSite
from models.multilora.head import Head, Tally
from models.multilora.layer import EmbeddingSite
from models.multilora.packed import Answers, Packed, Placed, pack, parts_of
from models.multilora.sites import Buffers, Site


class PackedEngine:
    """`checkpointing`: keep only a layer's input and compute the rest again in the backward.
    `on_states`: the adapter is on the head's input. `features`: caches the states below the lowest
    adapter from epoch to epoch."""

    parts = staticmethod(parts_of)

    def __init__(
        self,
        model: Any,
        buffers: Buffers,
        *,
        checkpointing: bool = False,
        on_states: bool = False,
        features: FeatureStore | None = None,
    ) -> None:
        self.model, self.slots = model, len(buffers.work_KP)
        self.checkpointing = checkpointing
        decoder, head = model.base_model, model.get_output_embeddings()
        self.embedding = EmbeddingSite(
            decoder.embed_tokens, name_of(model, decoder.embed_tokens), buffers
        )
        self.layers = layers_of(model, buffers)
        name = name_of(model, head)
        reading = (
            FinalStatesSite(head, name, buffers) if on_states else Site([head], [name], buffers)
        )
        self.head = Head(decoder.norm, reading)
        self.lowest = self._lowest_adapted()
        self.features = features if self.lowest > 0 else None

    @torch.no_grad()
    def train(self, part: Sequence[Placed], tally: Tally, dropout_of: Any) -> None:
        """Adds the part's losses to the tally and its gradients to the bank's buffer."""
        batch = pack(part, self.slots, self.embedding.weight.device)
        dropout: Dropout | None = dropout_of(part, batch.starts.tolist())
        step = step_of(self.model, batch, dropout)
        if self.features is None:
            h, middle = self._below(step)
        else:
            h, middle = self.features.states(part, self._states_of), None
        h, kept = self._above(h, step)
        wanted = bool(kept) or middle is not None
        g = self.head.losses(h, batch.answers, tally, dropout, input_wanted=wanted)
        if g is not None:
            self._backward(g, kept, step, middle)

    def _below(self, step: Step) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The lowest adapted layer's input, and the low-rank middle of an adapted embedding."""
        h, middle = self.embedding.forward(step.batch.ids, step.batch.owned)
        for layer in self.layers[: self.lowest]:
            h = layer.forward(h, step, self._only(layer, step.batch))[0]
        return h, middle

    def _above(
        self, h: torch.Tensor, step: Step
    ) -> tuple[torch.Tensor, list[tuple[Layer, LayerKept | torch.Tensor]]]:
        """The head's input, and what the backward needs of the layers that are not below."""
        kept: list[tuple[Layer, LayerKept | torch.Tensor]] = []
        for layer in self.layers[self.lowest :]:
            h, its_kept = self._through(layer, h, step)
            kept.append((layer, its_kept))
        return h, kept

    def _through(
        self, layer: Layer, h: torch.Tensor, step: Step
    ) -> tuple[torch.Tensor, LayerKept | torch.Tensor]:
        """A function of its own, so that what is not kept is freed before the next layer begins."""
        above, its_kept = layer.forward(h, step, self._only(layer, step.batch))
        return above, h if self.checkpointing else its_kept

    def _states_of(self, part: Sequence[Placed]) -> list[torch.Tensor]:
        """The input of the lowest adapted layer for every item; where only the head is adapted, its
        input at the labelled places alone."""
        batch = pack(part, self.slots, self.embedding.weight.device)
        h, _ = self._below(step_of(self.model, batch, None))
        ends = batch.starts[1:].long()
        if self.lowest == len(self.layers):
            ends = torch.searchsorted(batch.answers.places, ends)
        return list(h.tensor_split(ends[:-1].cpu()))

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
                its_kept = layer.forward(its_kept, step, only)[1]
            wanted = bool(kept) or middle is not None
            below = layer.backward(g, its_kept, step, only, input_wanted=wanted)
            if below is None:
                return
            g = below
        if middle is not None:
            self.embedding.backward(g, step.batch.ids, middle, step.batch.owned)

    def _only(self, layer: Layer, batch: Packed) -> Answers | None:
        """Above the last layer's attention, only the labelled places are computed."""
        return batch.answers if layer is self.layers[-1] else None

    def _lowest_adapted(self) -> int:
        """The number of the lowest adapted layer: 0 for an adapted embedding, the number of layers
        where none is adapted."""
        if self.embedding.adapted:
            return 0
        adapted = [i for i, layer in enumerate(self.layers) if layer.adapted]
        return min(adapted, default=len(self.layers))


def name_of(model: Any, module: Any) -> str:
    return next((name for name, other in model.named_modules() if other is module), "")
