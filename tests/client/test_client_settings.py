"""Which preset a base and a query get by themselves, and what presets say."""

from __future__ import annotations

from pathlib import Path

import pytest

from arc.recipes import GROUPS
from client.client import ClientSettings
from client.settings import ArcSettings, Settings
from client.ttt_multi_lora import MultiLoraSettings
from hone.settings import grouped_fields, read_settings


@pytest.fixture
def grids(tmp_path: Path) -> Path:
    (tmp_path / "arc_format.json").write_text('{"format": "canvas"}')
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "preset"),
    [
        (["--model_path", "{grids}", "--task", "x.json"], "bundled"),
        (["--model_path", "{grids}/", "--query", "x"], "bundled"),
        (["--model", "words", "--task", "x.json"], "arc-seed"),
        (["--model_dir", "words", "--query", "x"], "ct3"),
        (["--model_path", "{grids}", "--task", "x", "--preset", "arc-seed"], "arc-seed"),
    ],
)
def test_the_base_and_the_query_choose_the_preset(
    grids: Path, argv: list[str], preset: str
) -> None:
    words = [word.format(grids=grids) for word in argv]
    found = read_settings(ClientSettings, words, env_prefix="HONE_X_", environ={})
    assert found.preset == preset
    assert found.lora_rank == {"bundled": 16, "arc-seed": 64, "ct3": 128}[preset]


def test_a_folder_of_tasks_is_of_tasks_too() -> None:
    argv = ["--model_path", "words", "--data_dir", "x"]
    found = read_settings(MultiLoraSettings, argv, env_prefix="HONE_X_", environ={})
    assert (found.preset, found.quantization) == ("arc-seed", "nf4")


def test_a_command_shows_its_own_flags_first() -> None:
    (_, own), *others = grouped_fields(ClientSettings)
    assert [field.name for field in own][:3] == ["query", "task", "ttt"]
    assert [title for title, _ in others][:2] == [
        "Presets",
        "The frozen base",
    ]


def test_every_group_of_augmentations_is_in_the_help() -> None:
    text = ArcSettings.__dataclass_fields__["augmentations"].metadata["help"]
    assert all(group in text for group in GROUPS)


def test_only_the_paper_takes_the_whole_recipe() -> None:
    def read(preset: str) -> Settings:
        return read_settings(Settings, ["--preset", preset], env_prefix="HONE_X_", environ={})

    seed, paper, bundled = read("mit-seed"), read("mit-paper"), read("bundled")
    assert (seed.lora_rank, seed.num_epochs, seed.lora_dropout) == (64, 1, 0.1)
    assert (paper.lora_rank, paper.num_epochs, paper.leave_out) == (128, 2, 2)
    assert seed.recipe().permuted == paper.recipe().permuted == 0.5
    assert paper.recipe().names == (*GROUPS["mit"],)
    assert (bundled.recipe().names, bundled.leave_out) == (GROUPS["symmetries"], 1)
