"""Puts encoded sequences of unequal length into one rectangle of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from arc.formats import IGNORED, Encoded


@dataclass(frozen=True)
class Batch:
    """Tensors [rows, length]; padding is on the right, where causal attention never sees it."""

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor

    @property
    def ones(self) -> torch.Tensor:
        """The attention mask: all ones, because without a mask transformers takes jumping positions
        for several packed sequences."""
        return torch.ones_like(self.ids)


def pad(rows: Sequence[Encoded], device: torch.device | str = "cpu", length: int = 0) -> Batch:
    """The rows in one rectangle; `length` asks for one wider than the longest row."""
    width = max([length, *map(len, rows)])
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        n = len(row)
        ids[i, :n] = torch.from_numpy(row.ids)
        positions[i, :n] = torch.from_numpy(row.positions)
        positions[i, n:] = int(row.positions[-1])
        labels[i, :n] = torch.from_numpy(row.labels)
    return Batch(ids.to(device), positions.to(device), labels.to(device))


def left_padded(
    prompts: Sequence[Encoded], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, positions and mask of prompts that all end in the last column, where writing begins."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    positions, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        start = width - len(prompt)
        ids[i, start:] = torch.from_numpy(prompt.ids)
        positions[i, start:] = torch.from_numpy(prompt.positions)
        positions[i, :start] = int(prompt.positions[0])
        mask[i, start:] = 1
    return ids.to(device), positions.to(device), mask.to(device)
