"""AdamW over one flat row per slot: rows share kernels and nothing else.

Every slot has its own learning rate, weight decay, clip norm and step count; the number of
operations does not depend on how many slots there are.
"""

from __future__ import annotations

import torch


class RowAdamW:
    """Updates `values_KP` in place from `grads_KP`, row by row independent of each other."""

    def __init__(
        self,
        values_KP: torch.Tensor,
        grads_KP: torch.Tensor,
        *,
        learning_rate_K: torch.Tensor,
        weight_decay_K: torch.Tensor,
        clip_norm_K: torch.Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.values, self.grads = values_KP, grads_KP
        self.rate, self.decay, self.clip = learning_rate_K, weight_decay_K, clip_norm_K
        self.first, self.second = torch.zeros_like(values_KP), torch.zeros_like(values_KP)
        self.count_K = torch.zeros_like(learning_rate_K)
        self.betas, self.eps = betas, eps

    def restart(self, row: int, rate: float, decay: float, clip: float) -> None:
        """The row as it was before its first step, with these numbers."""
        self.rate[row], self.decay[row], self.clip[row] = rate, decay, clip
        self.first[row], self.second[row], self.count_K[row] = 0.0, 0.0, 0.0

    @torch.no_grad()
    def step(self, moving_K: torch.Tensor, rate_share_K: torch.Tensor) -> torch.Tensor:
        """One update of the rows in `moving_K`; returns which of them had finite gradients.

        A row that stands still keeps value and state bit for bit. `rate_share_K` is the schedule.
        """
        norm_K = torch.linalg.vector_norm(self.grads, dim=1)
        moving_K = moving_K & torch.isfinite(norm_K)
        column = moving_K[:, None]
        shrink_K = torch.clamp(self.clip / (norm_K + 1e-6), max=1.0)
        # NaN times zero is NaN, so rows that stand still are replaced, not scaled away
        grads = torch.where(column, self.grads * shrink_K[:, None], 0.0)
        self.count_K += moving_K
        beta1, beta2 = self.betas
        self._toward(self.first, grads, 1 - beta1, column)
        self._toward(self.second, grads * grads, 1 - beta2, column)
        counted = self.count_K.clamp(min=1.0)
        bias1, bias2 = 1 - beta1**counted, 1 - beta2**counted
        rate_K = torch.where(moving_K, self.rate * rate_share_K, 0.0)
        change = (self.first / bias1[:, None]) / (
            (self.second / bias2[:, None]).sqrt_().add_(self.eps)
        )
        self.values.mul_(1 - (rate_K * self.decay)[:, None])
        self.values.sub_(change.mul_(rate_K[:, None]))
        return moving_K

    @staticmethod
    def _toward(
        state: torch.Tensor, target: torch.Tensor, share: float, moving: torch.Tensor
    ) -> None:
        state.copy_(torch.where(moving, torch.lerp(state, target, share), state))
