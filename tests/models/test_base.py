"""Loading a base model: what is frozen, what is decided, one line for every fault of a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from arc.canvas import CanvasFormat
from arc.digits import DigitsFormat
from hone.errors import BadInput, Damaged, HoneError, NotThere
from models import model_folder
from models.base import load_base
from models.nf4 import decode, encode

torch.set_num_threads(1)
SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
WEIGHTS, CONFIG, ARC = "model.safetensors", "config.json", "arc_format.json"


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    write_json(folder / CONFIG, config | changes)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with a tokenizer of digits."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("made") / "llama"
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    words = {str(i): i for i in range(10)} | {"<eos>": 10, "<unk>": 11}
    core = Tokenizer(WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "llama"))


@pytest.fixture
def canvas(folder: Path) -> Path:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    write_json(folder / ARC, {"format": "canvas", "max_tokens": 300})
    return folder


def test_the_base_is_frozen_and_described(folder: Path) -> None:
    base = load_base(str(folder))
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    assert base.model.config._attn_implementation == "sdpa"
    assert isinstance(base.format, DigitsFormat) and base.tokenizer is base.format.tokenizer
    assert (base.context, base.vocabulary, base.quantization) == (512, 32, "none")
    assert (base.path, base.device.type) == (str(folder), "cpu")
    assert base.parameters == sum(p.numel() for p in base.model.parameters())
    ids = torch.arange(8)[None]
    logits = base.model(ids, attention_mask=torch.ones_like(ids)).logits
    assert logits.shape == (1, 8, 32) and not logits.requires_grad


def test_a_canvas_needs_no_tokenizer(canvas: Path) -> None:
    base = load_base(str(canvas))
    assert isinstance(base.format, CanvasFormat) and base.tokenizer is None
    assert base.context == 300


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_base(str(folder))
    assert capfd.readouterr() == ("", "")


def test_a_longer_context_than_the_model_has_is_clamped_and_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_base(str(folder), max_len=100).notes == ()
    assert load_base(str(folder), max_len=100).context == 100
    base = load_base(str(folder), max_len=9000)
    assert base.context == 512
    assert capsys.readouterr().err.count("max_len 9000 is above the 512 tokens") == 1


@pytest.mark.parametrize(
    ("parameters", "flags", "expected"),
    [
        (10, "fpu avx2", (torch.float32, "none")),
        (10, "fpu avx512_bf16", (torch.bfloat16, "none")),
        (7 * 10**9, "fpu avx2", (torch.bfloat16, "nf4")),
    ],
)
def test_auto_goes_by_size_and_processor(
    parameters: int, flags: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models import base

    monkeypatch.setattr("models.processor.cpu_info", lambda *names: flags)
    assert base._dtype("auto", torch.device("cuda"), parameters) == torch.bfloat16
    number = base._dtype("auto", torch.device("cpu"), parameters)
    assert (number, base._quantization("auto", parameters)) == expected


def test_nf4_rounds_the_linears_and_nothing_else(folder: Path) -> None:
    plain = load_base(str(folder)).model.state_dict()
    base = load_base(str(folder), quantization="nf4", dtype="bf16")
    assert base.dtype == base.model.dtype == torch.bfloat16
    for name, value in base.model.state_dict().items():
        weight = plain[name].bfloat16()
        rounded = name.endswith("_proj.weight")
        assert torch.equal(value, decode(encode(weight)) if rounded else weight), name


def test_the_fingerprint_tells_bases_apart(folder: Path, tmp_path: Path) -> None:
    first = load_base(str(folder), dtype="fp32").fingerprint
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert load_base(str(moved), dtype="fp32").fingerprint == first
    others = {
        load_base(str(folder), dtype="bf16").fingerprint,
        load_base(str(folder), dtype="fp32", quantization="nf4").fingerprint,
    }
    weights = load_file(moved / WEIGHTS)
    weights["model.norm.weight"][3] += 1e-3
    save_file(weights, moved / WEIGHTS, metadata={"format": "pt"})
    others.add(load_base(str(moved), dtype="fp32").fingerprint)
    change_config(folder, rms_norm_eps=1e-5)
    others.add(load_base(str(folder), dtype="fp32").fingerprint)
    assert len({first, *others}) == 5


def test_large_files_are_hashed_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(model_folder, "_SMALL_FILE", 1)
    model = model_folder.find_model(str(folder))
    first = model.fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr(model_folder, "sha256_of", lambda path: pytest.fail("hashed again"))
        assert model.fingerprint() == first
    stat = (folder / WEIGHTS).stat()
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    os.utime(folder / WEIGHTS, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert model.fingerprint() != first  # same size, same modification time
    for note in (tmp_path / "cache").rglob("*"):
        if note.is_file():
            note.write_text("{")
    (folder / WEIGHTS).write_bytes(content)
    assert len(model.fingerprint()) == 16  # spoilt notes are no obstacle


def test_shards_are_read_and_a_missing_one_is_named(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    expected = load_base(str(folder)).model.lm_head.weight
    (folder / WEIGHTS).unlink()
    shards = {name: f"model-{len(name) % 2}.safetensors" for name in weights}
    for shard in set(shards.values()):
        part = {name: weights[name] for name in weights if shards[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": shards})
    assert torch.equal(load_base(str(folder)).model.lm_head.weight, expected)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(NotThere, match=r"lacks model-1\.safetensors; finish the download"):
        load_base(str(folder))


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"dtype": "fp64"}, "dtype is 'fp64'; use one of auto, fp32, bf16, fp16"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"quantization": "int8"}, "quantization is 'int8'"),
        ({"max_len": 0}, "max_len is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(folder: Path, option: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        load_base(str(folder), **option)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(BadInput, match="torch sees no GPU"):
        load_base(str(folder), device="cuda")


@pytest.mark.parametrize("name", ["no-such-folder", "./a/b", "llama/nothing"])
def test_a_missing_folder_is_never_looked_for_on_the_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(NotThere, match=f"no model folder {name}; .*hf download.*--local-dir"):
        load_base(name)


def _half_the_weights(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def _adapter(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    write_json(folder / "adapter_config.json", {})


def _without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


FAULTS: dict[str, tuple[Any, type[HoneError], str]] = {
    "no config": (lambda f: (f / CONFIG).unlink(), NotThere, "has no config.json"),
    "config cut": (lambda f: (f / CONFIG).write_text("{"), Damaged, "is not JSON"),
    "config list": (lambda f: (f / CONFIG).write_text("[]"), Damaged, "not a JSON object"),
    "config odd": (lambda f: change_config(f, vocab_size="x"), Damaged, "cannot be loaded"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), NotThere, "has no weights"),
    "pickle": (_pickled, BadInput, "only pickled weights .pytorch_model.bin"),
    "adapter": (_adapter, BadInput, "is a LoRA adapter"),
    "weights cut": (_half_the_weights, Damaged, "is cut off or not safetensors"),
    "too few": (lambda f: change_config(f, num_hidden_layers=3), Damaged, "weights lack model.lay"),
    "other sizes": (lambda f: change_config(f, hidden_size=32), Damaged, "cannot be loaded"),
    "quantized": (
        lambda f: change_config(f, quantization_config={"load_in_4bit": True}),
        BadInput,
        "already quantized",
    ),
    "encoder": (
        lambda f: change_config(f, model_type="bert", architectures=["BertModel"]),
        BadInput,
        "is a BertModel, not a causal language model",
    ),
    "unknown": (lambda f: change_config(f, model_type="foo"), Damaged, "cannot be loaded"),
    "own code": (
        lambda f: change_config(f, model_type="foo", auto_map={"AutoModelForCausalLM": "m.M"}),
        BadInput,
        "brings its own code.*--trust_remote_code",
    ),
    "no tokenizer": (_without_tokenizer, BadInput, "has no tokenizer that can be read"),
    "format": (lambda f: write_json(f / ARC, {"format": "x"}), Damaged, "names the format 'x'"),
    "max_tokens": (
        lambda f: write_json(f / ARC, {"format": "canvas", "max_tokens": "9"}),
        Damaged,
        "context length is",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(folder: Path, fault: str) -> None:
    spoil, kind, reason = FAULTS[fault]
    spoil(folder)
    with pytest.raises(kind, match=reason) as caught:
        load_base(str(folder))
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    with pytest.raises(BadInput, match="is a file"):
        load_base(str(folder / CONFIG))


def test_hub_ids_come_from_the_hubs_cache_and_its_silence_is_said(
    folder: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "hub" / "models--some--model"
    shutil.copytree(folder, cached / "snapshots" / ("a" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    code = (
        "from models.base import load_base; from hone.errors import Unreachable\n"
        "base = load_base('some/model'); print(base.path, base.context)\n"
        "try: load_base('some/other')\n"
        "except Unreachable as error: print(error)\n"
    )
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, refused = run.stdout.splitlines()
    assert loaded == "some/model 512"
    assert "no folder some/other, and the hub cannot be asked" in refused
