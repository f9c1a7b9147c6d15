"""Features of a demonstration pair: numbers that do not depend on colours or symmetries.

Every feature has a name and stays the same when the pair is recoloured, turned or mirrored: it
counts, compares or takes extremes over both axes, and no colour but the background is special.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from arc.grid import COLOURS, MAX_SIDE, Grid

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Features = dict[str, float]
T = TypeVar("T")

# Classes of symmetries; turning or mirroring the whole pair maps each class onto itself.
_TURNS: tuple[tuple[str, tuple[Callable[[Grid], Grid], ...]], ...] = (
    ("same", (lambda g: g,)),
    ("rot180", (lambda g: g[::-1, ::-1],)),
    ("rot90", (lambda g: np.rot90(g), lambda g: np.rot90(g, 3))),
    ("flip", (lambda g: g[::-1], lambda g: g[:, ::-1])),
    ("transpose", (lambda g: g.T, lambda g: g[::-1, ::-1].T)),
)
_SHAPE_KEYS = np.random.default_rng(20240131).integers(1, 2**62, size=(MAX_SIDE, MAX_SIDE))


def pair_features(given: Grid, made: Grid, background: int) -> Features:
    """All features of a pair; `background` is the background colour of the whole task."""
    before, after = Look(given, background), Look(made, background)
    return {
        **_sizes(given, made),
        **_colours(given, made),
        **_changes(given, made, background),
        **_overlaps(given, made),
        **_crops(given, made),
        **{f"in_{name}": value for name, value in before.features().items()},
        **{f"out_{name}": value for name, value in after.features().items()},
        **_moves(before, after),
    }


@dataclass
class Objects:
    """Connected regions of one colour, without the background."""

    labels: Ints  # [height, width], the index of each cell's region in the arrays below, or -1
    sizes: Ints
    colours: Ints
    boxes: Ints  # [regions, 4]: top, left, bottom, right
    shapes: Ints  # a hash of each region's form, wherever it stands

    def __len__(self) -> int:
        return len(self.sizes)


class Look:
    """The features of one grid alone."""

    def __init__(self, cells: Grid, background: int) -> None:
        self.cells, self.background = cells, background
        self.filled: Bools = cells != background
        self.objects = find_objects(cells, background)

    def features(self) -> Features:
        return {**self._cells(), **self._regions(), **self._lines(), **self._symmetry()}

    def _cells(self) -> Features:
        shares = np.sort(np.bincount(self.cells.ravel(), minlength=COLOURS))[::-1]
        top = shares / self.cells.size
        height, width = self.cells.shape
        rows, columns = np.flatnonzero(self.filled.any(1)), np.flatnonzero(self.filled.any(0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else 0
        return {
            "area": math.log(self.cells.size),
            "squareness": abs(math.log(height / width)),
            "colours": float((shares > 0).sum()),
            "share_1": float(top[0]),
            "share_2": float(top[1]),
            "share_3": float(top[2]),
            "filled": float(self.filled.mean()),
            "box": box / self.cells.size,
        }

    def _regions(self) -> Features:
        found, area = self.objects, self.cells.size
        sizes = found.sizes.astype(np.float64) if len(found) else np.zeros(1)
        spans = (
            (found.boxes[:, 2:] - found.boxes[:, :2] + 1) if len(found) else np.ones((1, 2), int)
        )
        inside = enclosed(self.filled)
        return {
            "objects": math.log1p(len(found)),
            "largest": float(sizes.max()) / area,
            "typical": math.log1p(float(sizes.mean())),
            "spread": math.log1p(float(sizes.std())),
            "dots": float((sizes == 1).mean()),
            "boxy": float((sizes == spans.prod(1)).mean()),
            "thin": float((spans.min(1) == 1).mean()),
            "forms": math.log1p(len(np.unique(found.shapes))),
            "palette": math.log1p(len(np.unique(found.colours))),
            "enclosed": math.log1p(float(inside.sum())),
            "enclosed_share": float(inside.mean()),
        }

    def _lines(self) -> Features:
        cells = self.cells
        full = [
            float(((cells == cells[:, :1]).all(1) & self.filled[:, 0]).sum()),
            float(((cells == cells[:1]).all(0) & self.filled[0]).sum()),
        ]
        repeats = [1 - len(np.unique(side, axis=0)) / len(side) for side in (cells, cells.T)]
        smooth = [
            float((part[1:] == part[:-1]).mean()) if len(part) > 1 else 1.0
            for part in (cells, cells.T)
        ]
        return {
            "full_lines": math.log1p(max(full)),
            "full_lines_other": math.log1p(min(full)),
            "repeats": max(repeats),
            "repeats_other": min(repeats),
            "smooth": max(smooth),
            "smooth_other": min(smooth),
        }

    def _symmetry(self) -> Features:
        scores = _agreements(self.cells, self.cells)
        return {f"symmetry_{name}": value for name, value in scores.items() if name[:4] != "same"}


def _sizes(given: Grid, made: Grid) -> Features:
    ratios = [made.shape[0] / given.shape[0], made.shape[1] / given.shape[1]]
    grown = all(ratio >= 1 and ratio == int(ratio) for ratio in ratios) and max(ratios) > 1
    shrunk = all(ratio <= 1 and 1 / ratio == int(1 / ratio) for ratio in ratios) and min(ratios) < 1
    return {
        "same_shape": float(given.shape == made.shape),
        "grows": math.log(max(ratios)),
        "grows_other": math.log(min(ratios)),
        "one_cell": float(made.size == 1),
        "multiple": float(grown),
        "divides": float(shrunk),
    }


def _colours(given: Grid, made: Grid) -> Features:
    before = np.bincount(given.ravel(), minlength=COLOURS)
    after = np.bincount(made.ravel(), minlength=COLOURS)
    return {
        "new_colours": float(((before == 0) & (after > 0)).sum()),
        "lost_colours": float(((before > 0) & (after == 0)).sum()),
        "kept_counts": float((before == after)[(before > 0) | (after > 0)].mean()),
    }


def _changes(given: Grid, made: Grid, background: int) -> Features:
    names = ("changed", "onto_empty", "to_empty", "recoloured", "kinds", "function", "from_colours")
    if given.shape != made.shape:
        return dict.fromkeys(names, 0.0)
    changed = given != made
    table = np.zeros((COLOURS, COLOURS))
    np.add.at(table, (given.ravel(), made.ravel()), 1)
    total = max(int(changed.sum()), 1)
    values = (
        float(np.sqrt(changed.mean())),
        float((changed & (given == background)).sum()) / total,
        float((changed & (made == background)).sum()) / total,
        float((changed & (given != background) & (made != background)).sum()) / total,
        float(len(np.unique(made[changed]))),
        float((table.max(1).sum()) / given.size),
        float(len(np.unique(given[changed]))),
    )
    return dict(zip(names, values, strict=True))


def _overlaps(given: Grid, made: Grid) -> Features:
    return {f"overlap_{name}": value for name, value in _agreements(given, made).items()}


def _agreements(one: Grid, other: Grid) -> Features:
    """How well `one`, turned or mirrored, agrees with `other`: for each class of symmetries the
    best share of equal cells, and the worst where the class has several."""
    result: Features = {}
    for name, turns in _TURNS:
        scores = [_agreement(turn(one), other) for turn in turns]
        result[name] = max(scores)
        if len(scores) > 1:
            result[f"{name}_other"] = min(scores)
    return result


def _agreement(one: Grid, other: Grid) -> float:
    return float((one == other).mean()) if one.shape == other.shape else 0.0


def _crops(given: Grid, made: Grid) -> Features:
    return {
        "made_in_given": float(_occurs(made, given)),
        "given_in_made": float(_occurs(given, made)),
        "magnified": float(_is_magnified(given, made)),
        "tiled": _tiled(given, made),
    }


def _occurs(small: Grid, large: Grid) -> bool:
    if small.shape == large.shape or any(
        a > b for a, b in zip(small.shape, large.shape, strict=True)
    ):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(large, small.shape)
    return bool((windows == small).all((2, 3)).any())


def _multiples(given: Grid, made: Grid) -> tuple[int, int] | None:
    (h, over_h), (w, over_w) = (divmod(b, a) for a, b in zip(given.shape, made.shape, strict=True))
    return None if over_h or over_w or h * w <= 1 else (h, w)


def _is_magnified(given: Grid, made: Grid) -> bool:
    times = _multiples(given, made)
    return times is not None and bool((given.repeat(times[0], 0).repeat(times[1], 1) == made).all())


def _tiled(given: Grid, made: Grid) -> float:
    """Share of the tiles of `made` that equal `given`."""
    times = _multiples(given, made)
    if times is None:
        return 0.0
    (h, w), (height, width) = times, given.shape
    tiles = made.reshape(h, height, w, width).swapaxes(1, 2)
    return float((tiles == given).all((2, 3)).mean())


def _moves(before: Look, after: Look) -> Features:
    """What became of the regions: kept, moved or recoloured, and whether forms are new."""
    old, new = before.objects, after.objects
    old_forms, new_forms = set(old.shapes.tolist()), set(new.shapes.tolist())
    dressed = set(zip(new.shapes.tolist(), new.colours.tolist(), strict=True))
    was = set(zip(old.shapes.tolist(), old.colours.tolist(), strict=True))
    same = before.cells.shape == after.cells.shape
    kept = _kept_in_place(before, after) if same else 0.0
    shift = _shift(before.filled, after.filled) if same else (0.0, 0.0)
    return {
        "forms_kept": _share(old_forms, new_forms),
        "forms_known": _share(new_forms, old_forms),
        "objects_kept": _share(was, dressed),
        "objects_known": _share(dressed, was),
        "in_place": kept,
        "more_objects": math.log((1 + len(new)) / (1 + len(old))),
        "more_filled": math.log((1 + after.filled.sum()) / (1 + before.filled.sum())),
        "shift": max(shift),
        "shift_other": min(shift),
    }


def _share(part: set[T], whole: set[T]) -> float:
    return len(part & whole) / len(part) if part else 0.0


def _kept_in_place(before: Look, after: Look) -> float:
    if not len(before.objects):
        return 0.0
    labels = before.objects.labels
    touched = np.unique(labels[(labels >= 0) & (before.cells != after.cells)])
    return 1 - len(touched) / len(before.objects)


def _shift(before: Bools, after: Bools) -> tuple[float, float]:
    """How far the centre of the drawn cells moved along each axis, as a share of the side."""
    if not before.any() or not after.any():
        return 0.0, 0.0
    moved = [
        abs(float(np.nonzero(after)[axis].mean() - np.nonzero(before)[axis].mean()))
        for axis in (0, 1)
    ]
    return moved[0] / before.shape[0], moved[1] / before.shape[1]


def find_objects(cells: Grid, background: int) -> Objects:
    """Regions of one colour, connected over edges and corners."""
    roots = connected(cells, corners=True)
    drawn = cells != background
    names, labels = np.unique(roots[drawn], return_inverse=True)
    where = np.full(cells.shape, -1, dtype=np.int64)
    where[drawn] = labels
    rows, columns = (part.astype(np.int64) for part in np.nonzero(drawn))
    boxes = np.empty((len(names), 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = MAX_SIDE, -1
    np.minimum.at(boxes[:, 0], labels, rows)
    np.minimum.at(boxes[:, 1], labels, columns)
    np.maximum.at(boxes[:, 2], labels, rows)
    np.maximum.at(boxes[:, 3], labels, columns)
    shapes = np.zeros(len(names), dtype=np.int64)
    keys = _SHAPE_KEYS[rows - boxes[labels, 0], columns - boxes[labels, 1]]
    np.add.at(shapes, labels, keys)  # the sum wraps around, which does not hurt a hash
    return Objects(
        where,
        np.bincount(labels, minlength=len(names)),
        cells.ravel()[names].astype(np.int64),
        boxes,
        shapes,
    )


def enclosed(filled: Bools) -> Bools:
    """Empty cells from which no path over the edges of empty cells leads out of the grid."""
    around = np.pad(filled, 1).astype(np.uint8)
    roots = connected(around, corners=False)
    inner: Bools = (roots != roots[0, 0])[1:-1, 1:-1] & ~filled
    return inner


def connected(cells: npt.NDArray[np.uint8], *, corners: bool) -> Ints:
    """For each cell, the smallest flat index in its region of equal colour."""
    height, width = cells.shape
    roots = np.arange(height * width, dtype=np.int64).reshape(height, width)
    steps = [((0, 0), (0, 1)), ((0, 0), (1, 0))]
    steps += [((0, 0), (1, 1)), ((0, 1), (1, 0))] if corners else []
    joins = []
    for (r1, c1), (r2, c2) in steps:
        span_r, span_c = height - abs(r2 - r1), width - abs(c2 - c1)
        one = (slice(r1, r1 + span_r), slice(c1, c1 + span_c))
        two = (slice(r2, r2 + span_r), slice(c2, c2 + span_c))
        joins.append((one, two, cells[one] == cells[two]))
    while True:
        before = roots.copy()
        for one, two, equal in joins:
            low = np.where(equal, np.minimum(roots[one], roots[two]), MAX_SIDE**3)
            roots[one] = np.minimum(roots[one], low)
            roots[two] = np.minimum(roots[two], low)
        roots = roots.ravel()[roots]  # follow the chain one step
        if (roots == before).all():
            return roots
