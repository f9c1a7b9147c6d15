"""The demo: its tables and folders in the small, and all of it in the slow tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from tiny_bases import serving, small_task

from arc.generators import held_out_families
from arc.grid import grid, same
from arc.readers import read_tasks
from arc.task import Task
from client.arc_solver import Solution
from eval import demo, demo_processes, demo_shown
from eval.demo import DemoSettings
from hone.errors import BadInput, HoneError, Unreachable

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
RIGHT, WRONG = grid([[3]]), grid([[5]])


def solution(*attempts: Any, tests: int = 1) -> Solution:
    grids = [[(cells, 0.5) for cells in attempts] for _ in range(tests)]
    return Solution(small_task("t3", 3, tests=tests), grids)


class Solver:
    """Stands in for one that a base answers through."""

    def __init__(self, solves: set[str]) -> None:
        self.solves, self.asked = solves, []

    def solve(self, tasks: Sequence[Task], adapt: bool) -> list[Solution]:
        (task,) = tasks
        assert not adapt
        self.asked.append(task.id)
        answer = task.test[0].output if task.id in self.solves else WRONG
        return [Solution(task, [[(answer, 1.0)]])]


@pytest.fixture
def settings(tmp_path: Path, canvas_base: Path) -> DemoSettings:
    return DemoSettings(
        out_dir=tmp_path / "demo",
        model_path=str(canvas_base),
        tasks=3,
        records=5,
        steps=2,
        num_ttt_samples=1,
        views=1,
        num_pseudo=4,
        lora_rank=2,
        k=2,
        threads=1,
    )


def test_the_right_one_of_two_attempts_is_shown() -> None:
    (columns,) = demo_shown.rows_of(solution(WRONG), solution(WRONG, RIGHT))
    assert [title for title, _ in columns] == ["test input", "expected", "before", "after"]
    assert same(columns[2][1], WRONG) and same(columns[3][1], RIGHT)
    rows = demo_shown.rows_of(solution(tests=2), solution(WRONG, tests=2))
    assert len(rows) == 2 and rows[0][2][1] is None and same(rows[1][3][1], WRONG)


def test_the_picture_holds_every_test_input(tmp_path: Path) -> None:
    demo_shown.draw(tmp_path / "d.svg", [solution(tests=2)], [solution(RIGHT, WRONG, tests=2)])
    root = ElementTree.parse(tmp_path / "d.svg").getroot()
    assert len(root) == 4


def test_grids_are_shown_with_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    demo_shown.show([solution()], [solution(WRONG)])
    text = capsys.readouterr().out
    assert "t3: not solved before, not solved after" in text
    assert "3          no grid   5*" in text


def test_tasks_are_drawn_from_every_held_out_family_in_turn(
    settings: DemoSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    families = {family.name for family in held_out_families()}
    many = DemoSettings(out_dir=settings.out_dir, tasks=len(families) + 1, seed=3)
    tasks = demo.draw_tasks(many)
    assert len({task.id for task in tasks}) == demo.POOL * many.tasks
    assert {task.id.rsplit("-", 1)[0] for task in tasks} == families
    assert "drawing tasks with seed 3" in capsys.readouterr().out
    assert tasks == demo.draw_tasks(many)


def test_what_is_trained_on_are_the_first_tasks_that_the_base_fails_at(
    settings: DemoSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = Solver(solves={"t1", "t3"})
    tasks = [small_task(f"t{i}", 3) for i in (9, 1, 3, 7, 5, 6)]
    found = demo.answered_as_it_is(solver, tasks, settings)  # type: ignore[arg-type]
    assert found.asked == len(solver.asked) == 5
    assert [solution.task.id for solution in found.failed] == ["t5", "t7", "t9"]
    assert "it solves 2 of 5; training on the others" in capsys.readouterr().out
    demo.write_tasks(settings, [solution.task for solution in found.failed])
    demo.write_tasks(settings, tasks[:1])
    assert read_tasks(settings.out_dir / "tasks") == tasks[:1]
    with pytest.raises(BadInput, match="the base solves all 2 tasks of --seed 7; give another"):
        demo.answered_as_it_is(solver, tasks[1:3], settings)  # type: ignore[arg-type]


def test_a_folder_that_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    demo.take_folder(own)
    demo.take_folder(own)
    (other / "tasks").mkdir(parents=True)
    with pytest.raises(BadInput, match="holds files that are not the demo's; name another"):
        demo.take_folder(other)
    with pytest.raises(BadInput, match=r"other/file/x, but .* is a file"):
        (other / "file").touch()
        demo.take_folder(other / "file" / "x")


def test_a_server_that_does_not_start_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(Unreachable, match="the server did not start"),
        demo_processes.serving(tmp_path),
    ):
        pass


def test_a_command_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_KB_NO_SUCH_SETTING", "1")  # which the demo's commands do not see
    with pytest.raises(HoneError, match=r"kb/build_kb.py failed with exit code 2; see above"):
        demo_processes.run("kb/build_kb.py")
    assert "--datasets" in demo_processes.run("kb/build_kb.py", "--help")


def test_answers_before_and_after_and_again(
    settings: DemoSettings, task_kb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.take_folder(settings.out_dir)
    with serving(task_kb) as url:
        before, after, seconds = demo.solve_twice(settings, demo.draw_tasks(settings), url)
        assert [s.trace["decision"] for s in before.failed] == ["base"] * 3
        assert [s.trace["decision"] for s in after] == ["train"] * 3 and seconds > 0
        assert all(len(s.trace["retrieved"]) == 1 for s in after)
        again = demo.ask_again(settings, url)
    assert again["second_run_hits"] == 3 and again["second_run_seconds"] > 0


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eval.demo", "--seed", "3", "--tasks", "8"]
    more = ["--records", "40", "--out_dir", str(tmp_path / "demo")]
    done = subprocess.run(
        [*command, *more], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    told = json.loads(lines[-1])["demo"]
    assert told["tasks"] == told["second_run_hits"] == 8
    assert told["drawn"] == told["tasks"] + told["solved_base"]
    assert told["solved_ttt"] >= 4
    assert told["second_run_seconds"] < told["ttt_seconds"]
    assert "stopped the server" in lines
    ElementTree.parse(tmp_path / "demo" / "demo.svg")
