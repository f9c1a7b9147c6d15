"""The built-in embedder of ARC tasks. It needs only numpy and reads only the demonstrations.

    vectors = ArcEmbedder().embed(tasks)     # [n, 128], unit rows

Tasks that become equal by recolouring, turning, mirroring or reordering their demos get the same
vector, except for the last few bits. Raw features (models/arc_features.py, models/arc_patches.py)
are standardised and mapped by fixed constants. models/fit_arc_embedder.py has fitted these on
training families, so that two draws of one family come near each other, and has written them to
models/arc_embedder.safetensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from arc.grid import COLOURS, Grid
from arc.task import Task
from hone.errors import BadInput, Damaged, NotThere
from hone.files import sha256_of, short_hash
from models.arc_features import pair_features
from models.arc_patches import EMPTY, OUTSIDE, patch_codes, patches, ray_codes, rays, spread
from models.embedder import Query, Vectors

VERSION = 1  # version of the raw features; raise it whenever one of them changes
CONSTANTS = Path(__file__).with_name("arc_embedder.safetensors")
_NAMES = {"mean", "scale", "projection"}

Floats = npt.NDArray[np.float64]


class ArcEmbedder:
    name = "arc"
    kind = "arc"

    def __init__(self, constants: Path = CONSTANTS) -> None:
        held = _load(constants)
        self._mean, self._scale = held["mean"], held["scale"]
        self._projection = held["projection"]
        self.dimension = int(self._projection.shape[1])
        self.fingerprint = short_hash("arc", VERSION, sha256_of(constants))

    def embed(self, queries: Sequence[Query], *, progress: bool = False) -> Vectors:
        rows = np.zeros((len(queries), self.dimension), dtype=np.float32)
        for i, query in enumerate(tqdm(queries, "embedding", disable=not progress, unit="task")):
            if not isinstance(query, Task):
                raise BadInput("the arc embedder reads ARC tasks, it was given text")
            rows[i] = self._vector(query)
        return rows

    def _vector(self, task: Task) -> Floats:
        vector = squash(raw_features(task), self._mean, self._scale) @ self._projection
        norm = float(np.linalg.norm(vector))
        return np.asarray(vector / norm if norm > 0 else np.eye(self.dimension)[0])


def squash(raw: Floats, mean: Floats, scale: Floats) -> Floats:
    """The features standardised, with outliers kept within bounds."""
    return np.asarray(np.tanh((raw - mean) / scale / 2))


def raw_features(task: Task) -> Floats:
    """All features of a task: means and deviations over its demos, and hashed neighbourhoods."""
    pairs = [(pair.input, pair.output) for pair in task.train if pair.output is not None]
    if not pairs:
        raise BadInput(f"task {task.id} has no demonstrations to embed")
    seen = [_features(pairs, background) for background in _backgrounds(pairs)]
    return np.asarray(np.mean(seen, axis=0))


def _backgrounds(pairs: list[tuple[Grid, Grid]]) -> list[int]:
    """The most frequent colours. On a tie it is all of them, since the features must not depend on
    how colours are numbered."""
    cells = np.concatenate([grid.ravel() for pair in pairs for grid in pair])
    counts = np.bincount(cells, minlength=COLOURS)
    return [int(colour) for colour in np.flatnonzero(counts == counts.max())]


def _features(pairs: list[tuple[Grid, Grid]], background: int) -> Floats:
    scalars = np.array([list(pair_features(*pair, background).values()) for pair in pairs])
    hashed = np.mean([_neighbourhoods(*pair, background) for pair in pairs], axis=0)
    return np.concatenate([scalars.mean(0), scalars.std(0), hashed])


def _neighbourhoods(given: Grid, made: Grid, background: int) -> Floats:
    around, after = patches(given, background), patches(made, background)
    return np.concatenate(
        [
            *_change_codes(given, made, background),
            spread(patch_codes(_telling(after)), 32, salt=3),
            spread(patch_codes(_telling(around)), 32, salt=4),
        ]
    )


def _change_codes(given: Grid, made: Grid, background: int) -> tuple[Floats, Floats]:
    """Codes of what surrounds each changed cell, near and far; zeros where shapes differ."""
    if given.shape != made.shape:
        return np.zeros(48), np.zeros(48)
    changed = (given != made).ravel()
    was, becomes = (
        np.where(grid == background, EMPTY, grid.astype(np.int64)).reshape(-1, 1)[changed]
        for grid in (given, made)
    )
    near = patch_codes(patches(given, background)[changed], becomes)
    far = ray_codes(rays(given, background)[changed], np.concatenate([was, becomes], axis=1))
    return spread(near, 48, salt=1), spread(far, 48, salt=2)


def _telling(around: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The patches that hold more than background and outside."""
    kept: npt.NDArray[np.int64] = around[~((around == EMPTY) | (around == OUTSIDE)).all(1)]
    return kept


def _load(path: Path) -> dict[str, Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        held = load_file(path)
    except FileNotFoundError:
        raise NotThere(f"no file {path}; write it with models/fit_arc_embedder.py") from None
    except SafetensorError as error:
        raise Damaged(f"{path} is not what models/fit_arc_embedder.py writes: {error}") from None
    if held.keys() != _NAMES:
        raise Damaged(f"{path} holds {sorted(held)}, {sorted(_NAMES)} were expected")
    return {name: value.astype(np.float64) for name, value in held.items()}
