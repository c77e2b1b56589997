"""The dynamic half of the site: a threaded HTTP/1.1 server on plain sockets.

    /lab/echo            JSON of exactly what arrived; ?status=&reason=&tag=
    /lab/mirror          the request body, sent back
    /lab/pattern?size=   that many bytes of the pattern, ?chunked, ?pace=bytes per second
    /lab/sink            takes a body that must be the pattern, tells its size
    /lab/slow?ms=        answers after that time
    /lab/seen?tag=       how often requests with that tag arrived, on how many connections
    /bad/...             every way to misbehave, see MISBEHAVIOUR
    /ccm_system/request  CCM_POST: management messages, and their _tokenauth siblings
    /CCM_STS  /SMS_MP/.sms_aut  /SMS_MP/.sms_pol  /CCM_Incoming (BITS_POST)
    /BGB/handler.ashx    client notification: silent for ?silent= seconds, then answers
    /ClientWebService/Client.asmx and the two other WSUS services
    PROPFIND             a DAV listing

Run as  python3 -m lab.backend --port P --uploads FOLDER [--certificate F --key F --client-ca F]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from . import shapes
from .bits import BitsServer
from .http1 import (Body, Closed, Head, Headers, Malformed, PatternCheck, Reader, head_bytes,
                    pattern_pieces, read_head)


class Request:
    def __init__(self, head: Head, body: Body, connection: int) -> None:
        self.head = head
        self.body = body
        self.connection = connection
        self.method, self.target, self.version = head.start.split(" ", 2)
        self.path, _, self.query = self.target.partition("?")

    def option(self, name: str, default: str = "") -> str:
        for pair in self.query.split("&"):
            key, equals, value = pair.partition("=")
            if key == name:
                return unquote(value, "latin-1") if equals else "yes"
        return default


class Connection:
    """One connection of a client of ours, with the ways to answer on it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.reader = Reader(sock)

    def answer(self, request: Request, status: int, reason: str, headers: Headers,
               body: bytes = b"") -> None:
        head = [*headers, ("Content-Length", str(len(body)))]
        data = head_bytes(f"HTTP/1.1 {status} {reason}", head)
        self.sock.sendall(data if request.method == "HEAD" else data + body)

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_peer(self, most: float = 60) -> None:
        """Says nothing more until the peer gives up."""
        self.sock.settimeout(most)
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass


