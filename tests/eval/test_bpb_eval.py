"""Bits per byte: exact, over every byte; ways that differ in nothing but the samples; resumable."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_bases import RECORDS, write_text_base

from client.opening import open_adaptation
from client.settings import Settings
from eval.bits_run import Stream, read_texts
from eval.bits_table import Side, summarize, table
from eval.bpb_eval import WAYS, main
from eval.drawn_at_random import DrawnAtRandom
from eval.harness.intervals import ratio_interval
from eval.text_bits import Cost, StreamFormat, Text, bits_of, name_of
from hone.errors import BadInput, HoneError
from kb.decontamination import TextTests
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from models.base import load_base

torch.set_num_threads(1)
TEXTS = [
    Text("what colour has the sky today ?", "blue"),
    Text("of which colour are 2 roses ?", "red\nor naïve 𝄞"),
    Text("one line only", ""),
]
LEARNING: dict[str, Any] = {"num_epochs": 1, "learning_rate": 1e-2, "lora_rank": 4, "k": 2}


@pytest.fixture(scope="module")
def byte_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama that reads bytes, as models/train_base.py writes it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from models.training.bytes_alphabet import END, START, bytes_tokenizer

    folder = tmp_path_factory.mktemp("bases") / "bytes"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=96,
        bos_token_id=START,
        eos_token_id=END,
    )
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data.mul_(40)  # sure of itself: no two bytes cost about the same
    model.save_pretrained(folder)
    bytes_tokenizer(96).save_pretrained(folder)
    return folder


def directly(model: Any, ids: list[int], first: int) -> float:
    """Bits of the tokens from `first` on, from transformers' own logits, in fp64."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    said = torch.log_softmax(logits, -1)
    return -sum(float(said[i - 1, ids[i]]) for i in range(first, len(ids))) / math.log(2)


def test_bits_are_those_of_every_byte_and_no_more(byte_base: Path) -> None:
    base = load_base(byte_base, dtype="fp32")
    costs = bits_of(base, StreamFormat(base.tokenizer), TEXTS, None)
    for text, cost in zip(TEXTS, costs, strict=True):
        spelled, answer = f"{text.prompt}\n{text.answer}".encode(), text.answer.encode()
        ids = [256, *spelled]
        assert (cost.bytes, cost.answer_bytes) == (len(spelled), len(answer))
        assert cost.bits == pytest.approx(directly(base.model, ids, 1), rel=1e-5)
        alone = directly(base.model, ids, len(ids) - len(answer))
        assert cost.answer_bits == pytest.approx(alone, rel=1e-5)


def test_a_model_that_knows_nothing_pays_the_same_for_every_byte(byte_base: Path) -> None:
    base = load_base(byte_base, dtype="fp32")
    base.model.get_output_embeddings().weight.zero_()
    for cost in bits_of(base, StreamFormat(base.tokenizer), TEXTS, None):
        assert cost.bits == pytest.approx(cost.bytes * math.log2(258), rel=1e-6)


def test_with_an_adapter_they_are_those_of_the_model_that_it_makes(
    byte_base: Path, text_kb: Path
) -> None:
    with opened(byte_base, text_kb) as stream:
        (adapted,) = stream.on("nearest", 2).adaptation.adapt([TEXTS[0].prompt], stream._items_of)
        assert adapted.adapter is not None
        before, after = (
            bits_of(stream.base, stream.format, TEXTS[:1], adapter)[0].bits
            for adapter in (None, adapted.adapter)
        )
    model = load_base(byte_base, dtype="fp32").model
    for name, (a, b) in adapted.adapter.tensors.items():
        model.get_submodule(name).weight += adapted.adapter.scale * b @ a
    ids = [256, *f"{TEXTS[0].prompt}\n{TEXTS[0].answer}".encode()]
    assert after == pytest.approx(directly(model, ids, 1), rel=1e-5) != pytest.approx(before)


