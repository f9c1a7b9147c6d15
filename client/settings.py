"""The settings that the client's commands share, in groups; flags are spelled as in the seeds."""

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
        "auto", "what the base computes in", choices=("auto", "fp32", "bf16", "fp16")
    )
    device: str = option("auto", "where it runs", choices=("auto", "cpu", "cuda"))
    quantization: str = option(
        "auto",
        "4-bit NF4 weights; auto: from 1B parameters on",
        choices=("auto", "none", "nf4"),
    )
    residency: str = option(
        "auto",
        "NF4 weights in the dtype, or packed in 4 bits and decoded at every use; auto: packed where"
        " the memory is short",
        choices=("auto", "resident", "packed"),
    )
    max_len: int | None = option(None, "longest sequence in tokens (default: the base's)", low=16)
    trust_remote_code: bool = option(False, "run code that a model folder brings along")
    threads: int = option(0, "CPU threads; 0: all", low=0, high=1024)
    memory_limit_mb: int = option(
        0,
        "most memory that may be held, where the base stands: K, --token_budget and the like are"
        " chosen to fit; 0: what is free",
        low=0,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """Test-time training."""

    k: int | Literal["auto"] = option(
        8, "queries trained together, one adapter each; auto: as many as a probe finds fast", low=1
    )
    token_budget: int = option(
        0, "most tokens of a training step that are computed at once; 0: what fits", low=0
    )
    steps: int = option(0, "training steps; 0: as many as --num_epochs needs", low=0)
    num_epochs: int = option(2, "times that every training item is seen", low=1)
    batch_size: int = option(1, "items a step and adapter", low=1)
    learning_rate: float = option(5e-5, "of the adapters", above=0)
    lora_rank: int = option(128, "rank of the adapters", low=1)
    lora_alpha: float = option(16.0, "the adapters' product is scaled by alpha / rank", above=0)
    use_rslora: bool = option(False, "scale by alpha / sqrt(rank) instead")
    lora_dropout: float = option(
        0.0, "share of an adapter's inputs that a step leaves out", low=0, high=0.99
    )
    target_modules: tuple[str, ...] = option(
        (), "linear layers to adapt, by name (default: all but the head)"
    )
    adapter_layers: str = option(
        "all", "where adapters are: all layers; top:N, the last N; head, what the head reads"
    )
    feature_cache_mb: int = option(
        1024,
        "memory for what layers without adapters computed of an item, for its next epoch; eight"
        " times as much may go to the temporary folder; 0: computed each time",
        low=0,
    )
    schedule: str = option("linear", "how the rate falls after the warm-up", choices=tuple(FALLS))
    warmup: float = option(0.1, "share of the steps in which the rate rises", low=0, high=1)
    weight_decay: float = option(0.0, "of the adapters", low=0)
    clip_norm: float = option(1.0, "longest gradient of an adapter", above=0)
    max_training_time: float = option(
        0.0, "most seconds that a query may train; 0: no limit", low=0
    )
    plateau_patience: int = option(
        0, "steps without a better loss after which a query's training ends; 0: never", low=0
    )
    plateau_delta: float = option(
        0.01,
        "how much lower than the best a loss must be to count as better, relatively",
        low=0,
        high=1,
    )
    stop_when_solved: int = option(
        0, "end a training after so many batches in a row that were already right; 0: never", low=0
    )
    queue_order: str = option(
        "arrival",
        "who trains first: most tokens, fewest colours, or each beside the one most like it",
        choices=ORDERS,
    )
    num_ttt_samples: int = option(32, "samples to retrieve; 0: none", low=0, high=1000)
    shuffle_ttt_samples: bool = option(
        False, "train in a random order, new each epoch, instead of nearest first"
    )
    weighted_sample_training: bool = option(
        False, "weigh retrieved samples by their similarity to the query, instead of equally"
    )
    loss_on: str = option(
        "outputs",
        "what is trained on: outputs (of the demos too, from the second on); the answer alone; all,"
        " the prompt too",
        choices=("outputs", "answer", "all"),
    )
    seed: int = option(0, "of items, adapters and views", low=0, high=2**32 - 1)


def noise_option() -> Any:
    """SIFT's, whoever asks; kb/selection.py has the same numbers, and what they mean."""
    return option(
        0.01,
        "how little a sample tells: small, SIFT's picks differ; large, they are the nearest, some"
        " of them repeatedly",
        low=1e-4,
        high=1e3,
    )


@dataclass(frozen=True)
class RetrievalSettings:
    """Where samples come from."""

    server_url: str | None = option(None, "retrieval server, such as http://127.0.0.1:8000")
    server_knowledge_base: str | None = option(
        None, "which of the server's knowledge bases, by name (default: its first)"
    )
    knowledge_base_path: Path | None = option(None, "knowledge base to search in this process")
    only_faiss: bool = option(False, "plain nearest neighbours instead of SIFT")
    sift_stop: float = option(
        0.0,
        "SIFT ends before a sample that takes away less than this share of the uncertainty about"
        " the query; 0: all --num_ttt_samples",
        low=0,
        high=0.99,
    )
    sift_noise: float = noise_option()
    data_reduction: bool = option(False, "leave out retrieved samples that are not near enough")
    data_reduction_rule: str = option(
        "relative",
        "relative: less than 0.8 of the nearest's similarity; ct3: below mean and median of all",
        choices=tuple(RULES),
    )
    embedder: str = option(
        "auto", "what embeds queries; auto: arc for tasks, minilm for text (or a path, or hub id)"
    )


@dataclass(frozen=True)
class ReuseSettings:
    """The local adapter manager."""

    local_adapter_managing: bool = option(False, "keep adapters and reuse them for similar queries")
    local_adapter_manager_size: int = option(4, "adapters to keep", low=1)
    local_adapter_manager_threshold: float = option(
        0.4, "cosine similarity from which an adapter is reused", low=0.0, high=1.0
    )
    local_adapter_manager_strategy: str = option(
        "lfu",
        "which adapter goes when it is full: least frequently used, any, least recently used, least"
        " frequently with old uses fading, or least seconds saved a byte",
        choices=STRATEGIES,
    )
    local_adapter_manager_dir: Path = option(Path("runs/adapters"), "where adapters are kept")
    local_adapter_manager_mb: int = option(
        0, "most megabytes of kept adapters, beside their number; 0: any", low=0
    )
    local_adapter_manager_memory_mb: int = option(
        256, "megabytes of the last used ones that stay in memory; 0: read each time", low=0
    )
    local_adapter_manager_guard: bool = option(
        False, "reuse an adapter only where it beats the base on a sample, else train"
    )
    local_adapter_manager_near_threshold: float | None = option(
        None,
        "similarity from which --local_adapter_manager_near says what is done (default: that of"
        " --local_adapter_manager_threshold, so nothing)",
        low=0.0,
        high=1.0,
    )
    local_adapter_manager_near: str = option(
        "warm",
        "between the two thresholds: warm, train on from the nearest adapter; merge, answer with"
        " the nearest ones together",
        choices=("warm", "merge"),
    )
    local_adapter_manager_merge_of: int = option(3, "most adapters that are merged", low=1)
    local_adapter_manager_warm_share: float = option(
        0.25, "share of the steps that a warm start takes", above=0, high=1
    )


@dataclass(frozen=True)
class CohortSettings:
    """What each task's adapter stands on."""

    mode: str = option(
        "strict",
        "strict: the base, which has seen none of the demos; cohort: one adapter that is trained on"
        " the demos of all submitted tasks first",
        choices=("strict", "cohort"),
    )
    cohort_items: int = option(
        8, "leave-one-out items of each task that the shared adapter is trained on", low=1
    )
    cohort_epochs: int = option(1, "times that the shared adapter sees each of them", low=1)
    cohort_batch_size: int = option(16, "items a step of the shared adapter", low=1)
    cohort_learning_rate: float = option(
        0.0, "of the shared adapter; 0: that of --learning_rate", low=0
    )
    cohort_dir: Path = option(Path("runs/cohort"), "where shared adapters are kept")


@dataclass(frozen=True)
class PseudoTaskSettings:
    """How a task's own demos become tasks to train on."""

    augmentations: tuple[str, ...] = option(
        ("symmetries",),
        "looks of tasks to train on: symmetries, shift, mirror, size, tile, chain; mit: all six",
    )
    permuted_share: float = option(
        1.0, "share of training items with permuted colours and order of demos", low=0, high=1
    )
    leave_out: int = option(
        1, "2: every second item lacks one more demo than the one that it asks for", low=1, high=2
    )

    direct_pairs: bool = option(
        False,
        "train on bare pairs, from input to output, and ask without demos too; --leave_out then"
        " changes nothing",
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
    """What is special to grids."""

    num_pseudo: int = option(40, "augmented leave-one-out items per task", low=1, high=100_000)
    retrieved_weight: float = option(
        0.1,
        "what retrieved tasks count for together, where a task's own items count for 1; of each"
        " there are as many looks as it takes for none to weigh more than an own item",
        low=0.0,
        high=100.0,
    )
    views: int = option(
        8, "symmetries and colours under which the answer is written", low=1, high=10_000
    )
    attempts: int = option(2, "answers per test input, by votes", low=1)
    voting: str = option(
        Voter.SELF_CONSISTENCY.value,
        "how views vote: each alike; each symmetry alike; by symmetry, then among their finalists;"
        " by likelihood and symmetry; by what --expert_views think of every answer; or half by"
        " that, half each alike",
        choices=tuple(Voter),
    )
    expert_views: int = option(
        8,
        "views whose probabilities are multiplied with --voting experts or panel",
        low=1,
        high=10_000,
    )


@dataclass(frozen=True)
class WritingSettings:
    """How answers to grids are written."""

    view_changes: tuple[str, ...] = option(
        VIEW_CHANGES,
        "what views change; demos: their order. Views that do not differ are written once",
        choices=VIEW_CHANGES,
    )
    greedy: bool = option(True, "write every view's answer by its likeliest tokens")
    samples: int = option(0, "answers to draw under every view beside it", low=0, high=10_000)
    temperature: float = option(1.0, "for drawn answers; lower keeps to likely tokens", above=0)
    search_threshold: float = option(
        0.0,
        "find all answers that a view gives more than this probability; 0: no search",
        low=0,
        high=0.99,
    )
    constrain: str = option(
        "off",
        "tokens that an answer may take: any; those that become a grid; or a grid of the shape that"
        " the demos promise, where that is certain",
        choices=("off", "grid", "shape"),
    )


@dataclass(frozen=True)
class PresetSettings:
    """Settings that belong together."""

    preset: str = option(
        "",
        "bundled, arc-seed, mit-seed, mit-paper or ct3 (default: bundled for bases that read a"
        " canvas, as the bundled one; for others arc-seed on tasks, ct3 on text)",
    )
    platform: str = option(
        "", "kaggle, colab, local-gpu or cpu: its settings, above --config and --preset"
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
    """All of them: what the solver and the answerer read."""

    @staticmethod
    def yaml_keys() -> Mapping[str, Meaning]:
        return KEYS
