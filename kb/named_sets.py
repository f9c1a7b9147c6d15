"""The data sets of CT3's knowledge base by the names that it gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kb.hub import HubSet
from kb.rows import Sample
from kb.schemas import COQA, INSTRUCTION, MBPP, METAMATH, ORCA_MATH, THE_STACK, Schema


@dataclass(frozen=True)
class NamedSet:
    """Where it is found, and how its rows are read."""

    schema: Schema
    hub: HubSet | None = None
    local: Path | None = None  # the file that is read where no other is named
    sample: Sample | None = None  # what is drawn where no other count is asked for


_MATH_50K = Path("math_50k.json")
_ORCA = "microsoft/orca-math-word-problems-200k"
NAMED = {
    "EleutherAI/coqa": NamedSet(COQA, HubSet("EleutherAI/coqa")),
    "meta-math/MetaMathQA": NamedSet(METAMATH, HubSet("meta-math/MetaMathQA")),
    _ORCA: NamedSet(ORCA_MATH, HubSet(_ORCA)),
    "math_50k": NamedSet(INSTRUCTION, local=_MATH_50K),
    "bigcode/the-stack-python": NamedSet(
        THE_STACK,
        HubSet("bigcode/the-stack", data_dir="data/python"),
        sample=Sample(600_000, 42),
    ),
    "mbpp": NamedSet(MBPP, HubSet("google-research-datasets/mbpp", config="full")),
}


def training_files(folder: Path, files: list[Path]) -> list[Path]:
    """Of a local copy of a repository those of the training split, where names tell splits."""
    inside = {file: file.relative_to(folder).as_posix() for file in files}
    return [file for file in files if "train" in inside[file]] or files
