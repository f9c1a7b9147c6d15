"""What is not a matrix product in a training step of a Llama-shaped model, one pass each.

On a CPU, for bf16 and fp32, these are C++ (native/), built on first use; anything else, or a
machine without a compiler, takes plain torch (plain_kernels.py). `HONE_KERNELS=off` in the
environment switches the C++ off. No value of one item or row reaches another, and results do not
depend on which thread computed them.

Inputs and outputs may be column slices of a wider buffer: the first dimension's stride is free.
"""

from __future__ import annotations

import torch

from models.multilora import plain_kernels as plain


def available() -> bool:
    """Whether the C++ is there."""
    return False


def rms_norm(
    x_ND: torch.Tensor, weight_D: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The normed rows, and what each was multiplied with."""
    return plain.rms_norm(x_ND, weight_D, eps)


def rms_norm_backward(
    g_ND: torch.Tensor,
    x_ND: torch.Tensor,
    weight_D: torch.Tensor,
    shrink_N: torch.Tensor,
    residual_ND: torch.Tensor | None = None,
) -> torch.Tensor:
    """The gradient of x, plus `residual_ND`."""
    return plain.rms_norm_backward(g_ND, x_ND, weight_D, shrink_N, residual_ND)


def rotate(x_NHW: torch.Tensor, cos_NW: torch.Tensor, sin_NW: torch.Tensor, back: bool) -> None:
    """Turn the halves of every head against each other, in place; `back`: the other way."""
    plain.rotate(x_NHW, cos_NW, sin_NW, back)


def attention(
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention inside each item: [N, H * W], and the log of every row's sum [N, H].

    Item i has the tokens from `starts[i]` to `starts[i + 1]` (int32); H is a multiple of G.
    """
    return plain.attention(q_NHW, k_NGW, v_NGW, starts, scale)


def attention_backward(
    g_out: torch.Tensor,
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    out: torch.Tensor,
    lse_NH: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
    gq_NHW: torch.Tensor,
    gk_NGW: torch.Tensor,
    gv_NGW: torch.Tensor,
) -> None:
    """Write the gradients of q, k and v into the last three."""
    plain.attention_backward(
        g_out, q_NHW, k_NGW, v_NGW, out, lse_NH, starts, scale, gq_NHW, gk_NGW, gv_NGW
    )


def swiglu(gate_NF: torch.Tensor, up_NF: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up"""
    return plain.swiglu(gate_NF, up_NF)


def swiglu_backward(
    g_NF: torch.Tensor,
    gate_NF: torch.Tensor,
    up_NF: torch.Tensor,
    into_gate: torch.Tensor,
    into_up: torch.Tensor,
) -> None:
    """Write the gradients of gate and up; they may take the place of gate and up themselves."""
    plain.swiglu_backward(g_NF, gate_NF, up_NF, into_gate, into_up)


def adamw_rows(
    values_KP: torch.Tensor,
    grads_KP: torch.Tensor,
    first_KP: torch.Tensor,
    second_KP: torch.Tensor,
    *,
    rate_K: torch.Tensor,
    decay_K: torch.Tensor,
    clip_K: torch.Tensor,
    count_K: torch.Tensor,
    moving_K: torch.Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    work_KP: torch.Tensor | None = None,
    scaled_from: int = 0,
    scale_K: torch.Tensor | None = None,
    zero_grads: bool = False,
) -> list[bool]:
    """One step of AdamW in place, each row with its own rate, decay, clip norm and step count;
    which rows moved: those of `moving_K` (bool) whose gradients are finite.

    A row that stands still keeps values, moments and count bit for bit. `work_KP` then holds what
    `cast_rows` would write, for all rows; `zero_grads` clears the gradients of all rows.
    """
    moved = plain.adamw_rows(
        values_KP,
        grads_KP,
        first_KP,
        second_KP,
        rate_K=rate_K,
        decay_K=decay_K,
        clip_K=clip_K,
        count_K=count_K,
        moving_K=moving_K,
        betas=betas,
        eps=eps,
    )
    if work_KP is not None:
        assert scale_K is not None
        plain.cast_rows(values_KP, work_KP, scaled_from, scale_K)
    if zero_grads:
        grads_KP.zero_()
    return moved


def cast_rows(
    values_KP: torch.Tensor, work_KP: torch.Tensor, scaled_from: int, scale_K: torch.Tensor
) -> None:
    """Copy the values in the dtype of `work_KP`, those from column `scaled_from` on times their
    row's scale."""
    plain.cast_rows(values_KP, work_KP, scaled_from, scale_K)
