"""The forward of Llama-shaped models without gradients, over tokens of many rows in one line.

It computes what transformers computes, with the model's own weights. The caller supplies the
attention: prompts attend to themselves (prefill.py), rows being written to their cache
(context.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from models.decoding.products import Adapter, Product, Runs
from models.multilora import kernels

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


class Attention(Protocol):
    def __call__(
        self, layer: int, q_NHD: torch.Tensor, k_NGD: torch.Tensor, v_NGD: torch.Tensor
    ) -> torch.Tensor:
        """The attention's output, [N, H * D]. The rotary embedding is already applied to q and k,
        and k and v may be kept."""
        ...


@dataclass(frozen=True)
class KeyShape:
    """The shape of one token's keys in each layer, and their dtype and device."""

    layers: int
    heads: int  # number of key heads, and of value heads
    width: int
    scale: float  # factor of the scores
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Wanted:
    """The tokens whose last hidden state is wanted: their places in the line, and their slots."""

    index: torch.Tensor
    runs: Runs


class _Layer:
    def __init__(self, layer: Any, adapters: _Adapters) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.first_norm, self.second_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.into = adapters.product(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = adapters.product(attention.o_proj)
        self.wide = adapters.product(mlp.gate_proj, mlp.up_proj)
        self.down = adapters.product(mlp.down_proj)
        self.head_width = attention.head_dim
        self.heads = [width // self.head_width for width in self.into.widths]

    @property
    def products(self) -> tuple[Product, ...]:
        return self.into, self.out, self.wide, self.down

    def attended(
        self,
        i: int,
        h: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        runs: Runs,
        attention: Attention,
    ) -> torch.Tensor:
        qkv = self.into(_norm(h, self.first_norm), runs).view(len(h), -1, self.head_width)
        q_end = self.heads[0]
        k_end = q_end + self.heads[1]
        kernels.rotate(qkv[:, :k_end], *turn, back=False)
        return attention(i, qkv[:, :q_end], qkv[:, q_end:k_end], qkv[:, k_end:])

    def rest(self, h: torch.Tensor, attended: torch.Tensor, runs: Runs) -> torch.Tensor:
        h = self.out(attended, runs, onto=h)
        gate_up = self.wide(_norm(h, self.second_norm), runs)
        return self.down(kernels.swiglu(*gate_up.chunk(2, 1)), runs, onto=h)


class LlamaDecoder:
    """`slots` are the bank's slots that are used, in the order in which `Runs` number them."""

    def __init__(self, model: Any, bank: AdapterBank | None, slots: Sequence[int]) -> None:
        decoder, head = model.base_model, model.get_output_embeddings()
        # weights that are fused here stay in the model; made in inference mode, they could not be
        # trained with later
        with torch.inference_mode(False), torch.no_grad():
            adapters = _Adapters(bank, slots)
            self.layers = [_Layer(layer, adapters) for layer in decoder.layers]
            self.head = adapters.product(head)
            self.embedding = _frozen(decoder.embed_tokens)
            self.embedding_adapter = adapters.of(decoder.embed_tokens)
        self.norm, self.rotary = decoder.norm, decoder.rotary_emb
        self.slots = len(slots)
        first, like = decoder.layers[0].self_attn, self.embedding.weight
        self.keys = KeyShape(
            layers=len(self.layers),
            heads=self.layers[0].heads[1],
            width=self.layers[0].head_width,
            scale=first.scaling,
            dtype=like.dtype,
            device=like.device,
        )

    def hidden(
        self,
        ids_N: torch.Tensor,
        positions_N: torch.Tensor,
        runs: Runs,
        attention: Attention,
        wanted: Wanted | None = None,
    ) -> torch.Tensor:
        """The last layer's output for all tokens, or for the wanted ones alone."""
        h = self._embedded(ids_N, runs)
        cos, sin = self.rotary(h[None], positions_N[None])
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            attended = layer.attended(i, h, (cos[0], sin[0]), runs, attention)
            if i == last and wanted is not None:
                h, attended = h[wanted.index], attended[wanted.index]
                runs = wanted.runs
            h = layer.rest(h, attended, runs)
        return h

    def log_probs(self, h_ND: torch.Tensor, runs: Runs) -> torch.Tensor:
        """[N, vocabulary] Log-probabilities of the next token, in fp32 or a wider dtype."""
        logits = self.head(_norm(h_ND, self.norm), runs)
        return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))

    def select(self, slots: torch.Tensor) -> None:
        """Keeps only these slots and renumbers them."""
        self.slots = len(slots)
        for layer in self.layers:
            for product in layer.products:
                product.select(slots)
        self.head.select(slots)
        if self.embedding_adapter is not None:
            self.embedding_adapter = self.embedding_adapter.of(slots)

    def _embedded(self, ids_N: torch.Tensor, runs: Runs) -> torch.Tensor:
        h: torch.Tensor = torch.nn.functional.embedding(ids_N, self.embedding.weight)
        adapter = self.embedding_adapter
        if adapter is not None:
            for slot, start, end in runs.spans:
                low_NR = adapter.a_KRI[slot].t().index_select(0, ids_N[start:end])
                h[start:end].addmm_(low_NR, adapter.b_KRO[slot])
        return h


class _Adapters:
    """The bank's factors, cast to the base's dtype and scaled once for all products."""

    def __init__(self, bank: AdapterBank | None, slots: Sequence[int]) -> None:
        self.factors: dict[int, Any] = {}
        self.slots = list(slots)
        if bank is not None:
            self.factors = {id(_frozen(one)): one.beside() for one in bank.layers.values()}
            self.scale_K = bank.layout.scale_K

    def product(self, *linears: Any) -> Product:
        return Product([_frozen(one) for one in linears], [self.of(one) for one in linears])

    def of(self, module: Any) -> Adapter | None:
        factors = self.factors.get(id(_frozen(module)))
        if factors is None:
            return None
        dtype = _frozen(module).weight.dtype
        scaled_KOR = self._used(factors.b_KOR) * self._used(self.scale_K)[:, None, None]
        b_KRO = scaled_KOR.to(dtype).transpose(1, 2).contiguous()
        return Adapter(self._used(factors.a_KRI).to(dtype), b_KRO)

    def _used(self, stacked: torch.Tensor) -> torch.Tensor:
        return stacked if self.slots == list(range(len(stacked))) else stacked[self.slots]


def _frozen(module: Any) -> Any:
    """The model's own layer, where the bank has put one of its layers in its place."""
    return getattr(module, "frozen", module)


def _norm(x_ND: torch.Tensor, norm: Any) -> torch.Tensor:
    return kernels.rms_norm(x_ND, norm.weight, norm.variance_epsilon)[0]
