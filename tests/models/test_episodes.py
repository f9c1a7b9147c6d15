"""Episodes: the same for a seed, of what may be trained on alone, within their lengths."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from arc.canvas import END, INPUT, OUTPUT, VOCABULARY, CanvasFormat
from arc.formats import IGNORED, Encoded
from arc.generators import held_out_families, sample_task, training_families
from arc.grid import spell
from arc.task import Task, task_to_json
from hone.errors import BadInput, HoneError
from models.training.episodes import Episodes, held_out_episodes, kept_out_episodes
from models.training.sources import (
    FIXED,
    Source,
    file_sources,
    generator_source,
    is_kept_out,
    open_sources,
)

MAX_TOKENS, FORM = 320, CanvasFormat()
TRAINING, HELD_OUT = training_families(), held_out_families()
FLIP = next(family for family in TRAINING if family.name == "flip")


def task_folder(folder: Path, count: int) -> Path:
    """Tasks of one family, one file each, under the names of their seeds."""
    folder.mkdir()
    for seed in range(count):
        task = sample_task(FLIP, seed)
        (folder / f"{task.id}.json").write_text(json.dumps(task_to_json(task)))
    return folder


def pair_file(path: Path, count: int) -> Path:
    with gzip.open(path, "wt") as file:
        for seed in range(count):
            task = sample_task(FLIP, seed, 7)
            pairs = [
                [spell(pair.input), spell(pair.output)]
                for pair in task.train
                if pair.output is not None
            ]
            file.write(json.dumps({"id": task.id, "pairs": pairs}) + "\n")
    return path


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Episodes:
    folder = task_folder(tmp_path_factory.mktemp("tasks") / "flips", 40)
    return Episodes([generator_source(2.0), file_sources(folder, 1.0)[0]], MAX_TOKENS, FORM)


def same(one: Encoded, other: Encoded) -> bool:
    return all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("ids", "positions", "labels")
    )


def outputs(row: Encoded) -> list[slice]:
    """Where the cells of each output stand, END included; the last one is the answer."""
    starts = np.flatnonzero(row.ids == OUTPUT) + 1
    ends = np.flatnonzero(row.ids == END) + 1
    return [slice(start, ends[ends > start][0]) for start in starts]


def test_the_same_seed_draws_the_same_batch(episodes: Episodes) -> None:
    one, again, other = (episodes.batch(seed, 2048) for seed in ("0:7", "0:7", "0:8"))
    assert len(one) == len(again) and all(map(same, one, again))
    assert not all(map(same, one, other))


def test_a_batch_ends_with_the_episode_that_fills_it(episodes: Episodes) -> None:
    for number in range(8):
        lengths = [len(row) for row in episodes.batch(f"0:{number}", 1024)]
        assert sum(lengths[:-1]) < 1024 <= sum(lengths)


def test_counted_positions_are_asked_for_by_the_format(episodes: Episodes) -> None:
    flat = Episodes(episodes.sources, MAX_TOKENS, CanvasFormat("1d"))
    rows, counted = episodes.batch("0:0", 1024), flat.batch("0:0", 1024)
    for row, other in zip(rows, counted, strict=True):
        assert np.array_equal(row.ids, other.ids) and np.array_equal(row.labels, other.labels)
        assert np.array_equal(other.positions, np.arange(len(other)))


def test_episodes_fit_and_their_positions_stay_on_the_model_s_canvases(episodes: Episodes) -> None:
    rng = Random(3)
    drawn = [episodes.draw(rng) for _ in range(100)]
    assert max(map(len, drawn)) <= MAX_TOKENS
    assert max(int(row.positions.max()) for row in drawn) < 24 * 4096


def test_labels_stand_on_outputs_from_the_second_demo_on_and_on_the_answer(
    episodes: Episodes,
) -> None:
    rng = Random(4)
    for _ in range(50):
        row = episodes.draw(rng)
        first, *others = outputs(row)
        assert others, "an episode has a demo and a question"
        wanted = np.full(len(row), IGNORED)
        for cells in others:
            wanted[cells] = row.ids[cells]
        assert np.array_equal(row.labels, wanted)
        assert (row.labels[first] == IGNORED).all()
        assert row.ids[0] == INPUT and row.ids[-1] == END


def test_without_demos_a_question_follows_the_number_of_its_task(tmp_path: Path) -> None:
    folder = task_folder(tmp_path / "flips", 12)
    sources, _ = open_sources(["generators", str(folder)], [1.0, 1.0], "pair")
    alone = Episodes(sources, MAX_TOKENS, FORM, "pair")
    assert alone.tasks == sum(len(source.sets) for source in sources)
    assert len(sources[0].sets) == FIXED * len(TRAINING)
    rng = Random(9)
    drawn = [alone.draw(rng) for _ in range(80)]
    numbers = [int(row.ids[0]) - VOCABULARY for row in drawn]
    assert min(numbers) >= 0 and max(numbers) < alone.tasks
    assert {number < len(sources[0].sets) for number in numbers} == {True, False}
    for row in drawn:
        (answer,) = outputs(row)
        assert np.array_equal(np.flatnonzero(row.labels != IGNORED), np.r_[answer])
        assert row.ids[1:].max() < VOCABULARY and len(row) <= MAX_TOKENS


def test_half_of_a_mixture_has_demos() -> None:
    sources, _ = open_sources(["generators"], [], "mixture")
    mixed = Episodes(sources, MAX_TOKENS, FORM, "mixture")
    rng = Random(10)
    demos = [row.ids[0] < VOCABULARY for row in (mixed.draw(rng) for _ in range(200))]
    assert 0.35 < sum(demos) / len(demos) < 0.65


def test_demos_are_left_out_before_a_task_is_given_up() -> None:
    narrow = Episodes([generator_source(1.0)], 110, FORM)
    rng = Random(5)
    demos = {len(outputs(narrow.draw(rng))) - 1 for _ in range(60)}
    assert 1 in demos and max(demos) > 1


def test_nothing_fits_is_one_line(tmp_path: Path) -> None:
    folder = task_folder(tmp_path / "flips", 6)
    with pytest.raises(BadInput, match=r"no task of 1000 fits into 10 tokens; raise --max_tokens"):
        Episodes([file_sources(folder, 1.0)[0]], 10, FORM).draw(Random(0))


def test_weights_are_shares() -> None:
    drawn: list[str] = []

    def source(name: str, weight: float) -> Source:
        def draw(rng: Random) -> Task:
            drawn.append(name)
            return sample_task(FLIP, 1)

        return Source(name, weight, draw, 1, "")

    both = Episodes(
        [source("much", 3.0), source("little", 1.0), source("none", 0.0)], MAX_TOKENS, FORM
    )
    rng = Random(6)
    for _ in range(400):
        both.draw(rng)
    assert set(drawn) == {"much", "little"}
    assert 0.65 < drawn.count("much") / len(drawn) < 0.85


def test_generators_never_draw_from_families_held_out() -> None:
    source, rng = generator_source(1.0), Random(7)
    names = {source.draw(rng).id.rsplit("-", 1)[0] for _ in range(1200)}
    assert names == {family.name for family in TRAINING}
    assert not names & {family.name for family in HELD_OUT}
    assert source.tasks == len(TRAINING)


@pytest.mark.parametrize("kind", ["folder", "pair file"])
def test_kept_out_tasks_are_never_drawn_to_train_on(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        path, demos = task_folder(tmp_path / "flips", 40), 3
    else:
        path, demos = pair_file(tmp_path / "flips.jsonl.gz", 40), 4
    trained, kept = file_sources(path, 0.5)
    assert kept is not None
    names = {f"flip-{seed}" for seed in range(40)}
    expected = {name for name in names if is_kept_out(name)}
    rng = Random(8)
    tasks = [trained.draw(rng) for _ in range(400)]
    assert {task.id for task in tasks} == names - expected
    assert {kept.draw(rng).id for _ in range(100)} == expected
    assert (trained.tasks, kept.tasks) == (40 - len(expected), len(expected))
    assert {len(task.train) for task in tasks} == {demos}
    assert trained.weight == 0.5 and trained.content != kept.content


def test_the_content_of_a_source_is_that_of_its_tasks(tmp_path: Path) -> None:
    one, other = (file_sources(task_folder(tmp_path / n, 8), 1.0)[0] for n in ("one", "other"))
    assert one.content == other.content and one.name != other.name
    more = file_sources(task_folder(tmp_path / "more", 12), 1.0)[0]
    assert more.content != one.content


def test_few_tasks_may_leave_nothing_to_measure_on(tmp_path: Path) -> None:
    folder = task_folder(tmp_path / "flips", 1)
    assert not is_kept_out("flip-0")
    trained, kept = file_sources(folder, 1.0)
    assert trained.tasks == 1 and kept is None


def test_what_is_measured_on_is_the_same_every_time_and_labelled_on_the_answer_alone(
    tmp_path: Path,
) -> None:
    kept = file_sources(task_folder(tmp_path / "flips", 40), 1.0)[1]
    assert kept is not None
    drawn = [
        (held_out_episodes(24, MAX_TOKENS, FORM), kept_out_episodes(kept, 12, MAX_TOKENS, FORM))
        for _ in range(2)
    ]
    for one, again in zip(*drawn, strict=True):
        assert one and all(same(a, b) for a, b in zip(one, again, strict=True))
        for row in one:
            assert len(row) <= MAX_TOKENS
            assert np.array_equal(np.flatnonzero(row.labels != IGNORED), np.r_[outputs(row)[-1]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no file .*missing; check the path"),
        ("empty", "empty holds no .*json task files; check the path"),
        ("text.jsonl.gz", "is not a gzip file"),
        ("lonely", "lonely has no task to train on"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jsonl.gz").write_text("no gzip")
    (tmp_path / "lonely").mkdir()
    lonely = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}
    (tmp_path / "lonely" / "lonely-1.json").write_text(json.dumps(lonely))
    with pytest.raises(HoneError, match=message) as told:
        file_sources(tmp_path / name, 1.0)
    assert "\n" not in str(told.value)


def test_pairs_that_are_no_grids_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    good = [["1", "2"], ["3", "4"], ["5", "6"]]
    with gzip.open(path, "wt") as file:
        file.write(json.dumps({"id": "flip-0", "pairs": [*good, ["x", "1"]]}) + "\n")
    trained, _ = file_sources(path, 1.0)
    assert len(trained.draw(Random(0)).train) == 2
    assert "pairs.jsonl.gz: 1 pairs left out, the first:" in capsys.readouterr().out


def lines_of(path: Path, good: int, bad: list[str]) -> Path:
    """A pair file with so many good lines, then what is no pair set."""
    pairs = [["1", "2"], ["3", "4"], ["5", "6"]]
    lines = [json.dumps({"id": f"flip-{i}", "pairs": pairs}) for i in range(good)]
    with gzip.open(path, "wt") as file:
        file.write("\n".join([*lines, *bad]) + "\n")
    return path


def test_broken_lines_are_counted_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines_of(tmp_path / "pairs.jsonl.gz", 60, ['{"id": "x", "pa', '{"pairs": []}'])
    trained, kept = file_sources(path, 1.0)
    assert trained.tasks + (kept.tasks if kept else 0) == 60
    told = capsys.readouterr().out
    assert "pairs.jsonl.gz: 2 of 62 lines left out:" in told
    assert "line 61 is not JSON" in told and 'line 62: an object with "id"' in told


def test_too_many_broken_lines_stop(tmp_path: Path) -> None:
    path = lines_of(tmp_path / "pairs.jsonl.gz", 17, ["[]"])
    with pytest.raises(HoneError, match=r"1 of 18 lines cannot be used, more than 5%; the first"):
        file_sources(path, 1.0)


def test_what_generators_draw_is_hashed_by_their_code() -> None:
    with pytest.MonkeyPatch.context() as patched:
        before = generator_source(1.0).content
        assert generator_source(2.0).content == before
        patched.setattr("models.training.sources._generator_code", lambda: ["other"])
        assert generator_source(1.0).content != before
