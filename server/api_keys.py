"""Who may ask: keys from the environment, compared in constant time.

    HONE_API_KEYS="one-long-secret another-long-secret" python -m server --host 0.0.0.0

Never from the command line, where every user of the machine could read them. Without keys whoever
reaches the server may ask.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hone.errors import BadInput

VARIABLE = "HONE_API_KEYS"
_SHORTEST = 16
_bearer = HTTPBearer(auto_error=False, description=f"one of the keys in the server's {VARIABLE}")


class ApiKeys:
    def __init__(self, keys: Sequence[str] = ()) -> None:
        for number, key in enumerate(keys, 1):
            if len(key) < _SHORTEST:  # it is a secret: its place is said, not its letters
                raise BadInput(
                    f"key {number} in {VARIABLE} has {len(key)} characters, at least {_SHORTEST}"
                    " were expected; openssl rand -hex 16 makes one"
                )
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ApiKeys:
        return cls(environ.get(VARIABLE, "").split())

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, key: str) -> bool:
        """Digests have one length, and all are compared: time tells nothing about the keys."""
        asked = _digest(key)
        return sum(hmac.compare_digest(asked, own) for own in self._digests) > 0


async def check_key(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    keys: ApiKeys = request.app.state.keys
    if keys and not (given and keys.admit(given.credentials)):
        raise HTTPException(
            401,
            "a key is needed, as in the header 'Authorization: Bearer KEY'; ask the operator"
            if given is None
            else "this key is not known here; ask the operator for another",
            {"www-authenticate": "Bearer"},
        )


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogateescape")).digest()
