"""CoQA and GSM8K by lm-evaluation-harness: its documents, prompts and scorers, our answers.

The harness sorts requests by length where it can; here documents are answered in the order that
was asked for, each once, since kept adapters make the order count.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval.tasks
import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM

from eval.harness.documents import Document
from eval.harness.wording import Wording
from hone.errors import BadInput, NotThere
from kb.schemas import COQA

Texts = Callable[[list[Document]], list[str]]


@dataclass(frozen=True)
class LmTask:
    stock: str  # the harness's own file
    split: str  # that is asked
    wording: Wording
    query: Callable[[Any], str]  # what samples are retrieved for
    shots: int  # solved questions before each, where nothing else is asked for


def _gsm8k_query(doc: Any) -> str:
    return str(doc["question"])


def _coqa_query(doc: Any) -> str:
    """As the knowledge base spells a story with its questions."""
    return COQA.read(doc, "CoQA")[0]


TASKS = {
    "gsm8k": LmTask(
        "gsm8k/gsm8k.yaml",
        "test",
        Wording("Question: {}\nAnswer:", " {}"),
        _gsm8k_query,
        shots=5,
    ),
    "coqa": LmTask("coqa/default.yaml", "validation", Wording("{}", " {}"), _coqa_query, shots=0),
}


class Answerer(LM):  # type: ignore[misc]
    """Gives every request to `texts`; what it says is cut at the task's stop words."""

    def __init__(self, task: LmTask, texts: Texts) -> None:
        super().__init__()
        self.task, self.texts = task, texts

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        documents = [
            Document(
                f"{request.task_name} {request.doc_id}",
                self.task.query(request.doc),
                request.args[0],
                request.doc,
            )
            for request in requests
        ]
        texts = self.texts(documents)
        return [_before(text, one.args[1]["until"]) for text, one in zip(texts, requests, strict=True)]

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> Any:
        raise BadInput("tasks that compare likelihoods are not asked here; choose coqa or gsm8k")

    loglikelihood_rolling = loglikelihood