def test_without_a_token_to_begin_with_the_first_token_is_predicted_too(tmp_path: Path) -> None:
    base = load_base(write_text_base(tmp_path / "text", chat=True), dtype="fp32")
    assert base.tokenizer is not None
    base.tokenizer.bos_token = None
    (cost,) = bits_of(base, form := StreamFormat(base.tokenizer), TEXTS[:1], None)
    ids = form.example(TEXTS[0].prompt, TEXTS[0].answer).ids[:-1].tolist()
    assert ids[0] == form.stop and "<user>" not in form.text(ids)
    assert cost.bits == pytest.approx(directly(base.model, ids, 1), rel=1e-5)


def opened(base: Path, kb: Path, texts: list[Text] = TEXTS) -> Any:
    """As a context: a stream over the knowledge base."""
    settings = Settings(
        model_path=str(base), dtype="fp32", knowledge_base_path=kb, loss_on="all", **LEARNING
    )
    questions = [text.prompt for text in texts]
    return _Opened(settings, TextTests.of("texts", questions))


class _Opened:
    def __init__(self, settings: Settings, tests: TextTests) -> None:
        self.adaptation, self.tests = open_adaptation(settings, "text"), tests

    def __enter__(self) -> Stream:
        return Stream(self.adaptation.__enter__(), self.tests, "")

    def __exit__(self, *exc: object) -> None:
        self.adaptation.__exit__(*exc)


def test_ways_differ_in_nothing_but_what_is_trained_on(byte_base: Path, text_kb: Path) -> None:
    query = TEXTS[0].prompt
    with opened(byte_base, text_kb) as stream:
        jobs = {}
        for way in ("nearest", "sift", "random"):
            own = stream.on(way, 3)
            ((_, jobs[way]),) = own.adaptation.plan([query], own._items_of)
        found = stream.adaptation.embedder.embed([query])
        near = stream.adaptation.retriever.search(found, 3, method="faiss")[0]
    plain = [replace(job, items=()) for job in jobs.values()]
    assert plain[0] == plain[1] == plain[2]
    assert plain[0].steps == 3 and not plain[0].shuffle
    names = {way: [item.name for item in job.items] for way, job in jobs.items()}
    assert names["nearest"] == [f"{hit.source}#{hit.id}" for hit in near]
    assert {len(own) for own in names.values()} == {3} and names["random"] != names["nearest"]
    by_name = {item.name: item for job in jobs.values() for item in job.items}
    for job in jobs.values():  # a sample is the same item whoever chose it
        for item in job.items:
            assert np.array_equal(item.encoded.ids, by_name[item.name].encoded.ids)
            assert item.encoded.counted == len(item.encoded) and item.weight == 1


def test_a_way_has_a_name_of_its_own_for_what_it_measures(byte_base: Path, text_kb: Path) -> None:
    with opened(byte_base, text_kb) as stream:
        hows = [stream.on(way, n).how for way in ("nearest", "sift", "random") for n in (1, 2)]
        assert len({*hows}) == 6 and stream.on("sift", 2).how == hows[3]
        noisy = replace(stream.adaptation.settings, sift_noise=1.0)
        other = Stream(replace(stream.adaptation, settings=noisy), stream.tests, "")
        same = [other.on(way, 1).how == stream.on(way, 1).how for way in WAYS]
        assert dict(zip(WAYS, same, strict=True)) == {
            "nearest": True,
            "sift": False,
            "random": True,
        }


def test_noise_is_what_sift_takes_it_to_be() -> None:
    from client.settings import RetrievalSettings
    from eval.bpb_eval import BpbSettings
    from kb.selection import LEAST_NOISE, MOST_NOISE, NOISE

    for settings in (RetrievalSettings, BpbSettings):
        field = settings.__dataclass_fields__["sift_noise"]
        ends = field.metadata["low"], field.metadata["high"]
        assert (field.default, ends) == (NOISE, (LEAST_NOISE, MOST_NOISE))


