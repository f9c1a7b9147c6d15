"""Training in fp16: about as in fp32, with small gradients that survive."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_models import random_item, tiny_llama, tiny_qwen2
from transformers import PreTrainedModel

from client.jobs import Job
from client.ttt import train_group
from models.multilora.bank import AdapterBank, SlotSpec
from models.multilora.head import MAGNIFIED

torch.set_num_threads(1)
Make = Callable[[torch.dtype], PreTrainedModel]


def gradients(dtype: torch.dtype) -> torch.Tensor:
    """Of an item so long that each of its tokens counts for little."""
    with AdapterBank(tiny_llama(dtype), [SlotSpec(rank=4, alpha=4)]) as bank:
        bank.backward([[(random_item(1500, 1).encoded, 1.0)]])
        return bank.grads_KP[0].double()


def test_small_gradients_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = gradients(torch.float64)

    def error() -> float:
        """Of the gradients that are the smallest."""
        small = (exact != 0) & (exact.abs() < exact[exact != 0].abs().quantile(0.1))
        return float((gradients(torch.float16) - exact)[small].norm() / exact[small].norm())

    assert error() < 0.2
    monkeypatch.delitem(MAGNIFIED, torch.float16)
    assert error() > 1


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2])
def test_losses_fall_as_in_fp32(make: Make) -> None:
    job = Job([random_item(20 + i, i) for i in range(3)], SlotSpec(4, 8, 1e-2, seed=1), 12, 2)
    runs = [train_group(make(dtype), [job])[1][0] for dtype in (torch.float32, torch.float16)]
    assert all(run.quarantined_at is None and len(run.losses) == 12 for run in runs)
    assert runs[1].losses == pytest.approx(runs[0].losses, rel=0.02)
    assert runs[1].losses[-1] < runs[1].losses[0]
