"""A run: every side answers the documents, the answers are scored, and all of it is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.bench.journal import Journal, Line
from eval.harness.documents import Answering, Document, answered, ordered
from eval.harness.report import Scores, summarize, table
from eval.harness.settings import HarnessSettings
from hone.files import check_writable, write_json
from hone.settings import as_plain

# the scores of a document's answers, by the name of the scorer
Scorer = Callable[[Document, list[str]], Mapping[str, float]]


def run_sides(
    model: Answering, settings: HarnessSettings, documents: Sequence[Document], scorer: Scorer
) -> dict[str, Any]:
    """What was written to results.json; the table goes to stdout."""
    chosen = ordered(documents, settings.order, settings.seed, settings.limit)
    lines = {side: answer_side(model, settings, side, chosen) for side in settings.sides}
    scored = {side: _scored(chosen, lines[side], scorer, side) for side in lines}
    return write_results(settings, lines, scored)


def answer_side(
    model: Answering, settings: HarnessSettings, side: str, documents: Sequence[Document]
) -> list[Line]:
    """Through the journal of the output folder."""
    from tqdm import tqdm

    check_writable(settings.output_path, "--output_path")
    journal = Journal(settings.output_path / "answers.jsonl")
    with tqdm(total=len(documents), desc=side, unit="document", disable=None) as bar:
        return answered(model, side, documents, journal, bar.update)


def write_results(
    settings: HarnessSettings,
    lines: Mapping[str, Sequence[Line]],
    scored: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, Any]:
    summary = summarize(_by_scorer(scored))
    rows = {
        side: [
            {**line, "scores": dict(scores)}
            for line, scores in zip(lines[side], scored[side], strict=True)
        ]
        for side in lines
    }
    counts = {side: _counts(own) for side, own in lines.items()}
    results = {"summary": summary, "counts": counts, "settings": as_plain(settings), "rows": rows}
    write_json(settings.output_path / "results.json", results)
    for line in (*table(summary), *_told(counts)):
        print(line)
    return results


def _scored(
    documents: Sequence[Document], lines: Sequence[Line], scorer: Scorer, side: str
) -> list[Mapping[str, float]]:
    from tqdm import tqdm

    pairs = zip(documents, lines, strict=True)
    told = tqdm(pairs, f"scoring {side}", total=len(documents), disable=None)
    return [scorer(document, line["texts"]) for document, line in told]


def _by_scorer(scored: Mapping[str, Sequence[Mapping[str, float]]]) -> Scores:
    return {
        side: {name: [one[name] for one in own] for name in (own[0] if own else ())}
        for side, own in scored.items()
    }


def _counts(lines: Sequence[Line]) -> dict[str, int]:
    """How adapters came about, and what was left out."""
    decisions = [line["trace"].get("decision", "") for line in lines]
    counted = {name: decisions.count(name) for name in sorted({*decisions})}
    withheld = sum(line["trace"].get("items_withheld", 0) for line in lines)
    return counted | {"samples withheld": withheld}


def _told(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{side}: " + ", ".join(f"{many} {name}" for name, many in own.items() if name and many)
        for side, own in counts.items()
        if set(own) - {"", "base", "samples withheld"} or own["samples withheld"]
    ]
