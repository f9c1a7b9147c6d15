"""The settings that the client's commands share, in groups; flags keep their earlier names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from arc.voter import Voter
from client.policies import STRATEGIES
from client.queue_order import ORDERS
from client.reduction import RULES
from client.strategy import KEYS
from hone.settings import option
from models.multilora.schedule import FALLS

if TYPE_CHECKING:
    from arc.augment import Augmentation
    from arc.recipes import Recipe
    from arc.task import Task
    from hone.yaml_layers import Meaning

VIEW_CHANGES = ("symmetries", "colours", "demos")
BUNDLED_BASE = Path(__file__).parent.parent / "models" / "arc-base"


@dataclass(frozen=True)
class BaseSettings:
    """The frozen base."""

    model_path: str = option(
        str(BUNDLED_BASE),
        "folder or hub id of the frozen base",
        also=("model_dir", "model"),
        shown="models/arc-base",
    )
    dtype: str = option(
        "auto", "dtype that the base computes in", choices=("auto", "fp32", "bf16", "fp16")
    )
    device: str = option("auto", "device that the base runs on", choices=("auto", "cpu", "cuda"))
    quantization: str = option(
        "auto",
        "whether weights are quantized to 4-bit NF4; auto: from 1B parameters on",
        choices=("auto", "none", "nf4"),
    )
    residency: str = option(
        "auto",
        "how NF4 weights are held: in --dtype, or packed in 4 bits and decoded at every use; auto:"
        " packed if memory is short",
        choices=("auto", "resident", "packed"),
    )
    max_len: int | None = option(None, "longest sequence in tokens (default: the base's)", low=16)
    trust_remote_code: bool = option(False, "run the code that a model folder contains")
    threads: int = option(0, "CPU threads; 0: all", low=0, high=1024)
    memory_limit_mb: int = option(
        0,
        "most memory to use on the base's device; K, --token_budget and the like are chosen to fit;"
        " 0: all that is free",
        low=0,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """Test-time training."""

    k: int | Literal["auto"] = option(
        8, "queries trained together, one adapter each; auto: the fastest in a short trial", low=1
    )
    token_budget: int = option(
        0, "most tokens of a training step to compute at once; 0: as many as fit", low=0
    )
    steps: int = option(0, "training steps; 0: as many as --num_epochs needs", low=0)
    num_epochs: int = option(2, "number of times that every training item is seen", low=1)
    batch_size: int = option(1, "items per step and adapter", low=1)
    learning_rate: float = option(5e-5, "learning rate of the adapters", above=0)
    lora_rank: int = option(128, "rank of the adapters", low=1)
    lora_alpha: float = option(16.0, "the adapters' product is scaled by alpha / rank", above=0)
    use_rslora: bool = option(False, "scale by alpha / sqrt(rank) instead")
    lora_dropout: float = option(
        0.0, "share of an adapter's inputs that a step sets to zero", low=0, high=0.99
    )
    target_modules: tuple[str, ...] = option(
        (), "linear layers to adapt, by name (default: all but the head)"
    )
    adapter_layers: str = option(
        "all",
        "layers that get adapters: all; top:N, the last N; head, only the hidden states that the"
        " head reads",
    )
    feature_cache_mb: int = option(
        1024,
        "memory to keep an item's output of the layers without adapters for its next epoch; eight"
        " times as much may go to the temporary folder; 0: compute it each time",
        low=0,
    )
    schedule: str = option(
        "linear", "how the learning rate falls after the warm-up", choices=tuple(FALLS)
    )
    warmup: float = option(0.1, "share of steps in which the learning rate rises", low=0, high=1)
    weight_decay: float = option(0.0, "weight decay of the adapters", low=0)
    clip_norm: float = option(1.0, "largest norm of an adapter's gradient", above=0)
    max_training_time: float = option(
        0.0, "most seconds that a query is trained for; 0: no limit", low=0
    )
    plateau_patience: int = option(
        0, "end a query's training after this many steps without a better loss; 0: never", low=0
    )
    plateau_delta: float = option(
        0.01,
        "share by which a loss must be below the best one to count as better",
        low=0,
        high=1,
    )
    stop_when_solved: int = option(
        0, "end training after this many batches in a row were already right; 0: never", low=0
    )
    queue_order: str = option(
        "arrival",
        "which queries train first: length, those with most tokens; palette, those with fewest"
        " colours; family, each followed by the one most like it",
        choices=ORDERS,
    )
    num_ttt_samples: int = option(32, "samples to retrieve per query; 0: none", low=0, high=1000)
    shuffle_ttt_samples: bool = option(
        False, "train on samples in a new random order each epoch, instead of nearest first"
    )
    weighted_sample_training: bool = option(
        False, "weigh retrieved samples by their similarity to the query, instead of equally"
    )
    loss_on: str = option(
        "outputs",
        "tokens that the loss is computed on: outputs, the answer and the demos' outputs from the"
        " second on; answer, the answer alone; all, the prompt too",
        choices=("outputs", "answer", "all"),
    )
    seed: int = option(0, "seed of items, adapters and views", low=0, high=2**32 - 1)


def noise_option() -> Any:
    """The option `sift_noise` of every command; kb/selection.py has the same limits, explained."""
    return option(
        0.01,
        "noise that SIFT assumes in a sample: if small, its picks differ from each other; if large,"
        " they are the nearest, some picked repeatedly",
        low=1e-4,
        high=1e3,
    )


@dataclass(frozen=True)
class RetrievalSettings:
    """Where samples come from."""

    server_url: str | None = option(
        None, "address of a retrieval server, such as http://127.0.0.1:8000"
    )
    server_knowledge_base: str | None = option(
        None, "name of the knowledge base to ask on the server (default: its first)"
    )
    knowledge_base_path: Path | None = option(
        None, "folder of a knowledge base to search in this process"
    )
    only_faiss: bool = option(False, "retrieve the nearest neighbours, without SIFT")
    sift_stop: float = option(
        0.0,
        "stop SIFT at a sample that removes less than this share of the uncertainty about the"
        " query; 0: take all --num_ttt_samples",
        low=0,
        high=0.99,
    )
    sift_noise: float = noise_option()
    data_reduction: bool = option(False, "leave out retrieved samples that are not near enough")
    data_reduction_rule: str = option(
        "relative",
        "which samples are not near enough: relative, those with less than 0.8 of the nearest's"
        " similarity; ct3, those below the mean and the median of all",
        choices=tuple(RULES),
    )
    embedder: str = option(
        "auto",
        "embedder of queries: arc, minilm, a folder or a hub id; auto: arc for tasks, minilm for"
        " text",
    )


@dataclass(frozen=True)
class ReuseSettings:
    """The local adapter manager."""

    local_adapter_managing: bool = option(False, "keep adapters and reuse them for similar queries")
    local_adapter_manager_size: int = option(4, "most adapters to keep", low=1)
    local_adapter_manager_threshold: float = option(
        0.4, "cosine similarity from which an adapter is reused", low=0.0, high=1.0
    )
    local_adapter_manager_strategy: str = option(
        "lfu",
        "which adapter is removed when the store is full: the least frequently used, a random one,"
        " the least recently used, the least frequently used with old uses fading, or the one that"
        " saves the fewest seconds per byte",
        choices=STRATEGIES,
    )
    local_adapter_manager_dir: Path = option(Path("runs/adapters"), "folder of the kept adapters")
    local_adapter_manager_mb: int = option(
        0, "most megabytes of kept adapters, beside their number; 0: no limit", low=0
    )
    local_adapter_manager_memory_mb: int = option(
        256, "most megabytes of adapters to hold in memory; 0: read them each time", low=0
    )
    local_adapter_manager_guard: bool = option(
        False, "reuse an adapter only if it beats the base on a sample, else train"
    )
    local_adapter_manager_near_threshold: float | None = option(
        None,
        "cosine similarity from which --local_adapter_manager_near applies (default: that of"
        " --local_adapter_manager_threshold, so that it never does)",
        low=0.0,
        high=1.0,
    )
    local_adapter_manager_near: str = option(
        "warm",
        "what to do between the two thresholds: warm, begin training from the nearest adapter;"
        " merge, answer with a mix of the nearest ones",
        choices=("warm", "merge"),
    )
    local_adapter_manager_merge_of: int = option(3, "most adapters to merge", low=1)
    local_adapter_manager_warm_share: float = option(
        0.25, "share of the steps that are trained after a warm start", above=0, high=1
    )


@dataclass(frozen=True)
class CohortSettings:
    """What each task's adapter is trained on top of."""

    mode: str = option(
        "strict",
        "strict: the base, which has seen none of the demos; cohort: a shared adapter, which is"
        " first trained on the demos of all submitted tasks",
        choices=("strict", "cohort"),
    )
    cohort_items: int = option(
        8, "leave-one-out items of each task that the shared adapter is trained on", low=1
    )
    cohort_epochs: int = option(1, "times that the shared adapter sees each of them", low=1)
    cohort_batch_size: int = option(16, "items per step of the shared adapter", low=1)
    cohort_learning_rate: float = option(
        0.0, "learning rate of the shared adapter; 0: that of --learning_rate", low=0
    )
    cohort_dir: Path = option(Path("runs/cohort"), "folder in which shared adapters are kept")


