"""Every network: embedders, the frozen base, the multi-LoRA bank, decoding, base training."""
