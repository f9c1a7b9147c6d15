"""Products in which each token is multiplied with its own slot's small matrix, as adapters need.

On a CPU, for bf16 and fp32, they are C++ (native/owned.cpp). In plain torch, one batched product
serves all slots where those with tokens have equally many; otherwise each slot's tokens are
multiplied separately. No value crosses from slot to slot.

A slot's matrix is [R, I]: R is a rank, or several ranks side by side, and I the width of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from models.multilora.kernels import at, native_for
from models.multilora.owned import Owned


def times_own(
    x_NI: torch.Tensor, m_KRI: torch.Tensor, owned: Owned, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Every token times its slot's matrix transposed: [N, R]."""
    if out is None:
        out = x_NI.new_empty(len(x_NI), m_KRI.shape[1])
    native = _native("times_own", m_KRI, x_NI, out)
    if native is not None:
        native(*at(x_NI), *_matrices(m_KRI), *_ends(owned), *m_KRI.shape[1:], *at(out))
        return out
    among = owned.even
    if among is not None:
        return out.copy_(torch.bmm(_by_slot(x_NI, among), m_KRI[among].mT).view(out.shape))
    for slot, start, end in owned.spans:
        torch.mm(x_NI[start:end], m_KRI[slot].t(), out=out[start:end])
    return out


def add_times_own(
    onto_NI: torch.Tensor, h_NR: torch.Tensor, m_KRI: torch.Tensor, owned: Owned
) -> None:
    """Adds every token's `h` times its slot's matrix to `onto_NI`."""
    native = _native("add_times_own", m_KRI, onto_NI, h_NR)
    if native is not None:
        return native(*at(onto_NI), *at(h_NR), *_matrices(m_KRI), *_ends(owned), *m_KRI.shape[1:])
    among = owned.even
    if among is not None:
        _by_slot(onto_NI, among).baddbmm_(_by_slot(h_NR, among), m_KRI[among])
        return None
    for slot, start, end in owned.spans:
        onto_NI[start:end].addmm_(h_NR[start:end], m_KRI[slot])


def add_outer_own(
    total_KRI: torch.Tensor, h_NR: torch.Tensor, x_NI: torch.Tensor, owned: Owned
) -> None:
    """Adds every slot's `h^T x`, over its own tokens, to the slot's part of `total_KRI`."""
    native = _native("add_outer_own", total_KRI, h_NR, x_NI, dtype=torch.float32)
    if native is not None:
        return native(
            *_matrices(total_KRI), *at(h_NR), *at(x_NI), *_ends(owned), *total_KRI.shape[1:]
        )
    for among, product in _outer_own(h_NR, x_NI, owned):
        total_KRI[among].add_(product)


def _outer_own(
    h_NR: torch.Tensor, x_NI: torch.Tensor, owned: Owned
) -> Iterator[tuple[slice, torch.Tensor]]:
    among = owned.even
    if among is not None:
        yield among, torch.bmm(_by_slot(h_NR, among).mT, _by_slot(x_NI, among))
        return
    for slot, start, end in owned.spans:
        yield slice(slot, slot + 1), (h_NR[start:end].t() @ x_NI[start:end])[None]


def _native(
    name: str, m_KRI: torch.Tensor, *rows: torch.Tensor, dtype: torch.dtype | None = None
) -> Callable[..., None] | None:
    """The C++ function, where the dtypes fit and every row of the matrices is contiguous."""
    whole = m_KRI.stride(2) == 1 and m_KRI.dtype == (dtype or rows[0].dtype)
    return native_for(name, *rows) if whole else None


def _by_slot(x_NI: torch.Tensor, among: slice) -> torch.Tensor:
    """[slots, tokens, width]: a view, also where `x_NI` is a slice of a wider tensor's columns."""
    return x_NI.view(among.stop - among.start, -1, x_NI.shape[-1])


def _matrices(m_KRI: torch.Tensor) -> tuple[int, int, int]:
    return m_KRI.data_ptr(), m_KRI.stride(0), m_KRI.stride(1)


def _ends(owned: Owned) -> tuple[int, int]:
    return owned.ends_there.data_ptr(), len(owned.ends)
