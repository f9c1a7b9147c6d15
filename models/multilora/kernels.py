"""All that is not a matrix product in a training step of a Llama-shaped model, in one pass each.

On a CPU, for bf16 and fp32, these functions are C++ (native/), built on first use; for anything
else, or without a compiler, they are plain torch (plain_kernels.py). `HONE_KERNELS=off` in the
environment switches the C++ off. No value of one item or row reaches another, and results do not
depend on which thread computed them.

Inputs and outputs may be column slices of a wider buffer: the stride of the first dimension is
free.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from models.multilora import plain_kernels as plain
from models.multilora.native_library import library

KINDS = {torch.bfloat16: "bf16", torch.float32: "fp32"}


def available() -> bool:
    """Whether the C++ is available."""
    return library() is not None


def rms_norm(
    x_ND: torch.Tensor, weight_D: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The normed rows, and the factor that each row was multiplied with."""
    native = native_for("rms_norm", x_ND, weight_D)
    if native is None:
        return plain.rms_norm(x_ND, weight_D, eps)
    y_ND, shrink_N = x_ND.new_empty(x_ND.shape), _fp32(len(x_ND))
    native(*at(x_ND), weight_D.data_ptr(), eps, *x_ND.shape, y_ND.data_ptr(), shrink_N.data_ptr())
    return y_ND, shrink_N


def rms_norm_backward(
    g_ND: torch.Tensor,
    x_ND: torch.Tensor,
    weight_D: torch.Tensor,
    shrink_N: torch.Tensor,
    residual_ND: torch.Tensor | None = None,
) -> torch.Tensor:
    """The gradient of x, plus `residual_ND`."""
    residual = () if residual_ND is None else (residual_ND,)
    native = native_for("rms_norm_backward", g_ND, x_ND, weight_D, *residual)
    if native is None:
        return plain.rms_norm_backward(g_ND, x_ND, weight_D, shrink_N, residual_ND)
    gx_ND = x_ND.new_empty(x_ND.shape)
    native(
        *at(g_ND),
        *at(x_ND),
        weight_D.data_ptr(),
        shrink_N.data_ptr(),
        *(at(residual_ND) if residual_ND is not None else (None, 0)),
        *x_ND.shape,
        gx_ND.data_ptr(),
    )
    return gx_ND


def rms_norm_weights(
    g_ND: torch.Tensor, x_ND: torch.Tensor, shrink_N: torch.Tensor
) -> torch.Tensor:
    """The gradient of the norm's weights, in fp32 or wider."""
    native = native_for("rms_norm_weights", g_ND, x_ND)
    if native is None:
        return plain.rms_norm_weights(g_ND, x_ND, shrink_N)
    gw_D = _fp32(x_ND.shape[1])
    native(*at(g_ND), *at(x_ND), shrink_N.data_ptr(), *x_ND.shape, gw_D.data_ptr())
    return gw_D


def rotate(x_NHW: torch.Tensor, cos_NW: torch.Tensor, sin_NW: torch.Tensor, back: bool) -> None:
    """Applies the rotary embedding to every head in place; `back` turns the other way."""
    native = native_for("rotate", x_NHW, cos_NW, sin_NW)
    if native is None:
        return plain.rotate(x_NHW, cos_NW, sin_NW, back)
    native(*at(x_NHW), *at(cos_NW), *at(sin_NW), *x_NHW.shape, -1.0 if back else 1.0)


