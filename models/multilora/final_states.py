"""An adapter on the states that the head reads: logits = W (h + scale * h A^T B^T).

It maps states to states of the same width and multiplies with no frozen weight of its own, so a
large vocabulary does not make it more expensive. Written as an adapter beside the head's weight W,
its factors are A and W B.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.frozen_linear import FrozenLinear, dense_weight
from models.multilora.dropout import Dropout
from models.multilora.frozen_product import FrozenProduct
from models.multilora.layer import ALL, BankedLinear, Factors, Rows
from models.multilora.owned import Owned
from models.multilora.owned_products import add_outer_own, add_times_own, times_own
from models.multilora.sites import Buffers, Kept, Site, add_masked


class FinalStates(nn.Module):
    """The head's input, as a layer that an adapter can stand beside."""

    def __init__(self, head: FrozenLinear) -> None:
        super().__init__()
        self.head = head
        self.in_features = self.out_features = head.in_features


@dataclass(kw_only=True)
class StatesKept(Kept):
    """What the backward needs, of the adapter and of the head after it."""

    head: Kept
    mask: torch.Tensor | None


class FinalStatesSite(Site):
    """The head, together with the adapter on its input."""

    def __init__(self, head: FrozenLinear, name: str, buffers: Buffers) -> None:
        super().__init__([head], [""], buffers)
        self.frozen = FrozenProduct([head], [buffers.under.get(name)])
        flat, work, grads = buffers.flat, buffers.work_KP, buffers.grads_KP
        self.number = buffers.numbers[name]
        self.a_KRI, self.a_grad = flat.a_KRI(work, [name]), flat.a_KRI(grads, [name])
        self.b_KRI, self.b_grad = flat.b_KRO(work, name), flat.b_KRO(grads, name)

    def forward(
        self,
        x_NI: torch.Tensor,
        owned: Owned,
        onto: torch.Tensor | None = None,
        dropout: Dropout | None = None,
    ) -> tuple[torch.Tensor, Kept]:
        mask = dropout.mask(self.number, x_NI) if dropout else None
        read_NI = x_NI if mask is None else x_NI * mask
        h_NR = times_own(read_NI, self.a_KRI, owned)
        moved_NI = x_NI.clone()
        add_times_own(moved_NI, h_NR, self.b_KRI, owned)
        out, kept = super().forward(moved_NI, owned, onto)
        return out, StatesKept(x_NI=read_NI, h_NR=h_NR, head=kept, mask=mask)

    def backward(
        self, g_NO: torch.Tensor, kept: Kept, owned: Owned, *, input_wanted: bool = True
    ) -> torch.Tensor | None:
        assert isinstance(kept, StatesKept) and kept.h_NR is not None
        g_NI = super().backward(g_NO, kept.head, owned)
        assert g_NI is not None
        gh_NR = times_own(g_NI, self.b_KRI, owned)
        add_outer_own(self.b_grad, kept.h_NR, g_NI, owned)
        add_outer_own(self.a_grad, gh_NR, kept.x_NI, owned)
        if not input_wanted:
            return None
        if kept.mask is None:
            add_times_own(g_NI, gh_NR, self.a_KRI, owned)
        else:
            add_masked(g_NI, gh_NR, self.a_KRI, owned, kept.mask)
        return g_NI


class BankedHead(BankedLinear):
    """The head with adapted input, for use in the model's own forward."""

    def __init__(
        self, states: FinalStates, name: str, buffers: Buffers, factors: Factors, rows: Rows
    ) -> None:
        super().__init__(states.head, "", buffers, factors, rows)
        self.site = FinalStatesSite(states.head, name, buffers)

    def beside(self, slots: slice = ALL) -> Factors:
        """The same adapters as factors beside the head's weight W: A and W B. A frozen adapter
        under the slots' reads the adapted states too, so its product with B is added to W B."""
        own = super().beside(slots)
        b_KOR = dense_weight(self.frozen).to(own.b_KOR.dtype) @ own.b_KOR
        for _, under in self.site.frozen.under:
            b_KOR += under.times(own.b_KOR)
        return Factors(own.a_KRI, b_KOR)
