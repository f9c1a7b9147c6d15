"""Who may ask a service: who has a key; without keys this machine, where nobody else reaches the
service, and anybody where others do.
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.api_keys import ApiKeys
from hone.own_names import LOOPBACK


@dataclass(frozen=True)
class WhoMayAsk:
    host: str  # that the service listens on, as --host has it
    keys: ApiKeys

    @property
    def by_own_name(self) -> bool:
        """This machine alone: by one of its own names (hone/own_names.py)."""
        return not self.keys and self.host in LOOPBACK

    @property
    def anybody(self) -> bool:
        return not self.keys and self.host not in LOOPBACK
