"""The server: routes over the boards, with nothing behind them but this package.

It answers GET only, listens on the loopback unless told otherwise, refuses requests that name another host, and hands
out files that were read before the first request. Starlette is imported here and in `serve`; it is the extra `web`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headway.errors import BadInput, HeadwayError, shown
from headway.web.drawn import on_a_page
from headway.web.library import choices, models
from headway.web.page import board_json, details_json, inputs_json, title_of
from headway.web.state import BOARDS

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LONGEST_QUERY = 120_000  # characters: two packed configs and what else a state holds
# The one style element that Observable Plot puts into each chart, by the hash of its text.
_STYLE_OF_PLOT = "'sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww='"
POLICY = "; ".join([
    "default-src 'none'", "script-src 'self'", f"style-src 'self' {_STYLE_OF_PLOT}", "img-src 'self' data:",
    "connect-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
])  # fmt: skip
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
Answer = Callable[[str, list[tuple[str, str]]], dict[str, Any]]


class _File(NamedTuple):
    """A file of the page, as it is sent."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


def create_app(hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """The page as an ASGI application that answers to the named hosts."""
    _read_everything()
    first = json.dumps({"choices": choices()})
    page = files("headway.web").joinpath("static", "page.html").read_text("utf-8")
    static = _static()

    def send_file(request: Request) -> Response:
        found = static.get(request.path_params["name"])
        if found is None:
            return _error("there is no such file", 404)
        headers = {"etag": found.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return _packed(request, found.body, found.kind, headers, packed=found.packed)

    def send_page(request: Request) -> Response:
        name = request.path_params["board"]
        if name not in BOARDS:
            answer, status = {"error": f"There is no such page; known are {', '.join(BOARDS)}."}, 404
        else:
            answer, status = _answered(board_json, name, request)
        start = f"/{name if name in BOARDS else BOARDS[0]}"
        board = {"board": None, "start": start, **answer} if status != 200 else {"board": answer}
        text = json.dumps(json.loads(first) | board).replace("<", "\\u003c")
        body = page.replace("{{title}}", title_of(name)).replace("{{first}}", text)
        return _packed(request, body.encode(), "text/html; charset=utf-8", {"cache-control": "no-store"}, status=status)

    app = Starlette(
        routes=[
            Route("/", lambda _: RedirectResponse(f"/{BOARDS[0]}")),
            Route("/static/{name:path}", send_file),
            Route("/{board}.json", _json(board_json)),
            Route("/{board}/details.json", _json(details_json)),
            Route("/{board}/inputs.json", _json(inputs_json)),
            Route("/{board}", send_page),
        ],
        middleware=[Middleware(_Guarded), Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={404: lambda *_: _error("there is no such page", 404)},
    )
    app.router.redirect_slashes = False
    return app


def _read_everything() -> None:
    """Read all that any board may need, so that no request makes the server open a file."""
    models()
    for name in BOARDS:
        for chips in ("0", "1"):
            board_json(name, [("chips", chips)])


def _json(answer: Answer) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        found, status = _answered(answer, request.path_params["board"], request)
        return _as_json(found, status)

    return endpoint


def _answered(answer: Answer, board: str, request: Request) -> tuple[dict[str, Any], int]:
    """What a board answers, or the line that says why it does not."""
    try:
        if len(request.url.query) > LONGEST_QUERY:
            raise BadInput(f"the state is longer than {LONGEST_QUERY:,} characters")
        return answer(board, request.query_params.multi_items()), 200
    except HeadwayError as error:
        return {"error": on_a_page(" ".join(str(error).split()))}, 400
    except (RecursionError, MemoryError):
        return {"error": "the question is too large or nested too deeply to read"}, 400
    except Exception as error:  # a mistake of ours: the page lives on, and whoever started it is told where to look
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {place.name} ({place.filename.rpartition('/')[2]}:{place.lineno}): {error}"
        logging.getLogger("headway").error("cannot answer %s: %s", shown(request.url, 400), what)
        return {"error": f"headway failed on this question, please report it: {what}"}, 500


def _as_json(answer: dict[str, Any], status: int) -> Response:
    body = json.dumps(answer, allow_nan=False, separators=(",", ":"))
    return Response(body, status, {"cache-control": "no-store"}, "application/json")


def _error(line: str, status: int) -> Response:
    return _as_json({"error": line}, status)


def _packed(request: Request, body: bytes, kind: str, headers: dict[str, str], *, packed: bytes = b"",
            status: int = 200) -> Response:  # fmt: skip
    """A body, compressed for a browser that takes it so."""
    headers = headers | {"vary": "accept-encoding"}
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(packed or gzip.compress(body, 6), status, headers | {"content-encoding": "gzip"}, kind)
    return Response(body, status, headers, kind)


def _takes_gzip(accepted: str) -> bool:
    """Whether a browser takes gzip by its header."""
    weights = {word.partition(";")[0].strip().lower(): word.partition("q=")[2].strip() for word in accepted.split(",")}
    return "gzip" in weights and weights["gzip"] not in ("0", "0.0", "0.00", "0.000")


def _static() -> dict[str, _File]:
    """Every file that a browser may ask for, by its name below /static/."""
    found = {}
    root = files("headway.web").joinpath("static")
    for folder, before in ((root, ""), (root.joinpath("vendor"), "vendor/")):
        for entry in folder.iterdir():
            kind = _TYPES.get("." + entry.name.rpartition(".")[2])
            if kind is not None and entry.is_file():
                body = entry.read_bytes()
                tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                found[before + entry.name] = _File(body, gzip.compress(body, 9), f"{kind}; charset=utf-8", tag)
    return found


class _Guarded:
    """Puts the headers on every answer that keep a page to what it is, and answers no other site's page.

    A browser says of each request which site it is from: another site may link here, and ask for nothing else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with its headers."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            await _error("the page of another site may not ask here", 403)(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)
