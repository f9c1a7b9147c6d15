"""A frozen adapter under the slots' own, on which all of them build.

    W x + B_0 A_0 x    every slot's adapter is trained beside this, with W, B_0 and A_0 frozen

The factors are multiplied with x, not merged into the weights, because a merge is exact only for a
base in a wide dtype: bf16 rounds W + B_0 A_0 to 8 bits, which drops most of a small adapter, and
4-bit codes would have to be chosen anew. So the base stays as it is, bit for bit, and one copy of
the factors serves all slots. The cost is two thin products a layer; the factors need no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hone.errors import BadInput

if TYPE_CHECKING:
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class LowRank:
    """One layer's frozen factors, ready to be multiplied with: in the base's dtype, B scaled."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor

    def add(self, onto_NO: torch.Tensor, x_NI: torch.Tensor) -> None:
        onto_NO.addmm_(x_NI @ self.a_RI.t(), self.b_OR.t())

    def add_rows(self, onto_NO: torch.Tensor, ids_N: torch.Tensor) -> None:
        """The same for an embedding, whose A is looked up by token."""
        onto_NO.addmm_(self.a_RI.index_select(1, ids_N).t(), self.b_OR.t())

    def add_backward(self, onto_NI: torch.Tensor, g_NO: torch.Tensor) -> None:
        onto_NI.addmm_(g_NO @ self.b_OR, self.a_RI)

    def times(self, b_KIR: torch.Tensor) -> torch.Tensor:
        """B_0 A_0 b, in the dtype of b."""
        return self.b_OR.to(b_KIR.dtype) @ (self.a_RI.to(b_KIR.dtype) @ b_KIR)


Under = Mapping[str, LowRank]  # by layer; empty: the base alone


def lying_under(
    adapter: AdapterFiles | None, layers: Mapping[str, object], like: torch.Tensor
) -> Under:
    """The adapter's factors for each of these layers, in the dtype and on the device of `like`;
    empty without an adapter."""
    if adapter is None:
        return {}
    if adapter.tensors.keys() != layers.keys():
        other = sorted(adapter.tensors.keys() ^ layers.keys())[:3]
        raise BadInput(
            f"the adapter to train on top of is for other layers ({', '.join(other)} ...); train"
            " it with the same target_modules and adapter_layers"
        )
    return {
        name: LowRank(a.to(like), (b * adapter.scale).to(like))
        for name, (a, b) in adapter.tensors.items()
    }
