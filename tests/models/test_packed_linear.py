"""Bases in 4 bits: the values of the resident ones, gradients at any time, nothing dense kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_models import SIZES, random_item, tiny_llama, tiny_qwen2
from torch import Tensor, nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from models import packed_linear
from models.bnb_decode import quickest_decode
from models.frozen_linear import dense_weight, is_frozen_linear, is_resident
from models.multilora.bank import AdapterBank, SlotSpec
from models.nf4 import decode, encode
from models.packed_linear import PackedLinear
from models.quantize import pack_linears_, quantize_linears_

torch.set_num_threads(1)
DTYPES = [torch.float32, torch.bfloat16, torch.float64]
# rows of whole blocks, rows that end within one, a last block that is short, odd counts
SHAPES = [(64, 64), (16, 48), (40, 96), (33, 50), (7, 9), (1, 2), (3, 1), (300, 128)]
CPU = torch.device("cpu")


def linear(out: int, width: int, dtype: torch.dtype, bias: bool = True) -> nn.Linear:
    torch.manual_seed(out)
    return nn.Linear(width, out, bias=bias, dtype=dtype).requires_grad_(False)


def rounded(layer: nn.Linear) -> nn.Linear:
    quantize_linears_(holder := nn.Sequential(layer))
    return holder[0]


@pytest.fixture(params=["quickest", "own"])
def each_decode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever decodes here, and what decodes where bitsandbytes is not."""
    if request.param == "own":
        monkeypatch.setattr(packed_linear, "quickest_decode", lambda device, dtype: decode)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_to_decode_gives_the_same_values(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    coded = encode(torch.randn(shape, dtype=dtype))
    values = quickest_decode(CPU, dtype)(coded)
    assert values.dtype == dtype and torch.equal(values, decode(coded))


def test_the_kernel_is_taken_where_it_is_installed_and_knows_the_dtype() -> None:
    pytest.importorskip("bitsandbytes")
    assert quickest_decode(CPU, torch.bfloat16) is not decode
    assert quickest_decode(CPU, torch.float64) is decode


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_computes_what_the_resident_layer_does(
    dtype: torch.dtype, bias: bool, each_decode: None
) -> None:
    packed = PackedLinear.of(linear(40, 96, dtype, bias))
    resident = rounded(linear(40, 96, dtype, bias))
    x, seen = torch.randn(2, 5, 96, dtype=dtype), []
    for layer in (packed, resident):
        layer.eval()
        with torch.no_grad():
            before = layer(x)
        own = x.clone().requires_grad_()
        out = layer(own)
        out.square().sum().backward()
        assert own.grad is not None and torch.equal(layer(x), before)
        seen.append((out.detach(), own.grad))
    assert torch.equal(seen[0][0], seen[1][0]) and torch.equal(seen[0][1], seen[1][1])
    assert torch.equal(packed.dense(), resident.weight)
    assert not any(p.requires_grad for p in packed.parameters())


def test_between_forward_and_backward_nothing_dense_is_kept() -> None:
    layer, kept = PackedLinear.of(linear(64, 64, torch.float32)), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(torch.randn(3, 64, requires_grad=True))
    assert kept == []


def test_its_weight_tells_shape_dtype_and_device_and_cannot_be_computed_with() -> None:
    layer = PackedLinear.of(linear(40, 96, torch.bfloat16))
    assert (layer.weight.shape, layer.weight.dtype) == ((40, 96), torch.bfloat16)
    assert layer.weight.device == CPU and layer.weight.untyped_storage().nbytes() == 2
    assert layer.weight.isnan().all()


def test_it_moves_but_stays_what_it_is() -> None:
    layer = PackedLinear.of(linear(40, 96, torch.float32))
    before = layer.dense()
    assert torch.equal(layer.to(torch.bfloat16).dense(), before)
    assert {t.device.type for t in layer.to("meta").state_dict().values()} == {"meta"}


def test_it_takes_four_bits_and_a_little() -> None:
    layer = PackedLinear.of(linear(256, 1024, torch.float32, bias=False))
    used = sum(t.numel() * t.element_size() for t in layer.state_dict().values())
    assert used * 8 / (256 * 1024) < 4.14


def test_the_engine_sees_both_kinds_and_no_others() -> None:
    resident, packed = linear(8, 8, torch.float32), PackedLinear.of(linear(8, 8, torch.float32))
    assert is_frozen_linear(resident) and is_resident(resident)
    assert is_frozen_linear(packed) and not is_resident(packed)
    assert dense_weight(resident) is resident.weight
    assert torch.equal(dense_weight(packed), packed.dense())
    assert not is_frozen_linear(nn.Embedding(8, 8))


def test_layers_that_bitsandbytes_packed_are_not_adapted() -> None:
    bnb = pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(64, 64, quant_type="nf4").to("cpu")
    assert layer.weight.dtype == torch.uint8 and not is_frozen_linear(layer)


def tiny_neox(dtype: torch.dtype) -> PreTrainedModel:
    """A model whose own forward is taken, with autograd."""
    torch.manual_seed(0)
    sizes = {name: size for name, size in SIZES.items() if name != "num_key_value_heads"}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**sizes))
    return model.to(dtype).eval().requires_grad_(False)


FORMS: dict[str, Callable[[nn.Module], object]] = {
    "none": lambda model: None,
    "resident": quantize_linears_,
    "packed": pack_linears_,
}
MODELS: list[Callable[[torch.dtype], PreTrainedModel]] = [tiny_llama, tiny_qwen2, tiny_neox]
ITEMS = [
    [(random_item(9, 1).encoded, 1.0), (random_item(6, 2).encoded, 1.0)],
    [(random_item(12, 3).encoded, 0.5)],
]


def generate_train_generate(model: PreTrainedModel) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, gradients after them, logits after an update."""
    ids = torch.arange(10).view(2, 5)

    def written() -> Tensor:
        with torch.no_grad(), bank.rows():
            logits: Tensor = model(ids, attention_mask=torch.ones_like(ids)).logits
        return logits

    with AdapterBank(model, [SlotSpec(rank=4, seed=1), SlotSpec(rank=2, seed=2)]) as bank:
        first = written()
        bank.backward(ITEMS)
        gradients = bank.grads_KP.clone()
        assert all(bank.flat.b_KRO(gradients, name).any() for name in bank.layers)
        assert bank.step([True, True], [1.0, 1.0]) == [True, True]
        second = written()
        bank.backward(ITEMS)
        assert (bank.grads_KP != gradients).any() and bank.grads_KP.isfinite().all()
    return first, gradients, second


@pytest.mark.parametrize("make", MODELS)
def test_generating_never_costs_training_its_gradients(
    make: Callable[[torch.dtype], PreTrainedModel], each_decode: None
) -> None:
    seen = {}
    for form, apply in FORMS.items():
        apply(model := make(torch.float32))
        before = {name: value.clone() for name, value in model.state_dict().items()}
        seen[form] = generate_train_generate(model)
        after = model.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items()), form
        assert not torch.equal(seen[form][0], seen[form][2])
    assert not torch.allclose(seen["none"][0], seen["resident"][0])
    for resident, packed in zip(seen["resident"], seen["packed"], strict=True):
        torch.testing.assert_close(packed, resident, rtol=1e-5, atol=1e-6)
