"""`headway ui`: the live blackboards in a browser."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import Parser
from headway.errors import BadInput

PORT = 8642
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
    options.add_output_options()
    args = options.read(arguments)
    port = _port(args.port)
    try:
        from headway.web.serve import is_loopback, listen, serve  # noqa: PLC0415
    except ImportError:
        raise BadInput("the page needs starlette and uvicorn; install them with: pip install 'headway[web]'") from None
    with listen(args.host, port) as listening:
        address = _address(args.host, listening.getsockname()[1])
        serve(listening, (args.host, *args.allow_host), lambda: _tell(args, address, is_loopback(args.host)))
    if not args.json:
        print("stopped")
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise BadInput(f"--port must be a whole number from 0 to 65535, found {text!r}")
    return int(text)


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _tell(args: Any, address: str, private: bool) -> None:
    """Say where the page is, once it can be reached."""
    from headway.web.app import POLICY  # noqa: PLC0415
    from headway.web.state import BOARDS  # noqa: PLC0415

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
    if args.open:
        import webbrowser  # noqa: PLC0415

        webbrowser.open(address)
