"""Fits the ARC embedder's constants, so that tasks drawn from one family come near each other.

    python models/fit_arc_embedder.py --pairs data/re_arc.jsonl.gz data/arc_gen.jsonl.gz

A line of a pair file is a family. From each, several tasks are drawn that share no example. Linear
discriminant analysis then finds a linear map that shrinks what differs within families and keeps
what tells them apart. Every tenth family is kept out of the fit, to measure recall.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import numpy.typing as npt

from arc.readers import PairSet, read_pairs
from arc.task import Task
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings
from models.arc_embedder import CONSTANTS, Floats, raw_features, squash

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FitSettings:
    pairs: tuple[Path, ...] = option((), "pair files (.jsonl.gz) of training families")
    tasks_per_family: int = option(6, "tasks drawn from each family", low=2)
    dimension: int = option(128, "length of a vector", low=2)
    shrinkage: float = option(
        0.3, "share of the mean variance within families that is added to every variance", above=0
    )
    save_to: Path = option(CONSTANTS, "file to write")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(FitSettings, argv, env_prefix="HONE_FIT_", description=__doc__ or "")
    if not settings.pairs:
        raise BadInput("no pair files; name some with --pairs")
    raw, family = _draw(settings)
    kept = family % 10 != 9
    constants = fit(raw[kept], family[kept], settings.dimension, settings.shrinkage)
    vectors = squash(raw, constants["mean"], constants["scale"]) @ constants["projection"]
    print(f"recall@1 by family, {len(set(family[~kept].tolist()))} families kept out of the fit:")
    print(f"  {recall_at_1(vectors[~kept], family[~kept]):.3f}")
    _save(constants, settings.save_to)
    return 0


def fit(raw: Floats, family: Labels, dimension: int, shrinkage: float) -> dict[str, Floats]:
    mean, scale = raw.mean(0), np.maximum(raw.std(0), 0.02)
    rows = squash(raw, mean, scale)
    within = np.concatenate([rows[family == f] - rows[family == f].mean(0) for f in set(family)])
    inner = within.T @ within / len(within)
    inner += shrinkage * np.trace(inner) / len(inner) * np.eye(len(inner))
    whiten = np.linalg.inv(np.linalg.cholesky(inner))
    _, axes = np.linalg.eigh(whiten @ np.cov(rows.T) @ whiten.T)
    projection = whiten.T @ axes[:, ::-1][:, :dimension]
    return {"mean": mean, "scale": scale, "projection": projection / np.abs(projection).max()}


def recall_at_1(vectors: Floats, family: Labels) -> float:
    """Share of tasks whose nearest other task is of their own family."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return float((family[likeness.argmax(1)] == family).mean())


def _draw(settings: FitSettings) -> tuple[Floats, Labels]:
    """The raw features of the drawn tasks, and each task's family: an id, in whatever file."""
    from tqdm import tqdm

    numbers: dict[str, int] = {}
    raw, labels = [], []
    for path in settings.pairs:
        for found in tqdm(read_pairs(path, refused=lambda _: None), path.name, unit="family"):
            drawn = list(_tasks(found, settings.tasks_per_family))
            raw += [raw_features(task) for task in drawn]
            labels += [numbers.setdefault(found.id, len(numbers))] * len(drawn)
    return np.array(raw), np.array(labels)


def _tasks(found: PairSet, count: int) -> Iterator[Task]:
    """Tasks of two to four demos; no example is in two of them."""
    rng = Random(found.id)
    pairs = rng.sample(found.pairs, len(found.pairs))
    for _ in range(count):
        demos = rng.randint(2, 4)
        if len(pairs) < demos:
            return
        yield Task(found.id, tuple(pairs[:demos]), (pairs[0],))
        pairs = pairs[demos:]


def _save(constants: dict[str, Floats], path: Path) -> None:
    from safetensors.numpy import save

    from hone.files import write_bytes

    write_bytes(path, save({name: value.astype(np.float32) for name, value in constants.items()}))


if __name__ == "__main__":
    run_command(main)
