"""Evaluates MathQA and MAWPS with and without test-time training, in the form of LLM-Adapters.

    python eval/ct3_llm_adapters_eval.py --model_path models/llama-3-8b --task mawps --ttt \\
        --knowledge_base_path maths --controls all

Test questions are read from llm_adapters_test_datasets/TASK/test.json, LLM-Adapters' own files, or
from --data. Every answer is on disk as soon as it is written; a run that is started again skips it.
Two scorers judge the same answers: `theirs` as in LLM-Adapters, `careful` as described in
eval/harness/maths.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.harness.settings import HarnessSettings
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

TASKS = ("mathqa", "mawps")  # repeated from eval/harness/maths.py, which takes long to import
PLACE = Path("llm_adapters_test_datasets")


@dataclass(frozen=True)
class LlmAdaptersSettings(HarnessSettings):
    task: str = option("", "mathqa or mawps", choices=TASKS)
    data: Path | None = option(
        None,
        "file of test questions (instruction, answer)",
        shown="llm_adapters_test_datasets/TASK/test.json",
    )
    max_new_tokens: int = option(256, "longest answer, in tokens", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        LlmAdaptersSettings, argv, env_prefix="HONE_LLM_ADAPTERS_", description=__doc__ or ""
    )
    if not settings.task:
        raise BadInput(f"no --task; choose from {', '.join(TASKS)}")
    from eval.harness import maths
    from eval.harness.answerer import Writing, open_answerer
    from eval.harness.run import each, run_sides

    path = settings.data or PLACE / settings.task / "test.json"
    documents = maths.read_documents(settings.task, path)
    questions = [document.query for document in documents]
    writing = Writing(room=settings.max_new_tokens)
    with open_answerer(settings, maths.WORDING, writing, questions) as model:
        run_sides(model, settings, documents, each(maths.scores_of(settings.task)))
    return 0


if __name__ == "__main__":
    run_command(main)
