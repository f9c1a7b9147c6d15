"""Settings: where each value comes from, and one line for every value that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import hone.settings
from hone.errors import BadInput, NotThere
from hone.settings import (
    as_plain,
    flags_of,
    grouped_fields,
    option,
    read_settings,
    was_given,
)


@dataclass(frozen=True)
class Example:
    rate: float = option(0.5, "learning rate", above=0, high=1)
    steps: int = option(10, "steps to take", low=0)
    name: str = option("bundled", "a name", also=("title",))
    kind: str = option("auto", "a kind", choices=("auto", "none", "nf4"))
    fast: bool = option(False, "hurry")
    folder: Path | None = option(None, "where to write")
    layers: tuple[int, ...] = option((1, 2), "which layers", low=0)
    parts: tuple[str, ...] = option(("q",), "which parts", choices=("q", "k"))
    limit: int | None = option(None, "at most 100% of them", low=1)
    many: int | Literal["auto"] = option(8, "how many, or what a measurement says", low=1)


@dataclass(frozen=True)
class WithPreset:
    preset: str = option("slow", "which preset")
    steps: int = option(10, "steps to take")


@dataclass(frozen=True)
class WithRule:
    preset: str = option("", "which preset; by the size, where it is not named")
    size: int = option(1, "small or large")
    steps: int = option(10, "steps to take")

    @staticmethod
    def usual_preset(given: dict[str, object]) -> str:
        return "slow" if int(str(given.get("size", 1))) > 5 else ""


def read(*argv: str, environ: dict[str, str] | None = None) -> Example:
    return read_settings(Example, argv, env_prefix="HONE_X_", environ=environ or {})


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "slow.yaml").write_text("steps: 1000\n")
    (folder / "quick.yaml").write_text("steps: 3\n")
    monkeypatch.setattr(hone.settings, "PRESETS", folder)
    return folder


def test_defaults() -> None:
    assert read() == Example()


def test_each_source_stands_above_the_next(tmp_path: Path, presets: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("steps: 4\n")
    sources = [["--preset", "quick"], ["--config", str(config)], [], ["--steps", "6"]]
    environments: list[dict[str, str]] = [{}, {}, {"HONE_X_STEPS": "5"}, {}]
    argv: list[str] = []
    environ: dict[str, str] = {}
    seen = []
    for more, variables in zip([[], *sources], [{}, *environments], strict=True):
        argv, environ = argv + more, environ | variables
        seen.append(read_settings(WithRule, argv, env_prefix="HONE_X_", environ=environ).steps)
    assert seen == [10, 3, 4, 5, 6]


def test_a_command_with_a_preset_of_its_own(presets: Path) -> None:
    def both(*argv: str, **environ: str) -> tuple[str, int]:
        found = read_settings(WithPreset, argv, env_prefix="HONE_X_", environ=environ)
        return found.preset, found.steps

    assert both() == ("slow", 1000)
    assert both("--preset", "quick") == ("quick", 3)
    assert both(HONE_X_PRESET="quick") == ("quick", 3)
    assert both("--preset", "quick", "--steps", "7") == ("quick", 7)
    with pytest.raises(BadInput, match="--preset is 'quik'; choose from quick, slow"):
        both("--preset", "quik")


def test_a_command_may_choose_its_usual_preset_by_what_was_given(presets: Path) -> None:
    def both(*argv: str) -> tuple[str, int]:
        found = read_settings(WithRule, argv, env_prefix="HONE_X_", environ={})
        return found.preset, found.steps

    assert both() == ("", 10)
    assert both("--size", "6") == ("slow", 1000)
    assert both("--size", "6", "--preset", "quick") == ("quick", 3)


def test_a_command_without_presets_has_no_such_flag() -> None:
    with pytest.raises(BadInput, match="unknown argument --preset"):
        read("--preset", "quick")


@pytest.mark.parametrize("spelled", ["5e-5", "5.0e-5", "0.00005", "'5e-5'"])
def test_yaml_numbers_are_numbers(tmp_path: Path, spelled: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"rate: {spelled}\nlayers: [3, 4]\nfast: yes\n")
    found = read("--config", str(config))
    assert (found.rate, found.layers, found.fast) == (5e-5, (3, 4), True)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--fast"], True),
        (["--fast", "true"], True),
        (["--fast", "OFF"], False),
        (["--fast=no"], False),
        ([], False),
    ],
)
def test_switches(argv: list[str], expected: bool) -> None:
    assert read(*argv).fast is expected


def test_values_of_every_kind() -> None:
    found = read("--layers", "5", "6", "--folder", "out", "--title", "x", "--limit", "3")
    assert (found.layers, found.folder, found.name, found.limit) == ((5, 6), Path("out"), "x", 3)
    found = read(environ={"HONE_X_LAYERS": "5 6", "HONE_X_FAST": "1", "OTHER": "y"})
    assert (found.layers, found.fast) == ((5, 6), True)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--stepz", "3"], "unknown argument --stepz; did you mean --steps?"),
        (["--stepz=3"], "unknown argument --stepz; did you mean --steps?"),
        (["--xyzzy"], "unknown argument --xyzzy; see "),
        (["stray"], "unknown argument stray"),
        (["--step", "3"], "unknown argument --step;"),  # no abbreviations
        (["--steps"], "argument --steps: expected one argument"),
        (["--steps", "x"], "--steps is 'x', a whole number was expected"),
        (["--steps", "1.5"], "--steps is '1.5', a whole number was expected"),
        (["--steps", "-1"], "--steps is -1, at least 0 was expected"),
        (["--rate", "0"], "--rate is 0.0, more than 0 was expected"),
        (["--rate", "2"], "--rate is 2.0, at most 1 was expected"),
        (["--rate", "nan"], "--rate is nan, a finite number was expected"),
        (["--rate", "inf"], "--rate is inf, a finite number was expected"),
        (["--fast", "maybe"], "--fast is 'maybe', true or false was expected"),
        (["--kind", "int4"], "--kind is 'int4'; choose from auto, none, nf4"),
        (["--parts", "q", "v"], "--parts is 'v'; choose from q, k"),
        (["--layers", "1", "-2"], "--layers is -2, at least 0 was expected"),
        (["--folder", ""], "--folder is '', a path was expected"),
        (["--limit", "0"], "--limit is 0, at least 1 was expected"),
    ],
)
def test_a_bad_flag_is_named(argv: list[str], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(*argv)
    assert said in str(caught.value)


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(BadInput, match=r"HONE_X_STEPS is 'many', a whole number was expected"):
        read(environ={"HONE_X_STEPS": "many"})
    with pytest.raises(BadInput, match=r"'stps' from environment variable HONE_X_STPS; .* steps\?"):
        read(environ={"HONE_X_STPS": "3"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stps: 3", "unknown setting 'stps' from {file}; did you mean steps?"),
        ("xyzzy: 3", "unknown setting 'xyzzy' from {file}; known are: rate, steps"),
        ("1: 3", "unknown setting '1' from {file}"),
        ("- steps", "{file} holds a list, settings by name were expected"),
        ("steps: [1", "{file} is not YAML"),
        ("steps: 2020-99-99", "{file} is not YAML"),
        ("steps: 1\nsteps: 2", "{file} is not YAML: 'steps' occurs twice"),
        ("steps: .inf", "steps in {file} is inf, a whole number was expected"),
        ("steps: 1.5", "steps in {file} is 1.5, a whole number was expected"),
        ("steps: true", "steps in {file} is True, a whole number was expected"),
        ("steps:", "steps in {file} is None, a whole number was expected"),
        ("rate: .nan", "rate in {file} is nan, a finite number was expected"),
        ("name:", "name in {file} is None, a word was expected"),
        ("name: [a]", "name in {file} is ['a'], a word was expected"),
        ("fast: 2", "fast in {file} is 2, true or false was expected"),
        ("layers: [1, x]", "layers in {file} is [1, 'x'], a whole number was expected"),
    ],
)
def test_a_bad_yaml_value_is_named(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    with pytest.raises(BadInput) as caught:
        read("--config", str(config))
    assert said.format(file=config) in str(caught.value)


def test_yaml_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"cannot read .*; check --config"):
        read("--config", str(tmp_path / "nowhere.yaml"))
    with pytest.raises(NotThere, match="cannot read"):
        read("--config", str(tmp_path))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(BadInput, match="is not YAML"):
        read("--config", str(tmp_path / "bytes.yaml"))


def test_an_empty_file_and_a_null_where_none_is_allowed(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("")
    assert read("--config", str(config)) == Example()
    config.write_text("folder:\nlimit: null\n")
    assert read("--config", str(config)) == Example()


def test_settings_as_json_can_spell_them() -> None:
    plain: dict[str, Any] = as_plain(read("--folder", "out"))
    assert plain["folder"] == "out"
    assert plain["layers"] == [1, 2]


def test_help_names_every_flag_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        read("--help")
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in flags_of(Example))
    assert "(default: 10)" in text and "(default: 1 2)" in text and "100% of them" in text


@dataclass(frozen=True)
class Engine:
    """What drives it."""

    power: int = option(1, "kilowatts")
    seed: int = option(0, "of chance")


@dataclass(frozen=True)
class Wheels:
    """What it runs on.

    Only the first line titles the flags."""

    wheels: int = option(4, "how many")


@dataclass(frozen=True)
class Car(Engine, Wheels):
    name: str = option("", "what it is called")
    seed: int = option(7, "of its colour")


def test_fields_stand_in_groups_the_class_itself_first() -> None:
    groups = [(title, [f.name for f in fields]) for title, fields in grouped_fields(Car)]
    assert groups[1:] == [("What drives it", ["power"]), ("What it runs on", ["wheels"])]
    assert groups[0][1] == ["name", "seed"]
    assert [f.default for f in grouped_fields(Car)[0][1]] == ["", 7]


def test_help_shows_the_groups_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(
            Car, ["--help"], env_prefix="HONE_X_", description="Rides.\n\n    ride --name"
        )
    text = capsys.readouterr().out
    marks = ["[flags]", "    ride --name\n", "--name WORD", "--seed NUMBER"]
    marks += ["What drives it:", "--power NUMBER", "What it runs on:", "--wheels NUMBER"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_word_in_the_place_of_a_number(tmp_path: Path) -> None:
    assert read("--many", "16").many == 16
    assert read("--many", "auto").many == "auto"
    (tmp_path / "x.yaml").write_text("many: auto\n")
    assert read("--config", str(tmp_path / "x.yaml")).many == "auto"
    for wrong, said in (("some", "a whole number or auto"), ("0", "at least 1")):
        with pytest.raises(BadInput, match=said):
            read("--many", wrong)


def test_what_somebody_asked_for_is_told_from_what_a_preset_says(presets: Path) -> None:
    asked = read_settings(WithPreset, ["--steps", "1000"], env_prefix="HONE_X_")
    silent = read_settings(WithPreset, [], env_prefix="HONE_X_")
    assert asked == silent
    assert was_given(asked, "steps") and not was_given(silent, "steps")
    assert was_given(WithPreset(steps=5), "steps") and not was_given(WithPreset(), "steps")
