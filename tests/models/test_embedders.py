"""Embedders: unit rows, the same every time, blind to what must not matter."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from arc.augment import Augmentation, colours, demo_order, symmetry
from arc.generators import FAMILIES, sample_task
from arc.grid import frozen
from arc.steps import SYMMETRIES
from arc.task import Pair, Task
from hone.errors import BadInput, Damaged, NotThere
from models.arc_embedder import ArcEmbedder
from models.embedder import open_embedder
from models.text_embedder import PACKAGED_SHA256, TextEmbedder, check_weights, packaged_folder


@pytest.fixture(scope="module")
def arc() -> ArcEmbedder:
    return ArcEmbedder()


@pytest.fixture(scope="module")
def minilm() -> TextEmbedder:
    return TextEmbedder()


def _tasks(each: int, demos: int = 3) -> tuple[list[Task], list[str]]:
    drawn = [
        (sample_task(f, seed, demos), f.name) for f in FAMILIES.values() for seed in range(each)
    ]
    return [task for task, _ in drawn], [name for _, name in drawn]


def _any_look(rng: random.Random, demos: int) -> Augmentation:
    turned = symmetry(rng.choice(SYMMETRIES))
    return turned.then(colours(rng.sample(range(10), 10))).then(
        demo_order(rng.sample(range(demos), demos))
    )


def _noise(rng: np.random.Generator) -> Task:
    def grid() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return frozen(rng.integers(0, rng.integers(1, 11), size=rng.integers(1, 9, size=2)))

    return Task("noise", tuple(Pair(grid(), grid()) for _ in range(3)), (Pair(grid()),))


def test_arc_vectors_are_unit_rows_and_the_same_every_time(arc: ArcEmbedder) -> None:
    tasks, _ = _tasks(1)
    once, again = arc.embed(tasks), ArcEmbedder().embed(tasks[::-1])[::-1]
    assert once.dtype == np.float32 and once.shape == (len(tasks), arc.dimension)
    assert (once == again).all()
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), 1, atol=1e-5)
    assert arc.embed([]).shape == (0, arc.dimension)


def test_arc_vectors_do_not_know_colours_symmetries_or_the_order_of_demos(arc: ArcEmbedder) -> None:
    tasks, _ = _tasks(1)
    noise = np.random.default_rng(7)
    tasks += [_noise(noise) for _ in range(60)]  # ties of colours, lines of one cell
    rng = random.Random(7)
    looks = [_any_look(rng, len(task.train)).apply(task) for task in tasks]
    np.testing.assert_allclose(arc.embed(looks), arc.embed(tasks), atol=1e-5)


def test_arc_vectors_come_from_the_demos_alone(arc: ArcEmbedder) -> None:
    [task] = _tasks(1)[0][:1]
    blind = Task("other", task.train, (Pair(frozen(np.ones((2, 2)))),))
    assert (arc.embed([task]) == arc.embed([blind])).all()


def test_arc_neighbours_are_of_the_same_family(arc: ArcEmbedder) -> None:
    tasks, families = _tasks(3)
    likeness = (vectors := arc.embed(tasks)) @ vectors.T
    np.fill_diagonal(likeness, -1)
    found = [families[i] for i in likeness.argmax(1)]
    recall = np.mean([a == b for a, b in zip(found, families, strict=True)])
    assert recall > 0.75  # chance: 2 of 140
    assert likeness.mean() < 0.3


def test_arc_embedder_refuses_text_and_broken_constants(arc: ArcEmbedder, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reads ARC tasks"):
        arc.embed(["how many apples?"])
    with pytest.raises(NotThere, match="fit_arc_embedder"):
        ArcEmbedder(tmp_path / "none.safetensors")
    (broken := tmp_path / "broken.safetensors").write_bytes(b"not this")
    with pytest.raises(Damaged, match=r"broken\.safetensors"):
        ArcEmbedder(broken)


def test_other_constants_are_another_fingerprint(arc: ArcEmbedder, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    from models.arc_embedder import CONSTANTS

    held = load_file(CONSTANTS)
    save_file({**held, "mean": held["mean"] + 1}, tmp_path / "moved.safetensors")
    assert ArcEmbedder(tmp_path / "moved.safetensors").fingerprint != arc.fingerprint


def test_text_vectors_are_unit_rows_whatever_the_company(minilm: TextEmbedder) -> None:
    texts = ["short", "a much longer line of text " * 9, "How many apples are left?", ""]
    rows = minilm.embed(texts)
    assert rows.dtype == np.float32 and rows.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert (rows == minilm.embed(texts)).all()
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    np.testing.assert_allclose(rows, alone, atol=1e-5)
    assert minilm.embed([]).shape == (0, 384)


def test_text_vectors_know_meaning(minilm: TextEmbedder) -> None:
    apples, pears, grammar = minilm.embed(
        ["Tom has 3 apples and eats one.", "Ann had 5 pears, she ate 2.", "A verb follows a noun."]
    )
    assert apples @ pears > apples @ grammar + 0.2


def test_text_embedder_refuses_tasks(minilm: TextEmbedder) -> None:
    with pytest.raises(BadInput, match="given an ARC task"):
        minilm.embed(_tasks(1)[0][:1])


def test_a_folder_by_name_is_the_packaged_model(minilm: TextEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(packaged_folder(), folder)
    copied = open_embedder(str(folder))
    assert copied.fingerprint == minilm.fingerprint and copied.kind == "text"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert open_embedder(str(folder)).fingerprint != minilm.fingerprint
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Damaged, match="cannot be loaded"):
        open_embedder(str(folder))


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    (weights := tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(Damaged, match="sha256"):
        check_weights(weights, PACKAGED_SHA256)
    with pytest.raises(Damaged, match="reinstall"):
        check_weights(tmp_path / "gone.safetensors", PACKAGED_SHA256)


def test_what_is_no_embedder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="a b c!"):
        open_embedder("a b c!")
    with pytest.raises(NotThere, match="not a sentence-transformers model"):
        open_embedder(str(tmp_path))
