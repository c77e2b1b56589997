"""The other end of a channel, on python3-h2, so that tests may lie: a gateway towards a real
connection point, and a connection point towards a real gateway."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .client import Http2
from .http1 import Headers
from .pki import Identity
from .waiting import LabError, wait_for

GREETING = "/.well-known/cmg/connection-point"
CHANNEL_ALPN = "rh2"


class FakeGateway:
    """Listens as a gateway's TCP-TLS port does. accept() gives the channel, on which we are the
    HTTP/2 client."""

    def __init__(self, port: int, identity: Identity, point_ca: str,
                 alpn: str = CHANNEL_ALPN) -> None:
        self.port = port
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(identity.certificate, identity.key)
        self.tls.load_verify_locations(point_ca)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.set_alpn_protocols([alpn])
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def accept_tls(self, within: float = 15) -> ssl.SSLSocket:
        self.listener.settimeout(within)
        try:
            sock, _ = self.listener.accept()
        except TimeoutError:
            raise LabError(f"nobody dialed port {self.port} in {within} s") from None
        sock.settimeout(within)
        return self.tls.wrap_socket(sock, server_side=True)

    def accept(self, within: float = 15) -> Http2:
        return Http2(self.accept_tls(within), "localhost", within)

    def greet(self, channel: Http2) -> dict[str, Any]:
        """Asks for the greeting as a gateway does, and returns it."""
        answer = channel.request("GET", GREETING, [("cmg-gateway", "localhost")])
        if answer.status != 200:
            raise LabError(f"greeting: {answer}")
        return answer.json()

    def close(self) -> None:
        self.listener.close()

    def __enter__(self) -> "FakeGateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Asked:
    """A request that came down a channel."""
    stream: int
    method: str
    path: str
    headers: Headers
    body: bytes = b""
    complete: bool = False


def greeting(name: str = "cp2", site: str = "LAB", endpoint: str = "99",
             **changes: object) -> dict[str, Any]:
    """A greeting as it should be; `changes` replaces members."""
    return {"name": name, "site": site, "version": "0.1.0",
            "connection_id": "00000000-1111-2222-3333-444444444444",
            "endpoints": [{"id": endpoint, "role": "management-point", "paths": ["SMS_MP"],
                           "max_request_bytes": 1 << 20, "auth": ["mutual"]}], **changes}


@dataclass
class FakePoint:
    """Dials a gateway's TCP-TLS port as a connection point does, and serves the channel in a
    thread: the greeting as told, everything else by `answer`."""

    port: int
    identity: Identity
    server_ca: str
    alpn: tuple[str, ...] = (CHANNEL_ALPN,)
    greeting_body: bytes | None = field(default_factory=lambda: json.dumps(greeting()).encode())
    greeting_status: int = 200
    answer: Callable[["FakePoint", Asked], None] | None = None

    def __post_init__(self) -> None:
        self.asked: list[Asked] = []
        self.greetings = 0
        self.closed = threading.Event()
        self.why = ""
        self._streams: dict[int, Asked] = {}
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(self.server_ca)
        tls.load_cert_chain(self.identity.certificate, self.identity.key)
        tls.set_alpn_protocols(list(self.alpn))
        sock = socket.create_connection(("127.0.0.1", self.port), 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_inbound_headers=False,
            validate_outbound_headers=False, normalize_outbound_headers=False))

    def start(self) -> "FakePoint":
        """SETTINGS, then the thread."""
        self.h2.initiate_connection()
        self.flush()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def flush(self) -> None:
        with self._lock:
            if data := self.h2.data_to_send():
                self.sock.sendall(data)

    def raw(self, data: bytes) -> None:
        """Bytes that are not ours to send."""
        with self._lock:
            self.sock.sendall(data)

    def reply(self, asked: Asked, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        with self._lock:
            self.h2.send_headers(asked.stream, [(":status", str(status)), *headers],
                                 end_stream=not body)
            if body:
                self.h2.send_data(asked.stream, body, end_stream=True)
            self.flush()

    def wait_closed(self, within: float = 15) -> None:
        """Until the gateway has ended the channel."""
        if not self.closed.wait(within):
            raise LabError(f"the gateway kept the channel for {within} s; "
                           f"{self.greetings} greetings asked, {len(self.asked)} requests")

    def wait_greeted(self, within: float = 15) -> None:
        wait_for(lambda: self.greetings, "the gateway to ask for the greeting", within)

    def close(self) -> None:
        """The thread ends before the descriptor is given back: it may be somebody else's next."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(10)
            self.sock.close()

    def __enter__(self) -> "FakePoint":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        self.sock.settimeout(120)
        try:
            while data := self.sock.recv(65536):
                with self._lock:
                    events = self.h2.receive_data(data)
                    self.flush()
                for event in events:
                    self._on_event(event)
            self.why = "closed"
        except (OSError, h2.exceptions.H2Error) as error:
            self.why = repr(error)
        finally:
            self.closed.set()

    def _on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            asked = Asked(event.stream_id, fields[":method"], fields[":path"],
                          [f for f in event.headers if not f[0].startswith(":")])
            self._streams[event.stream_id] = asked
        elif isinstance(event, h2.events.DataReceived):
            self._streams[event.stream_id].body += event.data
            with self._lock:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.flush()
        elif isinstance(event, h2.events.StreamEnded):
            asked = self._streams[event.stream_id]
            asked.complete = True
            self._on_request(asked)

    def _on_request(self, asked: Asked) -> None:
        if asked.path != GREETING:
            self.asked.append(asked)
            if self.answer:
                self.answer(self, asked)
            return
        self.greetings += 1
        # The second one is the hanging GET for the next version: left open.
        if self.greetings == 1 and self.greeting_body is not None:
            self.reply(asked, self.greeting_status, self.greeting_body,
                       [("content-type", "application/json"), ("etag", '"1"')])
