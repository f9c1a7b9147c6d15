"""The grid of `multilora`: a cell is a model at one length, its rows are the values of K."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from eval.bench import machine
from eval.bench.peft_seat import MODES, Feed, Mode, PeftSeat, check_mode, modes_for
from eval.bench.probing import forget_compiled, probe
from eval.bench.profiling import gpu_use, profile_of
from eval.bench.shapes import SHAPES, drawn_items, flops_per_token, linears_of, open_model
from eval.bench.sides import Grouped, Peft, Side, Solo, Timed, Work, first_values, largest_gap
from hone.errors import BadInput
from hone.files import short_hash
from hone.journal import Journal, Line
from hone.settings import as_plain
from models.base import DTYPES
from models.matrix_speed import gemm_peak
from models.memory.allocator import keep_for_the_next_step
from models.multilora.bank import SlotSpec
from models.processor import multiplies_bf16

if TYPE_CHECKING:
    from eval.bench.multilora import MultiloraSettings

# seconds of trying PEFT's modes at a cell, after which no further mode is compiled
QUICK_BUDGET = 30.0
MOST_REPEATS = 50
_SHAPING = ("repeats", "seconds", "steps", "rank", "peft_mode", "quick")


class Bench:
    def __init__(self, settings: MultiloraSettings) -> None:
        self.settings, self.cells = settings, settings.cells()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.device = machine.open_device(settings.device)
        keep_for_the_next_step()  # for all sides, because the client does so too
        check_mode(settings.peft_mode, self.device)
        self._refuse()
        self.threads = torch.get_num_threads()
        self.device_name = machine.device_name(self.device)
        self.journal = Journal(settings.out_dir / "multilora.jsonl")

    @cached_property
    def dtype(self) -> str:
        if self.settings.dtype != "auto":
            return self.settings.dtype
        return "bf16" if multiplies_bf16(self.device) else "fp32"

    @cached_property
    def how(self) -> dict[str, Any]:
        """Everything that determines a row's numbers, except for its place in the grid."""
        plain = as_plain(self.settings)
        return {
            **{name: plain[name] for name in _SHAPING},
            **machine.versions(),
            "device": self.device_name,
            "threads": self.threads,
            "threads_wait": machine.waiting(),
            "dtype": self.dtype,
            "code": machine.code_hash("models", "eval/bench"),
        }

    @cached_property
    def peak(self) -> float:
        """GFLOP/s of the fastest bf16 matrix product, measured once for all rows."""
        key = short_hash("peak", self.how)
        line = self.journal.find(key)
        if line is None:
            found = round(gemm_peak(self.device), 1)
            line = self.journal.add(key, {"gemm_peak_gflops": found})
        return float(line["gemm_peak_gflops"])

    def rows(self, shape: str, tokens: int, ks: Sequence[int]) -> Iterator[Line]:
        keys = {k: short_hash("row", self.how, shape, tokens, k) for k in ks}
        missing = [k for k in ks if self.journal.find(keys[k]) is None]
        cell = Cell(self, shape, tokens, max(missing)) if missing else None
        for k in ks:
            line = self.journal.find(keys[k])
            if line is None:
                assert cell is not None
                line = self.journal.add(keys[k], cell.row(k))
            yield {**line, "share_of_peak": round(line["gflops"] / self.peak, 3)}

    def profile(self, shape: str, tokens: int, k: int) -> Line:
        """The operations that a grouped step spends its time in."""
        cell = Cell(self, shape, tokens, k)
        work, grouped = cell.work(k), Grouped(cell.model, cell.specs)
        grouped.warm_up(work)
        times = [grouped.run(work).step_s for _ in range(self.settings.repeats)]
        with grouped.bank:
            ops = profile_of(lambda: grouped.steps(work), self.device, work.steps)
        spent = {"grouped_ms": _ms(statistics.median(times)), "ops": ops}
        return {"shape": shape, "tokens": tokens, "k": k, "hone_dtype": self.dtype, **spent}

    def _refuse(self) -> None:
        for name, _, _ in self.cells:
            if name in SHAPES and SHAPES[name].nf4 and self.device.type != "cuda":
                raise BadInput(f"--shapes {name} needs a GPU, and this runs on a CPU; leave it out")


