"""A distribution point of revocation lists that can be told to fail or to stall."""

from __future__ import annotations

import collections
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STALL = object()


class DistributionPoint:
    """Serves http://127.0.0.1:PORT/NAME. What a name gives is a file, a status, or STALL: the
    request is taken and never answered. What was not set is 404."""

    def __init__(self) -> None:
        self.requests: collections.Counter[str] = collections.Counter()
        self._gives: dict[str, object] = {}
        self._end = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def give(self, name: str, what: Path | int | object) -> None:
        self._gives[name] = what

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.lstrip("/")
        self.requests[name] += 1
        what = self._gives.get(name, 404)
        if what is STALL:
            self._end.wait()
            return
        body = what.read_bytes() if isinstance(what, Path) else b""
        handler.send_response(200 if isinstance(what, Path) else what)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def close(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "DistributionPoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
