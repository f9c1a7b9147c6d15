"""Schemas of text data sets: how a row becomes a prompt and an answer.

A schema is recognised by the fields that it needs, or named with --prompt_field and --answer_field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from hone.errors import BadInput

Read = Callable[[Any, str], tuple[str, str]]  # row, its place -> prompt, answer


@dataclass(frozen=True)
class Schema:
    needs: tuple[str, ...]  # fields
    read: Read

    def __str__(self) -> str:
        return "/".join(self.needs)


def two_fields(prompt: str, answer: str | None = None) -> Schema:
    """The prompt is one field, the answer another; without `answer` the answer is empty."""
    needs = (prompt,) if answer is None else (prompt, answer)
    return Schema(needs, partial(_two_fields, prompt=prompt, answer=answer))


def named_schema(prompt_field: str | None, answer_field: str | None) -> Schema | None:
    """The schema of the fields that a user named; None where it is to be recognised."""
    if prompt_field is None and answer_field is not None:
        raise BadInput("--answer_field needs --prompt_field; name both")
    return None if prompt_field is None else two_fields(prompt_field, answer_field)


def recognised(row: Any, where: str) -> Schema:
    """The first known schema whose fields the row has."""
    return _recognised(row, where, KNOWN, "name others with --prompt_field, --answer_field")


def recognised_question(row: Any, where: str) -> Schema:
    """The same for rows of test sets, which need no answers."""
    return _recognised(row, where, QUESTIONS, "rename the field of the questions")


def _recognised(row: Any, where: str, known: Sequence[Schema], remedy: str) -> Schema:
    for schema in known:
        if isinstance(row, dict) and set(schema.needs) <= set(row):
            return schema
    raise BadInput(f"{where} has {_held(row)}; known are: {', '.join(map(str, known))}; {remedy}")


def _two_fields(row: Any, where: str, *, prompt: str, answer: str | None) -> tuple[str, str]:
    return _prompt(row, prompt, where), "" if answer is None else _text(row, answer, where)


def _instruction(row: Any, where: str) -> tuple[str, str]:
    """Alpaca's schema. Where `output` is empty, some files hold the bare result in `answer`."""
    prompt, answer = _prompt(row, "instruction", where), _text(row, "output", where)
    if row.get("input"):
        prompt = f"{prompt}\n{_text(row, 'input', where)}"
    if not answer.strip() and "answer" in row:
        answer = _text(row, "answer", where)
    return prompt, answer


def _conversation(row: Any, where: str) -> tuple[str, str]:
    """CoQA: the story and its questions with their answers; the last answer is asked for."""
    questions = _column(row, "questions", where)
    answers = _column(row, "answers", where)
    if not questions or len(questions) != len(answers):
        raise BadInput(f"{where} has {len(questions)} questions and {len(answers)} answers")
    turns = [
        f"Q: {question}\n\n" + ("A:" if answer is None else f"A: {answer}\n\n")
        for question, answer in zip_longest(questions, answers[:-1])
    ]
    return "\n\n".join([_prompt(row, "story", where), "".join(turns)]), answers[-1]


def _program(row: Any, where: str) -> tuple[str, str]:
    """MBPP: the prompt is the task with its first test, as the coding harness asks it."""
    tests = row.get("test_list")
    if not isinstance(tests, list) or not tests or not isinstance(tests[0], str):
        raise BadInput(f'{where}: "test_list" holds no test; a list of lines was expected')
    prompt = f'"""\n{_prompt(row, "text", where)}\n{tests[0]}\n"""\n'
    return prompt, _text(row, "code", where)


COQA = Schema(("story", "questions", "answers"), _conversation)
INSTRUCTION = Schema(("instruction", "output"), _instruction)
MBPP = Schema(("text", "code", "test_list"), _program)
METAMATH = two_fields("query", "response")
ORCA_MATH = two_fields("question", "answer")
THE_STACK = two_fields("content")
KNOWN = (
    *(INSTRUCTION, ORCA_MATH, METAMATH, COQA, MBPP),
    *(two_fields("prompt", "completion"), two_fields("prompt", "canonical_solution")),
    *(THE_STACK, two_fields("text")),
)
QUESTIONS = tuple(  # by the prompt's field alone, but for COQA and MBPP
    [COQA, MBPP] + [two_fields(schema.needs[0]) for schema in KNOWN if schema not in (COQA, MBPP)]
)


def _prompt(row: Any, field: str, where: str) -> str:
    prompt = _text(row, field, where)
    if not prompt.strip():
        raise BadInput(f'{where}: "{field}" is empty; fill or remove the record')
    return prompt


def _column(row: Any, field: str, where: str) -> list[str]:
    """The texts of turns, stored as a list of turns or as a dict with a list for each field."""
    value = row.get(field) if isinstance(row, dict) else None
    if isinstance(value, dict):
        value = [{"input_text": text} for text in value.get("input_text") or []]
    if not isinstance(value, list):
        raise BadInput(f'{where}: "{field}" is {type(value).__name__}, turns were expected')
    return [_text(turn, "input_text", where) for turn in value]


def _text(row: Any, field: str, where: str) -> str:
    if not isinstance(row, dict) or field not in row:
        raise BadInput(f'{where} has no "{field}", it has {_held(row)}')
    value = row[field]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadInput(f'{where}: "{field}" is {type(value).__name__}, text was expected')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f'{where}: "{field}" holds half of a surrogate pair; correct it') from None
    return value


def _held(row: Any) -> str:
    return (", ".join(map(str, row)) if isinstance(row, dict) else "") or type(row).__name__
