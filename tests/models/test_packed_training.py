"""A training step over packed episodes: transformers' losses and gradients, none sees another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from right_gradients import SETTINGS, Grads, by_transformers, fresh, grads_of, worst

from arc.canvas import TASK, VOCABULARY, CanvasFormat
from arc.formats import Encoded
from arc.generators import sample_task, training_families
from models.training.arithmetic import flops_of
from models.training.episodes import Episodes
from models.training.line import in_line
from models.training.new_model import VECTORS, new_model, without_vectors
from models.training.packed_llama import answer_loss, hidden_states
from models.training.sources import generator_source

ROWS = Episodes([generator_source(1.0)], 300, CanvasFormat()).batch("rows", 1000)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.usefixtures("either")
def test_losses_and_gradients_are_those_of_transformers() -> None:
    assert len({len(row) for row in ROWS}) > 2
    model = fresh()
    expected = by_transformers(model, ROWS)
    right = grads_of(model, expected)
    assert len(right) == len(list(model.parameters()))
    loss = answer_loss(model, in_line(ROWS), torch.float32)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert worst(grads_of(model, loss), right) < 2e-5
    rounded = answer_loss(model, in_line(ROWS), torch.bfloat16)
    assert float(rounded.detach()) == pytest.approx(float(expected.detach()), rel=1e-2)
    assert worst(grads_of(model, rounded), right) < 0.1


@pytest.mark.usefixtures("either")
def test_in_one_line_is_one_by_one() -> None:
    model, line = fresh(), in_line(ROWS)
    together = grads_of(model, answer_loss(model, line, torch.float32))
    alone: Grads = {}
    for row in ROWS:
        own = in_line([row])
        share = len(own.targets_M) / len(line.targets_M)
        for name, grad in grads_of(model, answer_loss(model, own, torch.float32)).items():
            alone[name] = alone.get(name, 0.0) + share * grad
    assert worst(together, alone) < 2e-5


@pytest.mark.usefixtures("either")
def test_another_neighbour_changes_no_bit() -> None:
    model = fresh()
    first, second, other = ROWS[:3]
    cut = len(second) if len(second) < len(other) else len(other)
    shorter = [Encoded(r.ids[:cut], r.positions[:cut], r.labels[:cut]) for r in (second, other)]
    alone = len(in_line([first]).targets_M)
    with torch.no_grad():
        found = [
            hidden_states(model, in_line([first, beside]), torch.float32)[:alone]
            for beside in shorter
        ]
    assert torch.equal(*found)


def test_a_task_s_vector_is_added_to_the_embedding_of_its_token() -> None:
    torch.manual_seed(0)
    model = new_model(SETTINGS, tasks=3)
    vectors = model.get_parameter(f"{VECTORS}.weight")
    torch.nn.init.normal_(vectors)
    row = CanvasFormat(mode="pair").example(sample_task(training_families()[0], 0))
    numbered = replace(row, ids=np.concatenate([[VOCABULARY + 1], row.ids[1:]]))
    loss = answer_loss(model, in_line([numbered]), torch.float32)
    grads = grads_of(model, loss)[f"{VECTORS}.weight"]
    assert grads[1].norm() > 0 and grads[0].norm() == grads[2].norm() == 0
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight")[TASK] += vectors[1]
        as_token = answer_loss(without_vectors(model), in_line([row]), torch.float32)
    assert float(as_token) == pytest.approx(float(loss.detach()), rel=1e-6)


def test_a_line_holds_its_episodes_and_what_follows_each_place() -> None:
    line = in_line(ROWS)
    assert line.starts.tolist() == [0, *torch.tensor([len(row) for row in ROWS]).cumsum(0).tolist()]
    assert len(line.ids_N) == len(line.positions_N) == sum(map(len, ROWS))
    assert len(line.targets_M) == sum(row.counted for row in ROWS)
    assert torch.equal(line.ids_N[line.places_M + 1], line.targets_M)


def test_the_arithmetic_is_what_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = fresh()
    row = in_line([ROWS[0]])
    with FlopCounterMode(display=False) as counter:
        answer_loss(model, row, torch.float32).backward()  # type: ignore[no-untyped-call]
    length, config = len(ROWS[0]), model.config
    attention = 6 * config.num_hidden_layers * config.hidden_size * length * (length + 1)
    products = flops_of(config, ROWS[:1]) - attention
    # torch counts what attention computes in its own way, or does not see it in C++
    matrices = sum(
        flops for name, flops in counter.get_flop_counts()["Global"].items() if "mm" in str(name)
    )
    assert products == matrices
