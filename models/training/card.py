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
per second, {share:.0%} of the speed of matrix products there.

{drawn}, and has at most {max_tokens}
tokens; a step has at least {batch_tokens}. {optimizer}; the learning rate falls to zero over the
last {decay:.0%}. All settings are in `training_record.json`.

## Data

{sources}

{kept_out}

## Losses

The training loss at the end is {train_loss}. {unseen}:

{losses}

## Scores

Not measured yet: `{scored_by}`.

## Limits

It was trained on sequences of at most {max_tokens} tokens, and reads at most {context}.
"""
PLACES = {
    "2d": "with positions that say where on which grid it is",
    "1d": "with positions that count tokens",
}
_DEMOS = """\
two to four demos and a question, with loss on every output from the second on"""
_ALONE = """\
a question after a vector of its task, which an adapter of TASK has to learn for a new task"""
EPISODES = {
    "in_context": f"An episode is {_DEMOS}",
    "pair": f"An episode is {_ALONE}",
    "mixture": f"Half of the episodes are {_DEMOS};\nthe others are {_ALONE}",
}
RULES = {
    "muon": "Muon trains the matrices inside the layers, AdamW the rest",
    "adamw": "AdamW trains all weights",
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
        reads=f"reads ARC tasks in the\ncanvas format: one token for each cell, {place}",
        drawn=f"{EPISODES[settings['mode']]}. Each episode is seen under a random symmetry and"
        " random colours",
        sources=_table(("source", "share of episodes", "tasks"), rows),
        kept_out="One named task in sixteen was kept out of training to measure on."
        f" `training_data.json` has content\nhashes of the sources, and `{pairs['file']}` the"
        f" fingerprints of {pairs['count']:,} pairs: all that can be drawn\nfrom files, up to"
        " symmetry and colour.",
        unseen="The loss of an answer's token on tasks that the base never saw",
        scored_by="python eval/arc_eval.py --model_path FOLDER --data_dir TASKS --out_dir RUN",
    )


def text_card(data: Mapping[str, Any], record: Mapping[str, Any], context: int) -> str:
    """The page of a base for text."""
    rows = [(s["name"], f"{s['share']:.0%}", f"{s['rows']}") for s in data["sources"]]
    return _page(
        record,
        context,
        title="A base for text",
        reads="reads text as bytes, one\ntoken each",
        drawn="A sequence is a prompt, a line end and a completion, with loss on every token",
        sources=_table(("source", "share of sequences", "rows"), rows),
        kept_out="One row in sixteen was kept out of training to measure on. `training_data.json`"
        " has content hashes\nof the sources.",
        unseen="The loss of a token on rows that the base never saw",
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
