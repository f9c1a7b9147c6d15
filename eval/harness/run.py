"""Runs an evaluation: every side answers the documents, and the answers are scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.harness.documents import Answering, Document, answered, ordered
from eval.harness.report import summarize, table
from eval.harness.settings import HarnessSettings
from hone.files import check_writable, write_json
from hone.journal import Journal, Line
from hone.settings import as_plain

Marks = Mapping[str, float]  # the scores of a document's answers, by scorer
Scorer = Callable[[Sequence[Document], Sequence[list[str]]], Sequence[Marks]]


def run_sides(
    model: Answering, settings: HarnessSettings, documents: Sequence[Document], scorer: Scorer
) -> dict[str, Any]:
    """Prints the table and returns what was written to results.json."""
    check_writable(settings.output_path, "--output_path")
    journal = Journal(settings.output_path / "answers.jsonl")
    chosen = ordered(documents, settings.order, settings.seed, settings.limit)
    lines = {side: _answer(model, side, chosen, journal) for side in settings.sides}
    marks = {side: scorer(chosen, [line["texts"] for line in own]) for side, own in lines.items()}
    return _written(settings, lines, marks)


def each(mark: Callable[[Document, list[str]], Marks]) -> Scorer:
    """A scorer that scores one document after another."""

    def scorer(documents: Sequence[Document], texts: Sequence[list[str]]) -> list[Marks]:
        from tqdm import tqdm

        pairs = zip(documents, texts, strict=True)
        told = tqdm(pairs, "scoring", total=len(documents), unit="document", disable=None)
        return [mark(document, own) for document, own in told]

    return scorer


def _answer(
    model: Answering, side: str, documents: Sequence[Document], journal: Journal
) -> list[Line]:
    from tqdm import tqdm

    with tqdm(total=len(documents), desc=side, unit="document", disable=None) as bar:
        return answered(model, side, documents, journal, bar.update)


def _written(
    settings: HarnessSettings,
    lines: Mapping[str, Sequence[Line]],
    marks: Mapping[str, Sequence[Marks]],
) -> dict[str, Any]:
    summary = summarize({side: _by_scorer(own) for side, own in marks.items()})
    counts = {side: _counts(own) for side, own in lines.items()}
    rows = {
        side: [{**line, "scores": dict(one)} for line, one in zip(own, marks[side], strict=True)]
        for side, own in lines.items()
    }
    results = {"summary": summary, "counts": counts, "settings": as_plain(settings), "rows": rows}
    write_json(settings.output_path / "results.json", results)
    for line in (*table(summary), *_told(counts)):
        print(line)
    return results


def _by_scorer(marks: Sequence[Marks]) -> dict[str, list[float]]:
    return {name: [one[name] for one in marks] for name in (marks[0] if marks else ())}


def _counts(lines: Sequence[Line]) -> dict[str, int]:
    """How often each decision occurred, and how many samples were withheld."""
    decisions = [line["trace"]["decision"] for line in lines]
    counted = {name: decisions.count(name) for name in sorted({*decisions})}
    return counted | {"withheld": sum(line["trace"].get("items_withheld", 0) for line in lines)}


def _told(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each side on which not all documents were answered by the base alone, or samples
    were withheld."""
    return [
        f"{side}: " + ", ".join(f"{name} {many}" for name, many in own.items() if many)
        for side, own in counts.items()
        if own["withheld"] or set(own) - {"base", "withheld"}
    ]