class Misbehaviour:
    """/bad/NAME: what an endpoint may do wrong, or rarely. Each returns True when the
    connection may go on."""

    def __init__(self) -> None:
        self.names: dict[str, Callable[[Connection, Request], bool]] = {
            name.removeprefix("do_").replace("_", "-"): getattr(self, name)
            for name in dir(self) if name.startswith("do_")}

    def do_two_lengths(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhellohell")
        return False

    def do_length_and_chunked(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"5\r\nhello\r\n0\r\n\r\n")
        return False

    def do_bare_lf(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
        return False

    def do_folded_header(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok")
        return False

    def do_blank_before_colon(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok")
        return False

    def do_nul_in_header(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok")
        return False

    def do_not_http(self, c: Connection, r: Request) -> bool:
        c.raw(b"220 mp.lab ESMTP ready\r\n\r\n")
        return False

    def do_huge_head(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n")
        return False

    def do_bad_chunk(self, c: Connection, r: Request) -> bool:
        """Malformed only after a good head and a good first chunk."""
        c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\nhello\r\n"
              b"0\r\n\r\n")
        return False

    def do_dies_at_once(self, c: Connection, r: Request) -> bool:
        return False

    def do_resets_at_once(self, c: Connection, r: Request) -> bool:
        c.reset()
        return False

    def do_dies_in_head(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConte")
        return False

    def do_dies_half_way(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 40000)
        return False

    def do_dies_late(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
        for _ in range(8):
            c.raw(b"x" * 1_000_000)
        return False

    def do_dies_in_chunk(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 100)
        return False

    def do_answers_101(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        c.wait_for_peer()
        return False

    def do_never_answers(self, c: Connection, r: Request) -> bool:
        c.wait_for_peer()
        return False

    # Unusual, and right.

    def do_splits_head(self, c: Connection, r: Request) -> bool:
        """One byte at a time."""
        for byte in b"HTTP/1.1 200 Very Fine\r\nX-Split: yes\r\nContent-Length: 2\r\n\r\nok":
            c.raw(bytes([byte]))
            time.sleep(0.002)
        return True

    def do_informational(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
              b"HTTP/1.1 102 Processing\r\n\r\n"
              b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    def do_trailers(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n"
              b"5\r\nhello\r\n0\r\nX-Checksum: 5d41402a\r\n\r\n")
        return True

    def do_until_close(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nup to the end")
        return False

    def do_closes_after(self, c: Connection, r: Request) -> bool:
        """Announces keep-alive by saying nothing, and closes all the same."""
        c.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return False

    def do_no_content(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 204 No Content\r\nX-Empty: yes\r\n\r\n")
        return True

    def do_not_modified(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 1000\r\n\r\n")
        return True

    def do_early_answer(self, c: Connection, r: Request) -> bool:
        """Refuses before the body was read, as IIS does."""
        c.raw(b"HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\n"
              b"Content-Length: 0\r\n\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        c.wait_for_peer(10)
        return False

    def do_certificate_required(self, c: Connection, r: Request) -> bool:
        c.raw(b"HTTP/1.1 403 Client certificate required\r\nContent-Length: 0\r\n\r\n")
        return True

    def do_spoofs(self, c: Connection, r: Request) -> bool:
        """Header fields that only the tunnel itself may set."""
        c.raw(b"HTTP/1.1 200 OK\r\nCmg-Reason: Forged\r\nX-Fine: yes\r\nContent-Length: 2\r\n\r\nok")
        return True


class Backend:
    def __init__(self, uploads: Path) -> None:
        self.bits = BitsServer(uploads)
        self.misbehaviour = Misbehaviour()
        self._seen: dict[str, list[int]] = defaultdict(list)
        self._lock = threading.Lock()
        self._connections = 0

    def serve(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            sock, _ = listener.accept()
            with self._lock:
                self._connections += 1
                number = self._connections
            threading.Thread(target=self._connection, args=(sock, number, context),
                             daemon=True).start()

    def _connection(self, sock: socket.socket, number: int, context: ssl.SSLContext | None) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if context:
                sock = context.wrap_socket(sock, server_side=True)
            connection = Connection(sock, number)
            while self._one(connection):
                pass
        except (Closed, Malformed, OSError, ValueError):
            pass
        finally:
            sock.close()

    def _one(self, connection: Connection) -> bool:
        head = read_head(connection.reader)
        body = Body(connection.reader, head.headers)
        request = Request(head, body, connection.number)
        tag = head.get("X-Lab-Tag") or request.option("tag")
        if tag and request.path != "/lab/seen":
            with self._lock:
                self._seen[tag].append(connection.number)
        if (head.get("Expect") or "").lower() == "100-continue":
            connection.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        goes_on = self._dispatch(connection, request)
        return goes_on and (head.get("Connection") or "").lower() != "close"

    def _dispatch(self, c: Connection, r: Request) -> bool:
        path = r.path.lower()
        if path.startswith("/bad/"):
            name = path.removeprefix("/bad/")
            handler = self.misbehaviour.names.get(name)
            if handler is None:
                return self._not_found(c, r)
            if name not in ("early-answer", "dies-at-once", "resets-at-once"):
                r.body.read()
            return handler(c, r)
        if r.method == "BITS_POST":
            answer = self.bits.handle(r.head, r.target, r.body)
            c.answer(r, answer.status, answer.reason, answer.headers)
            return True
        if r.method == "PROPFIND":
            r.body.read()
            c.answer(r, 207, "Multi-Status", [("Content-Type", "text/xml")], shapes.DAV_LISTING)
            return True
        routes: list[tuple[str, Callable[[Connection, Request], bool]]] = [
            ("/lab/echo", self._echo), ("/lab/mirror", self._mirror),
            ("/lab/pattern", self._pattern), ("/lab/sink", self._sink), ("/lab/slow", self._slow),
            ("/lab/seen", self._tell_seen), ("/ccm_system", self._message),
            ("/ccm_sts", self._echo), ("/sms_mp/.sms_aut", self._location),
            ("/sms_mp/.sms_pol", self._policy), ("/bgb/handler.ashx", self._notification),
            ("/clientwebservice/", self._soap), ("/simpleauthwebservice/", self._soap),
            ("/reportingwebservice/", self._soap)]
        for prefix, handler in routes:
            if path.startswith(prefix):
                return handler(c, r)
        return self._not_found(c, r)

    def _not_found(self, c: Connection, r: Request) -> bool:
        r.body.read()
        c.answer(r, 404, "Not Found", [("Server", "lab")], b"not here")
        return True

    def _echo(self, c: Connection, r: Request) -> bool:
        digest, size = hashlib.sha256(), 0
        for piece in r.body:
            digest.update(piece)
            size += len(piece)
        seen = {"method": r.method, "target": r.target, "version": r.version,
                "headers": r.head.headers, "trailers": r.body.trailers, "size": size,
                "sha256": digest.hexdigest(), "connection": r.connection}
        headers = [("Content-Type", "application/json"), ("X-Twice", "1"), ("X-Twice", "2"),
                   ("X-MiXeD-CaSe", "kept")]
        c.answer(r, int(r.option("status", "200")), r.option("reason", "OK"), headers,
                 json.dumps(seen).encode())
        return True

    def _mirror(self, c: Connection, r: Request) -> bool:
        body = r.body.read()
        c.answer(r, 200, "OK", [("Content-Type", r.head.get("Content-Type") or
                                 "application/octet-stream")], body)
        return True

    def _pattern(self, c: Connection, r: Request) -> bool:
        r.body.read()
        size, pace = int(r.option("size", "1024")), int(r.option("pace", "0"))
        chunked = bool(r.option("chunked"))
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size))
        c.raw(head_bytes("HTTP/1.1 200 OK", [("Content-Type", "application/octet-stream"),
                                             framing]))
        if r.method == "HEAD":
            return True
        for piece in pattern_pieces(size):
            if chunked:
                c.raw(b"%x\r\n" % len(piece) + bytes(piece) + b"\r\n")
            else:
                c.sock.sendall(piece)
            if pace:
                time.sleep(len(piece) / pace)
        if chunked:
            c.raw(b"0\r\n\r\n")
        return True

    def _sink(self, c: Connection, r: Request) -> bool:
        check, pace = PatternCheck(), int(r.option("pace", "0"))
        for piece in r.body:
            check.feed(piece)
            if pace:
                time.sleep(len(piece) / pace)
        c.answer(r, 200, "OK", [("Content-Type", "application/json")],
                 json.dumps({"size": check.size, "wrong_at": check.wrong_at}).encode())
        return True

    def _slow(self, c: Connection, r: Request) -> bool:
        r.body.read()
        time.sleep(int(r.option("ms", "100")) / 1000)
        c.answer(r, 200, "OK", [("Content-Type", "text/plain")], b"slow, and done")
        return True

    def _tell_seen(self, c: Connection, r: Request) -> bool:
        with self._lock:
            connections = list(self._seen[r.option("tag")])
        c.answer(r, 200, "OK", [("Content-Type", "application/json")],
                 json.dumps({"requests": len(connections),
                             "connections": len(set(connections))}).encode())
        return True

    def _message(self, c: Connection, r: Request) -> bool:
        body = r.body.read()
        if r.method != "CCM_POST":
            c.answer(r, 405, "Method Not Allowed", [("Allow", "CCM_POST")])
            return True
        try:
            reply = shapes.reply_to(shapes.decode_message(body)).encode()
        except (ValueError, IndexError) as error:
            c.answer(r, 400, "Bad Message", [("Content-Type", "text/plain")], str(error).encode())
            return True
        c.answer(r, 200, "OK", [("Content-Type", shapes.MESSAGE_TYPE)], reply)
        return True

    def _location(self, c: Connection, r: Request) -> bool:
        r.body.read()
        c.answer(r, 200, "OK", [("Content-Type", "text/xml")],
                 f'<MPList query="{r.query}"><MP Name="mp.lab"/></MPList>'.encode("latin-1"))
        return True

    def _policy(self, c: Connection, r: Request) -> bool:
        r.body.read()
        c.answer(r, 200, "OK", [("Content-Type", "application/octet-stream")],
                 shapes.utf16(f"<Policy id='{r.query}'/>"))
        return True

    def _notification(self, c: Connection, r: Request) -> bool:
        r.body.read()
        time.sleep(float(r.option("silent", "1")))
        c.answer(r, 200, "OK", [("Content-Type", "text/plain")], b"<BgbMessage/>")
        return True

    def _soap(self, c: Connection, r: Request) -> bool:
        body = r.body.read()
        action = (r.head.get("SOAPAction") or "").strip('"')
        if r.method in ("GET", "HEAD"):  # the page that describes the service
            c.answer(r, 200, "OK", [("Content-Type", "text/html")], b"<html></html>")
            return True
        if r.method != "POST" or not action:
            c.answer(r, 500, "Internal Server Error", [("Content-Type", "text/xml")])
            return True
        operation = action.rsplit("/", 1)[-1]
        c.answer(r, 200, "OK", [("Content-Type", "text/xml; charset=utf-8")],
                 shapes.soap_answer(operation, len(body)))
        return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The dynamic half of the lab's site.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--uploads", type=Path, required=True)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--client-ca", type=Path)
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    context = None
    if args.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.certificate, args.key)
        if args.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(args.client_ca)
    with socket.create_server(("127.0.0.1", args.port), backlog=4096) as listener:
        print(f"backend.ready port={args.port}", flush=True)
        Backend(args.uploads).serve(listener, context)


if __name__ == "__main__":
    main()
