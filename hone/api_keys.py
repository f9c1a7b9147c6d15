"""API keys from the environment, compared in constant time.

    ApiKeys.from_environment("HONE_API_KEYS", os.environ).admit("one-long-secret")

Keys are never on the command line, where every user of the machine could read them. Without keys,
anyone who reaches the service may ask.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

from hone.errors import BadInput

_SHORTEST = 16


class ApiKeys:
    def __init__(self, variable: str, keys: Sequence[str] = ()) -> None:
        """`variable` is where the keys came from; errors name it."""
        for number, key in enumerate(keys, 1):
            if len(key) < _SHORTEST:  # a secret: the error gives its place, not its text
                raise BadInput(
                    f"key {number} in {variable} has {len(key)} characters, at least {_SHORTEST}"
                    " were expected; openssl rand -hex 16 makes one"
                )
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def from_environment(cls, variable: str, environ: Mapping[str, str]) -> ApiKeys:
        """The keys in the variable, which spaces separate."""
        return cls(variable, environ.get(variable, "").split())

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, key: str) -> bool:
        """Whether it is one of the keys. All digests are compared, and they have one length, so the
        time that this takes tells nothing about the keys."""
        asked = _digest(key)
        return sum(hmac.compare_digest(asked, own) for own in self._digests) > 0


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogateescape")).digest()
