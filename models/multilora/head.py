"""From hidden states to the slots' losses and back: final norm, logits, cross entropy.

Logits are computed only where a label is, a bounded number of places at a time and at once followed
by their gradient, so that [places, vocabulary] is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from models.multilora import kernels
from models.multilora.dropout import Dropout
from models.multilora.packed import Answers
from models.multilora.sites import Site

CHUNK_BYTES = 64 << 20  # most bytes of fp32 logits that are computed at once
# In fp16, gradients pass through the layers multiplied by this, so that small ones do not vanish,
# and are divided by it where they are summed up in fp32.
MAGNIFIED = {torch.float16: 256.0}


@dataclass(frozen=True)
class StepLosses:
    """The results of a step, one value a slot."""

    losses_K: torch.Tensor
    exact_K: torch.Tensor  # bool: each token of its items' last answers was the likeliest there


class Tally:
    """Losses and mistakes of all slots, summed over the parts of a step."""

    def __init__(
        self, slots: int, dtype: torch.dtype, device: torch.device, magnified: float = 1.0
    ) -> None:
        self.magnified = magnified  # factor of the gradients that are returned
        self.losses_K = torch.zeros(slots, dtype=dtype, device=device)
        self.wrong_K, self.counted_K = self.losses_K.clone(), self.losses_K.clone()

    def add(self, logits_MV: torch.Tensor, answers: Answers, span: slice) -> torch.Tensor:
        """Adds these places' losses; returns the gradient of their logits, in fp32 or wider."""
        targets, owners = answers.targets[span], answers.owners[span]
        wide = logits_MV.to(self.losses_K.dtype)
        share = answers.shares[span].to(wide.dtype)
        logs = wide.log_softmax(-1)
        losses = -logs.gather(1, targets[:, None])[:, 0]
        # a share of 0 must silence a NaN too, but NaN times 0 is NaN
        heard = share > 0
        self.losses_K.index_add_(0, owners, torch.where(heard, losses * share, 0.0))
        asked = heard & answers.last[span]
        wrong = (logs.argmax(-1) != targets) & asked
        self.wrong_K.index_add_(0, owners, wrong.to(wide.dtype))
        self.counted_K.index_add_(0, owners, asked.to(wide.dtype))
        grads = logs.exp_()
        grads[torch.arange(len(targets), device=grads.device), targets] -= 1.0
        return torch.where(heard[:, None], grads * (share * self.magnified)[:, None], 0.0)

    def result(self) -> StepLosses:
        return StepLosses(self.losses_K, (self.wrong_K == 0) & (self.counted_K > 0))


class Head:
    def __init__(self, norm: Any, site: Site) -> None:
        self.norm, self.site = norm, site

    def losses(
        self,
        h_MD: torch.Tensor,
        answers: Answers,
        tally: Tally,
        dropout: Dropout | None,
        *,
        input_wanted: bool = True,
    ) -> torch.Tensor | None:
        """Adds to the tally; returns the gradient of the hidden states at the labelled places."""
        x_MD, shrink = kernels.rms_norm(h_MD, self.norm.weight, self.norm.variance_epsilon)
        gx_MD = torch.empty_like(x_MD)
        for span in spans(len(x_MD), self.site.width):
            owned = answers.owned.within(span.start, span.stop)
            dropped = dropout.at(answers.places[span]) if dropout else None
            logits, kept = self.site.forward(x_MD[span], owned, dropout=dropped)
            grads = tally.add(logits, answers, span).to(logits.dtype)
            gx = self.site.backward(grads, kept, owned, input_wanted=input_wanted)
            if gx is not None:
                gx_MD[span] = gx
        if not input_wanted:
            return None
        return kernels.rms_norm_backward(gx_MD, h_MD, self.norm.weight, shrink, None)


def spans(places: int, vocabulary: int) -> Iterator[slice]:
    """Splits the places so that the logits of each span take at most CHUNK_BYTES."""
    many = max(1, CHUNK_BYTES // (4 * vocabulary))
    for start in range(0, places, many):
        yield slice(start, min(start + many, places))


def chunked(
    logits_of: Callable[[slice], torch.Tensor], answers: Answers, tally: Tally, vocabulary: int
) -> None:
    """The same for a head inside autograd: each span of logits goes backward at once."""
    for span in spans(len(answers.places), vocabulary):
        logits = logits_of(span)
        grads = tally.add(logits.detach(), answers, span).to(logits.dtype)
        torch.autograd.backward(logits, grads)
