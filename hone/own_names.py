"""The names by which a machine asks itself.

A browser asks any address for any page, and puts the name by which it was found into the Host
header. Where a page's own name was made to lead here (DNS rebinding), the browser takes the page
and a service of this machine for one place and lets the page read all; a name that is not this
machine's gives that away.
"""

from __future__ import annotations

import re

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_IN_ADDRESSES = [f"[{name}]" if ":" in name else name for name in LOOPBACK]
OWN_NAMES = f"{', '.join(_IN_ADDRESSES[:-1])} and {_IN_ADDRESSES[-1]}"
_OWN_NAME = re.compile(rf"({'|'.join(map(re.escape, _IN_ADDRESSES))})(:\d+)?", re.IGNORECASE)


def is_own_name(host_header: str) -> bool:
    return _OWN_NAME.fullmatch(host_header) is not None
