"""What a step computes on a GPU, on a CPU: transformers' losses and gradients.

The attention kernel is CUDA's alone, so an exact one stands in for it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from right_gradients import by_transformers, fresh, grads_of, worst
from torch.nn.functional import scaled_dot_product_attention

from arc.canvas import CanvasFormat
from arc.formats import IGNORED
from models.training import gpu_step
from models.training.episodes import Episodes
from models.training.gpu_step import Full, GpuStep
from models.training.sources import generator_source

ROWS = Episodes([generator_source(1.0)], 300, CanvasFormat()).batch("rows", 1000)
CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("default"),  # torch.compile has several of its own
]


@pytest.fixture(autouse=True)
def _exact_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    def attended(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        starts: torch.Tensor,
        longest: int,
        scale: float,
    ) -> torch.Tensor:
        parts = []
        for start, end in pairwise(starts.tolist()):
            assert end - start <= longest
            mine, keys, values = (x[start:end].transpose(0, 1) for x in (q, k, v))
            out = scaled_dot_product_attention(mine, keys, values, is_causal=True, scale=scale)
            parts.append(out.transpose(0, 1))
        return torch.cat(parts)

    monkeypatch.setattr(gpu_step, "attended", attended)


def test_a_full_line_is_its_rows_and_fillers_that_count_for_nothing() -> None:
    line = Full.of(ROWS, 2000, 300, CPU)
    drawn = sum(map(len, ROWS))
    assert len(line.ids_N) == len(line.positions_N) == len(line.targets_N) == 2000
    assert line.starts[: len(ROWS) + 1].tolist() == [0, *np.cumsum([len(row) for row in ROWS])]
    assert line.starts[-1] == 2000 and int(line.starts.diff().max()) <= 300
    assert (line.targets_N[drawn:] == IGNORED).all()
    assert line.counted == sum(row.counted for row in ROWS)
    places = (line.targets_N != IGNORED).nonzero()[:, 0]
    assert torch.equal(line.ids_N[places + 1], line.targets_N[places])


@pytest.mark.parametrize("compiled", [False, True])
def test_losses_and_gradients_are_those_of_transformers(compiled: bool) -> None:
    model = fresh()
    right = grads_of(model, by_transformers(model, ROWS))
    model.zero_grad()
    step = GpuStep(model, torch.float32, longest=300, tokens=1000)
    if not compiled:
        step.compiled = [gpu_step._enter, gpu_step._leave]
    loss = step.backward(ROWS)
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert float(loss) == pytest.approx(float(by_transformers(model, ROWS).detach()), rel=1e-6)
    assert worst(found, right) < 2e-5
    assert step.loss_of(ROWS) == pytest.approx(float(loss), rel=1e-6)


def test_layers_share_what_was_compiled() -> None:
    step = GpuStep(fresh(), torch.float32, longest=300, tokens=1000)
    step.backward(ROWS)
    with torch.compiler.set_stance("fail_on_recompile"):
        step.backward(ROWS[: len(ROWS) // 2])