@dataclass(frozen=True)
class PseudoTaskSettings:
    """How training tasks are made from a task's own demos."""

    augmentations: tuple[str, ...] = option(
        ("symmetries",),
        "augmentations of training tasks: symmetries, shift, mirror, size, tile, chain; mit: all"
        " six",
    )
    permuted_share: float = option(
        1.0, "share of training items whose colours and demos are permuted", low=0, high=1
    )
    leave_out: int = option(
        1,
        "most demos that an item lacks: 1, the one that it asks for; 2, every second item one more",
        low=1,
        high=2,
    )
    direct_pairs: bool = option(
        False,
        "train on single pairs of input and output, and show no demos when asking either;"
        " --leave_out then changes nothing",
    )

    def pseudo_tasks(self, task: Task, count: int, seed: int) -> list[tuple[Augmentation, Task]]:
        from arc.pseudo import augmented_pseudo_tasks

        return augmented_pseudo_tasks(
            task, count, seed, self.recipe(), self.leave_out, self.direct_pairs
        )

    def recipe(self) -> Recipe:
        from arc.recipes import Recipe

        return Recipe(self.augmentations, self.permuted_share)


@dataclass(frozen=True)
class ArcSettings(PseudoTaskSettings):
    """ARC tasks."""

    num_pseudo: int = option(40, "augmented leave-one-out items per task", low=1, high=100_000)
    retrieved_weight: float = option(
        0.1,
        "weight of all retrieved tasks together, if the task's own items weigh 1 together; each is"
        " shown under as many augmentations as it takes for no item to outweigh an own one",
        low=0.0,
        high=100.0,
    )
    views: int = option(
        8, "number of views of the task under which the answer is written", low=1, high=10_000
    )
    attempts: int = option(2, "answers per test input, those with most votes", low=1)
    voting: str = option(
        Voter.SELF_CONSISTENCY.value,
        "how views vote: every view equally; every symmetry equally; within each symmetry, then"
        " among the winners; by likelihood and symmetry; by the probability that --expert_views"
        " give every answer; or half by that, half equally",
        choices=tuple(Voter),
    )
    expert_views: int = option(
        8,
        "number of views whose probabilities are multiplied with --voting experts or panel",
        low=1,
        high=10_000,
    )


