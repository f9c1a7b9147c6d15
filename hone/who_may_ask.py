"""Who may send requests to a service.

With keys: whoever has one. Without keys: this machine only, if the service listens on a loopback
address; else anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.api_keys import ApiKeys
from hone.own_names import LOOPBACK


@dataclass(frozen=True)
class WhoMayAsk:
    host: str  # address that the service listens on, as in --host
    keys: ApiKeys

    @property
    def by_own_name(self) -> bool:
        """Only this machine may ask, by one of its own names (hone/own_names.py)."""
        return not self.keys and self.host in LOOPBACK

    @property
    def anybody(self) -> bool:
        """Anybody who reaches the service may ask."""
        return not self.keys and self.host not in LOOPBACK
