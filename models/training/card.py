"""Writes the README of a finished base: how it was trained, on what, and what that cost.

It is made from the training's record. Scores are measured later and added by whoever measures them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PAGE = """\
# {title}

A Llama-shaped model of {parameters:,} parameters, trained from {start}, that {reads}.

## Training

{tokens:.1f} million tokens in {steps:,} steps and {minutes:g} minutes on {device}: {speed:,} tokens
a second, {share:.0%} of what matrix products reach there.

{drawn}, and has at most {max_tokens}
tokens; a step has at least {batch_tokens}. {optimizer}; the learning rate falls to zero over the
last {decay:.0%}. All settings are in `training_record.json`.

## Data

{sources}

{kept_out}

## Losses

At the end {train_loss} in training. {unseen}:

{losses}

## Scores

Not measured yet: `{scored_by}`.

## Limits

It was trained on at most {max_tokens} tokens at a time and reads {context}; what is longer is
beyond it.
"""
PLACES = {
    "2d": "and positions that say where on which grid it stands",
    "1d": "and positions that count tokens",
}
_DEMOS = """\
Two to four demos and a question an episode, with loss on every output from the second on"""
_ALONE = """\
a question after a vector of its task, which for a new task an adapter of TASK has to learn"""
EPISODES = {
    "in_context": _DEMOS,
    "pair": f"An episode is {_ALONE}",
    "mixture": f"{_DEMOS};\nin half of the episodes no demos, but {_ALONE}",
}
RULES = {
    "muon": "Muon for the matrices inside the layers, AdamW for the rest",
    "adamw": "AdamW",
}


def grids_card(data: Mapping[str, Any], record: Mapping[str, Any], context: int) -> str:
    """The page of a base for ARC tasks, from training_data.json and training_record.json."""
    settings, pairs = record["settings"], data["pairs"]
    place = PLACES[settings["positions"]]
    rows = [(s["name"], f"{s['share']:.0%}", f"{s['tasks']}") for s in data["sources"]]
    return _page(
        record,
        context,
        title="A base for ARC",
        reads=f"reads ARC tasks in the\ncanvas format: one token a cell, {place}",
        drawn=f"{EPISODES[settings['mode']]}. Each is seen under a random symmetry and random"
        " colours",
        sources=_table(("source", "share of episodes", "tasks"), rows),
        kept_out="One named task in sixteen was kept from training to measure on."
        f" `training_data.json` has content\nhashes, `{pairs['file']}` the fingerprints of"
        f" {pairs['count']:,} pairs: all that can be drawn from files, up to\nsymmetry and colour.",
        unseen="On tasks that it never saw, a token of the answer",
        scored_by="python eval/arc_eval.py --model_path FOLDER --data_dir TASKS --out_dir RUN",
    )


def text_card(data: Mapping[str, Any], record: Mapping[str, Any], context: int) -> str:
    """The page of a base for text."""
    rows = [(s["name"], f"{s['share']:.0%}", f"{s['rows']}") for s in data["sources"]]
    return _page(
        record,
        context,
        title="A base for text",
        reads="reads text as its bytes, a\ntoken each",
        drawn="A prompt, a line end and its completion make a sequence. Every token of it counts",
        sources=_table(("source", "share of sequences", "rows"), rows),
        kept_out="One row in sixteen was kept from training to measure on. `training_data.json` has"
        " content hashes.",
        unseen="On rows that it never saw, a token",
        scored_by="python eval/bpb_eval.py --model_path FOLDER --data TEXTS",
    )


def _page(record: Mapping[str, Any], context: int, **words: str) -> str:
    settings = record["settings"]
    return PAGE.format(
        **words,
        start="the weights of another base" if record["begun_from"] else "scratch",
        parameters=record["parameters"],
        tokens=record["tokens"] / 1e6,
        steps=record["steps"],
        minutes=record["minutes"],
        device="a GPU" if record["device"] == "cuda" else "a CPU",
        speed=record["tokens_per_second"],
        share=record["share_of_peak"],
        max_tokens=settings["max_tokens"],
        batch_tokens=settings["batch_tokens"],
        optimizer=RULES[settings["optimizer"]],
        decay=settings["decay"],
        train_loss=record["train_loss"],
        losses=_losses(record["held_out"]),
        context=context,
    )


def _losses(held_out: Sequence[Mapping[str, float]]) -> str:
    names = [name for name in held_out[-1] if name != "tokens"]
    rows = [
        (f"{measured['tokens'] / 1e6:.2f} M", *(f"{measured[name]:.3f}" for name in names))
        for measured in held_out
    ]
    return _table(("tokens", *names), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
