"""MBPP and HumanEval: their documents, the programs that answers make, and pass@k.

`theirs` cuts an answer at the stop words of bigcode-evaluation-harness and appends it to the
prompt. `careful` also accepts answers as chat models give them, with code between fences or the
whole function written again, and removes lines from the end until the program can be parsed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

from eval.harness.documents import Document
from eval.harness.wording import Wording
from eval.sandbox.cell import Sandbox
from hone.errors import BadInput, NotThere
from kb.hub import HubSet
from kb.rows import FORMS, Rows, file_rows, form_of
from kb.schemas import MBPP

WORDING = Wording("{}", "{}")
KS = (1, 10, 100)
_MBPP_TEST = range(11, 511)  # task_ids of MBPP's test split
_FENCED = re.compile(r"```[A-Za-z0-9]*\n(.*?)(?:```|$)", re.DOTALL)
_IS_CODE = re.compile(r"\b(?:return|def)\b")
_TOP_LEVEL = re.compile(r"^def (\w+)\(", re.MULTILINE)


@dataclass(frozen=True)
class CodeTask:
    hub: HubSet
    needs: tuple[str, ...]  # fields that a row must have
    prompt: Callable[[dict[str, Any], str], str]
    tests: Callable[[Mapping[str, Any]], str]
    stops: tuple[str, ...]


def _mbpp_prompt(row: dict[str, Any], where: str) -> str:
    return MBPP.read(row, where)[0]


def _mbpp_tests(row: Mapping[str, Any]) -> str:
    return "\n".join([row.get("test_setup_code") or "", *row["test_list"]])


def _humaneval_prompt(row: dict[str, Any], where: str) -> str:
    return str(row["prompt"]).strip()


def _humaneval_tests(row: Mapping[str, Any]) -> str:
    return f"{row['test']}\ncheck({row['entry_point']})"


_COMMON_STOPS = ("\nclass", "\nprint", "\nif", "\n```")
TASKS = {
    "mbpp": CodeTask(
        HubSet("google-research-datasets/mbpp", config="full", split="test"),
        MBPP.needs,
        _mbpp_prompt,
        _mbpp_tests,
        (*_COMMON_STOPS, "\nassert", '\n"""', "\n<|/"),
    ),
    "humaneval": CodeTask(
        HubSet("openai/openai_humaneval", split="test"),
        ("prompt", "entry_point", "test"),
        _humaneval_prompt,
        _humaneval_tests,
        (*_COMMON_STOPS, "\ndef", "\n#", "\n@", "<file_sep>"),
    ),
}


def read_documents(task: str, path: Path | None) -> list[Document]:
    """The documents from a file, or else from the hub; from a file with all of MBPP, those of the
    test split."""
    rows = list(_file_rows(path) if path else TASKS[task].hub.rows(None))
    if task == "mbpp":
        rows = [one for one in rows if _task_id(one[1]) in _MBPP_TEST] or rows
    if not rows:
        raise BadInput(f"{path} holds no problems; check --data")
    return [_document(task, number, row, where) for number, (where, row) in enumerate(rows, 1)]


def _file_rows(path: Path) -> Rows:
    if not path.exists():
        raise NotThere(f"no problems at {path}; check --data")
    if form_of(path) is None:
        raise BadInput(f"{path}: a {', '.join(FORMS)} file was expected (also .gz); check --data")
    return file_rows(path)


def _task_id(row: Any) -> Any:
    return row.get("task_id") if isinstance(row, dict) else None


def _document(task: str, number: int, row: Any, where: str) -> Document:
    known = TASKS[task]
    if missing := [name for name in known.needs if not isinstance(row, dict) or name not in row]:
        raise BadInput(f"{where} lacks {', '.join(missing)} of {task}; check --tasks and --data")
    prompt = known.prompt(row, where)
    return Document(f"{task} {row.get('task_id', number)}", prompt, prompt, row)


def theirs(task: str, document: Document, text: str) -> str:
    """The program that bigcode-evaluation-harness would run."""
    ends = [at for stop in TASKS[task].stops if (at := text.find(stop)) >= 0]
    return document.prompt + text[: min(ends, default=len(text))]


def careful(task: str, document: Document, text: str) -> str:
    """The program that the answer means, also if it is fenced code or the whole function."""
    prompt, code = document.prompt, text.partition("```")[0]
    if not _IS_CODE.search(code) and (fenced := _FENCED.search(text)):
        prompt, code = f"{prompt}\n", fenced[1]
    elif document.row.get("entry_point", "") in _TOP_LEVEL.findall(code):
        prompt = f"{prompt}\n"
    lines = code.split("\n")
    tried = (prompt + "\n".join(lines[:end]) for end in range(len(lines), 0, -1))
    return next(filter(_can_be_parsed, tried), prompt + code)


_PROGRAMS: Mapping[str, Callable[[str, Document, str], str]] = {
    "pass": theirs,
    "careful pass": careful,
}


@dataclass(frozen=True)
class Passes:
    """Scores the answers to a document by running them."""

    task: str
    sandbox: Sandbox
    workers: int

    def __call__(self, document: Document, texts: list[str]) -> dict[str, float]:
        programs = {
            name: [self._whole(document, program(self.task, document, text)) for text in texts]
            for name, program in _PROGRAMS.items()
        }
        passed = self._run(sorted({one for own in programs.values() for one in own}))
        return {
            f"{name}@{k}": pass_at(k, len(own), sum(passed[one] for one in own))
            for name, own in programs.items()
            for k in KS
            if k <= len(own)
        }

    def _whole(self, document: Document, program: str) -> str:
        return f"{program}\n{TASKS[self.task].tests(document.row)}\n"

    def _run(self, programs: Sequence[str]) -> dict[str, bool]:
        """Runs each program once, several at a time, and says which passed."""
        with ThreadPoolExecutor(self.workers) as pool:
            outcomes: Iterator[Any] = pool.map(self.sandbox.run, programs)
            return {one: outcome.passed for one, outcome in zip(programs, outcomes, strict=True)}


def pass_at(k: int, samples: int, passed: int) -> float:
    """Probability that one of k answers passes, drawn from `samples` of which `passed` do."""
    return 1.0 - comb(samples - passed, k) / comb(samples, k)


def _can_be_parsed(program: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of invalid escapes in strings
        try:
            ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
