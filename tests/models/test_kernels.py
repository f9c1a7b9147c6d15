"""What is not a matrix product: C++ against plain torch, and plain torch against autograd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from models.multilora import kernels, plain_kernels

LENGTHS = [1, 5, 300, 17, 64, 33, 70]
SHAPES = [(4, 2, 16), (3, 1, 20), (2, 2, 32), (2, 1, 64), (1, 1, 128), (2, 2, 7)]  # H, G, W
DTYPES = [torch.float32, torch.bfloat16]
pytestmark = pytest.mark.usefixtures("one_thread")


def relative(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found.double() - right).norm() / right.norm())


def assert_as_good(found: torch.Tensor, plain: torch.Tensor, right: torch.Tensor) -> None:
    """As near to the fp64 result as plain torch is in the same dtype, with some room."""
    assert found.dtype == plain.dtype and found.shape == plain.shape
    nearness = relative(plain, right)
    assert nearness < (1e-5 if found.dtype == torch.float32 else 1e-2)
    assert relative(found, right) <= 1.5 * nearness + 1e-6


@dataclass
class Attention:
    """q, k and v in one buffer with a column to spare, so that every view is strided."""

    shape: tuple[int, int, int]  # H, G, W
    buffer: torch.Tensor
    g: torch.Tensor
    starts: torch.Tensor

    @classmethod
    def random(
        cls, shape: tuple[int, int, int], dtype: torch.dtype, lengths: list[int] = LENGTHS
    ) -> Attention:
        torch.manual_seed(0)
        heads, groups, width = shape
        buffer = torch.randn(sum(lengths), (heads + 2 * groups) * width + 1).to(dtype)
        g = torch.randn(sum(lengths), heads * width).to(dtype)
        return cls(shape, buffer, g, torch.tensor([0, *lengths]).cumsum(0).int())

    def to(self, dtype: torch.dtype) -> Attention:
        return replace(self, buffer=self.buffer.to(dtype), g=self.g.to(dtype))

    def views(self, buffer: torch.Tensor) -> list[torch.Tensor]:
        heads, groups, width = self.shape
        parts = buffer[:, 1:].split([heads * width, groups * width, groups * width], dim=1)
        return [part.unflatten(1, (-1, width)) for part in parts]

    def results(self) -> list[torch.Tensor]:
        """What comes out, and the buffer's gradient."""
        qkv, scale = self.views(self.buffer), self.shape[2] ** -0.5
        out, lse = kernels.attention(*qkv, self.starts, scale)
        gradient = torch.zeros_like(self.buffer)
        into = self.views(gradient)
        kernels.attention_backward(self.g, *qkv, out, lse, self.starts, scale, *into)
        return [out, gradient]

    def plain_results(self) -> list[torch.Tensor]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "library", lambda: None)
            return self.results()

    def by_autograd(self) -> tuple[torch.Tensor, torch.Tensor]:
        buffer = self.buffer.clone().requires_grad_()
        items = []
        for start, end in pairwise(self.starts.tolist()):
            q, k, v = (part[start:end].transpose(0, 1) for part in self.views(buffer))
            item = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=True
            )
            items.append(item.transpose(0, 1).flatten(1))
        out = torch.cat(items)
        out.backward(self.g)
        assert buffer.grad is not None
        return out.detach(), buffer.grad


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_attention_is_torch_s_attention_and_its_gradient(shape: Any) -> None:
    case = Attention.random(shape, torch.float64)
    out, gradient = case.results()
    right, right_gradient = case.by_autograd()
    assert relative(out, right) < 1e-12
    assert relative(gradient, right_gradient) < 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_attention_in_blocks_is_as_exact_as_attention_in_one(
    shape: Any, dtype: torch.dtype, native: None
) -> None:
    case = Attention.random(shape, dtype)
    right = case.to(torch.float64).results()
    for trio in zip(case.results(), case.plain_results(), right, strict=True):
        assert_as_good(*trio)
    assert not case.results()[1][:, 0].any()  # the column to spare


