"""What was seen before is found in all its looks; who cannot tell is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bases import small_task, write_tasks

from arc.augment import Augmentation
from arc.fingerprints import Fingerprints, fingerprints
from arc.task import Task, task_from_json
from client.settings import Settings
from eval.leakage import Seen, find_leaks, main, seen_by_base, seen_by_knowledge_base, seen_in_run
from hone.errors import BadInput
from kb import build_kb
from models.training.record import training_data

TURNED = Augmentation.parse("rot90+colours:0987654321")


def task(name: str, seed: int) -> Task:
    rng = np.random.default_rng(seed)
    pairs = [{part: rng.integers(0, 9, (4, 5)).tolist() for part in ("input", "output")}] * 1
    pairs += [{part: rng.integers(0, 9, (3, 4)).tolist() for part in ("input", "output")}]
    return task_from_json({"train": pairs, "test": pairs[:1]}, name, name)


def pairs_of(task: Task) -> Fingerprints:
    return fingerprints(task.train)


def base_with(folder: Path, pairs: Fingerprints) -> Path:
    folder.mkdir()
    np.save(folder / "trained_pairs.npy", pairs)
    (folder / "training_data.json").write_text(json.dumps(training_data([], pairs)))
    return folder


def test_a_task_is_found_however_it_was_turned_and_coloured() -> None:
    asked, other = task("asked", 1), task("other", 2)
    seen = Seen("base", pairs_of(TURNED.apply(asked)), "its record")
    assert find_leaks([asked, other], [seen]) == {
        "asked": {"base": ["train 0", "train 1", "test 0"]}
    }
    assert find_leaks([asked], [Seen("base", None, "no record")]) == {}


def test_a_base_s_record_is_believed_where_it_is_whole(tmp_path: Path) -> None:
    asked = task("asked", 1)
    base = base_with(tmp_path / "base", pairs_of(asked))
    found = seen_by_base(str(base))
    assert found.pairs is not None and len(found.pairs) == 2
    assert find_leaks([asked], [found])["asked"]["base"]
    whole = (base / "trained_pairs.npy").read_bytes()
    for damaged in (b"", b"x", whole[:20], whole[:-1]):
        (base / "trained_pairs.npy").write_bytes(damaged)
        assert seen_by_base(str(base)).said.endswith("trained_pairs.npy is damaged")
    np.save(base / "trained_pairs.npy", pairs_of(task("other", 2)))
    assert "not the one that training_data.json describes" in seen_by_base(str(base)).said
    (base / "trained_pairs.npy").unlink()
    assert seen_by_base(str(base)).said.endswith("lacks trained_pairs.npy")
    (base / "training_data.json").write_text('{"sources": []}')
    assert seen_by_base(str(base)).said.endswith("lists no pairs")
    unknown = seen_by_base("org/name")
    assert unknown.spelled() == {"pairs": "unknown", "said": "org/name has no training_data.json"}


def test_a_knowledge_base_is_read_and_a_server_is_unknown(tmp_path: Path) -> None:
    asked = task("asked", 1)
    folder = write_tasks(tmp_path / "known", [TURNED.apply(asked), small_task("s")])
    build_kb.main(["--datasets", str(folder), "--save_dir", str(tmp_path / "kb")])
    found = seen_by_knowledge_base(tmp_path / "kb")
    assert found.pairs is not None
    assert find_leaks([asked, task("other", 2)], [found]).keys() == {"asked"}
    who = [one.who for one in seen_in_run(Settings(num_ttt_samples=0, server_url="http://x"))]
    assert who == ["base"]
    behind = seen_in_run(Settings(num_ttt_samples=4, server_url="http://x"))[1]
    assert (behind.who, behind.pairs) == ("knowledge base", None)
    inside = seen_in_run(Settings(num_ttt_samples=4, knowledge_base_path=tmp_path / "kb"))[1]
    assert inside.pairs is not None and set(inside.pairs) == set(found.pairs)


def test_the_command_looks_in_folders_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, other = task("asked", 1), task("other", 2)
    data = write_tasks(tmp_path / "data", [asked, other])
    seen = write_tasks(tmp_path / "training", [TURNED.apply(asked)])
    base = base_with(tmp_path / "base", pairs_of(other))
    flags = ["--data_dir", str(data), "--model_path", str(base), "--seen", str(seen)]
    assert main(flags) == 0
    assert capsys.readouterr().out.splitlines() == [
        "base: 1 of 2 tasks share one of its 2 pairs",
        "training: 1 of 2 tasks share one of its 2 pairs",
        "  asked  training: train 0, train 1, test 0",
        "  other  base: train 0, train 1, test 0",
    ]
    with pytest.raises(BadInput, match="no --data_dir"):
        main([])
