"""Evaluates CoQA and GSM8K with and without test-time training, through lm-evaluation-harness.

    python eval/ct3_lm_eval.py --model_path models/llama-3-8b --task gsm8k --ttt \\
        --knowledge_base_path maths --controls all

The harness is an extra: bash install.sh --extras lm-eval. Documents come from the hub, or from
--data and --fewshot_data. Every answer is on disk as soon as it is written; a run that is started
again skips it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.harness.settings import HarnessSettings
from hone.errors import BadInput, NotThere, run_command
from hone.settings import option, read_settings

TASKS = ("coqa", "gsm8k")


@dataclass(frozen=True)
class LmEvalSettings(HarnessSettings):
    task: str = option("", "coqa or gsm8k", choices=TASKS)
    data: Path | None = option(None, "file of the documents (default: from the hub)")
    fewshot_data: Path | None = option(
        None, "file of the solved questions, needed with --data if there are any"
    )
    num_fewshot: int | None = option(
        None, "solved questions before each (default: 5 for gsm8k, 0 for coqa)", low=0
    )
    max_new_tokens: int = option(256, "longest answer, in tokens", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        LmEvalSettings, argv, env_prefix="HONE_LM_EVAL_", description=__doc__ or ""
    )
    if not settings.task:
        raise BadInput(f"no --task; choose from {', '.join(TASKS)}")
    if settings.fewshot_data and not settings.data:
        raise BadInput("--fewshot_data is given without --data; give both")
    try:
        from eval.harness import lm_tasks
    except ImportError as error:
        raise NotThere(
            f"{error.name} is not installed; run bash install.sh --extras lm-eval"
        ) from None
    from eval.harness.answerer import Writing, open_answerer
    from eval.harness.run import run_sides

    chosen = settings.task, settings.data, settings.fewshot_data, settings.num_fewshot
    with lm_tasks.open_harness(*chosen) as harness:
        documents = harness.documents()
        questions = [document.query for document in documents]
        wording, writing = lm_tasks.TASKS[settings.task].wording, Writing(settings.max_new_tokens)
        with open_answerer(settings, wording, writing, questions) as model:
            run_sides(model, settings, documents, harness)
    return 0


if __name__ == "__main__":
    run_command(main)