def test_records_are_drawn_alike_often_and_longer_lists_begin_as_shorter_ones(
    text_kb: Path,
) -> None:
    with_store = KnowledgeBase.open(text_kb)
    drawing = DrawnAtRandom(with_store, seed=3)
    vectors = np.random.default_rng(0).standard_normal((200, 384)).astype(np.float32)
    drawn = [[hit.id for hit in hits] for hits in drawing.search(vectors, 3)]
    shorter = [[hit.id for hit in hits] for hits in drawing.search(vectors, 2)]
    assert [own[:2] for own in drawn] == shorter and all(len({*own}) == 3 for own in drawn)
    counts = Counter(own[0] for own in drawn)
    assert set(counts) == {*range(5)} and max(counts.values()) < 70
    other = [[hit.id for hit in hits] for hits in DrawnAtRandom(with_store, 4).search(vectors, 3)]
    assert other != drawn
    near = LocalRetriever(with_store).search(vectors[:1], 5, method="faiss")[0]
    scores = {hit.id: hit.score for hit in near}
    for hit in drawing.search(vectors[:1], 5)[0]:
        assert hit.score == pytest.approx(scores[hit.id], abs=1e-5)
    with pytest.raises(BadInput, match="drawn from all sources"):
        drawing.search(vectors, 2, sources=["colours"])
    drawing.close()


def test_a_sample_that_gives_a_text_away_is_not_trained_on(byte_base: Path, text_kb: Path) -> None:
    given_away = [*TEXTS, Text(RECORDS[0]["question"], "?")]
    with opened(byte_base, text_kb, given_away) as stream:
        own = stream.on("nearest", 5)
        ((adapted, job),) = own.adaptation.plan([RECORDS[0]["question"]], own._items_of)
        assert adapted.trace["items_withheld"] == 1 and job is not None and len(job.items) == 4


