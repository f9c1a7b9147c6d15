"""Base training: it learns, goes on only as it was begun, writes a whole base."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from small_runs import SMALL, Words, record_of, refusal

from arc.canvas import CanvasFormat
from arc.fingerprints import pair_fingerprint
from arc.generators import sample_task, training_families
from arc.pseudo import leave_one_out
from arc.readers import read_tasks
from hone.errors import HoneError
from models.base import load_base
from models.multilora.bank import AdapterBank, SlotSpec
from models.train_base import main
from models.training import grids, run
from models.training.checkpoint import BEFORE_DECAY, LATEST
from models.training.episodes import Episodes
from models.training.line import in_line
from models.training.new_model import new_model
from models.training.pace import Budget, rate_at
from models.training.packed_llama import answer_loss
from models.training.settings import TrainBaseSettings
from models.training.sources import generator_source, is_kept_out

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("known_peak")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, flips: Path) -> Path:
    """A run of some seconds on a trivial source and the generators."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    given = SMALL | {"out_dir": folder, "steps": 80, "every": 60}
    sources = ["--sources", "generators", str(flips), "--weights", "1", "3"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "gemm_peak", lambda *of: 100.0)
        patched.setattr(run, "APART", 6_000)
        assert main([w for n, v in given.items() for w in (f"--{n}", str(v))] + sources) == 0
    return folder


def test_some_seconds_lower_the_loss(trained: Path) -> None:
    record = record_of(trained)
    losses = record["losses"]
    assert len(losses) == record["steps"] and record["tokens"] > 0
    assert sum(losses[-10:]) / 10 < 0.7 * sum(losses[:3]) / 3


def test_a_finished_base_is_an_ordinary_folder(trained: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert sorted(path.name for path in trained.iterdir()) == ["base", BEFORE_DECAY, LATEST]
    names = {path.name for path in (trained / "base").iterdir()}
    assert names == {
        *("arc_format.json", "config.json", "generation_config.json", "model.safetensors"),
        *("training_data.json", "training_record.json", "trained_pairs.npy", "README.md"),
    }
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (trained / "base").iterdir()}
    assert all(mode & 0o444 == 0o444 for mode in modes), "readable for everyone"
    base = load_base(trained / "base")
    assert (base.format.name, base.vocabulary, base.context) == ("canvas", 16, 8 * 160)
    model = AutoModelForCausalLM.from_pretrained(trained / "base", dtype=torch.float32)
    assert sum(p.numel() for p in model.parameters()) == base.parameters
    generation = json.loads((trained / "base" / "generation_config.json").read_text())
    assert set(generation) == {"eos_token_id", "transformers_version"}


def test_the_finished_base_is_the_model_that_was_measured(trained: Path) -> None:
    base = load_base(trained / "base", dtype="fp32")
    line = in_line(Episodes([generator_source(1.0)], 160, CanvasFormat()).batch("test", 2048))
    untrained = new_model(TrainBaseSettings(**_sizes()))
    with torch.inference_mode():
        before, after = (answer_loss(m, line, torch.float32) for m in (untrained, base.model))
    assert float(after) < 0.9 * float(before)


def _sizes() -> dict[str, Any]:
    return {name: SMALL[name] for name in ("hidden_size", "layers", "heads", "ffn_size")}


def test_a_base_says_what_it_was_trained_on_by_name_and_content(trained: Path, flips: Path) -> None:
    written = (trained / "base" / "training_data.json").read_text()
    generators, named = json.loads(written)["sources"]
    assert (generators["name"], generators["share"]) == ("generators", 0.25)
    assert (named["name"], named["share"]) == ("flips", 0.75)
    kept_out = sum(is_kept_out(path.stem) for path in flips.iterdir())
    assert named["tasks"] == len(list(flips.iterdir())) - kept_out > 0 < kept_out
    assert all(re.fullmatch("[0-9a-f]{64}", source["sha256"]) for source in (generators, named))
    for path in (trained / "base").glob("*.json"):
        assert str(flips.parent) not in path.read_text() and "/" not in path.read_text(), path
    assert str(flips.parent) not in (trained / "base" / "README.md").read_text()


def test_every_pair_that_can_be_drawn_is_known_by_its_fingerprint(
    trained: Path, flips: Path
) -> None:
    known = np.load(trained / "base" / "trained_pairs.npy")
    seen, unseen = set(), set()
    for task in read_tasks(flips):
        own = {pair_fingerprint(pair) for pair in (*task.train, *task.test)}
        (unseen if is_kept_out(task.id) else seen).update(own)
    assert set(known.tolist()) == seen and unseen
    told = json.loads((trained / "base" / "training_data.json").read_text())["pairs"]
    assert told["count"] == len(seen) and told["file"] == "trained_pairs.npy"


def test_the_page_of_a_base_says_how_it_was_trained(trained: Path) -> None:
    page = (trained / "base" / "README.md").read_text()
    told = json.loads((trained / "base" / "training_record.json").read_text())
    for part in (
        f"{told['parameters']:,} parameters",
        f"in {told['steps']} steps",
        "Muon trains the matrices",
        "| generators | 25% |",
        "| flips | 75% |",
        f"| {told['held_out'][-1]['held_out_families']:.3f} |",
        "reads at most 1280.",
    ):
        assert part in page


