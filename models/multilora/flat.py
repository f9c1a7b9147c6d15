"""Where the factors of every layer lie in the flat rows of a bank, one row a slot.

    [ A of every layer, in the model's order | B of every layer ]

Layers that read the same input are neighbours in the model's order, so their A factors form one
matrix. All B factors are one stretch, so that a slot's scale is applied to them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Shape:
    """The sizes that an adapter of one layer maps between: a linear layer's or an embedding's."""

    inputs: int
    outputs: int
    is_embedding: bool

    @classmethod
    def of(cls, module: nn.Module) -> Shape:
        if isinstance(module, nn.Embedding):
            return cls(module.num_embeddings, module.embedding_dim, True)
        layer: nn.Linear = module  # type: ignore[assignment]
        return cls(layer.in_features, layer.out_features, False)


class FlatLayout:
    def __init__(self, shapes: Mapping[str, Shape], width: int) -> None:
        self.shapes, self.width = dict(shapes), width
        self._a: dict[str, int] = {}
        self._b: dict[str, int] = {}
        at = 0
        for starts, side in ((self._a, "inputs"), (self._b, "outputs")):
            for name, shape in shapes.items():
                starts[name] = at
                at += width * getattr(shape, side)
        self.size = at
        self.b_from = min(self._b.values())

    def a_KRI(self, rows_KP: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
        """The A factors of neighbouring layers with one input as one: [K, len(names) * R, I]."""
        inputs = self.shapes[names[0]].inputs
        stretch = self._stretch(self._a[names[0]], inputs * len(names))
        assert [self._a[name] for name in names] == [
            self._a[names[0]] + i * self.width * inputs for i in range(len(names))
        ]
        return rows_KP[:, stretch].view(len(rows_KP), -1, inputs)

    def a_KVR(self, rows_KP: torch.Tensor, name: str) -> torch.Tensor:
        """An embedding's A, with a row for every token of the vocabulary."""
        stretch = self._stretch(self._a[name], self.shapes[name].inputs)
        return rows_KP[:, stretch].view(len(rows_KP), -1, self.width)

    def b_KRO(self, rows_KP: torch.Tensor, name: str) -> torch.Tensor:
        """B transposed, as h [N, R] is multiplied with it."""
        outputs = self.shapes[name].outputs
        return rows_KP[:, self._stretch(self._b[name], outputs)].view(len(rows_KP), -1, outputs)

    def _stretch(self, start: int, side: int) -> slice:
        return slice(start, start + self.width * side)
