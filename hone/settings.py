"""Reads a command's settings, a frozen dataclass, from flags, environment, YAML and presets.

    @dataclass(frozen=True)
    class ServerSettings:
        port: int = option(8000, "port to listen on", low=1, high=65535)

    settings = read_settings(ServerSettings, env_prefix="HONE_SERVER_")

A flag has its field's name (`--port`). A switch stands alone (`--ttt`) or takes a word (`--ttt
false`); a field `int | Literal["auto"]` takes a number or that word. `--config FILE` reads YAML,
which may have sections if the class has a table of `yaml_keys()` (yaml_layers.py). A class with a
field `platform` reads `configs/platforms/NAME.yaml`, which overrides that file. A class with a
field `preset` reads `configs/NAME.yaml`, which everything else overrides; the class's
`usual_preset(given)` may choose the name, and a preset may name another that it builds on.
A class may inherit from others: `--help` then shows its own flags first, and those of each parent
as a group, titled by the first line of the parent's docstring.
These are plain dataclasses, so that the trainer needs no packages but torch and transformers.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from hone.errors import BadInput
from hone.yaml_layers import Layer, Meaning, check_known, read_layer

Settings = TypeVar("Settings")
PRESETS = Path(__file__).parent.parent / "configs"
PLATFORMS = PRESETS / "platforms"
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def option(
    default: Any,
    help: str,  # noqa: A002 - argparse's own word
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Sequence[str] = (),
    also: Sequence[str] = (),
    shown: str | None = None,
) -> Any:
    """A field with its default, its help text, limits on its value, and other names of its flag.

    `shown` is printed in place of a default that differs from machine to machine.
    """
    checks = {"low": low, "high": high, "above": above, "choices": tuple(choices)}
    words = {"help": help, "also": tuple(also), "shown": shown}
    return dataclasses.field(default=default, metadata={**words, **checks})


def read_settings(
    cls: type[Settings],
    argv: Sequence[str] | None = None,
    *,
    env_prefix: str,
    description: str = "",
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The first of these that gives a value wins: command line, environment, platform, YAML,
    preset, default. An error about a value names where it came from."""
    given = _from_command_line(cls, sys.argv[1:] if argv is None else argv, description)
    file = _from_yaml(cls, given.pop("config", None))
    flags = {name: (value, f"--{name}") for name, value in given.items() if value is not None}
    return _settled(cls, file, {**_from_environment(cls, environ, env_prefix), **flags})


def make_settings(
    cls: type[Settings], values: Mapping[str, Any], *, config: Path | None = None
) -> Settings:
    """Settings made in Python: `values` by name take the place of flags; no environment is read."""
    for name in values:
        _known(cls, name, "the call")
    given = {name: (value, name) for name, value in values.items() if value is not None}
    return _settled(cls, _from_yaml(cls, config), given)


def _settled(cls: type[Settings], file: Layer, above: Layer) -> Settings:
    """The settings from preset, `file`, platform and `above`, of which later ones override."""
    given = {**file, **above}
    layers = [file, above]
    if _has(cls, "platform") and (platform := given.get("platform", ("", "")))[0]:
        layers.insert(1, _from_yaml(cls, _named(PLATFORMS, *platform)))
    if _has(cls, "preset"):
        chosen = given.get("preset", (_usual_preset(cls, given), "--preset"))
        layers = [_preset(cls, *chosen), *layers, {"preset": chosen}]
    said = {name: value for layer in layers for name, value in layer.items()}
    settings = cls(
        **{name: _checked(cls, name, value, source) for name, (value, source) in said.items()}
    )
    object.__setattr__(settings, "_given", frozenset(given))
    return settings


def was_given(settings: Any, name: str) -> bool:
    """Whether the user gave this value, and it is not from a preset or the default. For settings
    created directly as a dataclass: whether it differs from the default."""
    if (given := getattr(settings, "_given", None)) is not None:
        return name in given
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    return bool(getattr(settings, name) != field.default)


def as_plain(settings: Any) -> dict[str, Any]:
    """The settings as values that JSON can hold, for the run folder."""
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def flags_of(cls: type[Any]) -> list[str]:
    """Every flag of a settings class, other names of a flag included."""
    return [f"--{name}" for f in dataclasses.fields(cls) for name in (f.name, *f.metadata["also"])]


def grouped_fields(cls: type[Any]) -> list[tuple[str, list[dataclasses.Field[Any]]]]:
    """The fields in groups with titles: the class's own, then those of each class that it inherits
    from."""
    waiting = {field.name: field for field in dataclasses.fields(cls)}
    groups = []
    for part in cls.__mro__:
        own = [waiting.pop(n) for n in inspect.get_annotations(part) if n in waiting]
        if own:
            groups.append((_title(part), own))
    return groups


def _title(cls: type[Any]) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".:")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def _from_command_line(cls: type[Any], argv: Sequence[str], description: str) -> dict[str, Any]:
    parser = _parser(cls, description)
    given, strangers = parser.parse_known_args(argv)
    if strangers:
        flag = strangers[0].partition("=")[0]
        near = difflib.get_close_matches(flag, flags_of(cls), 1)
        parser.error(f"unknown argument {flag}" + (f"; did you mean {near[0]}?" if near else ""))
    return vars(given)


def _parser(cls: type[Any], description: str) -> _Parser:
    parser = _Parser(
        usage="%(prog)s [flags]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of these settings")
    kinds = typing.get_type_hints(cls)
    (_, own), *others = grouped_fields(cls)
    for place, fields in [(parser, own), *((parser.add_argument_group(t), f) for t, f in others)]:
        for field in fields:
            _add_flag(place, field, kinds[field.name])
    return parser