def test_a_base_carries_the_record_of_its_training(trained: Path) -> None:
    told = json.loads((trained / "base" / "training_record.json").read_text())
    record = record_of(trained)
    assert told["parameters"] == load_base(trained / "base").parameters
    assert (told["tokens"], told["steps"]) == (record["tokens"], record["steps"])
    assert told["tokens_per_second"] == round(record["tokens"] / record["seconds"])
    assert told["device"] in ("cpu", "cuda")
    assert told["gemm_peak_gflops"] == 100 and 0 < told["share_of_peak"] < 1
    assert told["settings"]["learning_rate"] == 0.02 and "sources" not in told["settings"]
    measured = told["held_out"]
    assert all(set(each) == {"tokens", "held_out_families", "flips"} for each in measured)
    assert measured[-1]["tokens"] == told["tokens"] > 7 * 6_000
    apart = np.diff([each["tokens"] for each in measured])
    assert 4 <= len(measured) <= 8 and apart[:-1].min() >= 6_000


def test_a_base_without_demos_leaves_its_vectors_behind(
    words: Words, tmp_path: Path, flips: Path
) -> None:
    assert main(words(mode="pair", steps=30, sources=["generators", str(flips)])) == 0
    folder = tmp_path / "run" / "base"
    base = load_base(folder)
    assert isinstance(base.format, CanvasFormat) and base.format.mode == "pair"
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert not [name for name in weights.keys() if "vectors" in name]  # noqa: SIM118
    losses = record_of(tmp_path / "run")["losses"]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert "a question after a vector of its task" in (folder / "README.md").read_text()


def test_a_new_task_s_vector_is_an_adapter_of_its_token(words: Words, tmp_path: Path) -> None:
    """LoRA on the embedding alone: of an item without demos, the rule can be nowhere else."""
    assert main(words(mode="mixture", steps=30)) == 0
    base = load_base(tmp_path / "run" / "base", dtype="fp32")
    task = sample_task(training_families()[0], 3)
    form = CanvasFormat(mode="pair")
    items = [(form.example(pseudo), 1.0) for pseudo in leave_one_out(task)]
    spec = SlotSpec(rank=4, learning_rate=1e-3)
    with AdapterBank(base.model, [spec], ["embed_tokens"]) as bank:
        losses = []
        for _ in range(20):
            losses.append(float(bank.backward([items]).losses_K[0]))
            bank.step([True], [1.0])
    assert losses[-1] < losses[0]


def test_counted_positions_are_written_into_the_base(words: Words, tmp_path: Path) -> None:
    assert main(words(positions="1d", steps=2)) == 0
    form = load_base(tmp_path / "run" / "base").format
    assert isinstance(form, CanvasFormat) and form.positions == "1d"
    assert "positions that count tokens" in (tmp_path / "run" / "base" / "README.md").read_text()


def test_a_run_goes_on_only_as_it_was_begun(
    words: Words, tmp_path: Path, flips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words()) == 0
    before = (tmp_path / "run" / LATEST).read_bytes()
    capsys.readouterr()
    said = refusal(words(hidden_size=64, layers=2), capsys)
    assert "hidden_size was 32, now 64; layers was 1, now 2" in said
    assert "use them, or another --out_dir" in said
    assert "seed was 0, now 5" in refusal(words(seed=5), capsys)
    assert "sources was ['" in refusal(words(sources="generators"), capsys)
    assert (tmp_path / "run" / LATEST).read_bytes() == before
    extra = flips / "flip-900.json"
    extra.write_text((flips / "flip-0.json").read_text())
    try:
        assert "the tasks of its sources have changed" in refusal(words(), capsys)
    finally:
        extra.unlink()


def test_a_damaged_checkpoint_is_refused_and_kept(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LATEST).write_bytes(b"not safetensors")
    assert f"{LATEST} cannot be read" in refusal(words(), capsys)
    assert (tmp_path / "run" / LATEST).read_bytes() == b"not safetensors"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sources": "nowhere"}, "no file nowhere; check the path"),
        ({"sources": "EMPTY"}, "holds no *.json task files; check the path"),
        ({"sources": ["generators", "nowhere"], "weights": 1}, "1 weights for 2 sources"),
        ({"weights": -1}, "--weights is -1.0, at least 0 was expected"),
        ({"weights": 0}, "all --weights are 0"),
        ({"hidden_size": 50, "heads": 4}, "--hidden_size 50 does not divide into 4 heads"),
        ({"hidden_size": 18, "heads": 6}, "does not divide into 6 heads of even width"),
        ({"batch_tokens": 80}, "--batch_tokens 80 cannot hold one episode of --max_tokens 160"),
        ({"minutes": 0}, "--minutes is 0.0, more than 0 was expected"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    words: Words,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, Any],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    named = {k: tmp_path / "empty" if v == "EMPTY" else v for k, v in given.items()}
    assert message in refusal(words(**named), capsys)
    assert not list((tmp_path / "run").glob("*"))


def test_a_folder_that_cannot_be_made_is_told_before_training(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(words(out_dir=tmp_path / "file" / "run"), capsys)
    assert "file" in said and "check the path" in said


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [rate_at(share / 100, 0.35) for share in range(101)]
    assert rates[0] == pytest.approx(0.02) and rates[-1] == 0
    assert all(rate == 1 for rate in rates[2:66])
    falling = rates[65:]
    assert falling == sorted(falling, reverse=True)
    assert rate_at(1.0, 0.0) == 1


def test_a_budget_is_counted_in_steps_where_they_are_given() -> None:
    assert Budget(10.0).share(seconds=60.0, steps=999) == pytest.approx(0.1)
    assert Budget(10.0, 20).share(seconds=60.0, steps=5) == 0.25
    assert Budget(1.0).share(seconds=999.0, steps=0) == 1.0


def test_too_short_episodes_leave_nothing_to_measure_on_and_train_all_the_same(
    words: Words, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(grids, "open_tests", lambda *of: {})
        assert main(words()) == 0
    assert record_of(tmp_path / "run")["held_out"][-1].keys() == {"tokens"}


def test_every_error_of_the_command_is_one_of_ours() -> None:
    with pytest.raises(HoneError):
        main(["--sources", "nowhere"])