def test_the_logs_of_the_sums(native: None) -> None:
    case = Attention.random((2, 1, 32), torch.float32, [80])
    q, k, v = case.views(case.buffer)
    _, lse = kernels.attention(q, k, v, case.starts, 0.2)
    scores = torch.einsum("ihw,jw->hij", q, k[:, 0]).double() * 0.2
    hidden = torch.ones(80, 80, dtype=torch.bool).triu(1)
    assert relative(lse.t(), scores.masked_fill(hidden, -torch.inf).logsumexp(-1)) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_neither_overflow_nor_vanish(dtype: torch.dtype, native: None) -> None:
    case = Attention.random((2, 1, 32), dtype, [100])
    case.buffer *= 8
    found, right = case.results(), case.to(torch.float64).results()
    for mine, other in zip(found, right, strict=True):
        assert relative(mine, other) < (1e-4 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_item_does_not_feel_its_neighbours(
    dtype: torch.dtype, value: float, either: None
) -> None:
    case = Attention.random((4, 2, 16), dtype)
    before = case.results()
    start, end = int(case.starts[2]), int(case.starts[3])
    case.buffer[start:end] = value
    case.g[start:end] = value
    for old, new in zip(before, case.results(), strict=True):
        assert torch.equal(old[:start], new[:start]) and torch.equal(old[end:], new[end:])
        assert not torch.equal(old[start:end], new[start:end])
        if value != 3.0:
            assert not new[start:end].isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_future_is_not_seen(dtype: torch.dtype, either: None) -> None:
    case = Attention.random((2, 1, 32), dtype, [90])
    before, _ = case.results()
    case.buffer[70:] = 5.0
    after, _ = case.results()
    assert torch.equal(before[:70], after[:70]) and not torch.equal(before[70:], after[70:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_do_not_depend_on_threads(dtype: torch.dtype, native: None) -> None:
    case = Attention.random((4, 2, 32), dtype, [400, 30, 300])
    x = torch.randn(300, 96).to(dtype)
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        rows = Rows.random()
        rows.grads[:] = rows.values
        found.append([*case.results(), *kernels.rms_norm(x, x[0], 1e-6), kernels.swiglu(x, x)])
        rows.step(kernels)
        found[-1] += rows.state()
    for one, three in zip(*found, strict=True):
        assert torch.equal(one, three)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "width"), [(5, 64), (33, 100), (300, 7)])
def test_norm(rows: int, width: int, dtype: torch.dtype, native: None) -> None:
    torch.manual_seed(0)
    x, g = torch.randn(rows, 2 * width + 1).to(dtype)[:, 1:].split(width, dim=1)
    weight, residual = torch.rand(width).to(dtype), torch.randn(rows, width).to(dtype)

    def results(of: Any, dtype: torch.dtype) -> list[torch.Tensor]:
        a, b, c, d = (t.to(dtype) if t.dtype != dtype else t for t in (x, g, weight, residual))
        y, shrink = of.rms_norm(a, c, 1e-5)
        return [
            y,
            of.rms_norm_backward(b, a, c, shrink, None),
            of.rms_norm_backward(b, a, c, shrink, d),
            of.rms_norm_weights(b, a, shrink),
        ]

    right = results(plain_kernels, torch.float64)
    for trio in zip(results(kernels, dtype), results(plain_kernels, dtype), right, strict=True):
        assert_as_good(*trio)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "width"), [(5, 64), (33, 101), (300, 7)])
def test_swiglu(rows: int, width: int, dtype: torch.dtype, native: None) -> None:
    torch.manual_seed(0)
    both, g = 4 * torch.randn(rows, 2 * width).to(dtype), torch.randn(rows, width).to(dtype)

    def results(of: Any, dtype: torch.dtype) -> list[torch.Tensor]:
        into = both.to(dtype, copy=True)
        y = of.swiglu(*into.chunk(2, 1))  # gradients take the place of what they are of
        of.swiglu_backward(g.to(dtype), *into.chunk(2, 1), *into.chunk(2, 1))
        return [y, into]

    right = results(plain_kernels, torch.float64)
    for trio in zip(results(kernels, dtype), results(plain_kernels, dtype), right, strict=True):
        assert_as_good(*trio)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "width"), [(4, 32), (3, 10), (1, 64)])
