"""The names by which a machine addresses itself, to detect DNS rebinding.

A browser sends requests to any address for any web page, with the name of the address in the Host
header. If a page's own domain is made to resolve to this machine, the browser regards a service
here as part of the page and lets the page read its answers. Such a request shows in its Host
header, which is not one of the machine's own names.
"""

from __future__ import annotations

import re

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_IN_ADDRESSES = [f"[{name}]" if ":" in name else name for name in LOOPBACK]
OWN_NAMES = f"{', '.join(_IN_ADDRESSES[:-1])} and {_IN_ADDRESSES[-1]}"
_OWN_NAME = re.compile(rf"({'|'.join(map(re.escape, _IN_ADDRESSES))})(:\d+)?", re.IGNORECASE)


def is_own_name(host_header: str) -> bool:
    return _OWN_NAME.fullmatch(host_header) is not None
