"""Checks who may search.

A request needs one of the keys in the server's environment. Without keys, if the server listens for
its own machine only, the request must address it by one of the machine's own names
(hone/own_names.py).

    HONE_API_KEYS="one-long-secret another-long-secret" python -m server --host 0.0.0.0
"""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hone.api_keys import ApiKeys
from hone.own_names import OWN_NAMES, is_own_name
from hone.who_may_ask import WhoMayAsk

VARIABLE = "HONE_API_KEYS"
_bearer = HTTPBearer(auto_error=False, description=f"one of the keys in the server's {VARIABLE}")


async def check_admission(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    who: WhoMayAsk = request.app.state.who_may_ask
    if who.keys:
        _check_key(who.keys, given)
    elif who.by_own_name:
        _check_name(request.headers.get("host", ""))


def _check_key(keys: ApiKeys, given: HTTPAuthorizationCredentials | None) -> None:
    if not (given and keys.admit(given.credentials)):
        raise HTTPException(
            401,
            "a key is needed in the header 'Authorization: Bearer KEY'; ask the operator for one"
            if given is None
            else "this key is not known here; ask the operator for another",
            {"www-authenticate": "Bearer"},
        )


def _check_name(asked: str) -> None:
    if not is_own_name(asked):
        raise HTTPException(
            403,
            f"this server was addressed as {asked[:100]!r}, but without keys it answers to"
            f" {OWN_NAMES} only; use one of these, or start it with {VARIABLE}",
        )
