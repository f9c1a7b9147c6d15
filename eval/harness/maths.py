"""MathQA and MAWPS in the form of LLM-Adapters, scored as there and more carefully.

LLM-Adapters takes the first letter from A to E anywhere in an answer (for "Based on ..., it is C"
that is B), and the last number, to within 0.001. The careful scorers look for what the answer
states as its result, recognise options by their text, read fractions, and accept a rounded number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eval.harness.documents import Document
from eval.harness.wording import Wording
from hone.errors import BadInput, NotThere
from kb.rows import FORMS, file_rows, form_of

WORDING = Wording(raw=False)
MISS = 0.001
_NUMBER = re.compile(r"-?\d+\.?\d*")
_RESULT = re.compile(r"-?\d+(?:\.\d+)?(?:\s*/\s*\d+(?:\.\d+)?)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SAID = re.compile(r"(?i:answer|result)(?i:\s+is|\s*:|\s*=)|####|\\boxed\{")
_LETTER = re.compile(  # a letter that stands alone and is not the article "A"
    r"(?<![A-Za-z0-9'])(A(?! (?!is\b|because\b|since\b)[a-z])|[B-E])(?![A-Za-z0-9'])"
)
_OPTION = re.compile(r"([A-E]) \) (.*?)(?: , (?=[A-E] \))|$)")


def read_documents(task: str, path: Path) -> list[Document]:
    """The documents of all rows; raises BadInput for a row without an instruction or an answer that
    can be scored."""
    if not path.exists():
        raise NotThere(
            f"no test questions at {path}; git clone LLM-Adapters and move its dataset folder to"
            f" {path.parent.parent}, or name a file with --data"
        )
    if form_of(path) is None:
        raise BadInput(f"{path}: a {', '.join(FORMS)} file was expected (also .gz); check --data")
    rows = enumerate(file_rows(path), 1)
    documents = [_document(task, f"{task} {i}", row, where) for i, (where, row) in rows]
    if not documents:
        raise BadInput(f"{path} holds no questions; check --data")
    return documents


def _document(task: str, name: str, row: Any, where: str) -> Document:
    question = row.get("instruction") if isinstance(row, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise BadInput(f'{where} has no "instruction"; rows as in LLM-Adapters were expected')
    gold = str(row.get("answer", "")).strip()
    if task == "mathqa" and gold not in set("ABCDE"):
        raise BadInput(f'{where}: "answer" is {gold!r}, a letter from A to E was expected')
    if task == "mawps" and not _is_number(gold):
        raise BadInput(f'{where}: "answer" is {gold!r}, a number was expected')
    return Document(name, question, question, {**row, "answer": gold})


def theirs_letter(text: str, document: Document) -> bool:
    return re.findall("[A-E]", text)[:1] == [document.row["answer"]]


def careful_letter(text: str, document: Document) -> bool:
    """Whether the letter is right that is stated as the answer; else that of the option whose text
    ends the answer; else the last letter that stands alone."""
    said = _LETTER.findall(_behind_said(text))[:1]
    found = said or _option_at_the_end(text, document) or _LETTER.findall(text)[-1:]
    return found == [document.row["answer"]]


def theirs_number(text: str, document: Document) -> bool:
    found = _NUMBER.findall(text.replace(",", ""))
    return bool(found) and abs(float(document.row["answer"]) - float(found[-1])) <= MISS


def careful_number(text: str, document: Document) -> bool:
    plain = _THOUSANDS.sub("", text)
    found = _RESULT.findall(_behind_said(plain))[:1] or _RESULT.findall(plain)[-1:]
    return any(_is_about(one, float(document.row["answer"])) for one in found)


_SCORERS: Mapping[str, Mapping[str, Callable[[str, Document], bool]]] = {
    "mathqa": {"theirs": theirs_letter, "careful": careful_letter},
    "mawps": {"theirs": theirs_number, "careful": careful_number},
}
TASKS = tuple(_SCORERS)


def scores_of(task: str) -> Callable[[Document, list[str]], dict[str, float]]:
    """A function that scores a document's single answer by both scorers."""

    def scores(document: Document, texts: list[str]) -> dict[str, float]:
        return {name: float(right(texts[0], document)) for name, right in _SCORERS[task].items()}

    return scores


def _behind_said(text: str) -> str:
    """The text after the last `the answer is` or the like; empty if there is none."""
    places = [found.end() for found in _SAID.finditer(text)]
    return text[places[-1] :] if places else ""


def _option_at_the_end(text: str, document: Document) -> list[str]:
    options = _OPTION.findall(document.query.partition("The options:")[2].strip())
    last = f" {text.strip().rstrip('.').casefold()}"
    ending = [letter for letter, said in options if last.endswith(f" {said.strip().casefold()}")]
    return ending if len(ending) == 1 else []


def _is_about(spelled: str, gold: float) -> bool:
    """Whether the number is right to within the tolerance, or is the right one rounded to the
    decimals given, if these are two or more."""
    above, _, below = spelled.partition("/")
    value = float(above) / (float(below or 1) or math.nan)
    decimals = 0 if below else len(above.partition(".")[2])
    rounding = 0.5 * 10**-decimals if decimals >= 2 else 0.0
    return abs(value - gold) <= max(MISS, rounding * (1 + 1e-9))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
