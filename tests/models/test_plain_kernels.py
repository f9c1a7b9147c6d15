"""Backwards written by hand in plain torch are autograd's, in fp64."""

from __future__ import annotations

import torch

from models.multilora import plain_kernels


def test_plain_norm_and_swiglu_have_autograd_s_gradients() -> None:
    x, g, weight = torch.randn(9, 6).double(), torch.randn(9, 6).double(), torch.rand(6).double()
    x.requires_grad_()
    y = torch.nn.functional.rms_norm(x, (6,), weight.requires_grad_(), 1e-6)
    right, of_weight = torch.autograd.grad(y, (x, weight), g)
    y, weight = y.detach(), weight.detach()
    found, shrink = plain_kernels.rms_norm(x.detach(), weight, 1e-6)
    assert torch.allclose(found, y)
    assert torch.allclose(
        plain_kernels.rms_norm_backward(g, x.detach(), weight, shrink, None), right
    )
    assert torch.allclose(plain_kernels.rms_norm_weights(g, x.detach(), shrink), of_weight)
    gate, up = x, g.clone().requires_grad_()
    rights = torch.autograd.grad(torch.nn.functional.silu(gate) * up, (gate, up), g + 1)
    into = torch.empty_like(g), torch.empty_like(g)
    plain_kernels.swiglu_backward(g + 1, gate.detach(), up.detach(), *into)
    assert all(torch.allclose(a, b) for a, b in zip(into, rights, strict=True))
