"""Measures bits per byte of texts before and after test-time training on different samples.

    python eval/bpb_eval.py --model_path runs/text/base --data data/gsm8k_test.jsonl \\
        --knowledge_base_path runs/half_b --beside runs/tuned --output_path runs/bits

For each text an adapter is trained on `--neighbours` samples: those nearest to its question, those
that SIFT selects, or as many random ones (`--ways`). Steps, rates and first values are the same.
`--beside` measures other bases without adaptation, such as this one after fine-tuning. Every text
is on disk as soon as it is measured; a run that is started again skips it. Prints a table and
writes results.json and bits.svg.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import BaseSettings, TrainingSettings, noise_option
from hone.errors import BadInput, NotThere, run_command
from hone.settings import option, read_settings, was_given

WAYS = ("nearest", "sift", "random")


@dataclass(frozen=True)
class BpbSettings(BaseSettings, TrainingSettings):
    """The evaluation."""

    data: Path | None = option(None, "file of texts to measure, questions with answers")
    knowledge_base_path: Path | None = option(None, "knowledge base that samples come from")
    embedder: str = option("auto", "embedder of the questions; auto: minilm (or a path, or hub id)")
    neighbours: tuple[int, ...] = option(
        (1, 2, 5, 10, 20, 50), "numbers of samples to train on", low=1, high=1000
    )
    ways: tuple[str, ...] = option(WAYS, "how samples are chosen", choices=WAYS)
    sift_noise: float = noise_option()
    beside: tuple[Path, ...] = option((), "folders of other bases to measure without adaptation")
    limit: int = option(0, "number of texts, from the first; 0: all", low=0)
    output_path: Path = option(
        Path("runs/bits"), "folder for results.json, bits.svg, and a line for every text"
    )
    loss_on: str = option(
        "all",
        "part of a sample to train on: all of it, or its answer only (answer, outputs)",
        choices=("outputs", "answer", "all"),
    )
    num_epochs: int = option(1, "how often every sample is trained on", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(BpbSettings, argv, env_prefix="HONE_BPB_", description=__doc__ or "")
    refuse_unusable(settings)
    from eval.bits_run import run

    run(settings)
    return 0


def refuse_unusable(settings: BpbSettings) -> None:
    from hone.files import check_writable

    if settings.data is None:
        raise BadInput("no --data; name a file of texts to measure")
    if settings.knowledge_base_path is None:
        raise BadInput("no --knowledge_base_path; build one with kb/build_kb.py, of other texts")
    if was_given(settings, "num_ttt_samples"):
        raise BadInput("--num_ttt_samples has no effect here; give --neighbours instead")
    _check_beside(settings.beside)
    check_writable(settings.output_path, "--output_path")


def _check_beside(folders: Sequence[Path]) -> None:
    """Refuses folders in --beside before the hours of training that come first."""
    from eval.text_bits import name_of

    names = [name_of(folder) for folder in folders]
    for folder, name in zip(folders, names, strict=True):
        if not (folder / "config.json").is_file():
            raise NotThere(f"--beside {folder} is not a base's folder; check the path")
        if name in (*WAYS, "base") or names.count(name) > 1:
            raise BadInput(f"--beside {folder}: the name {name} is taken; rename the folder")


if __name__ == "__main__":
    run_command(main)
