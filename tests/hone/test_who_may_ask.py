"""One rule for every service: keys, else the machine itself, else anybody."""

from __future__ import annotations

import pytest

from hone.api_keys import ApiKeys
from hone.own_names import LOOPBACK, OWN_NAMES, is_own_name
from hone.who_may_ask import WhoMayAsk

KEYLESS, KEYED = ApiKeys("KEYS"), ApiKeys("KEYS", ["a-key-that-is-long"])


@pytest.mark.parametrize("host", LOOPBACK)
def test_without_keys_the_loopback_is_for_this_machine(host: str) -> None:
    who = WhoMayAsk(host, KEYLESS)
    assert who.by_own_name and not who.anybody
    name = f"[{host}]" if ":" in host else host
    assert name in OWN_NAMES and is_own_name(name) and is_own_name(f"{name}:8000")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "hone.example"])
def test_without_keys_the_network_is_for_anybody(host: str) -> None:
    who = WhoMayAsk(host, KEYLESS)
    assert who.anybody and not who.by_own_name


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_keys_only_they_count(host: str) -> None:
    who = WhoMayAsk(host, KEYED)
    assert not who.anybody and not who.by_own_name


def test_dots_are_dots() -> None:
    assert not is_own_name("127x0x0x1")
