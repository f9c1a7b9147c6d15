"""The settings of base training, and the checks on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arc.canvas import POSITIONS
from hone.errors import BadInput
from hone.settings import as_plain, option

WITHOUT_DEMOS = {"in_context": 0.0, "pair": 1.0, "mixture": 0.5}  # share of episodes without demos
# Settings that may differ when a run continues, since they change no batch. Another budget (minutes
# or steps) changes the learning rates; Run._resume sees to that.
FREE = ("out_dir", "minutes", "steps", "threads", "every", "drawers")


@dataclass(frozen=True)
class TrainBaseSettings:
    sources: tuple[str, ...] = option(
        ("generators",), "what to train on: generators, task folders, pair files; or files of text"
    )
    weights: tuple[float, ...] = option(
        (), "each source's share of the episodes (default: equal)", low=0
    )
    out_dir: Path = option(
        Path("runs/base"), "folder for the checkpoints, with their losses, and the finished base"
    )
    start_from: Path | None = option(
        None, "folder of a base of the same sizes to continue from (default: random weights)"
    )
    minutes: float = option(30.0, "minutes of training, summed over resumed runs", above=0)
    steps: int = option(0, "number of steps, whatever time they take; 0: --minutes decides", low=0)
    decay: float = option(
        0.35,
        "last share of minutes or steps, in which the learning rate falls to zero",
        low=0.0,
        high=1.0,
    )
    positions: str = option(
        "2d", "a token's position: its place on a canvas, or its number (1d)", choices=POSITIONS
    )
    mode: str = option(
        "in_context",
        "what tells a task's rule: demos, a vector per task (pair), or half of each (mixture)",
        choices=tuple(WITHOUT_DEMOS),
    )
    hidden_size: int = option(192, "width of the model", low=16)
    layers: int = option(6, "depth of the model", low=1)
    heads: int = option(6, "attention heads", low=1)
    ffn_size: int = option(512, "width of the feed-forward blocks", low=16)
    max_tokens: int = option(640, "longest episode or text that is trained on", low=64)
    batch_tokens: int = option(6144, "least number of tokens a step", low=64)
    optimizer: str = option(
        "muon", "optimizer of the matrices inside the layers", choices=("muon", "adamw")
    )
    learning_rate: float = option(0.02, "learning rate of Muon", above=0)
    adam_rate: float = option(
        0.003,
        "learning rate of AdamW: embeddings, norms, head; matrices with --optimizer adamw",
        above=0,
    )
    weight_decay: float = option(0.05, "weight decay of the matrices inside the layers", low=0)
    dtype: str = option(
        "auto",
        "dtype that layers compute in; auto: bf16 where the machine has instructions for it",
        choices=("auto", "bf16", "fp32"),
    )
    seed: int = option(0, "seed of the initial weights and the episodes", low=0)
    threads: int = option(0, "CPU threads (default: all)", low=0, high=1024)
    drawers: int | Literal["auto"] = option(
        "auto", "processes that draw episodes ahead; auto: none on a CPU", low=0
    )
    every: float = option(60.0, "seconds between checkpoints", above=0)


def refuse_unusable(settings: TrainBaseSettings) -> None:
    """Refuses what can be refused before anything is read."""
    if settings.weights and len(settings.weights) != len(settings.sources):
        raise BadInput(
            f"{len(settings.weights)} weights for {len(settings.sources)} sources; give one each"
        )
    if settings.weights and not sum(settings.weights):
        raise BadInput("all --weights are 0; give one source a share of the episodes")
    if settings.hidden_size % (2 * settings.heads):
        raise BadInput(
            f"--hidden_size {settings.hidden_size} does not divide into {settings.heads} heads of"
            " even width"
        )
    if settings.batch_tokens < settings.max_tokens:
        raise BadInput(
            f"--batch_tokens {settings.batch_tokens} cannot hold one episode of --max_tokens"
            f" {settings.max_tokens}; raise it"
        )


def lasting(settings: TrainBaseSettings) -> dict[str, Any]:
    """The settings that a resumed run must share with its beginning."""
    return {name: value for name, value in as_plain(settings).items() if name not in FREE}


def asked_as(mode: str) -> str:
    """The mode in which the finished base is asked: with demos, unless it was trained on none."""
    return "pair" if mode == "pair" else "in_context"
