"""Text queries as a user asks them: one, some from a file, one after another as they are typed."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_flags import QUERY
from tiny_bases import RECORDS, serving

from client import asking
from client.client import main
from client.text_answerer import TextAnswerer
from client.training_queue import TrainingQueue
from hone.errors import HoneError, Unreachable
from kb.retriever import LocalRetriever

torch.set_num_threads(1)
Refused = Callable[..., str]
QUICK = {"num_ttt_samples": 1, "num_epochs": 24, "learning_rate": 1e-2, "lora_rank": 8, "k": 2}
FLAGS = [*(f"--{name}={value}" for name, value in QUICK.items()), "--only_faiss"]


@pytest.fixture(autouse=True)
def nothing_else_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture
def common(text_base: Path, text_kb: Path) -> list[str]:
    where = ["--model_path", str(text_base), "--knowledge_base_path", str(text_kb)]
    return [*where, "--max_new_tokens", "4", *FLAGS]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*argv: object) -> tuple[str, str]:
        capsys.readouterr()
        assert main([str(word) for word in argv]) == 0
        return capsys.readouterr()

    return run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))


def trace_of(err: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(err.split("trace: ")[1].strip()).read_text())
    return found


def test_every_phase_gets_a_line(common: list[str], said: Callable[..., tuple[str, str]]) -> None:
    out, err = said("--query", QUERY, "--ttt", *common)
    assert out == "blue\n"
    patterns = [
        r"loaded .*text in \d+\.\d s",
        r"retrieved 1 samples, similarity 1\.00 to 1\.00",
        r"trained 24 steps in \d+\.\d s, loss \d+\.\d{3} to \d+\.\d{3}",
        r"wrote 2 tokens in \d+\.\d s",
        r"trace: runs/client/.*\.json",
    ]
    lines = err.splitlines()
    assert len(lines) == len(patterns), err
    assert all(map(re.fullmatch, patterns, lines)), err
    (answer,) = trace_of(err)["answers"]
    assert answer["answer"] == "blue" and len(answer["trace"]["losses"]) == 24


def test_an_adapter_that_is_reused_says_so(
    common: list[str], said: Callable[..., tuple[str, str]]
) -> None:
    argv = ("--query", QUERY, "--ttt", "--local_adapter_managing", *common)
    first, second = said(*argv), said(*argv)
    assert first[0] == second[0]
    assert re.search(r"^reused adapter \S+, similarity 1\.00$", second[1], re.M)
    assert "trained" not in second[1] and "retrieved" not in second[1]


def test_text_is_shown_as_it_is_written(
    common: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the answer is whole; not with --json, whose output stands alone."""
    shown: list[str] = []
    speak = asking._speak

    def watched(answer: int, piece: Any) -> None:
        speak(answer, piece)
        shown.append(capsys.readouterr().out)

    monkeypatch.setattr(asking, "_speak", watched)
    main(["--query", "the sky", *common])
    assert len(shown) > 1 and "".join(shown).strip()
    many = len(shown)
    main(["--query", "the sky", "--json", *common])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["answer"] == "".join(shown) and len(shown) == many


# From a file


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [{"question": r["question"], "id": f"q{i}"} for i, r in enumerate(RECORDS[:3])]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return file


WANTED = {f"q{i}": record["answer"] for i, record in enumerate(RECORDS[:3])}


def test_a_file_is_answered_k_at_a_time(
    common: list[str], questions: Path, said: Callable[..., tuple[str, str]]
) -> None:
    out, err = said("--query_file", questions, "--ttt", "--json", *common)
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["id"]: row["answer"] for row in rows} == WANTED
    assert [row["number"] for row in rows] == [1, 2, 3]
    seats = [row["trace"]["seat"] for row in rows]
    assert [seat["entered_at"] for seat in seats] == [0, 0, 24] and seats[0]["slots"] == 2
    assert re.search(r"^3 of 3: trained 24 steps in .*; wrote 2 tokens in .* s$", err, re.M)
    assert len(trace_of(err)["answers"]) == 3
    plain, _ = said("--query_file", questions, "--ttt", *common)
    assert plain.startswith(f"1: {RECORDS[0]['question']}\nred\n\n2: ")


def test_each_answer_is_the_one_that_it_gets_alone(
    common: list[str], questions: Path, said: Callable[..., tuple[str, str]]
) -> None:
    together, _ = said("--query_file", questions, "--ttt", "--json", *common)
    query = RECORDS[1]["question"]
    alone, _ = said("--query", query, "--ttt", "--json", *common)
    (one,) = json.loads(alone)
    other = json.loads(together.splitlines()[1])
    assert (one["query"], one["answer"]) == (other["query"], other["answer"])
    assert other["trace"]["losses"] == pytest.approx(one["trace"]["losses"], rel=1e-4)


