"""A proxy in front of blob storage that counts what it is asked for, and can hold requests back or
answer them itself: how an upload is caught in the middle."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from .waiting import wait_for


@dataclass(frozen=True)
class Seen:
    kind: str
    name: str  # container/blob, decoded
    body: int  # bytes


def kind_of(method: str, query: dict[str, list[str]]) -> str:
    comp = query.get("comp", [""])[0]
    if "restype" in query:
        return "list" if comp == "list" else "container"
    return {("PUT", "block"): "block", ("PUT", "blocklist"): "commit", ("PUT", ""): "blob",
            ("GET", "blocklist"): "ask", ("DELETE", ""): "delete"}.get((method, comp), "other")


class Watched:
    """`url` is that of the account, by way of the proxy."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port)
        self.seen: list[Seen] = []  # what storage was asked for
        self.held = 0  # requests that wait here
        self._lock = threading.Lock()
        self._hold: tuple[str, int] | None = None
        self._go = threading.Event()
        self._drop = False
        self._busy: list[tuple[str, int]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{parts.path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    # --- for tests ------------------------------------------------------------------------

    def count(self, kind: str) -> int:
        return sum(seen.kind == kind for seen in self.seen)

    def body(self, kind: str) -> int:
        return sum(seen.body for seen in self.seen if seen.kind == kind)

    def forget(self) -> None:
        self.seen.clear()

    def hold(self, kind: str, after: int) -> None:
        """Requests of that kind stay here once so many have passed."""
        self._go.clear()
        self._drop = False
        self._hold = (kind, after)

    def wait_held(self, count: int) -> None:
        wait_for(lambda: self.held >= count, f"{count} requests to be held", 30)

    def release(self, drop: bool = False) -> None:
        """What was held goes on, or its connection ends unanswered."""
        self._drop, self._hold = drop, None
        self._go.set()
        wait_for(lambda: self.held == 0, "held requests to go on")

    def answer(self, kind: str, *statuses: int) -> None:
        """The next requests of that kind are answered so; storage never sees them."""
        self._busy = [(kind, status) for status in statuses]

    def stop(self) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()

    # --- the proxy --------------------------------------------------------------------------

    def _passes(self, kind: str) -> bool:
        """False: the connection ends here."""
        with self._lock:
            held = self._hold and self._hold[0] == kind and self.count(kind) >= self._hold[1]
            self.held += bool(held)
        if not held:
            return True
        self._go.wait(60)
        with self._lock:
            self.held -= 1
        return not self._drop

    def _own_answer(self, kind: str) -> int:
        with self._lock:
            if self._busy and self._busy[0][0] == kind:
                return self._busy.pop(0)[1]
        return 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        watched = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def pass_on(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query, keep_blank_values=True)
                kind = kind_of(self.command, query)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if status := watched._own_answer(kind):
                    self.reply(status, [("x-ms-error-code", "ServerBusy")], b"")
                    return
                if not watched._passes(kind):
                    self.close_connection = True
                    return
                with watched._lock:
                    name = unquote(parts.path).split("/", 2)[2]
                    watched.seen.append(Seen(kind, name, len(body)))
                self.reply(*watched._forward(self, body))

            def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("connection", "transfer-encoding", "content-length",
                                            "keep-alive", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_DELETE = do_HEAD = pass_on

        return Handler

    def _forward(self, request: BaseHTTPRequestHandler,
                 body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self._target, timeout=30)
        try:
            connection.putrequest(request.command, request.path, skip_accept_encoding=True,
                                  skip_host=True)
            for name, value in request.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()
