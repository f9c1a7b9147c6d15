"""Answers text queries from the command line: a single one, typed ones, or a file of them.

All use one TextAnswerer, which is opened once and adapts to each query separately.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from client.phase_lines import adapted_line, loaded_line, written_line
from client.progress import PhaseBar
from client.run_name import run_name
from client.run_trace import RunTrace, Told
from hone.errors import BadInput, HoneError
from hone.files import short_hash
from hone.journal import Journal

if TYPE_CHECKING:
    from client.client import ClientSettings
    from client.query_file import FileQuery
    from client.text_answerer import Answer, Asked, TextAnswerer
    from client.text_stream import Piece


def ask_one(settings: ClientSettings) -> None:
    """Answers the query given by --query."""
    query, trace = given_query(settings), RunTrace(settings.trace_dir)
    with _opened(settings) as answerer:
        told = _told(_answered_aloud(settings, answerer, query))
        if settings.json:
            print(json.dumps([told]))
        trace.write(answerer.adaptation, [told])
    trace.say()


def ask_in_turn(settings: ClientSettings) -> None:
    """Reads queries from the terminal, one per line, and answers each, until the input ends."""
    told: list[Told] = []
    trace = RunTrace(settings.trace_dir)
    with _opened(settings) as answerer:
        print("type one query per line; empty lines are skipped, Ctrl-D ends", file=sys.stderr)
        for query in _typed():
            if (answer := _answered_or_said_why(settings, answerer, query)) is not None:
                told.append(_told(answer))
                if settings.json:
                    print(json.dumps(told[-1]), flush=True)
                trace.write(answerer.adaptation, told)
    trace.say()


def ask_file(settings: ClientSettings) -> None:
    """Answers the queries of --query_file. K are trained together; each answer is printed or
    written as soon as it is ready."""
    from client.query_file import read_queries

    assert settings.query_file is not None
    queries, trace = read_queries(settings.query_file), RunTrace(settings.trace_dir)
    told: list[Told] = []
    with _opened(settings, silent=True) as answerer:
        for row in _rows(settings, answerer, queries):
            told.append(row)
            if settings.answer_file is None:
                print(json.dumps(row) if settings.json else _spelled(row), flush=True)
            print(f"{len(told)} of {len(queries)}: {_how(row['trace'])}", file=sys.stderr)
        trace.write(answerer.adaptation, told)
    trace.say()


def given_query(settings: ClientSettings) -> str:
    query = sys.stdin.read() if settings.query == "-" else str(settings.query)
    if not query.strip():
        raise BadInput("the query is empty; give a text after --query")
    return query


@contextmanager
def _opened(settings: ClientSettings, *, silent: bool = False) -> Iterator[TextAnswerer]:
    """Opens the answerer. With `silent`, the phases of each query are not reported."""
    from client.adaptation import timed
    from client.opening import open_adaptation
    from client.text_answerer import TextAnswerer

    with PhaseBar(settings.json) as progress:
        with timed() as loading:
            adaptation = open_adaptation(settings, "text", progress, adapt=settings.ttt)
        progress.say(loaded_line(settings.model_path, loading.seconds))
        tell = (lambda line: None) if silent else progress.say
        with adaptation:
            yield TextAnswerer(adaptation, settings.max_new_tokens, tell=tell)


def _answered_aloud(settings: ClientSettings, answerer: TextAnswerer, query: str) -> Answer:
    """Answers a query and prints the answer while it is written, unless JSON is asked for."""
    asked = answerer.asked(query) if settings.json else answerer.asked(query, _speak)
    ((_, answer),) = answerer.answer_each([asked], adapt=settings.ttt)
    if not settings.json:
        print()
    return answer


def _speak(answer: int, piece: Piece) -> None:
    if piece.text:
        print(piece.text, end="", flush=True)


def _typed() -> Iterator[str]:
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            return
        if line.strip():
            yield line.strip()


def _answered_or_said_why(
    settings: ClientSettings, answerer: TextAnswerer, query: str
) -> Answer | None:
    """The answer, or None after an error message or Ctrl-C, so that the session goes on with the
    next query."""
    try:
        return _answered_aloud(settings, answerer, query)
    except HoneError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    return None


def _rows(
    settings: ClientSettings, answerer: TextAnswerer, queries: Sequence[FileQuery]
) -> Iterator[Told]:
    """A row for every query: first the rows that are in the answer file already, then each as it is
    answered. All queries are checked before the first is trained."""
    asked = [_readable(answerer, query) for query in queries]
    journal = None if settings.answer_file is None else Journal(settings.answer_file)
    name, missing = run_name(answerer.adaptation), []
    keys = [short_hash(name, query.number, query.id, query.query) for query in queries]
    for i, key in enumerate(keys):
        if journal is not None and (row := journal.find(key)) is not None:
            yield row
        else:
            missing.append(i)
    for j, answer in answerer.answer_each([asked[i] for i in missing], adapt=settings.ttt):
        row = queries[missing[j]].told(answer.text, answer.trace)
        yield row if journal is None else journal.add(keys[missing[j]], row)


def _readable(answerer: TextAnswerer, query: FileQuery) -> Asked:
    try:
        return answerer.asked(query.query)
    except BadInput as error:
        raise BadInput(f"{query.where}: {error}") from None


def _spelled(row: Told) -> str:
    return f"{row['number']}: {row['query'].strip()}\n{row['answer']}\n"


def _how(trace: dict[str, Any]) -> str:
    return f"{adapted_line(trace)}; {written_line(trace)}"


def _told(answer: Answer) -> Told:
    return {"query": answer.query, "answer": answer.text, "trace": answer.trace}