@dataclass(frozen=True)
class WritingSettings:
    """How answers to ARC tasks are written."""

    view_changes: tuple[str, ...] = option(
        VIEW_CHANGES,
        "what differs between views; demos means their order. Views that turn out equal are"
        " answered once",
        choices=VIEW_CHANGES,
    )
    greedy: bool = option(True, "write one answer under every view with the likeliest tokens")
    samples: int = option(
        0, "number of answers to sample under every view as well", low=0, high=10_000
    )
    temperature: float = option(
        1.0, "temperature of sampled answers; lower prefers likely tokens", above=0
    )
    search_threshold: float = option(
        0.0,
        "also find every answer to which a view gives more than this probability; 0: no search",
        low=0,
        high=0.99,
    )
    constrain: str = option(
        "off",
        "what an answer may be: off, any tokens; grid, a grid; shape, a grid of the shape that the"
        " demos imply, if that is certain",
        choices=("off", "grid", "shape"),
    )


@dataclass(frozen=True)
class PresetSettings:
    """Presets."""

    preset: str = option(
        "",
        "settings to start from: bundled, arc-seed, mit-seed, mit-paper or ct3 (default: bundled"
        " for bases that read a canvas, like the bundled one; for others arc-seed on tasks, ct3 on"
        " text)",
    )
    platform: str = option(
        "",
        "platform to set up for: kaggle, colab, local-gpu or cpu; its settings override --config"
        " and --preset",
    )

    @staticmethod
    def usual_preset(given: Mapping[str, Any]) -> str:
        from arc.folder_format import format_name

        if format_name(Path(given.get("model_path", BUNDLED_BASE)).expanduser()) == "canvas":
            return "bundled"
        on_tasks = given.get("task") is not None or given.get("data_dir") is not None
        return "arc-seed" if on_tasks else "ct3"


@dataclass(frozen=True)
class Settings(
    PresetSettings,
    BaseSettings,
    TrainingSettings,
    RetrievalSettings,
    ReuseSettings,
    CohortSettings,
    ArcSettings,
    WritingSettings,
):
    """All settings of the solver and the answerer."""

    @staticmethod
    def yaml_keys() -> Mapping[str, Meaning]:
        return KEYS
