"""Strategy files, as configs/strategies/ttt.yaml: what each of their keys sets here.

    --config configs/strategies/ttt.yaml, or --preset mit-seed, which is the same file as a preset

The file is in sections, its keys are those of MIT's seed. Hone's own settings may stand beside
them.
"""

from __future__ import annotations

from hone.yaml_layers import Meaning, multiplied, sets, switch

SYMMETRIES = 8  # of the square; arc.steps names them, but takes numpy along

KEYS: dict[str, Meaning] = {
    "model.name": sets("model_path"),
    "model.quantization": switch(on={"quantization": "nf4"}, off={"quantization": "none"}),
    "model.mixed_precision": switch(on={"dtype": "bf16"}, off={"dtype": "fp32"}),
    # a task's adapter takes its own rate where one is given, this one where not
    "training.learning_rate": sets("learning_rate", "cohort_learning_rate"),
    "training.per_instance_lr": sets("learning_rate"),
    # epochs decide, whatever number of steps a preset says
    "training.per_instance_epochs": sets("num_epochs", steps=0),
    "training.batch_size": sets("batch_size"),
    "training.max_training_time": sets("max_training_time"),
    "lora.rank": sets("lora_rank"),
    "lora.alpha": sets("lora_alpha"),
    "lora.dropout": sets("lora_dropout"),
    "adaptation.use_basic_augmentation": switch(
        on={"augmentations": ["symmetries"]}, off={"augmentations": []}
    ),
    "adaptation.permute_n": multiplied("views", SYMMETRIES),
    # after permute_n: without a vote one view answers
    "adaptation.use_self_consistency": switch(on={"voting": "self-consistency"}, off={"views": 1}),
}
