"""Multi-LoRA: K adapters beside the layers of one frozen base, each fed its own task's tokens."""
