"""Bases for text: the same trainer, rows as bytes, a folder that stock transformers open."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import Words, record_of, refusal

from hone.errors import BadInput, Damaged
from models.base import load_base
from models.train_base import main
from models.training.bytes_alphabet import END, START, bytes_tokenizer, encoded
from models.training.drawing import numbered, open_batches
from models.training.settings import TrainBaseSettings
from models.training.sources import is_kept_out
from models.training.text import Text
from models.training.text_rows import holds_text, read_rows

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("known_peak")
ODD = ["", "a", "two words ", "naïve\n\tΣ 1,000 𝄞", "\x00\x7f\xa0"]


def write_sums(path: Path, count: int = 60) -> Path:
    rows = [{"prompt": f"{i} and {i} is", "completion": f"{2 * i}"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sums(tmp_path_factory.mktemp("text") / "sums.jsonl")


@pytest.fixture
def text(words: Words, sums: Path) -> Words:
    """The command's words for a run on text."""
    return lambda **other: words(**{"sources": sums, "max_tokens": 64, **other})


@pytest.mark.parametrize("spelled", ODD)
def test_the_tokenizer_of_a_base_is_the_bytes_that_it_was_trained_on(spelled: str) -> None:
    tokenizer: Any = bytes_tokenizer(64)
    ids = tokenizer.encode(f"{spelled}\n{spelled}", add_special_tokens=False)
    assert [START, *ids, END] == encoded(spelled, spelled).ids.tolist()
    assert tokenizer.decode(ids) == f"{spelled}\n{spelled}"
    assert (len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id) == (258, START, END)


def test_a_row_is_spelled_as_a_query_is_asked() -> None:
    from client.text_format import TextFormat

    asked = TextFormat(bytes_tokenizer(64)).example("1 and 1 is", "2").all_counted()
    row = encoded("1 and 1 is", "2")
    for part in ("ids", "positions", "labels"):
        assert np.array_equal(getattr(row, part), getattr(asked, part))


