"""CoQA and GSM8K with the documents, prompts and scorers of lm-evaluation-harness, and our answers.

The harness is run twice: first to collect its documents, then to score the answers. In between,
documents are answered in the order of the settings; the harness would sort them by length, and
which adapters can be reused depends on the order.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import lm_eval.tasks
import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM

from eval.harness.documents import Document
from eval.harness.squad_metrics import give_back
from eval.harness.wording import Wording
from hone.errors import BadInput, NotThere
from kb.schemas import COQA


@dataclass(frozen=True)
class LmTask:
    stock: str  # the harness's own configuration file
    split: str  # the split that is evaluated
    wording: Wording
    query: Callable[[Any], str]  # the text for which samples are retrieved
    shots: int = 0  # solved questions before each, unless the settings say otherwise


def _gsm8k_query(doc: Any) -> str:
    return str(doc["question"])


def _coqa_query(doc: Any) -> str:
    """A story with its questions, written as in the knowledge base."""
    return COQA.read(doc, "CoQA")[0]


_GSM8K = Wording("Question: {}\nAnswer:", " {}")
TASKS = {
    "coqa": LmTask("coqa/default.yaml", "validation", Wording("{}", " {}"), _coqa_query),
    "gsm8k": LmTask("gsm8k/gsm8k.yaml", "test", _GSM8K, _gsm8k_query, shots=5),
}


@dataclass
class LmHarness:
    """One task of the harness. As a `Scorer` of eval/harness/run.py, it scores answers."""

    name: str
    manager: Any

    def documents(self) -> list[Document]:
        model = Teller(self.name, {})
        self._run(model)
        return model.asked

    def __call__(
        self, documents: Sequence[Document], texts: Sequence[list[str]]
    ) -> list[dict[str, float]]:
        names = [document.id for document in documents]
        told = self._run(
            Teller(self.name, {n: own[0] for n, own in zip(names, texts, strict=True)})
        )
        found: dict[str, dict[str, float]] = {name: {} for name in names}
        for sample in told["samples"][self.name]:
            # samples of other documents are dropped
            own = found.get(_spelled(self.name, sample["doc_id"]), {})
            for metric in sample["metrics"]:
                scorer = sample["filter"] if metric == "exact_match" else metric
                own[scorer] = float(sample[metric])
        return [found[name] for name in names]

    def _run(self, model: Teller) -> Any:
        return simple_evaluate(
            model, tasks=[self.name], task_manager=self.manager, bootstrap_iters=0
        )


class Teller(LM):  # type: ignore[misc]
    """A model for the harness that returns given answers, and records the documents."""

    def __init__(self, name: str, texts: Mapping[str, str]) -> None:
        super().__init__()
        self.name, self.texts = name, texts
        self.asked: list[Document] = []

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        self.asked = [self._document(request) for request in requests]
        return [
            _before(request.args[1]["until"], self.texts.get(document.id, ""))
            for request, document in zip(requests, self.asked, strict=True)
        ]

    def _document(self, request: Any) -> Document:
        name = _spelled(self.name, request.doc_id)
        return Document(name, TASKS[self.name].query(request.doc), request.args[0], request.doc)

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> Any:
        raise BadInput("only tasks with written answers can be evaluated: coqa, gsm8k")

    loglikelihood_rolling = loglikelihood


@contextmanager
def open_harness(
    name: str, data: Path | None, fewshot_data: Path | None, shots: int | None
) -> Iterator[LmHarness]:
    """Opens a task of the harness, with documents from the hub or from local files."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    give_back()
    for file in (data, fewshot_data):
        if file is not None and not file.exists():
            raise NotThere(f"no file {file}; check --data and --fewshot_data")
    stock = Path(lm_eval.tasks.__file__).parent / TASKS[name].stock
    count = TASKS[name].shots if shots is None else shots
    config: dict[str, Any] = {"include": str(stock), "task": name, "num_fewshot": count}
    if data is not None:
        config |= _local(name, data, fewshot_data, count)
    with tempfile.TemporaryDirectory(prefix="hone-lm-eval-") as folder:
        (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(config))
        yield LmHarness(
            name, lm_eval.tasks.TaskManager(include_path=folder, include_defaults=False)
        )


def _local(name: str, data: Path, fewshot_data: Path | None, shots: int) -> dict[str, Any]:
    """The part of the task's configuration that replaces the hub's data set by local files."""
    if shots and fewshot_data is None:
        raise BadInput(
            f"{name} shows {shots} solved questions before each; name a file of them with"
            " --fewshot_data, or leave them out with --num_fewshot 0"
        )
    files = {TASKS[name].split: str(data.absolute())}
    if fewshot_data is not None:
        files["train"] = str(fewshot_data.absolute())
    train = "train" if fewshot_data else None
    return {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        "training_split": train,
        "fewshot_split": train,
    }


def _spelled(name: str, number: int) -> str:
    return f"{name} {number}"


def _before(stops: Sequence[str], text: str) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]
