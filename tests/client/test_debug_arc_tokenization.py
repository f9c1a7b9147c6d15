"""The debugging command: what it prints is what training sees, and bad input is one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from client.debug_arc_tokenization import DebugSettings, main, report
from hone.errors import BadInput, HoneError, NotThere

SCRIPT = Path(__file__).parent.parent.parent / "client" / "debug_arc_tokenization.py"
TASK = {
    "train": [{"input": [[i, 1], [2, 3]], "output": [[i]]} for i in range(4, 8)],
    "test": [{"input": [[9, 9]]}],
}


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    file = tmp_path / "abc.json"
    file.write_text(json.dumps(TASK))
    return file


@pytest.fixture
def canvas(tmp_path: Path) -> Path:
    folder = tmp_path / "canvas"
    folder.mkdir()
    (folder / "arc_format.json").write_text('{"format": "canvas"}')
    return folder


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    letters = sorted(set("0123456789 \nExample :InputOutputTest"))
    words = {word: i for i, word in enumerate([*letters, "<s>", "</s>"])}
    inner = Tokenizer(models.WordLevel(words, "<s>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(tmp_path / "digits")
    return tmp_path / "digits"


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr().out


def test_canvas(problem: Path, canvas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--model_path", canvas, "--problem_path", problem)
    assert "format: canvas" in text and "== train 2 ==" in text and "== test 0 ==" in text
    assert "augmentation: " in text
    table = re.findall(r"^ +(\d+) +(\d+) +(-?\d+)  (\S+)$", text, re.M)
    total, prompt, answer, counted = map(
        int,
        re.findall(r"(\d+) tokens: (\d+) of the prompt, (\d+) of the answer; (\d+) count", text)[0],
    )
    assert [int(index) for index, *_ in table] == list(range(total))
    labels = [int(label) for _, _, label, _ in table]
    assert labels[:prompt] == [-100] * prompt
    assert labels[prompt:] == [int(token) for _, token, _, _ in table][prompt:]
    assert total == prompt + answer and answer == counted == 3  # cell, row, end
    assert table[prompt - 1][3] == "<output>" and table[-1][3] == "<end>"


def test_digits(problem: Path, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--model_dir", digits, "--problem_path", problem)
    assert "format: digits" in text
    assert "== prompt string ==\n<s>Example 1\nInput:\n" in text
    assert "</s>" in text and "2 count in the loss" in text


def test_a_long_table_shows_the_boundary(
    problem: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for most in (1, 2, 10, 20):
        text = printed(
            capsys, *("--model", canvas, "--problem_path", problem, "--max_tokens_show", most)
        )
        assert len(re.findall(r"^ +\d+ +\d+ +-?\d+  ", text, re.M)) == most
        assert "not shown" in text
        assert most < 10 or "-- the answer begins --" in text


def test_the_seed_decides_and_the_index_chooses(problem: Path, canvas: Path) -> None:
    def text(seed: int, index: int, count: int = 5) -> str:
        settings = DebugSettings(
            model_path=canvas,
            problem_path=problem,
            num_pseudo=count,
            pseudo_index=index,
            seed=seed,
        )
        return "\n".join(report(settings)).partition("\n")[2]

    assert text(0, 1) == text(0, 1) == text(0, 1, count=9)
    assert len({text(seed, index) for seed in range(3) for index in range(5)}) == 15


def test_it_shows_what_the_recipe_makes(
    problem: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--model_path", canvas, "--problem_path", problem, "--augmentations", "tile")
    plain = ("--permuted_share", 0, "--leave_out", 2, "--pseudo_index")
    shown = [printed(capsys, *asked, *plain, index) for index in range(5)]
    assert [re.findall(r"abc\.(\w+)", text)[0] for text in shown[:2]] == ["loo0", "lto0"]
    assert all(re.search("^augmentation: (identity|tile:)", text, re.M) for text in shown)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--augmentations", "flip"], "no augmentations 'flip'"),
        (["--problem_path", ""], "--problem_path is ''"),
        (["--pseudo_index", "5"], "--pseudo_index is 5, but --num_pseudo 5 builds 0 to 4"),
        (["--num_pseudo", "0"], "--num_pseudo is 0, at least 1 was expected"),
        (["--max_len", "20"], r"abc.json is \d+ tokens long, more than --max_len 20"),
        (["--problem_path", "nowhere.json"], "no file nowhere.json; check the path"),
        (["--model_path", "nowhere"], "no model folder nowhere; check --model_path"),
        (["--max_tokens_sho", "1"], "did you mean --max_tokens_show"),
    ],
)
def test_bad_input_is_one_line(problem: Path, canvas: Path, argv: list[str], said: str) -> None:
    with pytest.raises(HoneError, match=said) as caught:
        main(["--model_path", str(canvas), "--problem_path", str(problem), *argv])
    assert "\n" not in str(caught.value)


def test_what_is_needed_is_asked_for(canvas: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name its file with --problem_path"):
        main(["--model_path", str(canvas)])
    lone = tmp_path / "lone.json"
    lone.write_text(json.dumps({**TASK, "train": TASK["train"][:1]}))
    with pytest.raises(BadInput, match="task lone has 1 demo; leave-one-out needs at least 2"):
        main(["--model_path", str(canvas), "--problem_path", str(lone)])


def test_a_folder_without_a_tokenizer(problem: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotThere, match="empty has no tokenizer that can be read") as caught:
        main(["--model_path", str(tmp_path / "empty"), "--problem_path", str(problem)])
    assert "\n" not in str(caught.value)


def test_run_by_path_from_anywhere(problem: Path, canvas: Path) -> None:
    argv = [sys.executable, str(SCRIPT), "--model", str(canvas), "--problem_path", str(problem)]
    for folder in (SCRIPT.parent, problem.parent):
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*argv, "--seed", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: --seed is 'x', a whole number was expected\n"


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0 and not loaded & {"torch", "transformers", "numpy", "yaml"}
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5
