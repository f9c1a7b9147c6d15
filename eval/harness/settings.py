"""The settings that the harnesses share, and the client's settings made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from client.settings import (
    BaseSettings,
    PresetSettings,
    RetrievalSettings,
    ReuseSettings,
    Settings,
    TrainingSettings,
)
from eval.harness.sides import SIDES
from hone.errors import BadInput
from hone.settings import option, was_given


@dataclass(frozen=True)
class HarnessSettings(
    PresetSettings, BaseSettings, TrainingSettings, RetrievalSettings, ReuseSettings
):
    """The evaluation."""

    output_path: Path = option(
        Path("runs/harness"),
        "folder for results.json, and answers.jsonl with a line for every answer",
    )
    ttt: bool = option(False, "train an adapter for each document before answering it")
    controls: tuple[str, ...] = option(
        (),
        "sides to compare with: base, retrieval (samples in the prompt), ttt, both, format (an"
        " adapter that learned how answers look); all",
        choices=(*SIDES, "all"),
    )
    limit: int = option(0, "number of documents, from the first in the order; 0: all", low=0)
    order: str = option(
        "natural",
        "order of the documents, on which depends what kept adapters can be reused for",
        choices=("natural", "shuffled"),
    )
    samples_in_prompt: int = option(
        4,
        "retrieved samples before the question on the sides retrieval and both, if they fit",
        low=1,
    )
    keep_contaminated: bool = option(
        False, "use retrieved samples although they give a test question away"
    )

    @staticmethod
    def usual_preset(given: Mapping[str, Any]) -> str:
        return "ct3"

    @property
    def sides(self) -> list[str]:
        """The sides to evaluate: ttt or base, by --ttt, and the controls, in their usual order."""
        wanted = {"ttt" if self.ttt else "base", *self.controls}
        return [name for name in SIDES if name in wanted or "all" in wanted]


def client_settings(settings: HarnessSettings, **changes: Any) -> Settings:
    """The client's settings. Unless a folder is named, kept adapters stay in the run's own folder,
    one per order: those of an earlier run or of the other order would answer what is to be
    measured."""
    chosen = shared_with_client(settings) | changes
    if not was_given(settings, "local_adapter_manager_dir"):
        chosen["local_adapter_manager_dir"] = settings.output_path / "adapters" / settings.order
    return Settings(**chosen)


def shared_with_client(settings: Any) -> dict[str, Any]:
    """The settings of a command that the client has too, by name."""
    shared = {field.name for field in fields(Settings)} & {field.name for field in fields(settings)}
    return {name: getattr(settings, name) for name in shared}


def check_retrieval(settings: HarnessSettings) -> None:
    """Refuses sides that need retrieved samples when none are to be retrieved."""
    if settings.num_ttt_samples == 0 and settings.sides != ["base"]:
        raise BadInput(
            f"--num_ttt_samples is 0, and {', '.join(settings.sides)} need retrieved samples;"
            " give a number above 0"
        )
