"""A stream replayed: as the store would have it, measured once, recommended, and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from tiny_bases import RECORDS, small_task, write_tasks

from client.adapter_store import AdapterStore
from client.adapters.entry import Key
from client.policies import STRATEGIES
from eval import cache_quality
from eval.cache_picture import picture
from eval.cache_replay import Costs, Replayed, replay
from eval.cache_stream import Asked, read_stream
from eval.cache_sweep import Sweep, Swept, _share_kept, cosines_of, markdown
from eval.tune_cache import main
from hone.errors import BadInput, NotThere
from models.multilora.peft_files import AdapterFiles

torch.set_num_threads(1)
SVG = "{http://www.w3.org/2000/svg}"
KEY = Key("e", "b", "c")
QUICK = ["--k=2", "--steps=8", "--batch_size=2", "--learning_rate=1e-2", "--lora_rank=4"]
QUICK += ["--num_pseudo=4", "--num_ttt_samples=0", "--preset=ct3", "--threads=1"]
TRIED = ["--sizes", "1", "4", "--thresholds", "0.5", "1", "--strategies", "lfu", "lru"]


def sized(i: int) -> AdapterFiles:
    """Unequal in size and in what its training took."""
    width = 4 + 40 * (i % 3)
    pair = torch.ones(2, width), torch.ones(width, 2)
    return AdapterFiles({"m.q": pair}, 2, 2.0, ["q"], extra={"seconds": 1.0 + i % 5})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_replay_decides_as_the_store_does(strategy: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(7, 16))
    drawn = rng.zipf(1.6, size=60) % 7
    vectors = (centres[drawn] + 0.25 * rng.normal(size=(60, 16))).astype(np.float32)
    store = AdapterStore(tmp_path, size=3, threshold=0.9, strategy=strategy, seed=2)
    ids: dict[str, int] = {}
    served, sizes = [], [0] * 60
    for i, vector in enumerate(vectors):
        found = store.find(vector, KEY)
        if found is None:
            entry = store.put(vector, KEY, sized(i), base_path="b")
            assert entry is not None
            ids[entry] = i
            sizes[i] = next(e.usage.size for e in store.entries() if e.id == entry)
        served.append(i if found is None else ids[found.entry_id])
    costs = Costs([1.0 + i % 5 for i in range(60)], sizes)
    how: dict[str, Any] = {"size": 3, "threshold": 0.9, "strategy": strategy, "seed": 2}
    replayed = replay(cosines_of(vectors), costs, **how)
    assert list(replayed.served) == served and 0.1 < replayed.hit_rate < 0.9
    assert replayed.most_bytes >= sum(e.usage.size for e in store.entries())


def swept(size: int, quality: float, saved: float, strategy: str = "lfu") -> Swept:
    return Swept(size, 0.9, strategy, 0.5, quality, saved, size * 1.5)


def test_the_recommended_one_saves_most_of_those_that_keep_enough() -> None:
    rows = [swept(1, 0.99, 5), swept(4, 0.97, 9), swept(2, 0.97, 9), swept(8, 0.5, 20)]
    rows += [swept(1, 0.6, 4)]  # beaten in both
    assert Sweep(rows, 0.95).trade == [rows[3], rows[2], rows[0]], "of equals the smaller store"
    assert Sweep(rows, 0.95).best == rows[2]
    assert Sweep(rows, 0.999).best == rows[0], "none keeps enough: what keeps most"
    assert Sweep(rows, 0.0).best == rows[3]


def test_the_table_names_strategies_that_come_to_the_same() -> None:
    rows = [swept(4, 0.97, 9, name) for name in ("lfu", "lru")]
    assert "| 4 | 0.9 | any | 50.0% | 0.970 | 9 | 6.0 | recommended |" in markdown(Sweep(rows, 0))
    rows += [swept(4, 0.97, 8, "cost")]
    assert "| 4 | 0.9 | lfu, lru | 50.0%" in markdown(Sweep(rows, 0))


def test_everything_in_the_picture_is_inside_and_named() -> None:
    rows = [swept(1, 0.99, 5), swept(4, -0.5, 9), swept(2, 1.2, 0, "lru"), swept(8, 0.5, 20)]
    for chosen in (rows, rows[:1]):
        root = ElementTree.fromstring(picture(Sweep(chosen, 0.9)))
        panels = list(root.iter(f"{SVG}g"))
        dots = [dot for panel in panels[::2] for dot in panel if "cx" in dot.attrib]
        assert len(panels) == 3 and len(dots) >= 2 * len(chosen)
        assert all(-1 <= float(d.attrib["cx"]) <= 381 for d in dots)
        assert all(-1 <= float(d.attrib["cy"]) <= 281 for d in dots)
        boxes = [box for panel in panels for box in panel if "width" in box.attrib]
        assert all(float(b.attrib["width"]) >= 0 for b in boxes)
        assert all(shape.findtext(f"{SVG}title") for shape in [*dots, *boxes])


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    made = [small_task("a", 3), small_task("b", 3, demos=4), small_task("c", 5), small_task("d", 6)]
    return write_tasks(tmp_path / "tasks", made)


def tuned(tasks: Path, base: Path, out: Path, *more: str) -> dict[str, Any]:
    argv = [*QUICK, *TRIED, "--stream", str(tasks), "--model_path", str(base)]
    assert main([*argv, "--out_dir", str(out), *more]) == 0
    told: dict[str, Any] = json.loads((out / "results.json").read_text())
    return told


def test_each_query_is_trained_once_and_a_second_run_measures_nothing(
    tasks: Path,
    canvas_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    told = tuned(tasks, canvas_base, out)
    said = capsys.readouterr().out
    assert json.loads(said.splitlines()[-1])["tune_cache"]["queries"] == 4
    assert said.count("recommended |") == 1 and "| size |" in said
    rows = told["swept"]
    assert len(rows) == 2 * 2 * 2
    assert all(row["quality"] == 1 for row in rows if row["hit_rate"] == 0)
    assert any(row["hit_rate"] > 0 and row["saved"] > 0 for row in rows)
    assert len(list((out / "adapters" / "entries").iterdir())) <= 4
    assert (out / "table.csv").read_text().count("\n") == 1 + len(rows)
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["local_adapter_manager_size"] == told["best"]["size"]
    losses = (out / "losses.jsonl").read_text()

    def trained_again(*_: Any) -> None:
        raise AssertionError("all is there")

    monkeypatch.setattr(cache_quality.Guard, "loss", trained_again)
    again = tuned(tasks, canvas_base, out, "--keep_quality", "0.5")
    assert again["swept"] == rows and (out / "losses.jsonl").read_text() == losses


def test_without_measuring_no_base_is_opened(tmp_path: Path) -> None:
    stream = tmp_path / "stream.jsonl"
    asked = [*RECORDS, *RECORDS[:2]]
    stream.write_text("".join(json.dumps(record) + "\n" for record in asked))
    argv = [*TRIED, "--stream", str(stream), "--model_path", "nowhere", "--measure", "false"]
    assert main([*argv, "--out_dir", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    exact = [row for row in told["swept"] if row["threshold"] == 1]
    assert {row["size"]: row["hit_rate"] for row in exact} == {1: 0, 4: 0}
    assert not (tmp_path / "out" / "adapters").exists()


def test_in_sessions_like_follows_like(tmp_path: Path) -> None:
    stream = tmp_path / "stream.jsonl"
    asked = [*RECORDS, *RECORDS]  # the same query comes again when all others have been asked
    stream.write_text("".join(json.dumps(record) + "\n" for record in asked))
    argv = ["--stream", str(stream), "--measure", "false", "--sizes=1", "--thresholds=0.99"]
    for order, found in (("false", False), ("true", True)):
        assert main([*argv, "--sessions", order, "--out_dir", str(tmp_path / "out")]) == 0
        told = json.loads((tmp_path / "out" / "results.json").read_text())
        assert (told["best"]["hit_rate"] > 0) == found


def test_a_stream_is_read_from_what_the_client_was_asked(tmp_path: Path) -> None:
    for i, seconds in enumerate(({"train": 2.5}, {})):
        told = {"answers": [{"query": f"q{i}", "answer": "a", "trace": {"seconds": seconds}}]}
        (tmp_path / f"2026010{i}-120000-00000{i}.json").write_text(json.dumps(told))
    assert read_stream(tmp_path) == [Asked("q0", seconds=2.5), Asked("q1")]
    with pytest.raises(BadInput, match="holds no answers, so the loss by reuse cannot be measured"):
        main(["--stream", str(tmp_path), "--out_dir", str(tmp_path / "out")])


def test_recorded_tasks_are_read_where_they_were(tasks: Path, tmp_path: Path) -> None:
    record, trace = tmp_path / "record", {"seconds": {"train": 1.5}}
    answers = [{"id": name, "trace": trace} for name in "ba"]
    told = {"settings": {"task": str(tasks)}, "answers": answers}
    record.mkdir()
    file = record / "20260101-120000-000000.json"
    file.write_text(json.dumps(told))
    first, second = read_stream(record)
    assert (first.query.id, second.query.id, first.seconds) == ("b", "a", 1.5)  # type: ignore[union-attr]
    (tasks / "b.json").unlink()
    with pytest.raises(NotThere, match=r"is about a task b, which .* no longer holds"):
        read_stream(record)
    shutil.rmtree(tasks)
    with pytest.raises(NotThere, match="which is gone; put them back there"):
        read_stream(record)


def test_texts_and_tasks_are_no_one_stream(tasks: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.mkdir()
    for i, one in enumerate(({"id": "a", "trace": {}}, {"query": "q", "trace": {}})):
        told = {"settings": {"task": str(tasks)}, "answers": [one]}
        (record / f"2026010{i}-120000-000000.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="holds queries of texts and of ARC tasks"):
        read_stream(record)


def test_where_training_gains_nothing_all_is_kept_or_nothing() -> None:
    share = _share_kept({(0, 0): -1.0, (1, 1): 1.0, (1, 0): 0.5})
    assert [share(Replayed(served, 0)) for served in ((0, 1), (0, 0))] == [1.0, 0.0]
    share = _share_kept({(0, 0): 3.0, (1, 1): 1.0, (1, 0): 0.0})
    assert share(Replayed((0, 0), 0)) == 0.75


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "no --stream is given"),
        (["--stream", "{one}"], "holds 1 queries; a stream needs at least two"),
        (["--stream", "{one}", "--sizes", "0"], "--sizes is 0, at least 1"),
        (["--stream", "{one}", "--thresholds", "1.5"], "--thresholds is 1.5, at most 1"),
        (["--stream", "{one}", "--strategies", "fifo"], "--strategies is 'fifo'; choose from"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tmp_path: Path, argv: list[str], reason: str) -> None:
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps(RECORDS[0]) + "\n")
    out = tmp_path / "out"
    with pytest.raises(BadInput, match=reason):
        main([*(word.format(one=one) for word in argv), "--out_dir", str(out)])
    assert not out.exists()
