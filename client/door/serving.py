"""Serves the application on a socket until told to stop, and completes requests that have begun."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from client.run_trace import RunTrace
from hone.api_keys import ApiKeys
from hone.listening import listening_socket, url_of
from hone.who_may_ask import WhoMayAsk

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from client.adaptation import Adaptation
    from client.client import ClientSettings
    from client.text_answerer import Answer

KEYS = "HONE_DOOR_KEYS"
DRAIN_SECONDS = 120  # time for requests that were accepted before the signal to stop
log = logging.getLogger("hone.door")


def serve(settings: ClientSettings) -> None:
    """Answers requests until SIGTERM or Ctrl-C."""
    from client.opening import open_adaptation

    who = WhoMayAsk(settings.host, ApiKeys.from_environment(KEYS, os.environ))
    with listening_socket(settings.host, settings.port) as listener:
        url = url_of(listener)
        if who.anybody:
            print(
                f"note: anyone who can reach {url} may use it; set {KEYS} in the environment to"
                " require keys",
                file=sys.stderr,
            )
        with open_adaptation(settings, "text", adapt=settings.ttt) as adaptation:
            _run(door(settings, adaptation, who, url), listener)


def door(settings: ClientSettings, adaptation: Adaptation, who: WhoMayAsk, url: str) -> Starlette:
    from client.door.admission import Admission
    from client.door.app import create_app
    from client.door.desk import Desk
    from client.door.orders import OrderMaker

    desk = Desk(settings.most_waiting, lambda answers: _trace(settings, adaptation, answers))
    adaptation.progress = lambda phase, done, total: desk.check()
    orders = OrderMaker(adaptation, settings.max_new_tokens, adapt=settings.ttt)
    ready = f"answering as {' and '.join(orders.models)} on {url}/v1"
    return create_app(orders, desk, Admission(who), lambda: print(ready, flush=True))


def _run(app: Starlette, listener: socket.socket) -> None:
    import uvicorn

    # uvicorn raises the signal again when it has drained
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _trace(settings: ClientSettings, adaptation: Adaptation, answers: list[Answer]) -> None:
    """Writes a trace, as every run does; a full disk costs the trace, not the answer."""
    told = [{"query": one.query, "answer": one.text, "trace": one.trace} for one in answers]
    try:
        RunTrace(settings.trace_dir).write(adaptation, told)
    except OSError as error:
        log.warning("no trace was written: %s", error)
