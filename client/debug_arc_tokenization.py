"""Shows exactly what a model sees of a task: grids, prompt, answer, and every token with its label.

    python client/debug_arc_tokenization.py --problem_path data/evaluation/00576224.json

The labels are those of `--loss_on answer`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if __name__ == "__main__":  # run by path, client/client.py would shadow the package `client`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import PseudoTaskSettings
from hone.errors import BadInput, NotThere, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.digits import Tokenizer
    from arc.formats import ArcFormat, Encoded
    from arc.task import Task


@dataclass(frozen=True)
class DebugSettings(PseudoTaskSettings):
    model_path: Path = option(
        Path("models/arc-base"),
        "folder of the base model; its arc_format.json says how grids become tokens",
        also=("model_dir", "model"),
    )
    problem_path: Path | None = option(None, "ARC task file to look at (needed)")
    num_pseudo: int = option(5, "augmented leave-one-out tasks to build from the demos", low=1)
    pseudo_index: int = option(0, "which of them to show, from 0", low=0)
    max_len: int = option(4096, "most tokens a training example may have", low=1)
    max_tokens_show: int = option(200, "most tokens to list in the table", low=0)
    seed: int = option(0, "seed of the augmentations")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        DebugSettings,
        argv,
        env_prefix="HONE_DEBUG_",
        description="Show exactly what a model sees of an ARC task.",
    )
    for part in report(settings):
        print(part)
    return 0


def report(settings: DebugSettings) -> Iterator[str]:
    """Yields all that is printed; bad input is refused before the first piece."""
    task = _problem(settings)
    built = settings.pseudo_tasks(task, settings.num_pseudo, settings.seed)
    augmentation, pseudo = built[settings.pseudo_index]
    form = _format(settings.model_path)
    prompt, example = form.prompt(pseudo), form.example(pseudo)
    _check_length(example, settings)
    yield f"pseudo-task {settings.pseudo_index} of {settings.num_pseudo}: {pseudo.id}"
    yield f"augmentation: {augmentation.name}"
    yield f"format: {form.name}\n"
    yield from _grids(pseudo)
    yield f"== prompt string ==\n{form.text(prompt.ids.tolist())}\n"
    yield f"== answer string ==\n{form.text(example.ids[len(prompt) :].tolist())}\n"
    yield "== tokens =="
    yield from _table(form, example, len(prompt), settings.max_tokens_show)
    yield (
        f"\n{len(example)} tokens: {len(prompt)} of the prompt, {len(example) - len(prompt)} of the"
        f" answer; {example.counted} count in the loss"
    )


def _problem(settings: DebugSettings) -> Task:
    from arc.readers import read_task

    if settings.problem_path is None:
        raise BadInput("no task to look at; name its file with --problem_path")
    if settings.pseudo_index >= settings.num_pseudo:
        raise BadInput(
            f"--pseudo_index is {settings.pseudo_index}, but --num_pseudo {settings.num_pseudo}"
            f" builds 0 to {settings.num_pseudo - 1}; choose one of them or build more"
        )
    return read_task(settings.problem_path)


def _format(folder: Path) -> ArcFormat:
    from arc.folder_format import format_of

    if not folder.is_dir():
        raise NotThere(f"no model folder {folder}; check --model_path")
    return format_of(folder, lambda: _tokenizer(folder))


def _tokenizer(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    from models.model_folder import first_line

    try:
        loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers has no common base for what a folder can lack
        raise NotThere(
            f"{folder} has no tokenizer that can be read ({first_line(error)}); fetch its tokenizer"
            " files, or check --model_path"
        ) from None
    return cast("Tokenizer", loaded)


def _check_length(example: Encoded, settings: DebugSettings) -> None:
    if len(example) > settings.max_len:
        raise BadInput(
            f"pseudo-task {settings.pseudo_index} of {settings.problem_path} is {len(example)}"
            f" tokens long, more than --max_len {settings.max_len}; training would leave it out"
        )


def _grids(task: Task) -> Iterator[str]:
    from arc.render import ansi_side_by_side

    for kind, pairs in (("train", task.train), ("test", task.test)):
        for i, pair in enumerate(pairs):
            yield f"== {kind} {i} =="
            yield ansi_side_by_side([("input", pair.input), ("output", pair.output)]) + "\n"


def _table(form: ArcFormat, example: Encoded, boundary: int, most: int) -> Iterator[str]:
    yield f"{'index':>6}  {'id':>7}  {'label':>7}  token"
    last = -1
    for i in _shown(len(example), boundary, most):
        if i != last + 1:
            yield f"{'...':>6}  ({i - last - 1} tokens not shown)"
        if i == boundary:
            yield f"{'':>6}  -- the answer begins --"
        token, label = int(example.ids[i]), int(example.labels[i])
        yield f"{i:>6}  {token:>7}  {label:>7}  {form.show(token)}"
        last = i
    if last != len(example) - 1:
        rest = len(example) - 1 - last
        yield f"{'...':>6}  ({rest} tokens not shown; raise --max_tokens_show to see them)"


def _shown(total: int, boundary: int, most: int) -> list[int]:
    """At most `most` indices: the first tokens, and those around the beginning of the answer."""
    if total <= most:
        return list(range(total))
    head = most // 2
    start = max(head, min(boundary - head // 2, total - (most - head)))
    return [*range(head), *range(start, start + most - head)]


if __name__ == "__main__":
    run_command(main)
