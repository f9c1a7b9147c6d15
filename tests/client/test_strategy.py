"""configs/strategies/ttt.yaml: every key is there, with its meaning and what the seed says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from arc.steps import SYMMETRIES
from client import strategy
from client.settings import PresetSettings, Settings
from client.strategy import KEYS
from hone.errors import BadInput
from hone.settings import PLATFORMS, PRESETS, read_settings

FILE = PRESETS / "strategies" / "ttt.yaml"
PAGE = PRESETS.parent / "docs" / "seed-commands.md"
ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| `([^`]+)` \| `configs/strategies/ttt.yaml`", re.M)


def read(*argv: str) -> Settings:
    return read_settings(Settings, argv, env_prefix="HONE_X_", environ={})


def sections() -> dict[str, Any]:
    content = yaml.safe_load(FILE.read_text())
    return {
        f"{section}.{key}": value
        for section, keys in content.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }


def test_the_file_holds_every_key_and_default_of_the_seed() -> None:
    written = {key: yaml.safe_load(default) for key, default in ROW.findall(PAGE.read_text())}
    assert len(written) == 14 and sections() == written
    assert list(KEYS) == list(sections())


@pytest.mark.parametrize("argv", [("--preset", "mit-seed"), ("--config", str(FILE))])
def test_the_preset_and_the_file_say_the_same(argv: tuple[str, str]) -> None:
    found = read(*argv)
    assert (found.model_path, found.quantization) == ("meta-llama/Llama-3.2-1B", "nf4")
    assert (found.dtype, found.learning_rate, found.batch_size) == ("bf16", 1e-4, 2)
    assert (found.num_epochs, found.steps, found.max_training_time) == (1, 0, 300)
    assert (found.lora_rank, found.lora_alpha, found.lora_dropout) == (64, 16, 0.1)
    assert (found.augmentations, found.views, found.voting) == (
        *(("symmetries",), 8),
        "self-consistency",
    )
    assert (found.num_pseudo, found.permuted_share, found.memory_limit_mb) == (250, 0.5, 10240)


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("model: {quantization: false}", "quantization", "none"),
        ("model: {mixed_precision: false}", "dtype", "fp32"),
        ("training: {learning_rate: 2e-5}", "learning_rate", 2e-5),
        ("training: {learning_rate: 2e-5}", "cohort_learning_rate", 2e-5),
        ("training: {learning_rate: 2e-5, per_instance_lr: 3e-5}", "learning_rate", 3e-5),
        ("training: {per_instance_epochs: 4}", "steps", 0),
        ("adaptation: {use_basic_augmentation: false}", "augmentations", ()),
        ("adaptation: {permute_n: 3}", "views", 3 * len(SYMMETRIES)),
        ("adaptation: {permute_n: 3, use_self_consistency: false}", "views", 1),
    ],
)
def test_every_switch_and_number_does_something(
    tmp_path: Path, text: str, setting: str, value: Any
) -> None:
    """Above the preset of the bundled base, which counts steps."""
    (tmp_path / "own.yaml").write_text(text)
    found = read("--config", str(tmp_path / "own.yaml"))
    assert getattr(found, setting) == value != getattr(read(), setting)


def test_without_augmentation_items_are_the_task_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("adaptation: {use_basic_augmentation: false}")
    assert read("--config", str(tmp_path / "own.yaml")).recipe().names == ("identity",)
    assert read("--config", str(FILE)).recipe().names == (*SYMMETRIES,)
    assert len(SYMMETRIES) == strategy.SYMMETRIES


def test_platforms_change_the_machine_and_not_the_method() -> None:
    names = sorted(file.stem for file in PLATFORMS.glob("*.yaml"))
    assert names == ["colab", "cpu", "kaggle", "local-gpu"]
    said = PresetSettings.__dataclass_fields__["platform"].metadata["help"]
    assert all(name in said for name in names)
    for name in names:
        own = yaml.safe_load((PLATFORMS / f"{name}.yaml").read_text())
        machine = {"device", "dtype", "quantization", "k", "memory_limit_mb", "max_training_time"}
        assert set(own) <= machine
        found = read("--preset", "mit-seed", "--platform", name)
        assert {key: getattr(found, key) for key in own} == own
        assert found.lora_rank == 64
    assert read("--config", str(FILE), "--platform", "kaggle").dtype == "fp16"


def test_an_unknown_platform_is_one_line() -> None:
    with pytest.raises(BadInput, match="platform is 'laptop'; choose from colab, cpu, kaggle, lo"):
        read("--platform", "laptop")