def _add_flag(parser: argparse._ActionsContainer, field: dataclasses.Field[Any], kind: Any) -> None:
    names = [f"--{name}" for name in (field.name, *field.metadata["also"])]
    default = field.metadata["shown"] or _plain(field.default)
    text = field.metadata["help"].replace("%", "%%")
    silent = default is None or default is False or default in ("", [])
    shown = "" if silent else f" (default: {_spell(default)})"
    metavar = "|".join([_METAVARS.get(_plain_kind(kind), "WORD"), *_words_of(kind)])
    more: dict[str, Any] = {"metavar": metavar}
    if kind is bool:
        more = {"nargs": "?", "const": "true", "metavar": "true|false"}
    elif typing.get_origin(kind) is tuple:
        more["nargs"] = "+"
    elif field.metadata["choices"]:
        more = {"metavar": "|".join(field.metadata["choices"])}
    parser.add_argument(*names, dest=field.name, help=text + shown, **more)


_METAVARS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH"}


def _from_environment(cls: type[Any], environ: Mapping[str, str], prefix: str) -> Layer:
    kinds = typing.get_type_hints(cls)
    found: Layer = {}
    for variable in sorted(name for name in environ if name.startswith(prefix)):
        name = variable.removeprefix(prefix).lower()
        _known(cls, name, f"environment variable {variable}")
        value: Any = environ[variable]
        if typing.get_origin(kinds[name]) is tuple:
            value = value.split()
        found[name] = (value, variable)
    return found


def _from_yaml(cls: type[Any], path: Path | None) -> Layer:
    meanings: Mapping[str, Meaning] = getattr(cls, "yaml_keys", dict)()
    return {} if path is None else read_layer(path, _names(cls), meanings)


def _preset(cls: type[Any], name: str, source: str) -> Layer:
    """The settings of the preset's file, which override those of the preset it builds on."""
    own = _from_yaml(cls, _named(PRESETS, name, source)) if name else {}
    below = own.pop("preset", ("", ""))
    return {**_preset(cls, *below), **own} if below[0] else own


def _named(folder: Path, name: str, source: str) -> Path:
    if not (path := folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise BadInput(f"{source} is {name!r}; choose from {known}")
    return path


def _has(cls: type[Any], name: str) -> bool:
    return name in _names(cls)


def _usual_preset(cls: type[Any], given: Layer) -> Any:
    """The preset to take if none is named: by the class's own rule, or the field's default."""
    if rule := getattr(cls, "usual_preset", None):
        return rule({name: value for name, (value, _) in given.items()})
    return next(field.default for field in dataclasses.fields(cls) if field.name == "preset")


def _names(cls: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _known(cls: type[Any], name: str, source: str) -> None:
    check_known(name, _names(cls), source)


def _checked(cls: type[Any], name: str, value: Any, source: str) -> Any:
    kind = typing.get_type_hints(cls)[name]
    field = next(f for f in dataclasses.fields(cls) if f.name == name)
    if value is None and types.NoneType in typing.get_args(kind):
        return None
    if value in _words_of(kind):
        return value
    try:
        result = _convert(kind)(value)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{source} is {value!r}, {_kind_name(kind)} was expected") from None
    meta = field.metadata
    for part in result if isinstance(result, tuple) else (result,):
        if meta["choices"] and part not in meta["choices"]:
            raise BadInput(f"{source} is {part!r}; choose from {', '.join(meta['choices'])}")
        _check_range(part, meta, source)
    return result


def _check_range(value: Any, meta: Mapping[str, Any], source: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high, above = meta["low"], meta["high"], meta["above"]
    if value != value or value in (float("inf"), float("-inf")):
        raise BadInput(f"{source} is {value}, a finite number was expected")
    if low is not None and value < low:
        raise BadInput(f"{source} is {value}, at least {low} was expected")
    if above is not None and value <= above:
        raise BadInput(f"{source} is {value}, more than {above} was expected")
    if high is not None and value > high:
        raise BadInput(f"{source} is {value}, at most {high} was expected")


def _convert(kind: Any) -> Callable[[Any], Any]:
    options = [part for part in typing.get_args(kind) if part is not types.NoneType]
    if typing.get_origin(kind) is tuple:
        return lambda value: tuple(_convert(options[0])(part) for part in _as_list(value))
    if options:
        return _convert(options[0])
    converters: dict[Any, Callable[[Any], Any]] = {
        bool: _as_bool,
        int: _as_int,
        float: _as_float,
        str: _as_str,
        Path: _as_path,
    }
    return converters[kind]


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _YES | _NO:
        return word in _YES
    raise ValueError(value)


def _as_int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(value)


def _as_float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    return float(value)  # YAML reads 5e-5 as a string, which float() takes


def _as_str(value: Any) -> str:
    if value is None or isinstance(value, dict | list | bool):
        raise ValueError(value)
    return str(value)


def _as_path(value: Any) -> Path:
    if value == "":  # Path("") would be the working folder
        raise ValueError(value)
    return Path(_as_str(value))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _kind_name(kind: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
    return " or ".join([words.get(_plain_kind(kind), "a word"), *_words_of(kind)])


def _words_of(kind: Any) -> list[str]:
    """The words that the field takes in place of a number: `auto` of `int | Literal["auto"]`."""
    parts = [part for part in typing.get_args(kind) if typing.get_origin(part) is Literal]
    return [word for part in parts for word in typing.get_args(part)]


def _plain_kind(kind: Any) -> Any:
    """`int` of `int | None` and of `tuple[int, ...]`."""
    options = [part for part in typing.get_args(kind) if part is not types.NoneType]
    return options[0] if options else kind


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _spell(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
