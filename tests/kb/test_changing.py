"""Appending, removing and leaving out: a changed base is what a build from scratch would be."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kb_stores import rewrite_manifest

from hone.errors import BadInput, Damaged, NotThere
from kb import build_kb
from kb.left_out import LEFT_OUT, read_report
from kb.manifest import read_manifest
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from models import embedder
from models.arc_embedder import ArcEmbedder
from models.embedder import Query, Vectors

COMMAND = Path(build_kb.__file__)
ONE, TWO, THREE = "generators:30", "generators:25:1", "generators:20:2"


def _run(save_dir: Path, *words: object) -> None:
    more = ["--save_dir", save_dir, "--batch_size", 8]
    assert build_kb.main([str(word) for word in (*words, *more)]) == 0


def _built(save_dir: Path, *datasets: str) -> Path:
    _run(save_dir, "--datasets", *datasets)
    return save_dir


def _same(one: Path, other: Path) -> bool:
    bases = [KnowledgeBase.open(path) for path in (one, other)]
    rows = range(bases[0].manifest.records)
    equal = (
        bases[0].manifest.content_hash == bases[1].manifest.content_hash
        and bases[0].manifest.sources == bases[1].manifest.sources
        and bases[0].records(rows) == bases[1].records(rows)
        and np.array_equal(*(base.vectors(np.array(rows)) for base in bases))
    )
    for base in bases:
        base.close()
    return equal


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each call embedded."""
    real, counts = ArcEmbedder.embed, list[int]()

    def embed(self: ArcEmbedder, queries: Sequence[Query], *, progress: bool = False) -> Vectors:
        counts.append(len(queries))
        return real(self, queries, progress=progress)

    monkeypatch.setattr(ArcEmbedder, "embed", embed)
    return counts


def test_appending_is_building_at_once(tmp_path: Path, embedded: list[int]) -> None:
    kb = _built(tmp_path / "kb", ONE)
    embedded.clear()
    _run(kb, "--append", "--datasets", TWO)
    _run(kb, "--append", "--datasets", THREE)
    assert sum(embedded) == 25 + 20  # what is there is not embedded again
    assert _same(kb, _built(tmp_path / "straight", ONE, TWO, THREE))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    built_from = read_manifest(kb).built_from
    assert built_from["datasets"] == [THREE]
    assert built_from["before"]["before"]["datasets"] == [ONE]


@pytest.mark.parametrize("removed", [[ONE], [TWO], [THREE], [ONE, THREE]])
def test_removing_is_never_having_had(
    tmp_path: Path, embedded: list[int], removed: list[str]
) -> None:
    kb = _built(tmp_path / "kb", ONE, TWO, THREE)
    embedded.clear()
    _run(kb, "--remove_source", *removed)
    assert embedded == []
    left = [name for name in (ONE, TWO, THREE) if name not in removed]
    assert _same(kb, _built(tmp_path / "straight", *left))
    base = KnowledgeBase.open(kb)
    found = LocalRetriever(base).search(base.vectors(np.arange(3)), 5, sources=left[-1:])
    assert {hit.source for hits in found for hit in hits} == {left[-1]}
    base.close()


def test_a_source_is_replaced_in_one_go(tmp_path: Path) -> None:
    kb = _built(tmp_path / "kb", ONE, TWO)
    _run(kb, "--remove_source", ONE, "--datasets", ONE)
    assert _same(kb, _built(tmp_path / "straight", TWO, ONE))


def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    kb = _built(tmp_path / "kb", ONE)
    (text := tmp_path / "text.jsonl").write_text('{"text": "a"}')
    before = sorted((path.name, path.read_bytes()) for path in kb.iterdir())
    for words, says in [
        (["--append"], "nothing to append"),
        (["--append", "--datasets", ONE], f"{ONE} is in the knowledge base already"),
        (["--append", "--datasets", text], "the knowledge base holds arc"),
        (["--append", "--datasets", TWO, "--overwrite"], "starts from nothing"),
        (["--append", "--datasets", TWO, "--embedder", "minilm"], "reads text"),
        (["--remove_source", TWO], f"no source '{TWO}'; there are {ONE}"),
        (["--remove_source", ONE], "no records in what would be left"),
        ([], "no data sets"),
    ]:
        with pytest.raises(BadInput, match=says):
            _run(kb, *words)
    assert before == sorted((path.name, path.read_bytes()) for path in kb.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "text.jsonl"]
    for place in (tmp_path / "none", tmp_path / "no" / "where"):
        with pytest.raises(NotThere, match="to change; build it without --append"):
            _run(place, "--append", "--datasets", TWO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "text.jsonl"]


