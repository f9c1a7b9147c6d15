"""Both formats keep the same promises: round trips, cursors, and labels on answers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from arc_strategies import grids, tasks
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from arc.augment import colours, random_augmentation, symmetry
from arc.canvas import END, INPUT, OUTPUT, PAD, ROW, TASK, VOCABULARY, CanvasFormat
from arc.digits import DigitsFormat, parse_grid
from arc.folder_format import format_of
from arc.formats import IGNORED, ArcFormat
from arc.grid import Grid, grid, same
from arc.readers import read_tasks
from arc.steps import SYMMETRIES
from arc.task import Pair, Task
from hone.errors import BadInput, Damaged
from hone.files import write_json

LETTERS = "0123456789 \n:EITOaelmnptuxs"


class Letters:
    """A token for every letter; no BOS; the last token is EOS."""

    bos_token_id: int | None = None
    eos_token_id: int | None = len(LETTERS)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        return [LETTERS.index(letter) for letter in text]

    def decode(self, token_ids: list[int]) -> str:
        return "".join(LETTERS[token] for token in token_ids)


def words() -> PreTrainedTokenizerFast:
    """A real tokenizer with BOS, whose tokens join a digit with the blank before it."""
    pieces = [*LETTERS, *(f" {digit}" for digit in range(10)), "<s>", "</s>"]
    inner = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, "<s>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(" [0-9]|[\\s\\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


FORMATS: list[Callable[[], ArcFormat]] = [
    CanvasFormat,
    lambda: CanvasFormat("1d"),
    lambda: DigitsFormat(Letters()),
    lambda: DigitsFormat(words()),
]
both = pytest.mark.parametrize(
    "form", [make() for make in FORMATS], ids=["canvas", "1d", "abc", "real"]
)


@both
@given(task=tasks(side=8))
def test_the_answer_is_read_back(form: ArcFormat, task: Task) -> None:
    prompt, example = form.prompt(task), form.example(task)
    answer = example.ids[len(prompt) :].tolist()
    assert answer[-1] == form.stop and form.stop not in answer[:-1]
    assert same(form.parse(answer), task.test[0].output)
    assert same(form.parse([*answer, *answer]), task.test[0].output)
    assert form.parse(answer[:-1]) is None


@both
@given(cells=grids())
def test_grids_of_every_size_are_read_back(form: ArcFormat, cells: Grid) -> None:
    task = Task("abc", (), (Pair(cells, cells),))
    answer = form.example(task).ids[len(form.prompt(task)) :].tolist()
    assert same(form.parse(answer), cells)


@both
@given(task=tasks())
def test_training_and_generation_see_the_same_prompt(form: ArcFormat, task: Task) -> None:
    prompt = form.prompt(task.without_answers())
    for every_output in (False, True):
        example = form.example(task, every_output=every_output)
        assert (example.ids[: len(prompt)] == prompt.ids).all()
        assert (example.positions[: len(prompt)] == prompt.positions).all()
    assert prompt.counted == 0


@both
@given(task=tasks())
def test_the_cursor_walks_where_the_example_stands(form: ArcFormat, task: Task) -> None:
    prompt, example = form.prompt(task), form.example(task)
    cursor = form.cursor(prompt)
    walked = [cursor.advance(int(token)) for token in example.ids[len(prompt) :]]
    assert walked == example.positions[len(prompt) :].tolist()


@both
@given(task=tasks())
def test_labels_stand_on_answers_alone(form: ArcFormat, task: Task) -> None:
    prompt, example = form.prompt(task), form.example(task)
    counted = example.labels != IGNORED
    assert not counted[: len(prompt)].any() and counted[len(prompt) :].all()
    assert (example.labels[counted] == example.ids[counted]).all()
    assert example.counted == len(example) - len(prompt)


@both
@given(task=tasks(demos=(1, 4)))
def test_every_output_counts_the_demos_from_the_second_on(form: ArcFormat, task: Task) -> None:
    example = form.example(task, every_output=True)
    flags = np.concatenate([[False], example.labels != IGNORED])
    starts = np.flatnonzero(~flags[:-1] & flags[1:])
    assert len(starts) == len(task.train)  # the demos but the first, and the answer
    for start, pair in zip(starts, [*task.train[1:], task.test[0]], strict=True):
        end = start + int(np.argmin(np.append(flags[start + 1 :], False)))
        tokens = [t for t in example.ids[start:end].tolist() if t != form.stop]
        assert same(form.parse([*tokens, form.stop]), pair.output)


@both
def test_what_has_no_output_cannot_be_shown(form: ArcFormat) -> None:
    cells = grid([[1]])
    with pytest.raises(BadInput, match="task abc has no answer to train on"):
        form.example(Task("abc", (Pair(cells, cells),), (Pair(cells),)))
    with pytest.raises(BadInput, match="task abc: demo 0 has no output"):
        form.prompt(Task("abc", (Pair(cells),), (Pair(cells),)))


@both
def test_real_tasks(form: ArcFormat, arc_data: Path) -> None:
    for task in read_tasks(arc_data / "training" / "arc1")[:20]:
        prompt, example = form.prompt(task), form.example(task)
        assert same(form.parse(example.ids[len(prompt) :].tolist()), task.test[0].output)


def test_the_canvas_spelled_out() -> None:
    cells = grid([[1, 2]])
    example = CanvasFormat().example(Task("abc", (), (Pair(cells, grid([[3]])),)))
    assert example.ids.tolist() == [INPUT, 1, 2, ROW, END, OUTPUT, 3, ROW, END]
    out = 4096
    assert example.positions.tolist() == [0, 64, 65, 66, 128, out, out + 64, out + 65, out + 128]


@given(task=tasks())
def test_a_cell_and_its_answer_are_a_canvas_apart(task: Task) -> None:
    pair = Pair(task.test[0].input, task.test[0].input)
    example = CanvasFormat().example(Task("abc", task.train, (pair,)))
    opening = int(np.flatnonzero(example.ids == OUTPUT)[-1])
    length = len(example) - opening
    assert (
        example.positions[opening:] - example.positions[opening - length : opening] == 4096
    ).all()


@pytest.mark.parametrize(
    "tokens",
    [
        *([], [END], [1, ROW], [1, END], [ROW, END], [1, ROW, 1, 2, ROW, END], [1, ROW, 2, END]),
        *([1, PAD, ROW, END], [1, OUTPUT, ROW, END], [1, ROW] * 31 + [END], [-1, ROW, END]),
        *([*[1] * 31, ROW, END], [VOCABULARY + 5, ROW, END]),
    ],
)
def test_canvas_tokens_that_are_no_grid(tokens: list[int]) -> None:
    assert CanvasFormat().parse(tokens) is None


def test_a_cursor_gone_astray_stays_on_its_canvas() -> None:
    cursor = CanvasFormat().cursor(CanvasFormat().prompt(Task("abc", (), (Pair(grid([[1]])),))))
    wild = [cursor.advance(ROW) for _ in range(100)] + [cursor.advance(1) for _ in range(5000)]
    assert min(wild) >= 4096 and max(wild) < 2 * 4096


def test_counted_positions_count(tmp_path: Path) -> None:
    task = Task("abc", (Pair(grid([[1, 2]]), grid([[3]])),), (Pair(grid([[4]])),))
    form = CanvasFormat("1d")
    prompt = form.prompt(task)
    assert prompt.ids.tolist() == CanvasFormat().prompt(task).ids.tolist()
    cursor = form.cursor(prompt)
    written = [cursor.advance(token) for token in (1, ROW, END)]
    assert [*prompt.positions, *written] == list(range(len(prompt) + 3))


@given(task=tasks(side=6), seed=st.integers(0, 2**32))
def test_without_demos_the_look_is_spelled_out(task: Task, seed: int) -> None:
    form = CanvasFormat(mode="pair")
    seen = random_augmentation(Random(seed), len(task.train), keep_zero=False).apply(task)
    prompt, example = form.prompt(seen), form.example(seen)
    assert prompt.ids[0] == TASK and prompt.ids[12] == INPUT
    turn, new = symmetry(SYMMETRIES[prompt.ids[1]]), colours(prompt.ids[2:12].tolist())
    assert same(new.grid(turn.grid(task.test[0].input)), seen.test[0].input)
    assert example.ids[: len(prompt)].tolist() == prompt.ids.tolist()
    assert (example.labels[: len(prompt)] == IGNORED).all()
    assert same(form.parse(example.ids[len(prompt) :].tolist()), seen.test[0].output)
    cursor = form.cursor(prompt)
    walked = [cursor.advance(int(token)) for token in example.ids[len(prompt) :]]
    assert walked == example.positions[len(prompt) :].tolist()
    assert len(set(example.positions.tolist())) == len(example)


def test_without_demos_none_are_read() -> None:
    one, two = Pair(grid([[1]]), grid([[2]])), Pair(grid([[3, 4]]), grid([[5]]))
    form = CanvasFormat(mode="pair")
    found = [form.example(Task("abc", demos, (two,))) for demos in ((), (one,), (one, two))]
    assert all(np.array_equal(found[0].ids, other.ids) for other in found[1:])
    assert all(np.array_equal(found[0].positions, other.positions) for other in found[1:])


def test_a_look_is_made_of_turns_and_colours_whatever_else_was_done() -> None:
    task = Task("abc", (), (Pair(grid([[1, 2]]), grid([[2, 1]])),))
    twice = symmetry("rot90").apply(colours([0, 2, 1, 3, 4, 5, 6, 7, 8, 9]).apply(task))
    assert twice.look == "colours:0213456789+rot90"
    again = symmetry("rot270").apply(twice)
    prompt = CanvasFormat(mode="pair").prompt(again)
    assert prompt.ids[:12].tolist() == [TASK, 0, 0, 2, 1, *range(3, 10)]


def test_canvas_tokens_are_shown_by_name() -> None:
    shown = [CanvasFormat().show(token) for token in (0, 9, ROW, INPUT, OUTPUT, END, PAD, 99)]
    assert shown == ["0", "9", "<row>", "<input>", "<output>", "<end>", "<pad>", "<99>"]


def test_the_digits_spelled_out() -> None:
    one, two = grid([[1, 2], [3, 4]]), grid([[5]])
    form = DigitsFormat(Letters())
    example = form.example(Task("abc", (Pair(one, two),), (Pair(two, one),)))
    assert form.tokenizer.decode(example.ids[:-1].tolist()) == (
        "Example 1\nInput:\n1 2\n3 4\nOutput:\n5\n\nTest\nInput:\n5\nOutput:\n1 2\n3 4"
    )
    assert example.positions.tolist() == list(range(len(example)))


def test_bos_comes_first_where_there_is_one() -> None:
    tokenizer = words()
    prompt = DigitsFormat(tokenizer).prompt(Task("abc", (), (Pair(grid([[1]])),)))
    assert prompt.ids[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in prompt.ids[1:]


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = Letters()
    tokenizer.eos_token_id = None
    with pytest.raises(BadInput, match="no end-of-sequence token"):
        DigitsFormat(tokenizer)


@pytest.mark.parametrize("text", ["1 2\n3 4", " 1 2 \n3 4\n\n", "\n\t1  2\r\n3 4"])
def test_blanks_around_digits_do_no_harm(text: str) -> None:
    assert same(parse_grid(text), grid([[1, 2], [3, 4]]))


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "12\n34", "1 2\n3", "1 2\n\n3 4", "1 a", "1 10", "-1", "1,2", "\u0663"),
        *("Output:\n1 2", "1 2\nTest", " ".join("1" * 31), "\n".join("1" * 31)),
    ],
)
def test_text_that_is_no_grid(text: str) -> None:
    assert parse_grid(text) is None


def test_the_folder_says_which_format_it_reads(tmp_path: Path) -> None:
    def never() -> Letters:
        raise AssertionError("the canvas needs no tokenizer")

    assert isinstance(format_of(tmp_path, Letters), DigitsFormat)
    write_json(tmp_path / "arc_format.json", {"format": "digits"})
    assert isinstance(format_of(tmp_path, Letters), DigitsFormat)
    write_json(tmp_path / "arc_format.json", {"format": "canvas", "max_tokens": 8192})
    assert isinstance(format_of(tmp_path, never), CanvasFormat)


def test_the_folder_says_how_positions_are_given(tmp_path: Path) -> None:
    found = []
    for more in ({}, {"positions": "2d"}, {"positions": "1d", "mode": "pair"}):
        write_json(tmp_path / "arc_format.json", {"format": "canvas", **more})
        form = format_of(tmp_path, Letters)
        assert isinstance(form, CanvasFormat)
        found.append((form.positions, form.mode))
    assert found == [("2d", "in_context"), ("2d", "in_context"), ("1d", "pair")]
    write_json(tmp_path / "arc_format.json", {"format": "canvas", "positions": "3d"})
    with pytest.raises(Damaged, match=r"names the positions '3d'; there are: 2d, 1d"):
        format_of(tmp_path, Letters)
    with pytest.raises(BadInput, match=r"positions is '3d'; there are: 2d, 1d"):
        CanvasFormat("3d")


@pytest.mark.parametrize("content", [{"format": "canvass"}, {}, [], {"format": ["canvas"]}])
def test_an_unknown_format_is_refused(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "arc_format.json", content)
    with pytest.raises(Damaged, match=r"arc_format.json names the format .*; there are: canvas"):
        format_of(tmp_path, Letters)
