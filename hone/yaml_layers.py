"""Reads settings from YAML, by their own names or in sections whose keys are translated.

    learning_rate: 1e-4       # a setting
    lora: {rank: 64}          # the key lora.rank, which a table of meanings makes `lora_rank`

A settings class that reads sections has such a table (`yaml_keys()`). Later keys of the table
override earlier ones, and a setting by its own name overrides them all.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.errors import BadInput, NotThere

Layer = dict[str, tuple[Any, str]]  # for each setting: its value, and the source of that
# Makes settings of a key's value; raises ValueError with the kind of value that was expected.
Meaning = Callable[[Any], Mapping[str, Any]]


def sets(*names: str, **also: Any) -> Meaning:
    """The key sets these settings to its value, which they check later, and also sets `also`."""
    return lambda value: {**dict.fromkeys(names, value), **also}


def switch(*, on: Mapping[str, Any], off: Mapping[str, Any]) -> Meaning:
    def meaning(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return on if value else off

    return meaning


def multiplied(name: str, factor: int) -> Meaning:
    """The key sets `name` to `factor` times its value, a whole number above 0."""

    def meaning(value: Any) -> Mapping[str, Any]:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError("a whole number, at least 1,")
        return {name: factor * value}

    return meaning


def read_layer(path: Path, names: Sequence[str], meanings: Mapping[str, Meaning]) -> Layer:
    """The settings that a file gives, out of `names` and what `meanings` translate to."""
    said = dict(_dotted(_content(path), {key.partition(".")[0] for key in meanings}, path))
    for name in said:
        check_known(name, [*names, *meanings], str(path))
    layer: Layer = {}
    for key, meaning in meanings.items():
        if key in said:
            source = f"{key} in {path}"
            layer |= {name: (v, source) for name, v in _meant(meaning, said[key], source).items()}
    return layer | {name: (said[name], f"{name} in {path}") for name in names if name in said}


def check_known(name: str, names: Sequence[str], source: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(names)}"
        raise BadInput(f"unknown setting {name!r} from {source}; {hint}")


def _content(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        text = path.read_text()
        content = yaml.safe_load(text) or {}
        _refuse_twice(yaml.compose(text, yaml.SafeLoader))
    except OSError as error:
        raise NotThere(f"cannot read {path}: {error.strerror}; check --config") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also: 2020-99-99, not UTF-8
        raise BadInput(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds a {type(content).__name__}, settings by name were expected")
    return content


def _refuse_twice(node: Any) -> None:
    """Refuses repeated keys: YAML would take the last of them and ignore the others."""
    keys: set[str] = set()
    for key, value in node.value if node is not None and node.id == "mapping" else ():
        if key.value in keys:
            raise ValueError(f"{key.value!r} occurs twice")
        keys.add(key.value)
        _refuse_twice(value)


def _dotted(
    content: Mapping[Any, Any], sections: set[str], path: Path
) -> Iterator[tuple[str, Any]]:
    """The content with keys of sections joined by dots; an empty section is ignored."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        elif name not in sections:
            yield str(name), value
        elif value is not None:
            raise BadInput(f"{name} in {path} is {value!r}, a section of keys was expected")


def _meant(meaning: Meaning, value: Any, source: str) -> Mapping[str, Any]:
    try:
        return meaning(value)
    except ValueError as error:
        raise BadInput(f"{source} is {value!r}, {error} was expected") from None