def attention(
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention inside each item: the output [N, H * W], and what its backward needs beside
    it: the logarithm of each softmax's sum [N, H] from C++, nothing from plain torch.

    Item i has the tokens from `starts[i]` to `starts[i + 1]`. `starts` is int32 and must not change
    later, since plain torch caches by it. H is a multiple of G, and `scale` is positive.
    """
    native = native_for("attention", q_NHW, k_NGW, v_NGW)
    if native is None or not is_plain(starts, torch.int32):
        return plain.attention(q_NHW, k_NGW, v_NGW, starts, scale), _fp32(0)
    tokens, heads, width = q_NHW.shape
    out, lse_NH = q_NHW.new_empty(tokens, heads * width), _fp32(tokens, heads)
    native(
        *at(q_NHW),
        *at(k_NGW),
        *at(v_NGW),
        starts.data_ptr(),
        len(starts) - 1,
        heads,
        k_NGW.shape[1],
        width,
        scale,
        out.data_ptr(),
        lse_NH.data_ptr(),
    )
    return out, lse_NH


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
    """Writes the gradients of q, k and v into the last three arguments."""
    views = (g_out, q_NHW, k_NGW, v_NGW, out, gq_NHW, gk_NGW, gv_NGW)
    native = native_for("attention_backward", *views)
    if native is None or lse_NH.shape != q_NHW.shape[:2]:
        return plain.attention_backward(
            g_out, q_NHW, k_NGW, v_NGW, starts, scale, gq_NHW, gk_NGW, gv_NGW
        )
    native(
        *at(g_out),
        *at(q_NHW),
        *at(k_NGW),
        *at(v_NGW),
        out.data_ptr(),
        lse_NH.data_ptr(),
        starts.data_ptr(),
        len(starts) - 1,
        q_NHW.shape[1],
        *k_NGW.shape[1:],
        scale,
        *at(gq_NHW),
        *at(gk_NGW),
        *at(gv_NGW),
    )


def swiglu(gate_NF: torch.Tensor, up_NF: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up"""
    native = native_for("swiglu", gate_NF, up_NF)
    if native is None:
        return plain.swiglu(gate_NF, up_NF)
    y_NF = gate_NF.new_empty(gate_NF.shape)
    native(*at(gate_NF), *at(up_NF), *gate_NF.shape, y_NF.data_ptr())
    return y_NF


def swiglu_backward(
    g_NF: torch.Tensor,
    gate_NF: torch.Tensor,
    up_NF: torch.Tensor,
    into_gate: torch.Tensor,
    into_up: torch.Tensor,
) -> None:
    """Writes the gradients of gate and up, which may overwrite gate and up themselves."""
    native = native_for("swiglu_backward", g_NF, gate_NF, up_NF, into_gate, into_up)
    if native is None:
        return plain.swiglu_backward(g_NF, gate_NF, up_NF, into_gate, into_up)
    native(*at(g_NF), *at(gate_NF), *at(up_NF), *g_NF.shape, *at(into_gate), *at(into_up))


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
    work_KP: torch.Tensor,
    scaled_from: int,
    scale_K: torch.Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> list[bool]:
    """One step of AdamW in place, each row with its own rate, decay, clip norm and step count.
    Returns which rows moved: those of `moving_K` (bool) whose gradients are finite.

    A row that does not move keeps its values, moments and count bit for bit. Then, for all rows,
    `work_KP` holds what `cast_rows` would write, and the gradients are cleared.
    """
    flat, rows = (values_KP, grads_KP, first_KP, second_KP), (rate_K, decay_K, clip_K, count_K)
    native = _flat_native("adamw_rows", work_KP, *flat)
    of_rows = is_plain(moving_K, torch.bool) and all(is_plain(row) for row in (*rows, scale_K))
    if native is None or not of_rows:
        moved = plain.adamw_rows(
            *flat,
            rate_K=rate_K,
            decay_K=decay_K,
            clip_K=clip_K,
            count_K=count_K,
            moving_K=moving_K,
            betas=betas,
            eps=eps,
        )
        plain.cast_rows(values_KP, work_KP, scaled_from, scale_K)
        grads_KP.zero_()
        return moved
    moved_K = torch.empty(len(values_KP), dtype=torch.bool)
    native(
        *(x.data_ptr() for x in flat),
        *values_KP.shape,
        *(x.data_ptr() for x in rows),
        moving_K.data_ptr(),
        moved_K.data_ptr(),
        *betas,
        eps,
        work_KP.data_ptr(),
        scaled_from,
        scale_K.data_ptr(),
    )
    result: list[bool] = moved_K.tolist()
    return result


def cast_rows(
    values_KP: torch.Tensor, work_KP: torch.Tensor, scaled_from: int, scale_K: torch.Tensor
) -> None:
    """Copies the values into `work_KP` in its dtype; those from column `scaled_from` on are
    multiplied by their row's scale."""
    native = _flat_native("cast_rows", work_KP, values_KP, scale_K)
    if native is None:
        return plain.cast_rows(values_KP, work_KP, scaled_from, scale_K)
    native(
        values_KP.data_ptr(),
        *values_KP.shape,
        work_KP.data_ptr(),
        scaled_from,
        scale_K.data_ptr(),
    )


def native_for(name: str, *views: torch.Tensor) -> Callable[..., None] | None:
    """The C++ function, where all tensors have one dtype and each of their rows is contiguous."""
    dtype = views[0].dtype
    for view in views:
        if view.dtype != dtype or view.device.type != "cpu" or not _rows_are_whole(view):
            return None
    return function_of(name, dtype)


def _flat_native(
    name: str, work_KP: torch.Tensor, *flat: torch.Tensor
) -> Callable[..., None] | None:
    """The C++ function that reads contiguous fp32 and writes a copy in the dtype of `work_KP`."""
    if not all(is_plain(x) for x in flat) or not is_plain(work_KP, work_KP.dtype):
        return None
    return function_of(name, work_KP.dtype)


def function_of(name: str, dtype: torch.dtype) -> Callable[..., None] | None:
    kind = KINDS.get(dtype)
    loaded = None if kind is None else library()
    if loaded is None:
        return None
    function = getattr(loaded, f"{name}_{kind}")
    return lambda *arguments: function(torch.get_num_threads(), *arguments)


def _rows_are_whole(view: torch.Tensor) -> bool:
    if view.dim() == 3 and view.stride(1) != view.shape[2] and view.shape[1] > 1:
        return False
    return view.stride(-1) == 1


def is_plain(x: torch.Tensor, dtype: torch.dtype = torch.float32) -> bool:
    return x.dtype == dtype and x.device.type == "cpu" and x.is_contiguous()


def at(view: torch.Tensor) -> tuple[int, int]:
    return view.data_ptr(), view.stride(0)


def _fp32(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float32)
