"""Tiny things that the tests of client and eval share: bases as folders, tasks, texts, a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arc.task import Task, task_from_json

Rows = list[list[int]]
COLOURS = {"rose": "red", "sky": "blue", "grass": "green", "snow": "white", "coal": "black"}
RECORDS = [
    {"question": f"what colour is the {thing} ?", "answer": colour}
    for thing, colour in COLOURS.items()
]
CHAT = (
    "{% for m in messages %}<user> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<bot> {% endif %}"
)


def write_canvas_base(folder: Path, context: int = 600) -> Path:
    """A two-layer random Llama that reads grids."""
    import torch
    from tiny_models import tiny_llama

    _sure_of_itself(tiny_llama(torch.float32)).save_pretrained(folder)
    form = {"format": "canvas", "max_tokens": context}
    (folder / "arc_format.json").write_text(json.dumps(form))
    return folder


def write_text_base(folder: Path, *, chat: bool = False, context: int = 64) -> Path:
    """A two-layer random Llama whose tokens are words, lines and digits."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = word_tokenizer(chat)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    _sure_of_itself(LlamaForCausalLM(config)).save_pretrained(folder)
    return folder


def _sure_of_itself(model):  # type: ignore[no-untyped-def]
    """A head large enough for adapters below it to say anything with."""
    model.get_output_embeddings().weight.data.mul_(40)
    return model


def word_tokenizer(chat: bool = False, longest: int | None = None):  # type: ignore[no-untyped-def]
    """A tokenizer as a model folder brings it; a word or a line end is a token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = " ".join(f"{r['question']} {r['answer']}" for r in RECORDS)
    words = [*dict.fromkeys(text.split()), *"0123456789", " ", "\n", "Example", "Test", ":"]
    special = ["<unk>", "<s>", "</s>", "<user>", "<bot>"]
    names = [*special, *words, "Input", "Output"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n| |[0-9]|:|[^\s0-9:]+"), "isolated")
    inner.decoder = decoders.Fuse()
    more = {} if longest is None else {"model_max_length": longest}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>", **more
    )
    if chat:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<user>", "<bot>"]})
        tokenizer.chat_template = CHAT
    return tokenizer


def byte_tokenizer():  # type: ignore[no-untyped-def]
    """A token is a byte: most characters beyond English take several."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(["<s>", "</s>", *letters])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def task_of_sides(sides: Sequence[tuple[int, int]], asked: tuple[int, int]) -> Task:
    """Demos of so many rows and columns before and after, then the question's."""

    def square(side: int, colour: int) -> Rows:
        return [[colour] * side for _ in range(side)]

    demos = [{"input": square(a, 0), "output": square(b, 0)} for a, b in sides]
    test = {"input": square(asked[0], 1), "output": square(asked[1], 0)}
    return task_from_json({"train": demos, "test": [test]}, "sides", "sides")


def small_task(name: str, colour: int = 1, demos: int = 3, tests: int = 1) -> Task:
    """Every grid becomes one cell: the rule that a tiny base can learn in a second."""
    pair = {"input": [[colour, 0], [0, colour]], "output": [[colour]]}
    others = [{"input": [[colour, i], [i, 0]], "output": [[colour]]} for i in range(demos)]
    asked = [{**pair, "input": [[colour, colour], [i, 0]]} for i in range(tests)]
    return task_from_json({"train": others, "test": asked}, name, name)


def write_tasks(folder: Path, tasks: Sequence[Task]) -> Path:
    from arc.task import task_to_json

    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        (folder / f"{task.id}.json").write_text(json.dumps(task_to_json(task)))
    return folder


def write_records(file: Path) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return file


@contextmanager
def serving(knowledge_base: Path) -> Iterator[str]:
    """The real server over a knowledge base, on a free port."""
    from server.app import create_app
    from server.server import ServerSettings

    with serving_app(create_app(ServerSettings(knowledge_base_path=knowledge_base))) as url:
        yield url


@contextmanager
def serving_app(app: Callable[..., Any]) -> Iterator[str]:
    """An app on a free port, by a thread of this process."""
    import uvicorn

    from hone.listening import listening_socket, url_of

    with listening_socket("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