class Cell:
    """One model at one length, with everything that its rows share."""

    def __init__(self, bench: Bench, shape: str, tokens: int, most: int) -> None:
        self.bench, self.shape, self.tokens = bench, shape, tokens
        self.device, self.settings = bench.device, bench.settings
        self.model = open_model(shape, DTYPES[bench.dtype], self.device)
        linears = linears_of(self.model)
        holds = min(min(one.in_features, one.out_features) for one in linears)
        if self.settings.rank > holds:
            raise BadInput(
                f"--rank is {self.settings.rank}, but the narrowest layer of {shape} allows at"
                f" most {holds}; choose a lower one"
            )
        self.flops = flops_per_token(linears, self.settings.rank)
        self.params = sum(p.numel() for p in self.model.parameters())
        self.specs = [SlotSpec(rank=self.settings.rank, seed=seed) for seed in range(most)]
        self.items = drawn_items(tokens, most, self.model.config.vocab_size)

    def work(self, k: int) -> Work:
        return Work(self.specs[:k], self.items[:k], self.settings.steps)

    @cached_property
    def solo(self) -> Solo:
        return Solo(self.model, self.specs[0])

    @cached_property
    def peft(self) -> Peft:
        forget_compiled()
        seat = self._open_seat(MODES[self.peft_mode["peft_mode"]])
        return Peft(seat, first_values(self.model, self.specs))

    @cached_property
    def peft_mode(self) -> Line:
        """The fastest mode of PEFT here, and the time of a step in each."""
        key = short_hash("probe", self.bench.how, self.shape, self.tokens)
        return self.bench.journal.find(key) or self.bench.journal.add(key, self._probed())

    def _probed(self) -> Line:
        asked = self.settings.peft_mode
        large = self.shape in SHAPES and SHAPES[self.shape].nf4
        modes = modes_for(self.device, large=large) if asked == "auto" else [MODES[asked]]
        budget = QUICK_BUDGET if self.settings.quick else float("inf")
        found = probe(modes, Feed.of(self.items[:1], self.device), self._open_seat, budget)
        return {
            "shape": self.shape,
            "tokens": self.tokens,
            "peft_mode": found.fastest().mode.name,
            "step_ms": {one.mode.name: _ms(one.step_s) for one in found.tried},
            "skipped": found.skipped,
        }

    def _open_seat(self, mode: Mode) -> PeftSeat:
        base = open_model(self.shape, DTYPES[mode.weights], self.device)
        return PeftSeat(base, mode, self.specs[0])

    def row(self, k: int) -> Line:
        work, grouped = self.work(k), Grouped(self.model, self.specs[:k])
        sides: dict[str, Side] = {"grouped": grouped, "solo": self.solo, "peft": self.peft}
        rounds = list(self._rounds(sides, work))
        peft, solo, own = (
            statistics.median(one[name].step_s for one in rounds)
            for name in ("peft", "solo", "grouped")
        )
        return {
            "params_m": round(self.params / 1e6, 2),
            "tokens": self.tokens,
            "k": k,
            "peft_ms": _ms(peft),
            "solo_ms": _ms(solo),
            "grouped_ms": _ms(own),
            "speedup_vs_peft": round(peft / own, 3),
            "speedup_vs_solo": round(solo / own, 3),
            "gflops": round(self.flops * self.tokens * k / own / 1e9, 2),
            "shape": self.shape,
            "hone_dtype": self.bench.dtype,
            "peft_mode": self.peft_mode["peft_mode"],
            "loss_gap": max(largest_gap(one["grouped"], one["peft"]) for one in rounds),
            "repeats": len(rounds),
            "threads_wait": machine.waiting(),
            "commit": machine.commit(),
            **self._gpu_use(sides, work),
        }

    def _gpu_use(self, sides: dict[str, Side], work: Work) -> Line:
        """On a GPU, the memory and utilisation of each side."""
        return {
            f"{name}_{what}": value
            for name, side in sides.items()
            for what, value in gpu_use(partial(side.run, work), self.device).items()
        }

    def _rounds(self, sides: dict[str, Side], work: Work) -> Iterator[dict[str, Timed]]:
        """Runs the sides in turn, again and again, so that disturbances affect all alike."""
        for side in sides.values():
            side.warm_up(work)
        begun, done = time.monotonic(), 0
        while done < self.settings.repeats or (
            done < MOST_REPEATS and time.monotonic() - begun < self.settings.seconds
        ):
            yield {name: side.run(work) for name, side in sides.items()}
            done += 1


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
