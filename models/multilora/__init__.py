"""K LoRA adapters in the layers of one frozen base, each fed with its own task's tokens."""
