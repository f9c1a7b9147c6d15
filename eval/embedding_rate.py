"""Measures how fast the builder embeds texts, beside plain encode() with the same model and texts.

    python eval/embedding_rate.py --texts data/gsm8k.jsonl --count 1024

The builder is timed with all that it does: reading, looking for duplicates, embedding, writing and
indexing. encode() is timed at several batch sizes, of which the fastest counts. Both take turns,
and the median of their rounds is used. Loading the model is not timed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from models.embedder import Embedder


@dataclass(frozen=True)
class RateSettings:
    texts: str = option("", "a data set of texts, named as for kb/build_kb.py")
    count: int = option(1024, "number of its texts to embed", low=1)
    batch_sizes: tuple[int, ...] = option((8, 16, 32, 64, 128), "batch sizes of encode()", low=1)
    rounds: int = option(3, "how often each side is timed", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(RateSettings, argv, env_prefix="HONE_RATE_", description=__doc__ or "")
    print(json.dumps(measured(settings)))
    return 0


def measured(settings: RateSettings) -> dict[str, Any]:
    from models.text_embedder import TextEmbedder

    texts = _texts(settings)
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "texts.jsonl"
        rows.write_text("\n".join(json.dumps({"text": text}) for text in texts))
        sides = _bare(texts, settings.batch_sizes)
        sides["builder"] = partial(_build, TextEmbedder(), rows)
        seconds = {name: list[float]() for name in sides}
        for _ in range(settings.rounds):
            for name, run in sides.items():
                seconds[name].append(_timed(run))
    rates = {name: len(texts) / statistics.median(taken) for name, taken in seconds.items()}
    builder = rates.pop("builder")
    best = max(rates, key=lambda name: rates[name])
    return {
        "bench": "embedding_rate",
        "texts": len(texts),
        "bare_texts_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "builder_texts_per_s": round(builder, 1),
        "best_batch_size": int(best),
        "ratio": round(builder / rates[best], 3),
    }


def _texts(settings: RateSettings) -> list[str]:
    """The first prompts of the data set without duplicates, since the builder leaves these out."""
    from kb.intake import Intake
    from kb.left_out import Report
    from kb.near_duplicates import NearDuplicates
    from kb.sources import find_datasets

    if not settings.texts:
        raise BadInput("no texts; name a data set with --texts")
    datasets = find_datasets([settings.texts])
    if datasets[0].kind != "text":
        raise BadInput(f"{settings.texts} is {datasets[0].kind}; texts were expected")
    taken = Intake(Report(), near=NearDuplicates()).taken(None, datasets)
    return [one.record.prompt for one in islice(taken, settings.count)]


def _bare(texts: list[str], batch_sizes: Sequence[int]) -> dict[str, Callable[[], object]]:
    from sentence_transformers import SentenceTransformer

    from models.text_embedder import packaged_folder

    encode = SentenceTransformer(str(packaged_folder()), device="cpu").encode
    told = {"normalize_embeddings": True, "show_progress_bar": False}
    return {str(n): partial(encode, texts, batch_size=n, **told) for n in batch_sizes}


def _build(embedder: Embedder, rows: Path) -> None:
    from kb.build_kb import BuildSettings
    from kb.job import Job
    from kb.keeping import Keeping
    from kb.sources import find_datasets

    with TemporaryDirectory() as folder:
        Job(
            kind="text",
            embedder=embedder,
            existing=None,
            datasets=find_datasets([str(rows)]),
            schema=None,
            exclude=(),
            tests=None,
            keep_near_duplicates=False,
            at_once=BuildSettings().batch_size,
            folder=Path(folder) / "partial",
            keeping=Keeping("flat"),
        ).run()


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_command(main)
