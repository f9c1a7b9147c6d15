"""End to end, both sides do the same work on the same tasks, and a run goes on where it was."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from tiny_bases import small_task, write_canvas_base

from arc.formats import Encoded
from arc.task import Task
from client.arc_solver import ArcSolver
from client.opening import open_adaptation, open_base
from client.views import view_prompts, views
from eval.bench import peft_tasks, solve, whole_tasks
from eval.bench.peft_seat import MODES
from eval.bench.peft_tasks import PeftTasks, job_of
from eval.bench.solve import SolveSettings
from eval.bench.whole_tasks import WholeTasks, compile_kernels
from hone.errors import BadInput
from models.base import Base
from models.multilora import native_library
from models.multilora.bank import SlotSpec

TASKS = [small_task("one", 1), small_task("two", 2, tests=2)]


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes longer than all else here."""
    monkeypatch.setattr(whole_tasks, "compile_kernels", lambda: None)


@pytest.fixture
def settings(canvas_base: Path, tmp_path: Path) -> SolveSettings:
    return SolveSettings(
        preset="bundled",
        model_path=str(canvas_base),
        device="cpu",
        dtype="fp32",
        peft_mode="fp32",
        k=2,
        steps=12,
        batch_size=2,
        num_pseudo=6,
        lora_rank=4,
        learning_rate=5e-3,
        views=4,
        num_ttt_samples=0,
        out_dir=tmp_path,
    )


def peft_tasks_of(settings: SolveSettings) -> PeftTasks:
    base = open_base(settings)
    job = job_of(TASKS[0], base, settings)
    assert job is not None
    return PeftTasks(base, MODES["fp32"], job.spec, settings)


def both(settings: SolveSettings, tasks: Sequence[Task] = TASKS) -> WholeTasks:
    return WholeTasks(settings, tasks, lambda phase, done, of: None)


@pytest.mark.parametrize("layers", ["all", "top:1"])
def test_both_sides_answer_alike(settings: SolveSettings, layers: str) -> None:
    """The same items, order, schedule and first values, and the same way of stopping."""
    settings = dataclasses.replace(settings, adapter_layers=layers)
    with open_adaptation(settings, "arc") as adaptation:
        ours = ArcSolver(adaptation).solve(TASKS, adapt=True)
        base_alone = ArcSolver(adaptation).solve(TASKS, adapt=False)
    peft = peft_tasks_of(settings)
    for solution in ours:
        done = peft.solve(solution.task)
        answers = peft.answer(solution.task)
        mine = [[grid.tolist() for grid, _ in own] for own in solution.attempts]
        assert [[grid.tolist() for grid in own] for own in answers] == mine
        assert done.right == solution.right and done.train_s > 0 and done.generate_s > 0
    assert any(s.attempts for s in ours)
    assert any(a.attempts != b.attempts for a, b in zip(ours, base_alone, strict=True))


def test_the_base_is_the_same_after_a_task(settings: SolveSettings) -> None:
    base = open_base(settings)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    PeftTasks(base, MODES["fp32"], SlotSpec(rank=2), settings).solve(TASKS[0])
    after = base.model.state_dict()
    for name, value in before.items():
        module, _, leaf = name.rpartition(".")
        inside = f"{module}.base_layer.{leaf}"
        assert torch.equal(after[inside if inside in after else name], value)


def test_rows_are_written_as_each_would_be_alone(settings: SolveSettings) -> None:
    """Without padding, cache and neighbours; a row without room writes nothing."""
    base = open_base(settings)
    looks = views(TASKS[0], 4, 0)
    prompts = view_prompts(TASKS[0], looks, base.format, base.context)
    asked = [prompt for prompt in prompts if prompt is not None]
    rooms = [9, 3, 0, 6]
    alone = [likeliest(base, prompt, room) for prompt, room in zip(asked, rooms, strict=True)]
    assert [len(tokens) <= room for tokens, room in zip(alone, rooms, strict=True)] == [True] * 4
    assert peft_tasks.write(base.model, base.format, asked, rooms) == alone


