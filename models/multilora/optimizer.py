"""AdamW over one flat row per slot; rows are updated by the same kernels and share nothing else.

Every slot has its own learning rate, weight decay, clip norm and step count. The number of kernel
calls does not depend on the number of slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.multilora import kernels


@dataclass(frozen=True)
class Work:
    """The working copy of the values, which products are computed with: in a dtype of its own, and
    from column `scaled_from` on multiplied by the row's scale."""

    rows_KP: torch.Tensor
    scaled_from: int
    scale_K: torch.Tensor


class RowAdamW:
    """Updates `values_KP` in place from `grads_KP`, each row independently. The same pass writes
    the working copy and clears the gradients."""

    def __init__(
        self,
        values_KP: torch.Tensor,
        grads_KP: torch.Tensor,
        *,
        learning_rate_K: torch.Tensor,
        weight_decay_K: torch.Tensor,
        clip_norm_K: torch.Tensor,
        work: Work,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.values, self.grads = values_KP, grads_KP
        self.rate, self.decay, self.clip = learning_rate_K, weight_decay_K, clip_norm_K
        self.first, self.second = torch.zeros_like(grads_KP), torch.zeros_like(grads_KP)
        self.count_K = torch.zeros_like(learning_rate_K)
        self.work, self.betas, self.eps = work, betas, eps

    def restart(self, row: int, rate: float, decay: float, clip: float) -> None:
        """Resets the row to before its first step, with these settings."""
        self.rate[row], self.decay[row], self.clip[row] = rate, decay, clip
        self.first[row], self.second[row], self.count_K[row] = 0.0, 0.0, 0.0

    def step(self, moving_K: torch.Tensor, rate_share_K: torch.Tensor) -> list[bool]:
        """One update of the rows in `moving_K`; returns which of them had finite gradients.

        A row that does not move keeps its values and state bit for bit. `rate_share_K` comes from
        the schedule.
        """
        return kernels.adamw_rows(
            self.values,
            self.grads,
            self.first,
            self.second,
            rate_K=self.rate * rate_share_K,
            decay_K=self.decay,
            clip_K=self.clip,
            count_K=self.count_K,
            moving_K=moving_K,
            betas=self.betas,
            eps=self.eps,
            work_KP=self.work.rows_KP,
            scaled_from=self.work.scaled_from,
            scale_K=self.work.scale_K,
        )
