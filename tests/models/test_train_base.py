"""Base training: it learns, survives kill -9, goes on only as it was begun, writes a whole base."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from hone.errors import HoneError, run_command
from models import train_base
from models.base import load_base
from models.checkpoint import FILE, read_checkpoint
from models.episodes import Episodes, generator_source, is_kept_out
from models.train_base import TrainBaseSettings, answer_loss, main, new_model, rate_at

torch.set_num_threads(1)
COMMAND = Path(train_base.__file__)
SMALL = {
    "hidden_size": 32,
    "layers": 1,
    "heads": 2,
    "ffn_size": 32,
    "max_tokens": 160,
    "batch_tokens": 640,
    "every": 0.001,  # a checkpoint after every round
    "threads": 1,
}

Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def flips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small tasks of one trivial rule, a file each; two of them are kept out by their names."""
    folder = tmp_path_factory.mktemp("sources") / "flips"
    folder.mkdir()
    rng = Random(0)

    def pair() -> dict[str, list[list[int]]]:
        rows = [[rng.randrange(4) for _ in range(3)] for _ in range(2)]
        return {"input": rows, "output": [row[::-1] for row in rows]}

    for number in range(40):
        task = {"train": [pair() for _ in range(3)], "test": [pair()]}
        (folder / f"flip-{number}.json").write_text(json.dumps(task))
    return folder


@pytest.fixture
def words(tmp_path: Path, flips: Path) -> Words:
    """The command's words for a run of a second; named settings differ."""

    def spelled(**other: Any) -> list[str]:
        given = SMALL | {"sources": flips, "out_dir": tmp_path / "run", "minutes": 0.02} | other
        return [
            word
            for name, value in given.items()
            for word in (
                f"--{name}",
                *(map(str, value) if isinstance(value, list) else [str(value)]),
            )
        ]

    return spelled


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, flips: Path) -> Path:
    """A run of some seconds on a trivial source and the generators; on a busy machine it goes on
    until it has made some steps."""
    folder, minutes, steps = tmp_path_factory.mktemp("runs") / "trained", 0.04, 0
    while steps < 60:
        given = SMALL | {"out_dir": folder, "minutes": minutes, "every": 60}
        sources = ["--sources", "generators", str(flips), "--weights", "1", "3"]
        assert main([w for n, v in given.items() for w in (f"--{n}", str(v))] + sources) == 0
        steps, minutes = record_of(folder)["steps"], 2 * minutes
    return folder


