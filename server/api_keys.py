"""Who may ask: those who send one of the keys in the server's environment.

HONE_API_KEYS="one-long-secret another-long-secret" python -m server --host 0.0.0.0
"""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hone.api_keys import ApiKeys

VARIABLE = "HONE_API_KEYS"
_bearer = HTTPBearer(auto_error=False, description=f"one of the keys in the server's {VARIABLE}")


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
