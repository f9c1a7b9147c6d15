"""The page of a base in its folder: how it was trained, on what, and what that cost.

Written from its record. Scores are measured later, and are for whoever measures them to fill in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PAGE = """\
# A base for ARC

A Llama-shaped model of {parameters:,} parameters, trained from scratch, that reads ARC tasks in the
canvas format: one token a cell, {positions}.

## Training

{tokens:.1f} million tokens in {steps:,} steps and {minutes:g} minutes on {device}: {speed:,} tokens
a second, {share:.0%} of what matrix products reach there.

{episodes}. Each is seen under a random symmetry and random colours, and has at most {max_tokens}
tokens; a step has at least {batch_tokens}. {optimizer}; the learning rate falls to zero over the
last {decay:.0%}. All settings are in `training_record.json`.

## Data

{sources}

One named task in sixteen was kept from training to measure on. `training_data.json` has content
hashes, `{pairs_file}` the fingerprints of {pairs:,} pairs: all that can be drawn from files, up to
symmetry and colour.

## Losses

At the end {train_loss} in training. On tasks that it never saw, a token of the answer:

{losses}

## Scores

Not measured yet: `python eval/arc_eval.py --model_path FOLDER --data_dir TASKS --out_dir RUN`.

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


def card(data: Mapping[str, Any], record: Mapping[str, Any], context: int) -> str:
    """The page, from training_data.json and training_record.json."""
    settings = record["settings"]
    return PAGE.format(
        parameters=record["parameters"],
        positions=PLACES[settings["positions"]],
        tokens=record["tokens"] / 1e6,
        steps=record["steps"],
        minutes=record["minutes"],
        device="a GPU" if record["device"] == "cuda" else "a CPU",
        speed=record["tokens_per_second"],
        share=record["share_of_peak"],
        episodes=EPISODES[settings["mode"]],
        max_tokens=settings["max_tokens"],
        batch_tokens=settings["batch_tokens"],
        optimizer=RULES[settings["optimizer"]],
        decay=settings["decay"],
        sources=_table(
            ("source", "share of episodes", "tasks"),
            [(s["name"], f"{s['share']:.0%}", f"{s['tasks']}") for s in data["sources"]],
        ),
        pairs_file=data["pairs"]["file"],
        pairs=data["pairs"]["count"],
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