def record_of(run: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.record


def refusal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says, in one line and with exit code 2."""
    with pytest.raises(SystemExit) as left:
        run_command(lambda: main(argv))
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    return said


def test_some_seconds_lower_the_loss(trained: Path) -> None:
    record = record_of(trained)
    losses = record["losses"]
    assert len(losses) == record["steps"] and record["tokens"] > 0
    assert sum(losses[-10:]) / 10 < 0.7 * sum(losses[:3]) / 3


def test_a_finished_base_is_an_ordinary_folder(trained: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert sorted(path.name for path in trained.iterdir()) == ["base", FILE]
    names = {path.name for path in (trained / "base").iterdir()}
    assert names == {
        *("arc_format.json", "config.json", "generation_config.json", "model.safetensors"),
        *("training_data.json", "training_record.json"),
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
    rows = Episodes([generator_source(1.0)], 160).pool("test", 16, 4096)[0]
    with torch.inference_mode():
        untrained, _ = answer_loss(new_model(TrainBaseSettings(**_sizes())), rows, "cpu")
        finished, _ = answer_loss(base.model, rows, "cpu")
    assert float(finished) < 0.9 * float(untrained)


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


def test_a_base_carries_the_record_of_its_training(trained: Path) -> None:
    told = json.loads((trained / "base" / "training_record.json").read_text())
    record = record_of(trained)
    assert told["parameters"] == load_base(trained / "base").parameters
    assert (told["tokens"], told["steps"]) == (record["tokens"], record["steps"])
    assert told["tokens_per_second"] == round(record["tokens"] / record["seconds"])
    assert told["device"] in ("cpu", "cuda")
    assert told["settings"]["learning_rate"] == 0.02 and "sources" not in told["settings"]
    measured = told["held_out"][-1]
    assert set(measured) == {"tokens", "held_out_families", "flips"}
    assert measured["tokens"] == told["tokens"]


def test_started_again_a_finished_run_writes_its_base_again_and_measures_nothing_twice(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words()) == 0
    before = record_of(tmp_path / "run")
    weights = (tmp_path / "run" / "base" / "model.safetensors").read_bytes()
    assert main(words()) == 0
    assert record_of(tmp_path / "run") == before
    assert (tmp_path / "run" / "base" / "model.safetensors").read_bytes() == weights
    tokens = [measured["tokens"] for measured in before["held_out"]]
    assert tokens == sorted(set(tokens))
    assert f"going on at step {before['steps']}" in capsys.readouterr().out


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, str(COMMAND), *words(minutes=10)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(run / FILE, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = record_of(run)
    assert killed["steps"] > 0 and not (run / "base").exists()
    assert main(words(minutes=(killed["seconds"] + 0.5) / 60)) == 0
    finished = record_of(run)
    assert f"going on at step {killed['steps']}" in capsys.readouterr().out
    assert finished["steps"] > killed["steps"] and finished["round"] > killed["round"]
    assert finished["losses"][: killed["steps"]] == killed["losses"]
    assert load_base(run / "base").parameters
    assert sorted(path.name for path in run.iterdir()) == ["base", FILE]


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 300
    while not file.exists():
        assert process.poll() is None and time.monotonic() < until, "no checkpoint was written"
        time.sleep(0.02)


def test_a_run_goes_on_only_as_it_was_begun(
    words: Words, tmp_path: Path, flips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words()) == 0
    before = (tmp_path / "run" / FILE).read_bytes()
    capsys.readouterr()
    said = refusal(words(hidden_size=64, layers=2), capsys)
    assert "hidden_size was 32, now 64; layers was 1, now 2" in said
    assert "use those, or another --out_dir" in said
    assert "seed was 0, now 5" in refusal(words(seed=5), capsys)
    assert "sources was ['" in refusal(words(sources="generators"), capsys)
    assert (tmp_path / "run" / FILE).read_bytes() == before
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
    (tmp_path / "run" / FILE).write_bytes(b"not safetensors")
    assert f"{FILE} cannot be read" in refusal(words(), capsys)
    assert (tmp_path / "run" / FILE).read_bytes() == b"not safetensors"


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


def test_an_episode_counts_the_same_in_a_batch_as_alone() -> None:
    """In full precision: autocast rounds by shape."""
    torch.manual_seed(0)
    model = new_model(TrainBaseSettings(**_sizes()))
    rows = [
        row for batch in Episodes([generator_source(1.0)], 300).pool("a", 6, 4096) for row in batch
    ]
    assert len({len(row) for row in rows}) > 1
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch, "autocast", _no_autocast)
        together, counted = answer_loss(model, rows, "cpu")
        alone = [answer_loss(model, [row], "cpu") for row in rows]
    assert counted == sum(count for _, count in alone) == sum(row.counted for row in rows)
    mean = sum(float(loss.detach()) * count for loss, count in alone) / counted
    assert float(together.detach()) == pytest.approx(mean, rel=1e-5)


def _no_autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    return torch.amp.autocast_mode.autocast(device, dtype, enabled=False)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [rate_at(share / 100, 0.35) for share in range(101)]
    assert rates[0] == pytest.approx(0.02) and rates[-1] == 0
    assert all(rate == 1 for rate in rates[2:66])
    falling = rates[65:]
    assert falling == sorted(falling, reverse=True)
    assert rate_at(1.0, 0.0) == 1


def test_too_short_episodes_leave_nothing_to_measure_on_and_train_all_the_same(
    words: Words, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train_base, "open_tests", lambda kept_out, max_tokens: {})
        assert main(words()) == 0
    assert record_of(tmp_path / "run")["held_out"][-1].keys() == {"tokens"}


def test_every_error_of_the_command_is_one_of_ours() -> None:
    with pytest.raises(HoneError):
        main(["--sources", "nowhere"])
