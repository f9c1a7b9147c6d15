"""The data sets of CT3's knowledge base, by the names that CT3 gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kb.hub import HubSet
from kb.rows import Sample, form_of
from kb.schemas import COQA, INSTRUCTION, MBPP, METAMATH, ORCA_MATH, THE_STACK, Schema


@dataclass(frozen=True)
class NamedSet:
    """Where a named data set is found, and how its rows are read."""

    schema: Schema
    hub: HubSet | None = None
    local: Path | None = None  # the file to read where the user names none
    sample: Sample | None = None  # drawn where the user asks for no count

    def files(self, place: Path) -> list[Path]:
        """The files of a local copy: one file, or those of a folder laid out like the repository
        on the hub; of these only the ones with `train` in their paths, if there are any."""
        if place.is_file():
            return [place]
        inside = (self.hub.data_dir or self.hub.config or "") if self.hub else ""
        folder = place / inside if (place / inside).is_dir() else place
        found = sorted(file for file in folder.rglob("*") if file.is_file() and form_of(file))
        return [file for file in found if "train" in file.relative_to(folder).as_posix()] or found


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
