"""Keys from the environment, compared in constant time.

    ApiKeys.from_environment("HONE_API_KEYS", os.environ).admit("one-long-secret")

Never from the command line, where every user of the machine could read them. Without keys whoever
reaches the service may ask.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

from hone.errors import BadInput

_SHORTEST = 16


class ApiKeys:
    def __init__(self, variable: str, keys: Sequence[str] = ()) -> None:
        """`variable` is where they came from."""
        for number, key in enumerate(keys, 1):
            if len(key) < _SHORTEST:  # it is a secret: its place is said, not its letters
                raise BadInput(
                    f"key {number} in {variable} has {len(key)} characters, at least {_SHORTEST}"
                    " were expected; openssl rand -hex 16 makes one"
                )
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def from_environment(cls, variable: str, environ: Mapping[str, str]) -> ApiKeys:
        """Those that stand there, separated by spaces."""
        return cls(variable, environ.get(variable, "").split())

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, key: str) -> bool:
        """Digests have one length, and all are compared: time tells nothing about the keys."""
        asked = _digest(key)
        return sum(hmac.compare_digest(asked, own) for own in self._digests) > 0


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogateescape")).digest()