def test_what_an_answer_file_holds_is_not_answered_again(
    common: list[str],
    questions: Path,
    tmp_path: Path,
    said: Callable[..., tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "answers" / "all.jsonl"
    argv = ("--query_file", questions, "--answer_file", file, "--ttt", *common)
    out, _ = said(*argv)
    whole = file.read_text()
    rows = [json.loads(line) for line in whole.splitlines()]
    assert out == "" and {row["id"]: row["answer"] for row in rows} == WANTED
    file.write_text(whole[: whole.index("\n") + 9])  # killed while the second was written
    queries: list[str] = []
    answer_each = TextAnswerer.answer_each

    def counted(self: TextAnswerer, asked: Any, *, adapt: bool) -> Any:
        queries.extend(one.query for one in asked)
        return answer_each(self, asked, adapt=adapt)

    monkeypatch.setattr(TextAnswerer, "answer_each", counted)
    _, err = said(*argv)
    assert queries == [record["question"] for record in RECORDS[1:3]] and "3 of 3" in err
    again = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["id"]: row["answer"] for row in again} == WANTED
    assert len(trace_of(err)["answers"]) == 3
    said(*argv, "--num_epochs", 1)  # another run
    assert len(queries) == 2 + 3 and len(file.read_text().splitlines()) == 6


def test_a_server_that_dies_on_the_way_leaves_what_was_answered(
    common: list[str], questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, calls = LocalRetriever.search, []

    def dying(self: LocalRetriever, *args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise Unreachable("no server at http://127.0.0.1:8000 (gone)")
        return search(self, *args, **more)

    monkeypatch.setattr(LocalRetriever, "search", dying)
    file = tmp_path / "answers.jsonl"
    argv = ["--query_file", questions, "--answer_file", file, "--ttt", *common, "--k", 1]
    with pytest.raises(Unreachable, match="no server at"):
        main(list(map(str, argv)))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows and all(row["answer"] == WANTED[row["id"]] for row in rows)


@pytest.mark.parametrize("keeping", [[], ["--local_adapter_managing"]], ids=["plain", "keeping"])
def test_a_server_that_dies_between_retrieval_and_training_is_not_missed(
    text_base: Path,
    text_kb: Path,
    keeping: list[str],
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[..., tuple[str, str]],
) -> None:
    begin = TrainingQueue.__init__
    with ExitStack() as server:
        url = server.enter_context(serving(text_kb))

        def dying(self: TrainingQueue, *args: Any, **more: Any) -> None:
            server.close()
            begin(self, *args, **more)

        monkeypatch.setattr(TrainingQueue, "__init__", dying)
        argv = ("--query", QUERY, "--ttt", "--model_path", text_base, "--server_url", url)
        out, err = said(*argv, *FLAGS, *keeping)
    assert out == "blue\n" and "trained 24 steps" in err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "questions.jsonl holds no queries; one per row was expected"),
        ('{"question": "a"}\n{"question": ', "questions.jsonl line 2 is not JSON"),
        ('{"question": "a"}\n{"asked": "b"}', "questions.jsonl line 2 has asked; known are: "),
        ('{"question": "a"}\n{"question": " "}', 'questions.jsonl line 2: "question" is empty'),
        ('"a"', "questions.jsonl line 1 has str"),
        (json.dumps({"query": "sky " * 40}), "questions.jsonl line 1: the query has "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_trained(
    common: list[str],
    questions: Path,
    content: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(TrainingQueue, "__init__", None)
    questions.write_text(content)
    with pytest.raises(HoneError) as caught:
        main(["--query_file", str(questions), "--ttt", *common])
    assert says in str(caught.value) and capsys.readouterr().out == ""
    assert not Path("runs").exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("what?\n")
    said = refused(main, "--query_file", file)
    assert "questions.txt: a .jsonl, .json, .csv, .parquet file was expected (also .gz)" in said


def test_a_dry_run_shows_what_a_file_would_train_on(
    common: list[str], questions: Path, said: Callable[..., tuple[str, str]]
) -> None:
    out, _ = said("--query_file", questions, "--dry_run", "--json", *common)
    assert [plan["query"] for plan in json.loads(out)] == [r["question"] for r in RECORDS[:3]]


# As it is typed


def test_queries_are_typed_one_after_another(
    common: list[str], said: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be answered does not end the others; the base is loaded once."""
    type_in(monkeypatch, QUERY, "", "sky " * 40, RECORDS[0]["question"])
    out, err = said("--ttt", *common)
    assert out == "blue\nred\n"
    assert err.count("loaded") == 1 and err.count("> ") == 5
    assert "error: the query has 8" in err and err.count("trained 24 steps") == 2
    told = trace_of(err)["answers"]
    assert [one["answer"] for one in told] == ["blue", "red"]


def test_typed_queries_are_answered_as_json_lines(
    common: list[str], said: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "the sky", "the rose")
    out, _ = said("--json", *common)
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["the sky", "the rose"]


def test_ctrl_c_ends_the_answer_and_not_the_conversation(
    common: list[str], said: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is as it was: the next query is answered as if nothing had been."""
    type_in(monkeypatch, QUERY)
    alone, _ = said("--ttt", *common)
    step, steps = TrainingQueue._train_step, []

    def interrupted(self: TrainingQueue) -> Any:
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(TrainingQueue, "_train_step", interrupted)
    type_in(monkeypatch, RECORDS[0]["question"], QUERY)
    out, err = said("--ttt", *common)
    assert out == alone == "blue\n" and "\ninterrupted\n" in err
