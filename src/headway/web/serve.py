"""Listen on an address and serve the page until somebody stops it."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence

import uvicorn

from headway.errors import BadInput, shown
from headway.web.app import LONGEST_QUERY, LOOPBACK, create_app

_MOST_AT_ONCE = 64


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address of this machine; `BadInput` where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, for asyncio turns off Nagle's wait (40 ms an answer) only on sockets that name it.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        more = "; --port 0 takes a free one" if port else ""
        raise BadInput(f"cannot listen on {shown(host)} port {port}: {error.strerror or error}{more}") from None
    return listening


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(listening: socket.socket, hosts: Sequence[str] = (), ready: Callable[[], None] = lambda: None) -> None:
    """Serve until interrupted; requests must name the loopback or one of `hosts`."""
    config = uvicorn.Config(
        create_app((*LOOPBACK, *hosts)), http="h11", ws="none", lifespan="off", log_config=None, log_level="warning",
        access_log=False, server_header=False, limit_concurrency=_MOST_AT_ONCE, timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=LONGEST_QUERY + 16_000,
    )  # fmt: skip
    gc.freeze()  # the catalog stays for good: no need to look through it again and again
    server = uvicorn.Server(config)
    ready()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
