"""An error response in the form of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.errors import BadInput, HoneError, Unreachable

INVALID, SERVER = "invalid_request_error", "server_error"


class Refusal(Exception):
    """An HTTP status with a message of one sentence; `param` names the request's field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, " ".join(message.split()), kind
        self.param, self.code, self.headers = param, code, headers

    @classmethod
    def of(cls, error: HoneError) -> Refusal:
        if isinstance(error, BadInput):
            return cls(400, str(error))
        # the retrieval server is down, which may pass, or a disk or file failed
        return cls(503 if isinstance(error, Unreachable) else 500, str(error), kind=SERVER)

    def body(self) -> dict[str, Any]:
        told = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": told}
