"""The costs of texts on every side: as rows, as a table in Markdown, and as curves.

Bits per byte are over all texts together. Intervals are 95 % bootstrap intervals of differences
over the same texts; a negative difference is a gain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from eval.harness.intervals import ratio_interval
from eval.text_bits import Cost

Row = dict[str, Any]
PARTS = {"text": "bits a byte of the texts", "answer": "bits a byte of the answers"}
WAYS_BESIDE = {"nearest": ("random",), "sift": ("nearest", "random")}


class Side(NamedTuple):
    name: str  # how samples are chosen, or the name of a base that is not adapted
    neighbours: int = 0

    def __str__(self) -> str:
        return f"{self.name} {self.neighbours}" if self.neighbours else self.name


def summarize(costs: Mapping[Side, Sequence[Cost]]) -> list[Row]:
    """A row for each side; the base's is the first."""
    return [_row(side, own, costs) for side, own in costs.items()]


def _row(side: Side, own: Sequence[Cost], costs: Mapping[Side, Sequence[Cost]]) -> Row:
    base = costs[Side("base")]
    row: Row = {"side": side.name, "neighbours": side.neighbours, "texts": len(own)}
    for part in PARTS:
        row[part] = {"bits_per_byte": rate(own, part)}
        if own is not base:
            row[part] |= {"ratio": rate(own, part) / rate(base, part)}
            row[part] |= _difference(own, base, part)
    others = _others(side, costs)
    row["against"] = {other.name: _difference(own, costs[other], "text") for other in others}
    return row


def _others(side: Side, costs: Iterable[Side]) -> list[Side]:
    """The sides that a trained side is compared with: other ways with as many samples, and other
    bases without adaptation."""
    if not side.neighbours:
        return []
    ways = [Side(name, side.neighbours) for name in WAYS_BESIDE.get(side.name, ())]
    return [one for one in costs if one in ways or not (one.neighbours or one.name == "base")]


def rate(costs: Sequence[Cost], part: str) -> float:
    both = [_of(cost, part) for cost in costs]
    return sum(bits for bits, _ in both) / max(1, sum(spelled for _, spelled in both))


def _difference(ours: Sequence[Cost], theirs: Sequence[Cost], part: str) -> dict[str, Any]:
    pairs = zip(ours, theirs, strict=True)
    more = [_of(one, part)[0] - _of(other, part)[0] for one, other in pairs]
    spelled = [max(1, _of(cost, part)[1]) for cost in ours]
    difference = sum(more) / sum(spelled)
    return {"difference": difference, "ci95": list(ratio_interval(more, spelled))}


def _of(cost: Cost, part: str) -> tuple[float, int]:
    return (cost.bits, cost.bytes) if part == "text" else (cost.answer_bits, cost.answer_bytes)


def table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| trained on | samples | bits a byte | of the base's | difference (95 %)"
        " | against the others (95 %) | of the answers |",
        "|---|---:|---:|---:|---|---|---:|",
    ]
    return [*lines, *map(_line, rows)]


def _line(row: Row) -> str:
    text = row["text"]
    ratio = f"{text['ratio']:.3f}" if "ratio" in text else ""
    against = "; ".join(f"{name} {_signed(told)}" for name, told in row["against"].items())
    cells = [
        row["side"],
        f"{row['neighbours'] or ''}",
        f"{text['bits_per_byte']:.4f}",
        ratio,
        _signed(text) if ratio else "",
        against,
        f"{row['answer']['bits_per_byte']:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def _signed(told: Mapping[str, Any]) -> str:
    low, high = told["ci95"]
    return f"{told['difference']:+.4f} ({low:+.4f} to {high:+.4f})"


def picture(rows: Sequence[Row]) -> str:
    """Curves over the number of samples, for texts and for answers. A horizontal line is a base
    without adaptation; the grey one is the base before training."""
    from eval.chart import Panel, chart

    many = sorted({row["neighbours"] for row in rows if row["neighbours"]})
    panels = [
        Panel(
            title,
            _curves(rows, part, many),
            [(float(one), f"{one}") for one in many],
            bottom=None,
            marked=rows[0][part]["bits_per_byte"],
        )
        for part, title in PARTS.items()
    ]
    return chart([panels], "trained on")


def _curves(
    rows: Sequence[Row], part: str, many: Sequence[int]
) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows[1:]:
        places = [row["neighbours"]] if row["neighbours"] else [many[0], many[-1]]
        value = row[part]["bits_per_byte"]
        curves.setdefault(row["side"], []).extend((float(one), value) for one in places)
    return curves
