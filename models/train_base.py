"""Train a small ARC base from scratch: a Llama-shaped model that reads the canvas format.

    python models/train_base.py --sources generators data/training --out_dir runs/base --minutes 30

A source is `generators` (our training families), a folder of tasks or a `*.jsonl.gz` pair file;
`--weights` gives each its share of the episodes. Started again on the same `--out_dir`, a run goes
on where its last checkpoint stands. The last `--decay` of the minutes anneals the learning rate,
then `--out_dir`/base holds an ordinary Hugging Face folder.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    import torch

    from arc.formats import Encoded
    from models.episodes import Source

POOL = 384  # episodes drawn at a time, sorted by length and cut into batches


@dataclass(frozen=True)
class TrainBaseSettings:
    sources: tuple[str, ...] = option(("generators",), "generators, task folders, pair files")
    weights: tuple[float, ...] = option(
        (), "share of the episodes per source (default: equal)", low=0
    )
    out_dir: Path = option(Path("runs/base"), "checkpoints, losses and the finished base")
    minutes: float = option(30.0, "training time, over all resumed runs", above=0)
    decay: float = option(0.35, "last share of the minutes that anneals", low=0.0, high=1.0)
    hidden_size: int = option(192, "width of the model", low=16)
    layers: int = option(6, "depth of the model", low=1)
    heads: int = option(6, "attention heads", low=1)
    ffn_size: int = option(512, "width of the feed-forward blocks", low=16)
    max_tokens: int = option(640, "longest episode that is trained on", low=64)
    batch_tokens: int = option(6144, "tokens a step", low=64)
    learning_rate: float = option(0.02, "for matrices (Muon)", above=0)
    adam_rate: float = option(0.003, "for embeddings, norms and head (AdamW)", above=0)
    weight_decay: float = option(0.05, "on matrices", low=0)
    seed: int = option(0, "of weights and episodes", low=0)
    threads: int = option(0, "CPU threads (default: all)", low=0)
    every: float = option(60.0, "seconds between checkpoints", above=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        TrainBaseSettings, argv, env_prefix="HONE_TRAIN_BASE_", description=__doc__ or ""
    )
    refuse_unusable(settings)
    from models.checkpoint import only_run

    with only_run(settings.out_dir):
        Run(settings).go()
    return 0


def refuse_unusable(settings: TrainBaseSettings) -> None:
    """What can be refused before anything is read."""
    if settings.weights and len(settings.weights) != len(settings.sources):
        raise BadInput(
            f"{len(settings.weights)} weights for {len(settings.sources)} sources; give one each"
        )
    if settings.weights and not sum(settings.weights):
        raise BadInput("all --weights are 0; give one source a share of the episodes")
    if settings.hidden_size % (2 * settings.heads):
        raise BadInput(
            f"--hidden_size {settings.hidden_size} does not divide into {settings.heads} heads of"
            " even width"
        )
    if settings.batch_tokens < settings.max_tokens:
        raise BadInput(
            f"--batch_tokens {settings.batch_tokens} cannot hold one episode of --max_tokens"
            f" {settings.max_tokens}; raise it"
        )


class Run:
    """One training run: model, optimizers and where it stands."""

    def __init__(self, settings: TrainBaseSettings) -> None:
        import torch

        from models.episodes import Episodes

        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.sources, kept_out = open_sources(settings)
        self.tests = open_tests(kept_out, settings.max_tokens)
        self.episodes = Episodes(self.sources, settings.max_tokens)
        self.model = new_model(settings).to(self.device)
        self.optimizers = make_optimizers(self.model, settings)
        self.record: dict[str, Any] = {
            "settings": _lasting(settings),
            "contents": [source.content for source in self.sources],
            "round": 0,
            "steps": 0,
            "tokens": 0,
            "seconds": 0.0,
            "losses": [],
            "held_out": [],
        }
        self._resume()

    def go(self) -> None:
        from tqdm import tqdm

        budget = 60 * self.settings.minutes
        with tqdm(total=round(budget), initial=round(self.record["seconds"]), unit="s") as bar:
            saved = time.monotonic()
            while self.record["seconds"] < budget:
                self._round(budget, bar)
                if time.monotonic() - saved > self.settings.every:
                    self._measure()
                    self._save()
                    saved = time.monotonic()
        self._measure()
        self._save()
        write_base(self)

    def _round(self, budget: float, bar: Any) -> None:
        """One pool of episodes; a run resumes at the border between two rounds."""
        seed = f"{self.settings.seed}:{self.record['round']}"
        for rows in self.episodes.pool(seed, POOL, self.settings.batch_tokens):
            begun = time.monotonic()
            share = min(1.0, self.record["seconds"] / budget)
            loss = self._step(rows, rate_at(share, self.settings.decay))
            seconds = time.monotonic() - begun
            self.record["steps"] += 1
            self.record["tokens"] += sum(map(len, rows))
            self.record["seconds"] += seconds
            self.record["losses"].append(round(loss, 4))
            bar.update(round(self.record["seconds"]) - bar.n)
            speed = self.record["tokens"] / self.record["seconds"]
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} tokens/s")
            if self.record["seconds"] >= budget:
                break
        self.record["round"] += 1

    def _step(self, rows: list[Encoded], rate: float) -> float:
        import torch

        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * rate
            optimizer.zero_grad(set_to_none=True)
        loss, _ = answer_loss(self.model, rows, self.device)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.detach())

    def _measure(self) -> None:
        import torch

        measured = self.record["held_out"]
        if measured and measured[-1]["tokens"] == self.record["tokens"]:
            return
        losses = {}
        with torch.inference_mode():
            for name, rows in self.tests.items():
                parts = [answer_loss(self.model, part, self.device) for part in _chunks(rows, 16)]
                counted = sum(count for _, count in parts)
                losses[name] = round(sum(float(x) * n for x, n in parts) / counted, 4)
        measured.append({"tokens": self.record["tokens"], **losses})
        spelled = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        print(f"\n{self.record['tokens'] / 1e6:.2f}M tokens: {spelled}", flush=True)

    def _save(self) -> None:
        from models.checkpoint import save_checkpoint

        save_checkpoint(self.settings.out_dir, self.model, self.optimizers, self.record)

    def _resume(self) -> None:
        from models.checkpoint import read_checkpoint, refuse_other

        checkpoint = read_checkpoint(self.settings.out_dir)
        if checkpoint is not None:
            refuse_other(checkpoint.record, self.record)
            checkpoint.fill(self.model, self.optimizers)
            self.record |= checkpoint.record
            steps, tokens = self.record["steps"], self.record["tokens"]
            print(f"going on at step {steps}, {tokens / 1e6:.2f}M tokens")


def open_sources(settings: TrainBaseSettings) -> tuple[list[Source], list[Source]]:
    """What is trained on, and the parts of it that are kept out to measure on."""
    from models.episodes import file_sources, generator_source

    weights = settings.weights or (1.0,) * len(settings.sources)
    sources, kept_out = [], []
    for name, weight in zip(settings.sources, weights, strict=True):
        if name == "generators":
            sources.append(generator_source(weight))
            continue
        trained, kept = file_sources(Path(name), weight)
        sources.append(trained)
        if kept is not None:
            kept_out.append(kept)
    return sources, kept_out


def open_tests(kept_out: Sequence[Source], max_tokens: int) -> dict[str, list[Encoded]]:
    """Questions that are never trained on: families held out, named tasks kept out."""
    from models.episodes import held_out_episodes, kept_out_episodes

    tests = {"held_out_families": held_out_episodes(96, max_tokens)}
    for source in kept_out:
        tests[Path(source.name).name] = kept_out_episodes(source, 48, max_tokens)
    return {name: rows for name, rows in tests.items() if rows}


def new_model(settings: TrainBaseSettings) -> torch.nn.Module:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    from arc.canvas import CANVAS, END, VOCABULARY

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=settings.ffn_size,
        max_position_embeddings=24 * CANVAS,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=False,
        attention_bias=False,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=END)  # type: ignore[no-untyped-call]
    return model


def make_optimizers(
    model: torch.nn.Module, settings: TrainBaseSettings
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    import torch

    inside = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    rest = [p for n, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in n)]
    muon = torch.optim.Muon(
        inside, lr=settings.learning_rate, weight_decay=settings.weight_decay, momentum=0.95
    )
    adam = torch.optim.AdamW(rest, lr=settings.adam_rate, betas=(0.9, 0.98), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return [muon, adam]


def rate_at(share: float, decay: float) -> float:
    """Warm-up over the first 2 % of the time, full rate, linear to zero over the last `decay`."""
    rising = min(1.0, share / 0.02 + 0.02)
    falling = min(1.0, (1.0 - share) / decay) if decay else 1.0
    return min(rising, falling)


def answer_loss(
    model: torch.nn.Module, rows: Sequence[Encoded], device: str
) -> tuple[torch.Tensor, int]:
    """Mean cross-entropy over the labelled tokens, with logits at those positions only."""
    import torch

    from arc.formats import IGNORED
    from models.batch import pad

    batch = pad(rows, device)
    with torch.autocast(device, torch.bfloat16):
        hidden = model.model(  # type: ignore[operator]
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=batch.ones,
            use_cache=False,
        ).last_hidden_state
    targets = batch.labels[:, 1:]
    wanted = targets != IGNORED
    logits = model.lm_head(hidden[:, :-1][wanted].float())  # type: ignore[operator]
    loss = torch.nn.functional.cross_entropy(logits, targets[wanted])
    return loss, int(wanted.sum())


def write_base(run: Run) -> None:
    """The finished base as a Hugging Face folder in bf16, with its format and its record."""
    import torch

    from hone.files import whole_folder, write_json
    from models.quiet import quiet_loading

    with whole_folder(run.settings.out_dir / "base") as folder:
        with quiet_loading():
            run.model.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[operator]
        (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone
        write_json(
            folder / "arc_format.json",
            {"format": "canvas", "max_tokens": 8 * run.settings.max_tokens},
        )
        write_json(folder / "training_data.json", training_data(run.sources))
        write_json(folder / "training_record.json", training_record(run))
    print(f"wrote {run.settings.out_dir / 'base'}")


def training_data(sources: Sequence[Source]) -> dict[str, Any]:
    total = sum(source.weight for source in sources)
    return {
        "sources": [
            {
                "name": Path(source.name).name,
                "share": round(source.weight / total, 4),
                "tasks": source.tasks,
                "sha256": source.content,
            }
            for source in sources
        ]
    }


def training_record(run: Run) -> dict[str, Any]:
    record, losses = run.record, run.record["losses"]
    last = losses[-200:]
    settings = {k: v for k, v in record["settings"].items() if k != "sources"}
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "tokens": record["tokens"],
        "steps": record["steps"],
        "minutes": round(record["seconds"] / 60, 1),
        "tokens_per_second": round(record["tokens"] / record["seconds"]),
        "device": run.device,
        "train_loss": round(sum(last) / len(last), 4),
        "held_out": record["held_out"],
        "settings": settings,
    }


def _lasting(settings: TrainBaseSettings) -> dict[str, Any]:
    """The settings that a resumed run must share with its beginning."""
    free = {"out_dir", "minutes", "threads", "every"}
    return {name: value for name, value in as_plain(settings).items() if name not in free}


def _chunks(rows: list[Encoded], size: int) -> Iterator[list[Encoded]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


if __name__ == "__main__":
    run_command(main)
