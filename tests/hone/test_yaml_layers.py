"""YAML in sections: what their keys set, what stands above what, one line for what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hone.settings
from hone.errors import BadInput
from hone.settings import make_settings, option, read_settings
from hone.yaml_layers import Meaning, multiplied, sets, switch

KEYS: dict[str, Meaning] = {
    "lora.rank": sets("rank"),
    "training.base_rate": sets("rate"),
    "training.own_rate": sets("rate", steps=0),
    "voting.permutations": multiplied("views", 8),
    "voting.enabled": switch(on={}, off={"views": 1}),
    "model.mixed": switch(on={"dtype": "bf16"}, off={"dtype": "fp32"}),
}


@dataclass(frozen=True)
class Sectioned:
    preset: str = option("", "which preset")
    platform: str = option("", "which machine")
    rank: int = option(1, "of adapters", low=1, high=512)
    rate: float = option(0.1, "learning rate", above=0)
    steps: int = option(10, "of training", low=0)
    views: int = option(2, "of a task", low=1)
    dtype: str = option("auto", "of numbers", choices=("auto", "fp32", "bf16"))

    @staticmethod
    def yaml_keys() -> Mapping[str, Meaning]:
        return KEYS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "platforms").mkdir()
    monkeypatch.setattr(hone.settings, "PRESETS", tmp_path)
    monkeypatch.setattr(hone.settings, "PLATFORMS", tmp_path / "platforms")
    return tmp_path


def read(file: Path, *argv: str, **environ: str) -> Sectioned:
    return read_settings(
        Sectioned, ["--config", str(file), *argv], env_prefix="HONE_X_", environ=environ
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lora: {rank: 4}", {"rank": 4}),
        ("lora.rank: 4", {"rank": 4}),
        ("lora:", {}),
        ("training: {base_rate: 5e-5}", {"rate": 5e-5, "steps": 10}),
        ("training: {own_rate: 1e-4, base_rate: 5e-5}", {"rate": 1e-4, "steps": 0}),
        ("voting: {permutations: 3}", {"views": 24}),
        ("voting: {enabled: false, permutations: 3}", {"views": 1}),
        ("model: {mixed: true}", {"dtype": "bf16"}),
        ("model: {mixed: false}", {"dtype": "fp32"}),
        ("lora: {rank: 4}\nrank: 5", {"rank": 5}),
    ],
)
def test_a_key_sets_what_its_meaning_says(file: Path, text: str, found: dict[str, Any]) -> None:
    file.write_text(text)
    assert {name: getattr(read(file), name) for name in found} == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lora: {rnk: 4}", "unknown setting 'lora.rnk' from {file}; did you mean lora.rank?"),
        ("lroa: {rank: 4}", "unknown setting 'lroa.rank' from {file}; did you mean lora.rank?"),
        ("rank: {of: 4}", "unknown setting 'rank.of' from {file}"),
        ("lora: 4", "lora in {file} is 4, a section of keys was expected"),
        ("lora: {rank: many}", "lora.rank in {file} is 'many', a whole number was expected"),
        ("lora: {rank: {a: 1}}", "lora.rank in {file} is {{'a': 1}}, a whole number was expected"),
        ("lora: {rank: 1, rank: 2}", "{file} is not YAML: 'rank' occurs twice"),
        ("lora: {rank: 1}\nlora:", "{file} is not YAML: 'lora' occurs twice"),
        ("lora: {rank: 0}", "lora.rank in {file} is 0, at least 1 was expected"),
        ("lora: {rank: 1024}", "lora.rank in {file} is 1024, at most 512 was expected"),
        ("training: {own_rate: -1}", "training.own_rate in {file} is -1.0, more than 0 was"),
        ("training: {own_rate:}", "training.own_rate in {file} is None, a number was expected"),
        ("model: {mixed: bf16}", "model.mixed in {file} is 'bf16', true or false was expected"),
        ("voting: {permutations: 0}", "voting.permutations in {file} is 0, a whole number, at"),
        ("voting: {permutations: true}", "voting.permutations in {file} is True, a whole number"),
        ("voting: {permutations: 1.5}", "voting.permutations in {file} is 1.5, a whole number"),
    ],
)
def test_a_bad_key_is_named_by_its_path_and_file(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        read(file)
    assert said.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_preset_file_platform_environment_command_line(folders: Path, file: Path) -> None:
    (folders / "slow.yaml").write_text("steps: 1\nrank: 1\nviews: 1\nrate: 1\n")
    file.write_text("preset: slow\nlora: {rank: 2}\nsteps: 2\nviews: 2\n")
    (folders / "platforms" / "phone.yaml").write_text("steps: 3\nviews: 3\n")
    found = read(file, "--platform", "phone", HONE_X_STEPS="4")
    assert (found.rate, found.rank, found.views, found.steps) == (1, 2, 3, 4)
    assert read(file, "--platform", "phone", "--steps", "5", HONE_X_STEPS="4").steps == 5
    assert read(file, "--views", "7", HONE_X_PLATFORM="phone").views == 7
    with pytest.raises(BadInput, match="--platform is 'fone'; choose from phone"):
        read(file, "--platform", "fone")
    with pytest.raises(BadInput, match="HONE_X_PLATFORM is 'fone'; choose from phone"):
        read(file, HONE_X_PLATFORM="fone")


def test_a_preset_builds_on_another(folders: Path, file: Path) -> None:
    (folders / "slow.yaml").write_text("steps: 1000\nlora: {rank: 3}\n")
    (folders / "slower.yaml").write_text("preset: slow\nsteps: 2000\n")
    file.write_text("")
    found = read(file, "--preset", "slower")
    assert (found.preset, found.steps, found.rank) == ("slower", 2000, 3)


def test_settings_from_python_are_checked_alike(folders: Path, file: Path) -> None:
    (folders / "slow.yaml").write_text("steps: 1000\nrank: 3\n")
    file.write_text("lora: {rank: 4}\n")
    values = {"preset": "slow", "rate": 0.5, "dtype": None}
    found = make_settings(Sectioned, values, config=file)
    assert (found.steps, found.rank, found.rate, found.dtype) == (1000, 4, 0.5, "auto")
    with pytest.raises(BadInput, match=r"unknown setting 'rte' from the call; did you mean rate\?"):
        make_settings(Sectioned, {"rte": 1})
    with pytest.raises(BadInput, match="rank is 0, at least 1 was expected"):
        make_settings(Sectioned, {"rank": 0})