@torch.inference_mode()
def likeliest(base: Base, prompt: Encoded, room: int) -> list[int]:
    cursor, written = base.format.cursor(prompt), []
    ids, places = torch.from_numpy(prompt.ids), torch.from_numpy(prompt.positions)
    while len(written) < room and base.format.stop not in written:
        logits = base.model(
            input_ids=ids[None],
            position_ids=places[None],
            attention_mask=torch.ones_like(ids)[None],
        ).logits
        written.append(int(logits[0, -1].argmax()))
        ids = torch.cat([ids, torch.tensor(written[-1:])])
        places = torch.cat([places, torch.tensor([cursor.advance(written[-1])])])
    return written


def test_a_task_without_items_is_answered_by_the_base(settings: SolveSettings) -> None:
    alone = small_task("alone", 3, demos=1)
    base = open_base(settings)
    assert job_of(alone, base, settings) is None
    PeftTasks(base, MODES["fp32"], SlotSpec(rank=2), settings).solve(alone)
    with pytest.raises(BadInput, match="none of the 1 tasks has an item that fits"):
        both(settings, [alone]).peft()


def test_a_run_goes_on_where_it_was(
    settings: SolveSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = both(settings)
    first = bench.hone(), bench.peft()
    assert [len(first[0]["right"]), [line["task"] for line in first[1]]] == [2, ["one", "two"]]
    journal = settings.out_dir / "solve.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))  # killed before the last task
    solved: list[str] = []
    once = PeftTasks.solve
    monkeypatch.setattr(
        PeftTasks, "solve", lambda self, task: solved.append(task.id) or once(self, task)
    )
    monkeypatch.setattr(whole_tasks, "open_adaptation", None)  # this side is done
    again = both(settings)
    assert again.hone() == first[0] and again.peft()[0] == first[1][0]
    assert solved == ["two"]
    both(dataclasses.replace(settings, steps=3)).peft()
    assert solved == ["two", "one", "two"], "other settings are another run"


def test_the_way_of_peft_is_tried_once(
    settings: SolveSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [mode for mode in MODES.values() if not mode.compiled]
    monkeypatch.setattr(whole_tasks, "modes_for", lambda device, large: plain)
    asked = dataclasses.replace(settings, peft_mode="auto")
    found = both(asked).peft_mode
    assert found in {mode.name for mode in plain}
    monkeypatch.setattr(whole_tasks, "probe", None)
    assert both(asked).peft_mode == found


def test_the_last_line_is_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = write_canvas_base(tmp_path / "base", context=3000)
    few = ("--steps", "1", "--batch_size", "1", "--views", "1", "--lora_rank", "2")
    ways = ("--peft_mode", "fp32", "--device", "cpu", "--out_dir", str(tmp_path))
    assert solve.main(["--tasks", "2", "--model_path", str(base), *few, *ways]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    asked = ("bench", "tasks", "hone_s", "peft_s", "speedup", "solved_hone", "solved_peft")
    assert list(told)[:7] == list(asked) and told["bench"] == "solve" and told["tasks"] == 2
    assert told["speedup"] == pytest.approx(told["peft_s"] / told["hone_s"], rel=0.05)
    assert told["hone_compile_s"] <= told["hone_s"]
    parts = told["peft_train_s"] + told["peft_generate_s"]
    assert parts == pytest.approx(told["peft_s"], abs=0.05)


def test_the_engine_s_kernels_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[str] = []
    library = cache(lambda: caches.append(os.environ["XDG_CACHE_HOME"]))
    monkeypatch.setattr(native_library, "library", library)
    monkeypatch.setenv("XDG_CACHE_HOME", "usual")
    library()
    compile_kernels()
    monkeypatch.delenv("XDG_CACHE_HOME")
    compile_kernels()
    assert len(set(caches)) == 3 and "XDG_CACHE_HOME" not in os.environ


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--tasks is 0"):
        solve.main(["--tasks", "0", "--out_dir", str(tmp_path)])
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file; name a folder"):
        solve.main(["--out_dir", str(tmp_path / "file" / "x")])
    with pytest.raises(BadInput, match="--peft_mode fp32_graphs needs a GPU"):
        solve.main(["--peft_mode", "fp32_graphs", "--device", "cpu", "--out_dir", str(tmp_path)])


def test_adapters_that_peft_cannot_have_are_refused_before_anything_is_trained(
    settings: SolveSettings,
) -> None:
    with pytest.raises(BadInput, match="head has no counterpart in PEFT; give all or top:N"):
        both(dataclasses.replace(settings, adapter_layers="head"))