def write_texts(path: Path) -> Path:
    rows = [{"question": text.prompt, "answer": text.answer} for text in TEXTS[:2]]
    rows.append({"question": "far too long for it " * 10, "answer": "x"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(base: Path, kb: Path, folder: Path, *more: object) -> list[str]:
    learning = [f"--{name}={value}" for name, value in LEARNING.items()]
    data = folder.parent / "texts.jsonl"
    given = ["--model_path", base, "--knowledge_base_path", kb, "--data", write_texts(data)]
    given += ["--dtype", "fp32", "--output_path", folder, "--neighbours", 1, 2, *more]
    return [*learning, *map(str, given)]


@pytest.fixture(scope="module")
def straight(byte_base: Path, text_kb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run."""
    folder = tmp_path_factory.mktemp("bits") / "run"
    assert main(words(byte_base, text_kb, folder, "--beside", byte_base)) == 0
    return folder


def results_of(folder: Path) -> Any:
    results = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in results.items() if name != "settings"}


def test_a_run_tells_every_side_and_draws_them(straight: Path, byte_base: Path) -> None:
    results = results_of(straight)
    sides = [(row["side"], row["neighbours"]) for row in results["rows"]]
    ways = [(way, n) for way in ("nearest", "sift", "random") for n in (1, 2)]
    assert sides == [("base", 0), *ways, ("bytes", 0)] and results["too_long"] == 1
    base, *trained, beside = results["rows"]
    assert beside["text"]["bits_per_byte"] == base["text"]["bits_per_byte"]
    assert beside["text"]["ci95"] == [0, 0] and beside["items"] == base["items"] == 0
    assert [row["items"] for row in trained] == [1, 2] * 3
    assert all(row["text"]["ratio"] < 1 for row in trained), "training on text lowers its cost"
    assert set(trained[2]["against"]) == {"nearest", "random", "bytes"} and not base["against"]
    told = trained[2]["against"]["bytes"]["difference"]
    assert told == pytest.approx(trained[2]["text"]["difference"]), "bytes is the base again"
    picture = (straight / "bits.svg").read_text()
    assert picture.startswith("<svg") and "nearest" in picture and "bits a byte" in picture
    loaded = load_base(byte_base, dtype="fp32")
    costs = bits_of(loaded, StreamFormat(loaded.tokenizer), TEXTS[:2], None)
    right = sum(cost.bits for cost in costs) / sum(cost.bytes for cost in costs)
    assert base["text"]["bits_per_byte"] == pytest.approx(right)


def test_a_run_that_was_cut_short_goes_on(
    straight: Path, byte_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    left = 5

    def until_killed(self: Stream, texts: list[Text]) -> Iterator[Any]:
        nonlocal left
        for one in measured(self, texts):
            yield one
            left -= 1
            if not left:
                raise KeyboardInterrupt

    measured = Stream.measured
    argv = words(byte_base, text_kb, tmp_path / "run", "--beside", byte_base)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stream, "measured", until_killed)
        with pytest.raises(KeyboardInterrupt):
            main(argv)
    assert not (tmp_path / "run" / "results.json").exists()
    before = (tmp_path / "run" / "bits.jsonl").read_text().splitlines()
    assert len(before) == 2 + 5
    assert main(argv) == 0
    assert (tmp_path / "run" / "bits.jsonl").read_text().splitlines()[:7] == before
    rows = zip(results_of(tmp_path / "run")["rows"], results_of(straight)["rows"], strict=True)
    for ours, theirs in rows:
        for part in ("text", "answer"):
            assert ours[part]["bits_per_byte"] == pytest.approx(
                theirs[part]["bits_per_byte"], rel=1e-4
            )
    lines = (tmp_path / "run" / "bits.jsonl").read_text()
    assert main(argv) == 0
    assert (tmp_path / "run" / "bits.jsonl").read_text() == lines, "measured twice"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--num_ttt_samples", 3], "--num_ttt_samples has no effect here"),
        (["--data", "nowhere.jsonl"], "no data set 'nowhere.jsonl'"),
        (["--beside", "nowhere"], "--beside nowhere is not a base's folder"),
        (["--max_len", 16], "none of the texts fits into the base's 16 tokens"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    byte_base: Path, text_kb: Path, tmp_path: Path, more: list[object], message: str
) -> None:
    with pytest.raises(HoneError, match=message):
        main(words(byte_base, text_kb, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["--data", "--knowledge_base_path"])
def test_what_is_missing_is_named(
    byte_base: Path, text_kb: Path, tmp_path: Path, name: str
) -> None:
    given = words(byte_base, text_kb, tmp_path / "run")
    at = given.index(name)
    with pytest.raises(BadInput, match=f"no {name}"):
        main(given[:at] + given[at + 2 :])


def test_rates_are_of_all_bytes_and_differences_of_the_same_texts() -> None:
    base = [Cost(80.0, 10, 40.0, 5), Cost(20.0, 10, 10.0, 5)]
    ours = [Cost(40.0, 10, 20.0, 5), Cost(10.0, 10, 5.0, 5)]
    told, better = summarize({Side("base"): base, Side("nearest", 2): ours})
    assert told["text"] == {"bits_per_byte": 5.0}
    assert better["text"]["bits_per_byte"] == 2.5 and better["text"]["ratio"] == 0.5
    assert better["text"]["difference"] == -2.5
    low, high = better["text"]["ci95"]
    assert low == pytest.approx(-4) and high == pytest.approx(-1)
    assert (
        "| nearest | 2 | 2.5000 | 0.500 | -2.5000 (-4.0000 to -1.0000) |"
        in table([told, better])[-1]
    )


def test_the_interval_of_a_ratio_weighs_documents_by_their_length() -> None:
    assert ratio_interval([1.0] * 50, [2.0] * 50) == (0.5, 0.5)
    rng = np.random.default_rng(1)
    below = rng.integers(10, 1000, 400).astype(float)
    above = below * (1 + rng.normal(0, 0.1, 400))
    low, high = ratio_interval(above.tolist(), below.tolist())
    assert low < above.sum() / below.sum() < high and 0.01 < high - low < 0.04


def test_a_text_is_read_in_any_known_form(tmp_path: Path) -> None:
    path = tmp_path / "halves.jsonl"
    path.write_text(json.dumps({"prompt": "a", "completion": "b"}) + "\n")
    assert [asdict(text) for text in read_texts(path)] == [{"prompt": "a", "answer": "b"}]
    assert (name_of(Path("runs/tuned/base")), name_of(Path("models/qwen"))) == ("tuned", "qwen")
