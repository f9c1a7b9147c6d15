"""What the frozen part computed of an item is computed once, and nobody can tell the difference."""

from __future__ import annotations

import errno
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import VOCABULARY, random_item, tiny_llama, tiny_qwen2

from arc.formats import Encoded
from models.multilora import features
from models.multilora.bank import AdapterBank, SlotSpec
from models.multilora.features import PAGE, FeatureStore, PageFile
from models.multilora.packed import Placed, Weighted

torch.set_num_threads(1)
SPECS = [SlotSpec(4, 8, 1e-2, seed=1), SlotSpec(2, 6, 3e-3, seed=2, dropout=0.2)]
POOLS: list[list[Weighted]] = [
    [(random_item(20 + 3 * i, i).encoded, 1.0 + i) for i in range(5)],
    [(random_item(13 + i, 10 + i).encoded, 1.0) for i in range(4)],
]
BELOW: list[dict[str, Any]] = [
    {"placement": "top:1"},
    {"placement": "head"},
    {"targets": ["lm_head"]},
    {"placement": "top:1", "checkpointing": True, "token_budget": 50},
]


def trained(bank: AdapterBank, steps: int, batch: int = 99, pools: Any = POOLS) -> AdapterBank:
    """Epochs over fixed pools, each in an order of its own."""
    rng = random.Random(0)
    with bank:
        for _ in range(steps):
            drawn = [rng.sample(pool, min(batch, len(pool))) for pool in pools]
            if batch >= 99:
                drawn = pools
            bank.backward(drawn)
            assert all(bank.step([True] * len(pools), [1.0] * len(pools)))
    return bank


