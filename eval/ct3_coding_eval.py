"""Evaluates MBPP and HumanEval with and without test-time training: pass@k.

    python eval/ct3_coding_eval.py --model models/llama-3-8b --tasks humaneval --ttt \\
        --knowledge_base_path code --allow_code_execution

Problems come from the hub or from --data. Answers are scored by running them, so the command needs
--allow_code_execution; they run in the sandbox of eval/sandbox. Every answer is on disk as soon as
it is written; a run that is started again skips it. `pass` makes programs from answers as
bigcode-evaluation-harness does, `careful pass` as described in eval/harness/coding.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.harness.settings import HarnessSettings
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from eval.harness.answerer import Writing

TASKS = ("mbpp", "humaneval")


@dataclass(frozen=True)
class CodingSettings(HarnessSettings):
    task: str = option("", "mbpp or humaneval", choices=TASKS, also=("tasks",))
    data: Path | None = option(None, "file of problems (default: from the hub)")
    allow_code_execution: bool = option(False, "run what the model wrote, in the sandbox")
    sandbox: str = option(
        "auto",
        "how programs are isolated; auto: the first way that works here; none: limits only",
        choices=("auto", "bwrap", "unshare", "none"),
    )
    timeout: float = option(10.0, "seconds for a program and its tests", above=0)
    max_new_tokens: int = option(512, "longest answer, in tokens", low=1)
    do_sample: bool = option(False, "sample answers instead of taking the likeliest")
    n_samples: int = option(1, "number of answers to each problem", low=1)
    temperature: float = option(0.2, "temperature of sampled answers", above=0)
    top_k: int = option(0, "sample from the k likeliest tokens; 0: from all", low=0)
    top_p: float = option(
        0.95,
        "sample from the likeliest tokens that together reach this probability",
        above=0,
        high=1,
    )
    batch_size: int = option(1, "number of answers that are written together", low=1)
    ttt_batch_size: int = option(1, "items per training step of an adapter", low=1)
    dtype: str = option(
        "bf16",
        "dtype that the base computes in",
        also=("precision",),
        choices=("auto", "fp32", "bf16"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        CodingSettings, argv, env_prefix="HONE_CODING_", description=__doc__ or ""
    )
    _check(settings)
    from eval.harness import coding
    from eval.harness.answerer import open_answerer
    from eval.harness.run import each, run_sides
    from eval.sandbox.cell import Limits, open_sandbox

    sandbox = open_sandbox(settings.sandbox, Limits(seconds=settings.timeout))
    documents = coding.read_documents(settings.task, settings.data)
    scorer = coding.Passes(settings.task, sandbox, workers=os.cpu_count() or 1)
    questions = [document.query for document in documents]
    opened = open_answerer(
        settings, coding.WORDING, _writing(settings), questions, batch_size=settings.ttt_batch_size
    )
    with opened as model:
        run_sides(model, settings, documents, each(scorer))
    return 0


def _check(settings: CodingSettings) -> None:
    if not settings.task:
        raise BadInput(f"no --tasks; choose from {', '.join(TASKS)}")
    if not settings.allow_code_execution:
        raise BadInput(
            "answers are scored by running what the model wrote; allow that, in a sandbox, with"
            " --allow_code_execution"
        )
    if settings.n_samples > 1 and not settings.do_sample:
        raise BadInput(
            f"--n_samples {settings.n_samples} would give the same answer every time; add"
            " --do_sample"
        )


def _writing(settings: CodingSettings) -> Writing:
    from eval.harness.answerer import Writing
    from models.decoding.choice import Sampling

    drawing = Sampling(settings.temperature, settings.top_k, settings.top_p)
    return Writing(
        room=settings.max_new_tokens,
        samples=settings.n_samples,
        rows=settings.batch_size,
        sampling=drawing if settings.do_sample else None,
    )


if __name__ == "__main__":
    run_command(main)
