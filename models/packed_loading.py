"""Packs each linear layer while transformers loads it.

So a base's dense weights are never in memory all at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from models.nf4 import Coded, encode
from models.packed_linear import PackedLinear
from models.quantize import linears_to_quantize, pack_linears_

METHOD = "hone_packed_nf4"


@register_quantization_config(METHOD)
class PackAsLoaded(QuantizationConfigMixin):
    """The config for `from_pretrained`; `finish` then cleans the model of transformers' marks."""

    def __init__(self, device: torch.device) -> None:
        self.quant_method: Any = METHOD
        self.device = device

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        quantizer: Any = model.hf_quantizer
        quantizer.remove_quantization_config(model)
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                vars(module.config).pop("_is_quantized", None)
        pack_linears_(model)  # layers whose weights come another way, such as shared ones
        for parameter in model.parameters():  # a view of the mapped file would keep it all mapped
            parameter.data = parameter.data.clone()
        return model


@register_quantizer(METHOD)
class _Quantizer(HfQuantizer):
    quantization_config: PackAsLoaded

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> None:
        names = {f"{name}.weight" for name, _ in linears_to_quantize(model)}
        tied: dict[str, str] = model.all_tied_weights_keys
        self.names = names - tied.keys() - set(tied.values())

    def param_needs_quantization(
        self, model: PreTrainedModel, param_name: str, **kwargs: Any
    ) -> bool:
        return param_name in self.names

    def get_quantize_ops(self) -> ConversionOps:
        return _Pack(self.quantization_config.device)

    def is_serializable(self) -> bool:
        return False

    @property
    def is_trainable(self) -> bool:
        return True


class _Pack(ConversionOps):
    def __init__(self, device: torch.device) -> None:
        self.device = device

    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str],
        target_patterns: list[str],
        **kwargs: Any,
    ) -> dict[str, list[Tensor]]:
        """Puts the packed layer into the model itself; transformers gets nothing to set."""
        (weight,) = input_dict.values()
        weight = weight[0] if isinstance(weight, list) else weight
        model, key = kwargs["model"], kwargs["full_layer_name"]
        name = key.removesuffix(".weight")
        linear = model.get_submodule(name)
        if weight.shape != linear.weight.shape:
            raise ValueError(f"{key} is {tuple(weight.shape)}, not {tuple(linear.weight.shape)}")
        packed: Any = PackedLinear(self._encoded(weight))
        packed.bias = linear.bias  # it is loaded already, or will be loaded in place
        packed._is_hf_initialized = True
        model.set_submodule(name, packed)
        kwargs["missing_keys"].discard(key)
        return {}

    def _encoded(self, weight: Tensor) -> Coded:
        try:
            return encode(weight.to(self.device))
        except torch.OutOfMemoryError:  # reported later, when the whole model is moved there
            return encode(weight)
