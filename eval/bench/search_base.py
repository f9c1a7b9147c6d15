"""Makes a knowledge base of random vectors, of any size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hone.files import put_in_place
from kb.keeping import Keeping
from kb.left_out import LEFT_OUT, Report
from kb.manifest import is_knowledge_base
from kb.partial import ContentHash, PartialBase, partial_folder
from kb.records import Record
from kb.store import hone_version

Vectors = npt.NDArray[np.float32]
_BLOCK = 16384  # rows that are drawn and written together
_CLUSTERS = 1000
# distance of a vector from its cluster's centre, relative to the spread of the centres
_SPREAD = 0.7
_WORDS = "a record whose prompt and answer are about as long as those of a question in words "


def made_base(out_dir: Path, count: int, dimension: int, seed: int) -> Path:
    """The folder of a knowledge base with these vectors, made unless it exists."""
    folder = out_dir / f"base-{count}x{dimension}-seed{seed}"
    if is_knowledge_base(folder):
        return folder
    partial = partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _fill(partial, count, dimension, seed)
    put_in_place(partial, folder)
    return folder


def drawn_vectors(seed: int, block: int, count: int, dimension: int) -> Vectors:
    """Rows of length 1 around centres shared by all blocks; a function of the arguments."""
    centres = np.random.default_rng(dimension).normal(size=(_CLUSTERS, dimension))
    rng = np.random.default_rng([seed, block])
    own = rng.normal(size=(count, dimension))
    rows = centres[rng.integers(_CLUSTERS, size=count)] + _SPREAD * own
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _fill(folder: Path, count: int, dimension: int, seed: int) -> None:
    embedder = f"drawn with seed {seed}"
    content, base = ContentHash(embedder), PartialBase(folder, {"bench": "search"}, dimension)
    with Report(folder / LEFT_OUT), tqdm(desc="vectors", total=count, unit="") as bar:
        for block, start in enumerate(range(0, count, _BLOCK)):
            records = [_record(seed, i) for i in range(start, min(start + _BLOCK, count))]
            for record in records:
                content.add(record)
            vectors = drawn_vectors(seed, block, len(records), dimension)
            base.add(records, vectors, content.value())
            bar.update(len(records))
    base.finish(
        {
            "kind": "text",
            "embedder": embedder,
            "embedder_fingerprint": embedder,
            "sources": {"drawn": count},
            "built_from": {"seed": seed},
            "hone_version": hone_version(),
        },
        Keeping("flat"),
    )


def _record(seed: int, number: int) -> Record:
    name = f"{seed}-{number}"  # makes records of different seeds different
    return Record("drawn", "text", f"{name}: {2 * _WORDS}", f"{_WORDS}{name}")
