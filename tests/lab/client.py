"""Clients: HTTP/1.1 over TLS with every byte in our hand, HTTP/2 on python3-h2, and load."""

from __future__ import annotations

import asyncio
import collections
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import ConnectionInputs, ConnectionState, H2ConnectionStateMachine

from .http1 import Body, Headers, Reader, head_bytes, header, headers_named, read_head
from .pki import Identity
from .waiting import LabError


# python3-h2 takes a GOAWAY for the end; what is in flight goes on after it (RFC 9113, 6.8).
H2ConnectionStateMachine._transitions[
    ConnectionState.CLIENT_OPEN, ConnectionInputs.RECV_GOAWAY] = (None, ConnectionState.CLIENT_OPEN)


def context(trust: str, identity: Identity | None = None, alpn: Iterable[str] = ("http/1.1",),
            maximum: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """TLS of a client that trusts the CA file `trust`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(trust)
    if identity:
        made.load_cert_chain(identity.certificate, identity.key)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if maximum:
        made.maximum_version = maximum
    return made


@dataclass
class Response:
    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    informational: list[tuple[int, Headers]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return header(self.headers, name)

    def all(self, name: str) -> list[str]:
        return headers_named(self.headers, name)

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.reason} {self.headers} {self.body[:300]!r}"


class Http1:
    """One keep-alive connection."""

    def __init__(self, port: int, tls: ssl.SSLContext | None, host: str = "localhost",
                 source: str = "127.0.0.1", timeout: float = 30) -> None:
        self.host = f"{host}:{port}"
        sock = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname=host) if tls else sock
        self.reader = Reader(self.sock)

    def __enter__(self) -> "Http1":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes | memoryview) -> None:
        self.sock.sendall(data)

    def send_head(self, method: str, target: str, headers: Headers = ()) -> None:
        """Exactly these fields behind Host."""
        self.send(head_bytes(f"{method} {target} HTTP/1.1", [("Host", self.host), *headers]))

    def receive_head(self, method: str = "GET") -> tuple[Response, Body]:
        """The final head; its body is still to be read."""
        informational = []
        while True:
            head = read_head(self.reader)
            _, status, reason = (head.start.split(" ", 2) + [""])[:3]
            if status.startswith("1"):
                informational.append((int(status), head.headers))
                continue
            response = Response(int(status), reason, head.headers, informational=informational)
            none = method == "HEAD" or status in ("204", "304")
            return response, Body(self.reader, head.headers, is_response=True, has_none=none)

    def receive(self, method: str = "GET") -> Response:
        response, body = self.receive_head(method)
        response.body = body.read()
        response.trailers = body.trailers
        return response

    def request(self, method: str, target: str, headers: Headers = (),
                body: bytes | None = None) -> Response:
        """Adds Content-Length when there is a body and the headers give no framing."""
        headers = list(headers)
        if body is not None and header(headers, "Content-Length") is None \
                and header(headers, "Transfer-Encoding") is None:
            headers.append(("Content-Length", str(len(body))))
        self.send(head_bytes(f"{method} {target} HTTP/1.1", [("Host", self.host), *headers])
                  + (body or b""))
        return self.receive(method)

    def send_chunked(self, method: str, target: str, headers: Headers, pieces: Iterable[bytes],
                     trailers: Headers = ()) -> Response:
        self.send_head(method, target, [*headers, ("Transfer-Encoding", "chunked")])
        for piece in pieces:
            self.send(b"%x\r\n" % len(piece) + bytes(piece) + b"\r\n")
        fields = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        self.send(b"0\r\n" + fields.encode("latin-1") + b"\r\n")
        return self.receive(method)

    def is_closed(self, within: float = 5) -> bool:
        """True when the server closes, without having sent anything more."""
        self.sock.settimeout(within)
        try:
            return self.reader.at_end()
        except TimeoutError:
            return False


class Http2:
    """One HTTP/2 connection, as the HTTP/2 client. Blocking, and single-threaded: start() any
    number of streams, then finish() them; what arrives meanwhile for others is kept."""

    def __init__(self, sock: socket.socket, authority: str, timeout: float = 30,
                 window: int = 65535) -> None:
        self.authority = authority
        self.sock = sock
        self.timeout = timeout
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.h2.initiate_connection()
        if window != 65535:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._responses: dict[int, Response] = {}
        self._done: dict[int, str] = {}
        self.consume = True  # acknowledge body bytes at once, so that the server may go on
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.flush()

    @classmethod
    def dial(cls, port: int, tls: ssl.SSLContext, host: str = "localhost",
             source: str = "127.0.0.1", timeout: float = 30, window: int = 65535) -> "Http2":
        sock = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = tls.wrap_socket(sock, server_hostname=host)
        if secure.selected_alpn_protocol() != "h2":
            raise LabError(f"no h2, but {secure.selected_alpn_protocol()}")
        return cls(secure, f"{host}:{port}", timeout, window)

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.sock.sendall(data)

    def start(self, method: str, target: str, headers: Headers = (), end: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", self.authority),
                  (":path", target), *((name.lower(), value) for name, value in headers)]
        self.h2.send_headers(stream, fields, end_stream=end)
        self._responses[stream] = Response(0, "", [])
        self.flush()
        return stream

    def send_body(self, stream: int, pieces: Iterable[bytes], end: bool = True) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while len(view):
                room = min(self.h2.local_flow_control_window(stream),
                           self.h2.max_outbound_frame_size, len(view))
                if room <= 0:
                    if stream in self._done:
                        return
                    self.step()
                    continue
                self.h2.send_data(stream, bytes(view[:room]))
                self.flush()
                view = view[room:]
        if end and stream not in self._done:
            self.h2.end_stream(stream)
            self.flush()

    def step(self) -> None:
        """Reads once and deals with what came."""
        data = self.sock.recv(1 << 17)
        if not data:
            for stream in self._responses:
                self._done.setdefault(stream, "connection closed")
            raise ConnectionError("the server closed the connection")
        for event in self.h2.receive_data(data):
            self._on_event(event)
        self.flush()

    def _on_event(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None)
        response = self._responses.get(stream)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        if response is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            response.informational.append((int(dict(event.headers)[":status"]),
                                           list(event.headers)))
        elif isinstance(event, h2.events.ResponseReceived):
            response.status = int(dict(event.headers)[":status"])
            response.headers = [f for f in event.headers if not f[0].startswith(":")]
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
            if self.consume and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self._done.setdefault(stream, "")
        elif isinstance(event, h2.events.StreamReset):
            self._done.setdefault(stream, f"reset with {event.error_code!r}")

    def is_done(self, stream: int) -> bool:
        """As far as what has been read says."""
        return stream in self._done

    def finish(self, stream: int) -> Response:
        deadline = time.monotonic() + self.timeout
        while stream not in self._done:
            if time.monotonic() > deadline:
                raise LabError(f"no answer on stream {stream} in {self.timeout} s")
            self.step()
        if fault := self._done[stream]:
            raise ConnectionResetError(f"stream {stream}: {fault}")
        return self._responses[stream]

    def request(self, method: str, target: str, headers: Headers = (),
                body: bytes | None = None) -> Response:
        headers = list(headers)
        if body is not None and header(headers, "Content-Length") is None:
            headers.append(("Content-Length", str(len(body))))
        stream = self.start(method, target, headers, end=not body)
        if body:
            self.send_body(stream, [body])
        return self.finish(stream)


@dataclass
class Tally:
    """What a load counted."""
    done: int = 0
    connections: int = 0
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest: float = 0.0
    in_flight: int = 0

    def assert_none_lost(self, connections: int | None = None) -> None:
        """With `connections`, also that there were no more of them: none was dropped."""
        if self.failures:
            raise LabError(f"{sum(self.failures.values())} of "
                           f"{self.done + sum(self.failures.values())} requests failed: "
                           f"{dict(self.failures.most_common(5))}")
        if connections is not None and self.connections != connections:
            raise LabError(f"{self.connections} connections instead of {connections}")


class Load:
    """Workers that send a request over and over, one keep-alive connection each, in a thread of
    their own, until stop(). `target` is called for each request."""

    def __init__(self, port: int, tls: ssl.SSLContext, workers: int,
                 target: str | Callable[[], str], method: str = "GET", headers: Headers = (),
                 body: bytes = b"", expect: bytes | None = None, rounds: int | None = None,
                 timeout: float = 60) -> None:
        self.port, self.tls, self.workers = port, tls, workers
        self.target = target if callable(target) else lambda: target
        self.method, self.headers, self.body, self.expect = method, list(headers), body, expect
        self.rounds, self.timeout = rounds, timeout
        self.tally = Tally()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> "Load":
        self._thread.start()
        return self

    def stop(self, within: float = 90) -> Tally:
        """Lets requests in flight finish."""
        self._stop.set()
        return self.join(within)

    def join(self, within: float = 90) -> Tally:
        self._thread.join(within)
        if self._thread.is_alive():
            raise LabError(f"load did not end in {within} s: {self.tally}")
        return self.tally

    def __enter__(self) -> "Load":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _run(self) -> None:
        # Handshakes a few at a time: it is the requests that are the load.
        gate = asyncio.Semaphore(32)
        await asyncio.gather(*(self._worker(gate) for _ in range(self.workers)))

    async def _worker(self, gate: asyncio.Semaphore) -> None:
        writer: asyncio.StreamWriter | None = None
        count = 0
        try:
            while not self._stop.is_set() and (self.rounds is None or count < self.rounds):
                count += 1
                began = time.monotonic()
                try:
                    if writer is None:
                        async with gate:
                            reader, writer = await asyncio.wait_for(asyncio.open_connection(
                                "127.0.0.1", self.port, ssl=self.tls,
                                server_hostname="localhost", limit=1 << 20), self.timeout)
                        self.tally.connections += 1
                    self.tally.in_flight += 1
                    try:
                        keep = await asyncio.wait_for(self._one(reader, writer), self.timeout)
                    finally:
                        self.tally.in_flight -= 1
                    self.tally.done += 1
                    self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
                except (OSError, EOFError, LabError, asyncio.TimeoutError, ValueError) as error:
                    self.tally.failures[f"{type(error).__name__}: {error}"[:200]] += 1
                    keep = False
                if not keep and writer:
                    writer.close()
                    writer = None
        finally:
            if writer:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        fields = [("Host", f"localhost:{self.port}"), *self.headers]
        if self.body or self.method not in ("GET", "HEAD"):
            fields.append(("Content-Length", str(len(self.body))))
        writer.write(head_bytes(f"{self.method} {self.target()} HTTP/1.1", fields) + self.body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head[:-4].split("\r\n")
        answer = {name.lower(): value.strip() for name, _, value in
                  (line.partition(":") for line in lines)}
        if "content-length" in answer:
            body = await reader.readexactly(int(answer["content-length"]))
        else:
            body = await self._chunks(reader)
        if " 200 " not in start[:14]:
            raise LabError(f"{start} {body[:120]!r}")
        if self.expect is not None and body != self.expect:
            raise LabError(f"wrong body of {len(body)} bytes")
        return answer.get("connection", "").lower() != "close"

    @staticmethod
    async def _chunks(reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body