def test_a_base_for_text_is_an_ordinary_folder(text: Words, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert main(text(steps=60)) == 0
    losses = record_of(tmp_path / "run")["losses"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    folder = tmp_path / "run" / "base"
    base = load_base(folder)
    assert (base.format.name, base.vocabulary, base.context) == ("digits", 258, 64)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([[START, *tokenizer.encode("1 and 1 is\n", add_special_tokens=False)]])
    written = model.generate(ids, max_new_tokens=2, do_sample=False)
    assert written.shape[1] > ids.shape[1]
    page = (folder / "README.md").read_text()
    assert "reads text as bytes" in page and "| sums.jsonl | 100% |" in page
    assert str(tmp_path) not in page + (folder / "training_data.json").read_text()


def test_kept_out_rows_are_measured_on_and_never_drawn(text: Words, sums: Path) -> None:
    material = Text(TrainBaseSettings(sources=(str(sums),), max_tokens=64))
    rows = read_rows(sums)
    kept = {bytes(encoded(*row).ids[1:-1].tolist()) for row in rows if is_kept_out(row.prompt)}
    tested = {bytes(row.ids[1:-1].tolist()) for row in material.tests()["sums.jsonl"]}
    drawn = {bytes(row.ids[1:-1].tolist()) for row in material.batch("0:0", 20_000)}
    assert tested == kept and not drawn & kept and len(drawn) == len(rows) - len(kept)
    again = material.batch("0:0", 500)
    assert [row.ids.tolist() for row in again] == [
        row.ids.tolist() for row in material.batch("0:0", 500)
    ]


def test_text_is_the_same_whoever_draws_it(sums: Path) -> None:
    settings = TrainBaseSettings(sources=(str(sums),), max_tokens=64, batch_tokens=256, drawers=1)
    with open_batches(settings, here := Text(settings), 3, "cpu") as ahead:
        for number in (3, 4):
            pairs = zip(ahead(number), numbered(settings, here, number), strict=True)
            assert all(np.array_equal(row.ids, own.ids) for row, own in pairs)


def test_who_only_draws_needs_no_torch() -> None:
    code = "import sys; from models.training import drawing, grids, text\n"
    code += "print(*sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_training_goes_on_from_another_base(text: Words, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(text(out_dir=first, steps=60)) == 0
    assert main(text(out_dir=second, steps=4, start_from=first / "base")) == 0
    losses = [record_of(folder)["losses"] for folder in (first, second)]
    assert losses[1][0] < 0.8 * losses[0][0]
    told = (second / "base" / "training_record.json").read_text()
    assert len(json.loads(told)["begun_from"]) == 64 and str(tmp_path) not in told
    page = (second / "base" / "README.md").read_text()
    assert "trained from the weights of another base" in page


def test_a_start_that_does_not_fit_is_one_line(
    text: Words, tmp_path: Path, flips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    assert main(text(out_dir=first, steps=1)) == 0
    capsys.readouterr()
    for other in ({"ffn_size": 48}, {"layers": 2}, {"sources": flips, "max_tokens": 160}):
        said = refusal(text(start_from=first / "base", **other), capsys)
        assert "this model's" in said and "as it was trained" in said
    said = refusal(text(start_from=tmp_path / "none"), capsys)
    assert "has no model.safetensors" in said
    assert not (tmp_path / "run" / "base").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "pair"}, "--mode is about tasks, and the sources are text; leave it out"),
        ({"positions": "1d"}, "--positions is about tasks"),
        ({"max_tokens": 64, "sources": ["SUMS", "generators"]}, "holds text, generators holds"),
    ],
    ids=str,
)
def test_what_is_about_tasks_is_refused(
    text: Words,
    sums: Path,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, Any],
    message: str,
) -> None:
    named = {
        name: [str(sums) if one == "SUMS" else one for one in value]
        if isinstance(value, list)
        else value
        for name, value in given.items()
    }
    assert message in refusal(text(**named), capsys)


def test_rows_that_do_not_fit_are_left_out_whole_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sums(tmp_path / "sums.jsonl")
    with path.open("a") as file:
        file.write(json.dumps({"prompt": "long " * 20, "completion": "x"}) + "\n")
    material = Text(TrainBaseSettings(sources=(str(path),), max_tokens=64))
    assert "1 of 61 rows are longer than 64 bytes" in capsys.readouterr().out
    assert material.sources[0].too_long == 1
    assert max(map(len, material.batch("0:0", 20_000))) < 64
    with pytest.raises(BadInput, match="no row is left to train on, 0 of 61 fit into 8"):
        Text(TrainBaseSettings(sources=(str(path),), max_tokens=8))


def test_a_file_of_text_is_known_by_its_first_line_and_read_once(tmp_path: Path) -> None:
    plain = write_sums(tmp_path / "sums.jsonl", 3)
    packed = tmp_path / "sums.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes() * 2))
    assert read_rows(packed) == read_rows(plain) and len(read_rows(plain)) == 3
    assert holds_text(plain) and holds_text(packed)
    other = tmp_path / "pairs.jsonl"
    other.write_text('{"id": "a", "pairs": []}\n')
    assert not holds_text(other) and not holds_text(tmp_path) and not holds_text(tmp_path / "no")


@pytest.mark.parametrize("line", ["{", "[]", '{"prompt": 1, "completion": "x"}', '{"prompt": ""}'])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = write_sums(tmp_path / "sums.jsonl", 2)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(BadInput, match=r"sums\.jsonl line 3 is not an object with the texts"):
        read_rows(path)


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    packed = tmp_path / "sums.jsonl.gz"
    packed.write_bytes(gzip.compress(write_sums(tmp_path / "sums.jsonl", 50).read_bytes())[:-20])
    with pytest.raises(Damaged, match="breaks off or is not a gzip file"):
        read_rows(packed)
