"""`headway ui`: the live blackboards in a browser."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import Parser
from headway.errors import BadInput, shown

PORT = 8642
_EVERYWHERE = ("0.0.0.0", "::")
EPILOG = """\
The page is served from this machine to this machine; it needs no network, and what it is told in
its address is all that it knows: send the address to share a view.

  headway ui
  headway ui --open --port 9000
"""


def main(arguments: Sequence[str]) -> int:
    """Serve the page until somebody stops it."""
    options = Parser("ui", "Live blackboards in a browser, on this machine: batch, context, pass length, generations.",
                     EPILOG)  # fmt: skip
    options.add_argument(
        "--port", default=str(PORT), metavar="N", help=f"port to listen on, 0 for any (default {PORT})"
    )
    options.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                         help="address to listen on (default 127.0.0.1: this machine only)")  # fmt: skip
    options.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                         help="a name that browsers may reach the page by, beside localhost")  # fmt: skip
    options.add_argument("--open", action="store_true", help="open the page in a browser")
    options.add_output_options("say what the page may do, and what browsers are told")
    args = options.read(arguments)
    port, host = _port(args.port), _host(args.host, "--host")
    names = [_host(name, "--allow-host") for name in args.allow_host]
    try:
        from headway.web.serve import is_loopback, listen, serve  # noqa: PLC0415
    except ImportError:
        raise BadInput("the page needs starlette and uvicorn; install them with: pip install 'headway[web]'") from None
    with listen(host, port) as listening:
        port = listening.getsockname()[1]
        serve(listening, (_named(host), *map(_named, names)), lambda: _tell(args, port, is_loopback(host)))
    if not args.json:
        print("stopped")
    return 0


def _host(text: str, option: str) -> str:
    """An address or a name, as a browser would write it; without a port, and no pattern."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?", text):
        raise BadInput(f"{option} takes an address or a name, such as 192.168.1.5 or my-host, found {shown(text)}")
    return text.strip("[]")


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > 65535:
        raise BadInput(f"--port must be a whole number from 0 to 65535, found {shown(text)}")
    return int(text)


def _tell(args: Any, port: int, private: bool) -> None:
    """Say where the page is, once it can be reached."""
    from headway.web.app import POLICY  # noqa: PLC0415
    from headway.web.state import BOARDS  # noqa: PLC0415

    everywhere = args.host.strip("[]") in _EVERYWHERE
    address = f"http://{'127.0.0.1' if everywhere else _named(args.host.strip('[]'))}:{port}/"
    explanation = [
        "The page computes nothing: each figure comes from the library, which prints its equation and its sources.",
        "A request names catalogued models and machines or brings a config.json along; none makes the server read a "
        "file or call another host.",
        f"Browsers are told: {POLICY}",
    ]  # fmt: skip
    if args.json:
        from headway.cli.output import print_json  # noqa: PLC0415

        told = {"url": address, "boards": {name: f"{address}{name}" for name in BOARDS}}
        print_json(told | ({"explanation": explanation} if args.explain else {}))
    else:
        print(f"The blackboards are at {address} (Ctrl-C stops)", *(explanation if args.explain else []), sep="\n")
    sys.stdout.flush()
    if not private:
        print("headway: whoever reaches this address can read the page; it asks for no password", file=sys.stderr)
    if everywhere and not args.allow_host:
        print("headway: it answers to no name but localhost; --allow-host NAME lets browsers elsewhere in",
              file=sys.stderr)  # fmt: skip
    if args.open:
        import webbrowser  # noqa: PLC0415

        webbrowser.open(address)
