"""A run of eval/bpb_eval.py: measures every text on every side, unless that is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from client.adaptation import Adaptation, Items
from client.opening import open_adaptation
from client.settings import Settings
from client.text_answerer import TextAnswerer
from eval.bits_table import Side, picture, summarize, table
from eval.drawn_at_random import DrawnAtRandom
from eval.harness.settings import shared_with_client
from eval.text_bits import Cost, StreamFormat, Text, bits_of, name_of
from hone.errors import BadInput
from hone.files import short_hash, write_json, write_text
from hone.journal import Journal
from hone.settings import as_plain
from kb.decontamination import TextTests
from kb.retriever import LocalRetriever
from kb.selection import NOISE
from models.base import Base, load_base

if TYPE_CHECKING:
    from client.adaptation import Adapted
    from eval.bpb_eval import BpbSettings
    from kb.wire import Hit


class Measured(NamedTuple):
    cost: Cost
    items: int = 0  # number of items trained on
    withheld: int = 0  # samples withheld because they give a question away


def run(settings: BpbSettings) -> dict[str, Any]:
    """Prints the table and returns what was written to results.json."""
    assert settings.data is not None
    texts = read_texts(settings.data)
    tests = TextTests.of(settings.data.name, [text.prompt for text in texts])
    with open_adaptation(Settings(**shared_with_client(settings)), "text") as adaptation:
        stream = Stream(adaptation, tests, short_hash(*(text.prompt for text in texts)))
        wanted = texts[: settings.limit or None]
        chosen = stream.fitting(wanted)
        measuring = Measuring(Journal(settings.output_path / "bits.jsonl"), chosen)
        sides = {Side("base"): measuring.as_it_is(adaptation.base, "base")}
        for way, many in product(settings.ways, settings.neighbours):
            sides[Side(way, many)] = measuring.trained(stream.on(way, many), Side(way, many))
    for folder in settings.beside:
        base = load_base(folder, dtype=settings.dtype, device=settings.device)
        sides[Side(name_of(folder))] = measuring.as_it_is(base, name_of(folder))
    return _written(settings, sides, left_out=len(wanted) - len(chosen))


def read_texts(path: Path) -> list[Text]:
    """Reads texts in any format that the builder of knowledge bases reads."""
    from kb.left_out import Report
    from kb.sources import find_datasets

    (dataset,) = find_datasets([str(path)])
    if dataset.kind != "text":
        raise BadInput(f"--data {path} holds ARC tasks; name a file of texts")
    records = (record for _, record in dataset.records(Report()))
    return [Text(record.prompt, record.answer) for record in records]


Measure = Callable[[Sequence[Text]], Iterator[tuple[int, Measured]]]


class Stream(TextAnswerer):
    """Adapts to texts and measures them."""

    def __init__(self, adaptation: Adaptation, tests: TextTests, name: str) -> None:
        """`name` stands for how samples are chosen and withheld, in the hash of a result."""
        super().__init__(adaptation, max_new_tokens=0)
        self.tests, self.name = tests, name
        self.format: StreamFormat = StreamFormat(self.base.tokenizer)

    def on(self, way: str, many: int) -> Stream:
        """The same, trained on `many` samples that are chosen in the way `way`."""
        ours = self.adaptation
        settings = replace(ours.settings, num_ttt_samples=many, only_faiss=way != "sift")
        if way != "sift":  # noise is for SIFT only: changing it does not invalidate other results
            settings = replace(settings, sift_noise=NOISE)
        retriever = ours.retriever
        if way == "random":
            assert isinstance(retriever, LocalRetriever)  # opened in this process
            retriever = DrawnAtRandom(retriever.store, settings.seed)
        varied = replace(ours, settings=settings, retriever=retriever)
        return Stream(varied, self.tests, short_hash(self.name, way))

    @property
    def how(self) -> str:
        """A hash of everything that shapes the cost of a text, except for the text."""
        return short_hash(self.name, asdict(self.adaptation.key))

    def fitting(self, texts: Sequence[Text]) -> list[Text]:
        kept = [text for text in texts if self.format.tokens(text) <= self.base.context]
        if not kept:
            raise BadInput(f"none of the texts fits into the base's {self.base.context} tokens")
        return kept

    def measured(self, texts: Sequence[Text]) -> Iterator[tuple[int, Measured]]:
        """Yields each text's index and result as soon as its adapter is ready."""
        questions = [text.prompt for text in texts]
        for i, own in self.adaptation.adapt_each(questions, self._items_of):
            yield i, self._measured(texts[i], own)

    def _measured(self, text: Text, own: Adapted) -> Measured:
        bounds = self.adaptation.layout.bounds
        (cost,) = bits_of(self.base, self.format, [text], own.adapter, bounds)
        return Measured(cost, own.trace["items"], own.trace["items_withheld"])

    def _items_of(self, text: int, hits: list[Hit]) -> Items:
        kept = self.tests.clean(hits)
        withheld = {hit.id for hit in hits} - {hit.id for hit in kept}
        return replace(self._items(kept), withheld=frozenset(withheld))


@dataclass(frozen=True)
class Measuring:
    journal: Journal
    texts: Sequence[Text]

    def as_it_is(self, base: Base, name: str) -> list[Measured]:
        form = StreamFormat(base.tokenizer)
        if (longest := max(map(form.tokens, self.texts))) > base.context:
            raise BadInput(
                f"{name} reads {base.context} tokens, the longest text has {longest}; leave it out"
                " of --beside, or long texts out of --data"
            )

        def measured(texts: Sequence[Text]) -> Iterator[tuple[int, Measured]]:
            for i, text in enumerate(texts):
                (cost,) = bits_of(base, form, [text], None)
                yield i, Measured(cost)

        return self._all(short_hash(base.fingerprint, base.context), name, measured)

    def trained(self, stream: Stream, side: Side) -> list[Measured]:
        return self._all(stream.how, str(side), stream.measured)

    def _all(self, how: str, name: str, measured: Measure) -> list[Measured]:
        """Results in the order of the texts; those that are not on disk are measured."""
        from tqdm import tqdm

        keys = [short_hash(how, *asdict(text).values()) for text in self.texts]
        missing = [i for i, key in enumerate(keys) if self.journal.find(key) is None]
        found = measured([self.texts[i] for i in missing]) if missing else ()
        for i, one in tqdm(found, name, total=len(missing), unit="text", disable=None):
            line = {"side": name, **one._asdict(), "cost": asdict(one.cost)}
            self.journal.add(keys[missing[i]], line)
        return [_of_line(self.journal.lines[key]) for key in keys]


def _of_line(line: dict[str, Any]) -> Measured:
    return Measured(Cost(**line["cost"]), line["items"], line["withheld"])


def _written(
    settings: BpbSettings, sides: dict[Side, list[Measured]], left_out: int
) -> dict[str, Any]:
    rows = summarize({side: [one.cost for one in own] for side, own in sides.items()})
    for row, own in zip(rows, sides.values(), strict=True):
        row["items"] = sum(one.items for one in own) / len(own)
        row["withheld"] = sum(one.withheld for one in own)
    results = {"bench": "bits", "rows": rows, "too_long": left_out, "settings": as_plain(settings)}
    write_json(settings.output_path / "results.json", results)
    write_text(settings.output_path / "bits.svg", picture(rows))
    print("\n".join(table(rows)))
    if left_out:
        print(f"{left_out} texts are longer than the base reads, and were left out")
    return results