def test_what_is_damaged_or_of_the_future_is_not_changed(tmp_path: Path) -> None:
    kb = _built(tmp_path / "kb", ONE)
    records = (kb / "records.sqlite").read_bytes()
    (kb / "records.sqlite").write_bytes(records[:-1] + b"x")
    with pytest.raises(Damaged, match="has changed"):
        _run(kb, "--append", "--datasets", TWO)
    (kb / "records.sqlite").write_bytes(records)
    manifest = json.loads((kb / "manifest.json").read_text())
    (kb / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
    for words in (["--append", "--datasets", TWO], ["--remove_source", ONE]):
        with pytest.raises(Damaged, match=r"format version 99.*use the Hone that wrote it"):
            _run(kb, *words)
    with pytest.raises(BadInput, match="knowledge base already"):
        _run(kb, "--datasets", TWO)
    assert [path.name for path in tmp_path.iterdir()] == ["kb"]


def test_another_embedder_is_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kb = _built(tmp_path / "kb", ONE)
    rewrite_manifest(kb, {"embedder_fingerprint": "another"})
    with pytest.raises(BadInput, match="two embedders do not mix"):
        _run(kb, "--append", "--datasets", TWO)


@pytest.mark.parametrize("change", ["append", "remove"])
def test_a_change_killed_at_any_moment_goes_on(tmp_path: Path, change: str) -> None:
    first, more = "generators:90", "generators:80:1"
    if change == "append":
        words, before, after = ["--append", "--datasets", more], [first], [first, more]
    else:
        words, before, after = ["--remove_source", first], [first, more], [more]
    start, expected = _built(tmp_path / "start", *before), _built(tmp_path / "straight", *after)
    kb = Path(shutil.copytree(start, tmp_path / "kb"))
    command = [sys.executable, str(COMMAND), *words, "--save_dir", str(kb), "--batch_size", "1"]
    goal = read_manifest(expected).content_hash
    rng, kills, patience = random.Random(11), 0, 1.2
    while kills < 10:
        builder = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            assert builder.wait(rng.uniform(0.2, patience)) == 0
        except subprocess.TimeoutExpired:
            builder.send_signal(signal.SIGKILL)
            builder.wait()
            kills += 1
        base = KnowledgeBase.open(kb if kb.exists() else next(tmp_path.glob(".kb.old-*")))
        assert base.manifest.content_hash in (read_manifest(start).content_hash, goal)
        base.close()
        if kb.exists() and read_manifest(kb).content_hash == goal and kills < 10:
            shutil.rmtree(kb)
            shutil.copytree(start, kb)
            patience *= 0.8  # it was done before it was killed
    if not kb.exists() or read_manifest(kb).content_hash != goal:
        subprocess.run(command, capture_output=True, check=True)
    assert _same(kb, expected)


def test_a_kill_between_the_two_renames_is_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hone.files

    def killed(folder: Path, path: Path) -> None:
        raise KeyboardInterrupt

    kb = _built(tmp_path / "kb", ONE)
    shutil.copytree(kb, tmp_path / ".kb.old-0badcafe")  # of an earlier one: it only goes
    with monkeypatch.context() as patch:
        patch.setattr(hone.files, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            _run(kb, "--append", "--datasets", TWO)
    kb.rename(tmp_path / ".kb.old-12345678")
    _run(kb, "--append", "--datasets", TWO)
    assert [path.name for path in tmp_path.iterdir()] == ["kb"]
    assert _same(kb, _built(tmp_path / "straight", ONE, TWO))


def test_two_builders_race_and_one_wins(tmp_path: Path) -> None:
    words = ["--datasets", "generators:60", "--save_dir", str(tmp_path / "kb")]
    command = [sys.executable, str(COMMAND), *words, "--batch_size", "2"]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [racer.communicate(timeout=120)[1].splitlines()[-1] for racer in racers]
    codes = [racer.returncode for racer in racers]
    assert sorted(codes) == [0, 2, 2]
    losers = [line for line, code in zip(said, codes, strict=True) if code == 2]
    assert all("another process" in line or "already" in line for line in losers)
    KnowledgeBase.open(tmp_path / "kb").close()
    assert [path.name for path in tmp_path.iterdir()] == ["kb"]


def test_the_report_says_what_and_why_and_follows_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the embedder is loaded once
    monkeypatch.setattr("models.embedder.open_embedder", cache(embedder.open_embedder))
    question = "Anna has 3 red apples and buys 4 more, how many apples does she have now"
    other = "Every morning the old miller walks to the river and counts eleven grey herons there"

    def write(name: str, *prompts: str) -> str:
        lines = [json.dumps({"question": prompt, "answer": "7"}) for prompt in prompts]
        (path := tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        return str(path)

    test = write("test", question)
    one, two = write("one", other, question + "?", other), write("two", other + "!", "What is it?")
    kb, exclude = tmp_path / "kb", ["--exclude", test]
    _run(kb, "--datasets", one, *exclude)
    _run(kb, "--append", "--datasets", two, *exclude)
    left = [(x.source, x.number, x.why, x.like) for x in read_report(kb / LEFT_OUT)]
    assert left == [
        ("one", 2, "test question", "test.jsonl row 1"),
        ("one", 3, "exact duplicate", ""),
        ("two", 1, "near duplicate", "record 0"),
    ]
    assert read_manifest(kb).sources == {"one": 1, "two": 1}
    _run(kb, "--remove_source", "two")
    assert [x.source for x in read_report(kb / LEFT_OUT)] == ["one", "one"]
    _run(kb, "--datasets", two, "--overwrite", "--keep_near_duplicates")
    assert list(read_report(kb / LEFT_OUT)) == []
    _run(kb, "--append", "--exclude", write("late", other))  # what is there can be cleaned, too
    assert read_manifest(kb).records == 1
