"""A base model's folder, examined before anything is loaded from it.

It is any Hugging Face causal LM folder with safetensors weights. The model of a hub id ("org/name")
is downloaded into the hub's own cache, and is an ordinary folder from then on.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc.folder_format import FILE as ARC
from hone.errors import BadInput, Damaged, HoneError, NotThere, Unreachable
from hone.files import read_json, sha256_of, short_hash, write_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
# All files, beside the weights, on which the model's answers depend.
_MEANING = (CONFIG, ARC, "tokenizer.json", "tokenizer_config.json", "tokenizer.model")
_SPELLING = (
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SMALL_FILE = 64 << 20


@dataclass(frozen=True)
class ModelFolder:
    name: str  # as the user gave it
    path: Path
    config: dict[str, Any]
    arc: dict[str, Any]  # arc_format.json, empty where there is none
    weights: tuple[Path, ...]
    parameters: int

    def fingerprint(self, *how: str) -> str:
        """A hash that changes whenever an answer could: over configuration, weights, tokenizer, and
        `how` the model is loaded.

        Whole files are hashed. Headers, sizes and samples would be quicker, but a merge that
        touched a few small tensors could slip between the samples, and an adapter would then be
        reused on a base that it was not trained on. Large files are hashed only once (see
        `_remembered_sha256`).
        """
        names = (*_MEANING, *_SPELLING, *sorted(path.name for path in self.path.glob("*.py")))
        beside = [self.path / name for name in names if (self.path / name).is_file()]
        hashes = [(path.name, _remembered_sha256(path)) for path in (*beside, *self.weights)]
        return short_hash(hashes, how)


def find_model(name: str, *, trust_remote_code: bool = False) -> ModelFolder:
    """The folder `name`, or the hub's model of that id, checked as far as file headers go."""
    path = _folder_of(name, trust_remote_code)
    config = _object(path / CONFIG, name)
    if config.get("quantization_config"):
        raise BadInput(
            f"{name} is already quantized; name the model it was made from,"
            " which is quantized as it is loaded"
        )
    weights = _weights(path, name)
    return ModelFolder(
        name=name,
        path=path,
        config=config,
        arc=_object(path / ARC, name) if (path / ARC).is_file() else {},
        weights=weights,
        parameters=sum(_count(file) for file in weights),
    )


def _folder_of(name: str, trust_remote_code: bool) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise BadInput(f"{name} is a file; give the model's folder")
    # "models/qwen2-7b" looks like a hub id, but means a folder where a folder "models" exists
    if _HUB_ID.fullmatch(name) and not path.parent.is_dir():
        return _download(name, trust_remote_code)
    raise NotThere(
        f"no model folder {name}; fetch one with `hf download Qwen/Qwen2-7B --local-dir {name}`,"
        " or name a model of the hub (org/name)"
    )


def _download(name: str, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=[*wanted, "*.py"] if trust_remote_code else wanted,
                ignore_patterns=["*/*", "consolidated*"],  # the same weights in other forms
            )
        )
    except GatedRepoError:
        raise NotThere(
            f"{name} is gated on the hub; accept its terms there, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise NotThere(f"no folder {name}, and the hub has no such model; check the name") from None
    except OSError as error:
        if error.errno is not None:  # the disk fails, not the hub
            raise
        raise Unreachable(
            f"no folder {name}, and the hub cannot be asked ({first_line(error)}); where there is"
            f" a network, `hf download {name} --local-dir FOLDER`, then name that folder"
        ) from None


def _object(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        raise NotThere(f"{name} has no {path.name}; it is not a Hugging Face model folder")
    value = read_json(path)
    if not isinstance(value, dict):
        raise Damaged(f"{path} is not a JSON object; fetch the model again")
    return value


def _weights(path: Path, name: str) -> tuple[Path, ...]:
    if (path / WEIGHTS).is_file():
        return (path / WEIGHTS,)
    if (path / INDEX).is_file():
        shards = _object(path / INDEX, name).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise Damaged(f"{path / INDEX} names no weights; fetch the model again")
        files = [path / shard for shard in sorted({str(shard) for shard in shards.values()})]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise NotThere(f"{name} lacks {', '.join(missing)}; finish the download")
        return tuple(files)
    raise _no_weights(path, name)


def _no_weights(path: Path, name: str) -> HoneError:
    if (path / "adapter_config.json").is_file():
        return BadInput(f"{name} is a LoRA adapter, not a base model; name the model it adapts")
    pickles = sorted(file.name for pattern in ("*.bin", "*.pt") for file in path.glob(pattern))
    if pickles:
        return BadInput(
            f"{name} has only pickled weights ({pickles[0]}), which can run code and are not read;"
            " fetch a safetensors version or convert them"
        )
    return NotThere(f"{name} has no weights ({WEIGHTS}); finish the download or train it first")


def _count(file: Path) -> int:
    """The number of parameters, from a weights file's header; opening it also checks its length."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    except SafetensorError as error:
        raise Damaged(
            f"{file} is cut off or not safetensors ({first_line(error)}); fetch it again"
        ) from None


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _remembered_sha256(path: Path) -> str:
    """The file's sha256; a large file is hashed once and recognised again by its size and times.

    The change time is among them, because unlike the modification time no copying tool sets it
    back.
    """
    stat = path.stat()
    if stat.st_size < _SMALL_FILE:
        return sha256_of(path)
    notes = _cache_folder() / "sha256"
    key = short_hash(str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    try:
        return str(read_json(notes / key)["sha256"])
    except (HoneError, OSError, KeyError, TypeError):
        pass  # the file was not hashed yet, or the note is damaged
    digest = sha256_of(path)
    with suppress(OSError):  # if the note cannot be written, the file is only hashed again later
        write_json(notes / key, {"file": str(path.resolve()), "sha256": digest})
    return digest


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hone"
