"""Jobs come and go in K slots: nobody notices, limits end them, and a run can be had again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import jobs_of_all_kinds, random_item, tiny_llama, tiny_qwen2
from transformers import PreTrainedModel

from client.jobs import Job
from client.leaving import Limits, Rule, all_steps
from client.seating import Seating, Sitting
from client.training_queue import Done, Standing, TrainingQueue, empty_bank
from client.ttt import replay, train_group
from hone.errors import BadInput
from models.multilora.bank import SlotSpec
from models.multilora.peft_files import AdapterFiles

torch.set_num_threads(1)
WIDTH = 8
Make = Callable[..., PreTrainedModel]
Run = list[tuple[Done, torch.Tensor]]  # by number, with the slot's own values


def six_jobs() -> list[Job]:
    """More than there are slots: of all kinds, then again with other items, schedules, seeds."""
    first = jobs_of_all_kinds()
    more = [
        dataclasses.replace(
            job,
            items=[random_item(8 + 5 * i + j, 50 + 7 * i + j) for j in range(4)],
            spec=dataclasses.replace(
                job.spec, seed=10 + i, dropout=(0.0, 0.3, 0.1)[i], use_rslora=i == 2
            ),
            steps=job.steps + 2 - i,
            schedule=("cosine", "constant", "linear")[i],
        )
        for i, job in enumerate(first)
    ]
    return [*first, *more]


def run(
    model: PreTrainedModel, jobs: Sequence[Job], slots: int = 2, rule: Rule = all_steps, **how: Any
) -> tuple[TrainingQueue, Run]:
    bank = empty_bank(model, slots, WIDTH)
    queue = TrainingQueue(bank, jobs, rule, **how)
    left = [(done, bank.values_KP[done.training.slot].clone()) for done in queue]
    return queue, sorted(left, key=lambda one: one[0].training.job)


def flat(adapter: AdapterFiles | None) -> torch.Tensor:
    assert adapter is not None
    return torch.cat([part.ravel() for pair in adapter.tensors.values() for part in pair])


def ticking(seconds: float = 1.0) -> Callable[[], float]:
    """A clock that every look at moves."""
    times: Iterator[float] = iter(np.arange(0, 1e6, seconds))
    return lambda: next(times)


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_jobs_that_enter_mid_flight_train_as_alone(
    make: Make, dtype: torch.dtype, slots: int
) -> None:
    model, jobs = make(dtype), six_jobs()
    _, together = run(model, jobs, slots)
    for job, (done, values) in zip(jobs, together, strict=True):
        _, ((alone, its_values),) = run(model, [job], 1)
        assert len(done.training.losses) == job.steps
        assert np.allclose(done.training.losses, alone.training.losses, atol=1e-5)
        difference = values - its_values
        if dtype == torch.float64:
            assert difference.abs().max() < 1e-9
        else:
            assert difference.norm() < 1e-5 * its_values.norm()


def test_the_next_job_takes_the_lowest_free_slot() -> None:
    jobs = six_jobs()  # 7, 4, 9, 9, 5 and 9 steps
    queue, left = run(tiny_llama(), jobs)
    seats = [(d.training.slot, d.training.entered_at, d.training.left_at) for d, _ in left]
    assert seats == [(0, 0, 7), (1, 0, 4), (1, 4, 13), (0, 7, 16), (1, 13, 18), (0, 16, 25)]
    assert [d.training.left for d, _ in left] == ["steps"] * 6
    peers = [sorted(d.training.peers) for d, _ in left]
    assert peers == [[1, 2], [0], [0, 3], [2, 4], [3, 5], [4]]
    assert queue.seating.steps == 25
    for (done, _), job in zip(left, jobs, strict=True):
        lengths = {len(item.encoded) for item in job.items}
        assert sum(done.training.step_tokens) == done.training.tokens
        assert all(n >= min(lengths) * job.batch for n in done.training.step_tokens)


def test_slots_without_a_job_are_idle_and_free_of_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = empty_bank(tiny_llama(), 3, WIDTH)
    seen: list[list[int]] = []
    real = bank.backward
    monkeypatch.setattr(
        bank, "backward", lambda slots: seen.append([len(own) for own in slots]) or real(slots)
    )
    jobs = [Job([random_item(9, i)], SlotSpec(2, seed=i), 1 + 2 * i) for i in range(2)]
    list(TrainingQueue(bank, jobs, all_steps))
    assert seen == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_the_model_is_its_own_whenever_an_adapter_is_handed_out() -> None:
    model = tiny_llama()
    names = [name for name, _ in model.named_modules()]
    for _ in TrainingQueue(empty_bank(model, 2, WIDTH), six_jobs()[:3], all_steps):
        assert [name for name, _ in model.named_modules()] == names


def test_a_job_of_no_steps_leaves_as_it_came() -> None:
    jobs = [dataclasses.replace(job, steps=0) for job in six_jobs()[:3]]
    queue, left = run(tiny_llama(), jobs, 1)
    assert [d.training.left_at for d, _ in left] == [0, 0, 0] and queue.step == 0
    for done, _ in left:
        assert done.adapter is not None
        assert not any(b.any() for _, b in done.adapter.tensors.values())


def test_a_run_can_be_had_again_bit_for_bit() -> None:
    """From its schedule as JSON; whoever left early, by the clock too, leaves where it did."""
    model, jobs = tiny_llama(torch.float32), six_jobs()
    spec = dataclasses.replace(jobs[1].spec, alpha=1e38, learning_rate=1e3)
    jobs[1] = dataclasses.replace(jobs[1], spec=spec)  # meets a NaN
    limits = Limits(seconds=6, plateau_patience=6, plateau_delta=0.1)
    queue, left = run(model, jobs, 2, limits.rule, clock=ticking())
    assert {"time", "quarantined"} <= {d.training.left for d, _ in left}
    told = json.loads(json.dumps(dataclasses.asdict(queue.seating)))
    sittings = [Sitting(**s | {"step_tokens": tuple(s["step_tokens"])}) for s in told["sittings"]]
    seating = Seating(told["slots"], told["width"], tuple(sittings))
    again = replay(empty_bank(model, 2, WIDTH), jobs, seating)
    for (done, _), second in zip(left, again, strict=True):
        assert second.training.losses == done.training.losses
        assert second.training.quarantined_at == done.training.quarantined_at
        if done.adapter is not None:
            assert torch.equal(flat(done.adapter), flat(second.adapter))


@pytest.mark.parametrize("poison", [False, True])
def test_in_the_same_schedule_a_neighbour_cannot_be_felt(poison: bool) -> None:
    """Other values, or NaN, in one job leave all others bit-identical."""
    model, jobs = tiny_llama(torch.float32), six_jobs()
    queue, before = run(model, jobs)
    spec = dataclasses.replace(jobs[2].spec, alpha=1e38, learning_rate=1e3)
    items = [random_item(len(item.encoded), 99, item.weight) for item in jobs[2].items]
    other = dataclasses.replace(jobs[2], items=items, spec=spec if poison else jobs[2].spec)
    bank = empty_bank(model, 2, WIDTH)
    after = replay(bank, [*jobs[:2], other, *jobs[3:]], queue.seating)
    assert (after[2].training.quarantined_at is not None) == poison
    for number in (0, 1, 3, 4, 5):
        assert torch.equal(flat(before[number][0].adapter), flat(after[number].adapter))
    assert poison or not torch.equal(flat(before[2][0].adapter), flat(after[2].adapter))


def test_other_jobs_than_the_schedules_are_refused() -> None:
    model, jobs = tiny_llama(), six_jobs()[:3]
    queue, _ = run(model, jobs)
    with pytest.raises(BadInput, match="the schedule is of 3 jobs, 2 were given"):
        replay(queue.bank, jobs[:2], queue.seating)
    with pytest.raises(BadInput, match="the schedule is of 2 slots of rank 8, the bank has 1"):
        replay(empty_bank(model, 1, WIDTH), jobs, queue.seating)
    with pytest.raises(BadInput, match="job 0 is not the one of this schedule: it sat in slot 0"):
        replay(queue.bank, jobs[::-1], queue.seating)


def test_a_schedule_is_read_from_all_traces_of_one_run() -> None:
    def trace(job: int, run: str = "a") -> dict[str, Any]:
        seat = {"run": run, "slots": 2, "width": 4, "job": job, "slot": job % 2}
        return {"seat": {**seat, "entered_at": 0, "step_tokens": [5, 6]}}

    seating = Seating.from_traces([trace(1), {"decision": "hit"}, trace(0)])
    assert seating == Seating(2, 4, (Sitting(0, 0, 0, (5, 6)), Sitting(1, 1, 0, (5, 6))))
    with pytest.raises(BadInput, match="not among these traces"):
        Seating.from_traces([trace(1)])
    with pytest.raises(BadInput, match="these traces are of 2 runs"):
        Seating.from_traces([trace(0), trace(1, "b")])


def learning(steps: int, rate: float = 3e-3) -> Job:
    """One item: the loss falls to nothing, and it is soon known by heart."""
    spec = SlotSpec(8, 16, rate, seed=1)
    return Job([random_item(10, 3)], spec, steps, schedule="constant", warmup=0)


def test_a_job_leaves_when_its_time_is_over() -> None:
    """Time is counted from its own entry, and only while it trains."""
    jobs = [learning(3), learning(50), learning(50)]
    model = tiny_llama()
    _, left = run(model, jobs, 2, Limits(seconds=5).rule, clock=ticking())
    told = [(d.training.left, d.training.entered_at, d.training.left_at) for d, _ in left]
    assert told == [("steps", 0, 3), ("time", 0, 5), ("time", 3, 8)]
    assert [d.training.seconds for d, _ in left] == [3, 5, 5]
    assert sum(d.training.share_seconds for d, _ in left) == pytest.approx(8)
    for _, values in left[1:]:
        cut = dataclasses.replace(jobs[1], steps=5)
        _, ((_, its_values),) = run(model, [cut], 1)
        assert (values - its_values).abs().max() < 1e-9


def test_a_job_leaves_when_it_answers_exactly_so_often_in_a_row() -> None:
    _, ((done, _),) = run(tiny_llama(), [learning(60)], 1, Limits(solved=3).rule)
    assert done.training.left == "solved" and 3 < len(done.training.losses) < 60
    _, ((later, _),) = run(tiny_llama(), [learning(60)], 1, Limits(solved=9).rule)
    assert len(later.training.losses) == len(done.training.losses) + 6


def test_a_job_leaves_when_its_loss_no_longer_falls() -> None:
    falling, flat = learning(60), learning(60, 0.0)
    limits = Limits(plateau_patience=5, plateau_delta=0.01)
    _, left = run(tiny_llama(), [falling, flat], 2, limits.rule)
    assert left[1][0].training.left == "plateau" and len(left[1][0].training.losses) == 6
    assert left[0][0].training.left == "plateau"
    assert 20 < len(left[0][0].training.losses) < 60


def test_limits_of_nothing_are_no_limits() -> None:
    _, ((done, _),) = run(tiny_llama(), [learning(40, 0.0)], 1, Limits().rule, clock=ticking(1e4))
    assert done.training.left == "steps" and len(done.training.losses) == 40


def test_a_nan_leaves_at_once_and_the_next_one_enters() -> None:
    model, jobs = tiny_llama(torch.float32), six_jobs()
    spec = dataclasses.replace(jobs[0].spec, alpha=1e38, learning_rate=1e3)
    spoilt = dataclasses.replace(jobs[0], spec=spec)
    _, left = run(model, [spoilt, *jobs[1:3]], 2, Limits().rule)
    training = left[0][0].training
    assert (training.left, left[0][0].adapter) == ("quarantined", None)
    assert training.left_at == left[2][0].training.entered_at < jobs[0].steps
    assert training.tokens < sum(training.step_tokens)
    for job, (_, values) in zip(jobs[1:], left[1:], strict=False):
        _, ((_, its_values),) = run(model, [job], 1)
        assert (values - its_values).norm() < 1e-5 * its_values.norm()


def test_values_that_the_last_step_spoilt_are_not_handed_out() -> None:
    spec = SlotSpec(4, learning_rate=2e38, weight_decay=100.0)
    job = Job([random_item(9, 1)], spec, 1, schedule="constant")
    _, ((done, _),) = run(tiny_llama(torch.float32), [job], 1)
    assert (done.adapter, done.training.left) == (None, "quarantined")
    assert done.training.quarantined_at == 1


def test_jobs_are_taken_from_their_source_only_as_slots_come_free() -> None:
    taken: list[int] = []

    def source() -> Iterator[Job]:
        for i, job in enumerate(six_jobs()):
            taken.append(i)
            yield job

    counts = [
        len(taken) for _ in TrainingQueue(empty_bank(tiny_llama(), 2, WIDTH), source(), all_steps)
    ]
    assert counts == [2, 3, 4, 5, 6, 6]


def test_whoever_watches_sees_steps_and_loss() -> None:
    seen: list[Standing] = []
    run(tiny_llama(), [learning(4), learning(2), learning(3)], 2, on_step=seen.append)
    assert [s.steps_done for s in seen] == [2, 4, 6, 8, 9]
    assert [s.steps for s in seen] == [6, 6, 9, 9, 9]
    assert [s.entered for s in seen] == [2, 2, 3, 3, 3]
    assert all(s.loss > 0 for s in seen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"items": []}, "nothing to train on"),
        ({"steps": -1}, "steps is -1, batch 2; give"),
        ({"batch": 0}, "steps is 7, batch 0; give"),
        ({"schedule": "step"}, "no schedule 'step'; there are: linear, constant, cosine"),
        ({"warmup": 1.5}, "warmup is 1.5; give a share of the steps from 0 to 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; a finite number was expected"),
        ({"learning_rate": 1e39}, "learning_rate is 1e[+]39; a finite number was expected"),
        ({"weight_decay": float("inf")}, "weight_decay is inf"),
        ({"clip_norm": float("nan")}, "clip_norm is nan"),
        ({"dropout": 1.0}, "dropout is 1.0; give a share from 0 to below 1"),
        ({"rank": 0}, "a LoRA rank of 0"),
        ({"rank": 16}, "rank 16 is above the bank's 8; make a wider bank"),
    ],
    ids=str,
)
def test_jobs_that_cannot_be_trained_are_refused(change: dict[str, Any], said: str) -> None:
    job = six_jobs()[0]
    of_job = {name: value for name, value in change.items() if hasattr(job, name)}
    spec = dataclasses.replace(job.spec, **{n: v for n, v in change.items() if n not in of_job})
    model = tiny_llama()
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(BadInput, match=said):
        run(model, [dataclasses.replace(job, spec=spec, **of_job)])
    assert [name for name, _ in model.named_modules()] == names


def test_limits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="seconds is nan; 0 or a finite number above it"):
        Limits(seconds=float("nan"))
    with pytest.raises(BadInput, match="plateau_patience is -1"):
        Limits(plateau_patience=-1)


def test_a_group_is_the_queue_without_a_queue() -> None:
    model, jobs = tiny_llama(), jobs_of_all_kinds()
    bank, trainings = train_group(model, jobs)
    _, left = run(model, jobs, 3)
    for done, values in left:
        assert done.training.losses == trainings[done.training.job].losses
        assert torch.equal(values, bank.values_KP[done.training.slot])