def test_rotation(heads: int, width: int, dtype: torch.dtype, native: None) -> None:
    torch.manual_seed(0)
    buffer = torch.randn(50, heads * width + 3).to(dtype)
    angle = torch.rand(50, width // 2).repeat(1, 2) * 6
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    for back in (False, True):

        def result(of: Any, dtype: torch.dtype, back: bool = back) -> torch.Tensor:
            turned = buffer.to(dtype, copy=True)
            heads_of = turned[:, 2:-1].unflatten(1, (heads, width))
            of.rotate(heads_of, cos.to(dtype), sin.to(dtype), back)
            return turned

        found, plain = result(kernels, dtype), result(plain_kernels, dtype)
        assert_as_good(found, plain, result(plain_kernels, torch.float64))
        assert torch.equal(found[:, [0, 1, -1]], buffer[:, [0, 1, -1]])


def test_turned_back_is_as_before(either: None) -> None:
    x, angle = torch.randn(20, 2, 8), torch.rand(20, 4).repeat(1, 2)
    turned = x.clone()
    kernels.rotate(turned, angle.cos(), angle.sin(), back=False)
    assert not torch.allclose(turned, x)
    kernels.rotate(turned, angle.cos(), angle.sin(), back=True)
    assert torch.allclose(turned, x, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_feel_a_nan(dtype: torch.dtype, either: None) -> None:
    x, weight = torch.randn(40, 24).to(dtype), torch.rand(24).to(dtype)

    def results() -> list[torch.Tensor]:
        y, shrink = kernels.rms_norm(x, weight, 1e-6)
        gx = kernels.rms_norm_backward(x, x, weight, shrink, x)
        gates = torch.empty(40, 48).to(dtype)
        kernels.swiglu_backward(x, x, x, *gates.chunk(2, 1))
        turned = x.clone()
        kernels.rotate(turned.view(40, 3, 8), x[:, :8], x[:, 8:16], back=False)
        return [y, shrink, gx, kernels.swiglu(x, x), gates, turned]

    before = results()
    x[7] = torch.nan
    others = torch.arange(40) != 7
    for old, new in zip(before, results(), strict=True):
        assert torch.equal(old[others], new[others]) and new[7].isnan().all()


@dataclass
class Rows:
    """Five rows of adapter values, each with numbers of its own."""

    values: torch.Tensor
    grads: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    numbers: dict[str, torch.Tensor]

    @classmethod
    def random(cls, dtype: torch.dtype = torch.float32, columns: int = 5001) -> Rows:
        generator = torch.Generator().manual_seed(1)
        values = torch.randn(5, columns, generator=generator).to(dtype)
        numbers = {
            "rate_K": torch.tensor([1e-3, 5e-2, 1e-3, 2e-3, 1e-2]).to(dtype),
            "decay_K": torch.tensor([0.0, 0.1, 0.5, 0.0, 0.01]).to(dtype),
            "clip_K": torch.tensor([1.0, 0.5, 1e9, 1.0, 2.0]).to(dtype),
            "count_K": torch.zeros(5, dtype=dtype),
        }
        return cls(values, *(torch.zeros_like(values) for _ in range(3)), numbers)

    def step(self, of: Any = kernels, moving: list[bool] | None = None, **more: Any) -> list[bool]:
        moving_K = torch.tensor(moving or [True] * 5)
        flat = self.values, self.grads, self.first, self.second
        unscaled = torch.ones_like(self.numbers["rate_K"])
        copy = {"work_KP": torch.empty_like(self.values), "scaled_from": 0, "scale_K": unscaled}
        moved: list[bool] = of.adamw_rows(*flat, **self.numbers, moving_K=moving_K, **(copy | more))
        return moved

    def state(self) -> list[torch.Tensor]:
        return [self.values, self.first, self.second, self.numbers["count_K"]]


def gradient(step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(5, 5001, generator=generator) * torch.tensor([[1e-4, 1, 1e-3, 10, 0.01]]).t()


class OneRow:
    """A row as torch's own AdamW trains it."""

    def __init__(self, rows: Rows, row: int) -> None:
        self.value = rows.values[row].clone().requires_grad_()
        rate, decay, clip = (float(rows.numbers[n][row]) for n in ("rate_K", "decay_K", "clip_K"))
        self.clip = clip
        self.optimizer = torch.optim.AdamW([self.value], lr=rate, weight_decay=decay)

    def step(self, grad: torch.Tensor) -> None:
        self.value.grad = grad.clone()
        torch.nn.utils.clip_grad_norm_([self.value], self.clip)
        self.optimizer.step()


def takes_part(step: int) -> list[bool]:
    return [True, step % 3 > 0, True, step < 11, step != 4]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_every_row_is_trained_as_torch_s_adamw_trains_it_alone(
    dtype: torch.dtype, tolerance: float, either: None
) -> None:
    rows, wide = Rows.random(dtype), Rows.random(torch.float64)
    alone = [OneRow(wide, row) for row in range(5)]
    start = wide.values.clone()
    for step in range(20):
        rows.grads[:] = gradient(step)
        assert rows.step(moving=takes_part(step)) == takes_part(step)
        for row, part in enumerate(takes_part(step)):
            if part:
                alone[row].step(gradient(step)[row].double())
    for row in range(5):
        right = alone[row].value.detach()
        assert relative(rows.values[row], right) < tolerance
        assert relative(rows.values[row] - start[row], right - start[row]) < 10 * tolerance


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_row_that_stands_still_is_bit_for_bit_as_it_was(poison: float, either: None) -> None:
    rows, clean = Rows.random(), Rows.random()
    for step in range(3):
        rows.grads[:] = clean.grads[:] = gradient(step)
        rows.step(), clean.step()
    before = [part.clone() for part in rows.state()]
    rows.grads[:] = clean.grads[:] = gradient(3)
    rows.grads[2, 17] = poison
    assert rows.step(moving=[True, False, True, True, True]) == [True, False, False, True, True]
    clean.step(moving=[True, False, False, True, True])
    for old, new, other in zip(before, rows.state(), clean.state(), strict=True):
        assert torch.equal(old[[1, 2]], new[[1, 2]])
        assert torch.equal(new, other) and not torch.equal(old[[0, 3, 4]], new[[0, 3, 4]])


@pytest.mark.parametrize("work_dtype", DTYPES)
def test_the_step_leaves_a_copy_to_compute_with_and_clears_gradients(
    work_dtype: torch.dtype, either: None
) -> None:
    rows, plain = Rows.random(), Rows.random()
    rows.grads[:] = plain.grads[:] = gradient(0)
    rows.grads[4, 0] = plain.grads[4, 0] = torch.nan
    work, scale = torch.full((5, 5001), 7.0).to(work_dtype), torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1])
    rows.step(work_KP=work, scaled_from=4099, scale_K=scale)
    plain.step()
    assert torch.equal(rows.values, plain.values) and not rows.grads.any()
    right = torch.cat([plain.values[:, :4099], plain.values[:, 4099:] * scale[:, None]], dim=1)
    assert torch.equal(work, right.to(work_dtype))
    again = torch.empty_like(work)
    kernels.cast_rows(rows.values, again, 4099, scale)
    assert torch.equal(again, work)


def test_nothing_to_do_is_done(either: None) -> None:
    empty = torch.empty(0, 2, 8)
    out, _ = kernels.attention(empty, empty, empty, torch.zeros(1, dtype=torch.int32), 1.0)
    assert out.shape == (0, 16)
    assert kernels.rms_norm(empty[:, 0], torch.ones(8), 1e-6)[0].shape == (0, 8)
    assert kernels.swiglu(empty[:, 0], empty[:, 0]).shape == (0, 8)
