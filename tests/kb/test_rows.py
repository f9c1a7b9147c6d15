"""Rows of files: every form and packing gives the same rows, every fault is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from hone.errors import Damaged, HoneError
from kb import json_list
from kb.json_list import json_items
from kb.rows import FORMS, Sample, count_rows, file_rows, form_of, sampled

ROWS = [
    {"question": 'What is "1,000"\n plus 1?', "answer": "1001", "note": ""},
    {"question": "é" * 200_000, "answer": "long", "note": "more than a chunk"},
    {"question": "[]{},", "answer": "signs", "note": "x"},
]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    form = form_of(path)
    if form == ".parquet":
        content = _parquet(rows)
    elif form == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode()
    elif form == ".json":
        content = json.dumps(rows, indent=1).encode()
    else:
        content = "\n\n".join(json.dumps(row) for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="comes with the extra hub")
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str, packed: str) -> None:
    path = _write(tmp_path / f"rows.of.mine{form}{packed}", ROWS)
    assert [row for _, row in file_rows(path)] == ROWS
    assert all(str(path) in where for where, _ in file_rows(path))
    assert count_rows(path) == len(ROWS)


def test_other_endings_are_of_no_form() -> None:
    assert form_of(Path("a.txt")) is None and form_of(Path("a.gz")) is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"q,a\n1,2\n3\n", "line 3 has another number of cells"),
        ("a.csv", b"q,a\n1,2\n3,4,5\n", "line 3 has another number of cells"),
        ("a.csv", b'q,a\n1,2\n"3', "not CSV"),
        ("a.csv", b"q,a\n1,\xff\n", "not CSV"),
        ("a.parquet", b"PAR1 and no more", "not a parquet file"),
        ("a.parquet.gz", gzip.compress(b"x" * 50, mtime=0), "not a parquet file"),
        ("a.json", b'[{"a": 1}, {"a": ', "near line 1"),
        ("a.json", b'[{"a": 1},\n\n{"a": }]', "near line 3"),
        ("a.json", b'[{"a": 1}] 2', "its end was expected"),
        ("a.json", b'[{"a": 1} 2]', ", or ] was expected"),
        ("a.json", b'{"a": 1}', r"\[ was expected"),
        ("a.json", b"[" * 100_000, "near line 1"),
        ("a.json", b"[\xff]", "near line 1"),
    ],
)
def test_faults_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    if "parquet" in name:
        pytest.importorskip("pyarrow", reason="comes with the extra hub")
    (path := tmp_path / name).write_bytes(content)
    with pytest.raises(Damaged, match=says) as caught:
        list(file_rows(path))
    assert str(path) in str(caught.value) and isinstance(caught.value, HoneError)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_a_list_is_the_same_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(json_list, "_CHUNK", chunk)
    items = [12345, "é]", [], {"a": [1, {"b": None}]}, -1.5e10, True, 7]
    for text in (json.dumps(items), json.dumps(items, ensure_ascii=False, indent=2), " [ ] \n"):
        expected = json.loads(text)
        assert list(json_items(io.BytesIO(text.encode()), "x")) == expected
    assert list(json_items(io.BytesIO(b"\xef\xbb\xbf[1]"), "x")) == [1]


def test_a_sample_keeps_order_and_can_be_drawn_again() -> None:
    rows = [(str(i), i) for i in range(500)]
    drawn = [row for _, row in sampled(iter(rows), 500, Sample(50, 1))]
    assert drawn == sorted(set(drawn)) and len(drawn) == 50
    assert drawn == [row for _, row in sampled(iter(rows), 500, Sample(50, 1))]
    assert drawn != [row for _, row in sampled(iter(rows), 500, Sample(50, 2))]
    assert [row for _, row in sampled(iter(rows), 500, Sample(900, 1))] == list(range(500))


def test_every_row_is_equally_likely_to_be_sampled() -> None:
    rows = [(str(i), i) for i in range(20)]
    counts = [0] * 20
    for seed in range(2000):
        for _, row in sampled(iter(rows), 20, Sample(5, seed)):
            counts[row] += 1
    assert all(400 < count < 600 for count in counts)  # 500 are expected, 19 is one deviation