def layers_run(bank: AdapterBank, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens go through the lowest layer, call by call."""
    tokens: list[int] = []
    engine: Any = bank.engine
    lowest = engine.layers[0]
    forward = lowest.forward

    def counting(h: torch.Tensor, *more: Any) -> Any:
        tokens.append(len(h))
        return forward(h, *more)

    monkeypatch.setattr(lowest, "forward", counting)
    return tokens


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("how", BELOW, ids=str)
def test_at_the_same_shapes_not_a_bit_differs(how: dict[str, Any], dtype: torch.dtype) -> None:
    model = tiny_llama(dtype)
    plain = trained(AdapterBank(model, SPECS, **how), 4)
    kept = trained(AdapterBank(model, SPECS, feature_cache_mb=1, **how), 4)
    assert kept.features is not None and kept.features.memory_used > 0
    assert torch.equal(plain.values_KP, kept.values_KP)


@pytest.mark.parametrize("how", BELOW, ids=str)
def test_at_other_shapes_the_last_bits_may_differ(how: dict[str, Any]) -> None:
    model = tiny_qwen2()
    plain = trained(AdapterBank(model, SPECS, **how), 8, batch=2)
    kept = trained(AdapterBank(model, SPECS, feature_cache_mb=1, **how), 8, batch=2)
    assert (plain.values_KP - kept.values_KP).norm() < 1e-12 * plain.values_KP.norm()


@pytest.mark.parametrize("how", BELOW, ids=str)
def test_an_item_goes_through_the_frozen_layers_once(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = AdapterBank(tiny_llama(), SPECS, feature_cache_mb=1, **how)
    tokens = layers_run(bank, monkeypatch)
    trained(bank, 12, batch=2)
    assert sum(tokens) == sum(len(item) for pool in POOLS for item, _ in pool)


def test_nothing_is_kept_where_every_layer_is_adapted() -> None:
    for how in ({}, {"placement": "top:2"}, {"targets": ["embed_tokens"]}):
        bank = trained(AdapterBank(tiny_llama(), SPECS, feature_cache_mb=1, **how), 2)
        assert bank.features is not None and bank.features.memory_used == 0


@pytest.mark.parametrize(("pages", "kept"), [(9, 9), (5, 5), (0, 0)])
def test_what_memory_cannot_hold_goes_to_disk_and_what_neither_can_is_computed_anew(
    pages: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_llama()
    plain = trained(AdapterBank(model, SPECS, placement="top:1"), 3)
    bank = AdapterBank(model, SPECS, placement="top:1", feature_cache_mb=1)
    engine: Any = bank.engine
    bank.features = engine.features = FeatureStore(0, disk_bytes=pages * PAGE)
    tokens = layers_run(bank, monkeypatch)
    trained(bank, 3)
    assert (plain.values_KP - bank.values_KP).norm() < 1e-12 * plain.values_KP.norm()
    assert bank.features.memory_used == 0 and bank.features.disk_used == kept * PAGE
    lengths = [len(item) for pool in POOLS for item, _ in pool]
    assert sum(tokens) == sum(lengths) + 2 * sum(lengths[pages:])


def test_memory_is_filled_first_and_both_stay_within_their_bounds() -> None:
    store = FeatureStore(3000, disk_bytes=4 * PAGE)
    placed = [Placed(i % 2, i, random_item(9, i).encoded, 1.0) for i in range(12)]

    def made(part: Sequence[Placed]) -> list[torch.Tensor]:
        return [torch.full((5, 50), float(one.index)) for one in part]  # 1000 bytes each

    for _ in range(2):
        states = store.states(placed, made)
        assert torch.equal(states[:, 0], torch.arange(12.0).repeat_interleave(5))
    assert (store.memory_used, store.disk_used) == (3000, 4 * PAGE)
    store.release(0)
    assert (store.memory_used, store.disk_used) == (1000, 2 * PAGE)
    store.release(1)
    assert (store.memory_used, store.disk_used) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_pages_give_back_what_was_written_whatever_was_freed_between(dtype: torch.dtype) -> None:
    rng, file = random.Random(1), PageFile(40)
    held: dict[int, tuple[torch.Tensor, list[int]]] = {}
    refused = 0
    for i in range(60):
        states = torch.randn(rng.randint(1, 400), 192).to(dtype)
        pages = file.write(states)
        if pages is None:
            refused += 1
            file.free(held.pop(rng.choice(list(held)))[1])
        else:
            held[i] = states, pages
        assert file.taken == sum(len(pages) for _, pages in held.values()) <= 40
        for states, pages in held.values():
            again = torch.empty_like(states)
            file.read(pages, again)
            assert torch.equal(states, again)
    assert refused > 3 and len(held) > 3


def test_the_file_has_no_name_that_could_be_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = PageFile(3)
    assert file.write(torch.ones(5)) == [0]
    assert list(tmp_path.iterdir()) == []
    handle = file._file
    del file
    assert handle.closed


def test_a_full_disk_is_said_once_and_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_llama()
    plain = trained(AdapterBank(model, SPECS, placement="top:1"), 3)
    bank = AdapterBank(model, SPECS, placement="top:1", feature_cache_mb=1)
    engine: Any = bank.engine
    bank.features = engine.features = FeatureStore(0, disk_bytes=1 << 30)
    written, write = [], features._write_all

    def until_full(file: Any, content: memoryview) -> None:
        written.append(len(content))
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, content)

    monkeypatch.setattr(features, "_write_all", until_full)
    trained(bank, 3)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "(No space left on device)" in said
    assert (plain.values_KP - bank.values_KP).norm() < 1e-12 * plain.values_KP.norm()
    assert bank.features.disk_used == 3 * PAGE


def test_the_next_job_of_a_slot_finds_the_room_that_the_last_one_took() -> None:
    bank = trained(AdapterBank(tiny_llama(), SPECS, placement="top:1", feature_cache_mb=1), 2)
    assert bank.features is not None
    both = bank.features.memory_used
    bank.enter(0, SPECS[0])
    others = bank.features.memory_used
    assert 0 < others < both
    trained(bank, 2)
    assert bank.features.memory_used == both


def test_a_neighbour_is_not_felt_through_the_store() -> None:
    """Other values, NaN among them, at the same shapes."""
    rng = np.random.default_rng(5)
    other = [
        (
            Encoded(rng.integers(0, VOCABULARY, len(item)), item.positions, item.labels),
            float("nan"),
        )
        for item, _ in POOLS[1]
    ]
    banks = []
    for second in (POOLS[1], other):
        bank = AdapterBank(tiny_llama(torch.float32), SPECS, placement="top:1", feature_cache_mb=1)
        rngs = random.Random(0)
        with bank:
            for _ in range(8):
                turn = [rngs.sample(range(len(pool)), 2) for pool in POOLS]
                pools = (POOLS[0], second)
                bank.backward([[p[i] for i in own] for p, own in zip(pools, turn, strict=True)])
                bank.step([True, True], [1.0, 1.0])
        banks.append(bank)
    assert torch.equal(banks[0].values_KP[0], banks[1].values_KP[0])
    assert not torch.equal(banks[0].values_KP[1], banks[1].values_KP[1])
