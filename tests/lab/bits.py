"""The BITS upload protocol ([MC-BUP], and the BITS server pages of the Windows SDK), both ends.

A session is Create-Session, any number of Fragments in order, Close-Session. The server
tells with BITS-Received-Content-Range which byte it wants next; a fragment further on is
answered 416 with that header, one that overlaps is taken from there. Requests and answers
without a body still carry Content-Length.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .http1 import Head, Headers, header

PROTOCOL = "{7df0354d-249b-430f-820d-3d2a9bef4931}"

E_INVALID_ARGUMENT = "0x80070057"
SESSION_NOT_FOUND = "0x8020001f"
CONTEXT_SERVER = "0x5"


@dataclass
class Answer:
    status: int
    reason: str
    headers: Headers


@dataclass
class _Session:
    path: Path
    url: str
    name: str = ""
    received: int = 0
    total: int | None = None


class BitsServer:
    """Writes finished uploads to `folder`, named as the client's Content-Name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def handle(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        kind = (head.get("BITS-Packet-Type") or "").lower()
        handlers: dict[str, Callable[[Head, str, Iterable[bytes]], Answer]] = {
            "ping": self._ping, "create-session": self._create, "fragment": self._fragment,
            "close-session": self._close, "cancel-session": self._cancel}
        handler = handlers.get(kind)
        if handler is None:
            _drop(body)
            return _error(400, "Bad Request", E_INVALID_ARGUMENT)
        return handler(head, target, body)

    def _ping(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        _drop(body)
        return _ack([])

    def _create(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        _drop(body)
        if PROTOCOL not in (head.get("BITS-Supported-Protocols") or "").lower().split():
            return _error(400, "Bad Request", E_INVALID_ARGUMENT)
        key = "{" + str(uuid.uuid4()) + "}"
        with self._lock:
            self._sessions[key] = _Session(self.folder / f"{key}.part", target)
        self._sessions[key].path.write_bytes(b"")
        return _ack([("BITS-Protocol", PROTOCOL), ("BITS-Session-Id", key),
                     ("Accept-Encoding", "Identity")])

    def _session(self, head: Head) -> tuple[str, _Session | None]:
        key = (head.get("BITS-Session-Id") or "").lower()
        with self._lock:
            return key, self._sessions.get(key)

    def _fragment(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        key, session = self._session(head)
        if session is None:
            _drop(body)
            return _error(500, "Internal Server Error", SESSION_NOT_FOUND)
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", head.get("Content-Range") or "", re.I)
        length = head.get("Content-Length")
        if not match or length is None:
            _drop(body)
            return _error(400, "Bad Request", E_INVALID_ARGUMENT, key)
        first, last, total = (int(group) for group in match.groups())
        if last - first + 1 != int(length) or last >= total or \
                session.total not in (None, total):
            _drop(body)
            return _error(400, "Bad Request", E_INVALID_ARGUMENT, key)
        if first > session.received:
            _drop(body)
            answer = _error(416, "Range-Not-Satisfiable", E_INVALID_ARGUMENT, key)
            answer.headers.insert(1, ("BITS-Received-Content-Range", str(session.received)))
            return answer

        session.total = total
        session.name = session.name or head.get("Content-Name") or Path(target).name
        self._append(session, first, body)
        return _ack([("BITS-Session-Id", key),
                     ("BITS-Received-Content-Range", str(session.received))])

    @staticmethod
    def _append(session: _Session, first: int, body: Iterable[bytes]) -> None:
        """Writes what is new in the fragment; an overlap with earlier bytes is skipped."""
        at = first
        with open(session.path, "ab") as out:
            for piece in body:
                fresh = piece[max(0, session.received - at):]
                at += len(piece)
                out.write(fresh)
                session.received += len(fresh)

    def _close(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        _drop(body)
        key, session = self._session(head)
        if session is None:
            return _error(500, "Internal Server Error", SESSION_NOT_FOUND)
        if session.total is None or session.received != session.total or \
                session.path.stat().st_size != session.total:
            return _error(400, "Bad Request", E_INVALID_ARGUMENT, key)
        session.path.rename(self.folder / Path(session.name.replace("\\", "/")).name)
        with self._lock:
            del self._sessions[key]
        return _ack([("BITS-Session-Id", key)])

    def _cancel(self, head: Head, target: str, body: Iterable[bytes]) -> Answer:
        _drop(body)
        key, session = self._session(head)
        if session is None:
            return _error(500, "Internal Server Error", SESSION_NOT_FOUND)
        session.path.unlink(missing_ok=True)
        with self._lock:
            del self._sessions[key]
        return _ack([("BITS-Session-Id", key)])


def _drop(body: Iterable[bytes]) -> None:
    for _ in body:
        pass


def _ack(headers: Headers) -> Answer:
    return Answer(200, "OK", [("BITS-Packet-Type", "Ack"), *headers])


def _error(status: int, reason: str, code: str, session: str = "") -> Answer:
    headers = [("BITS-Packet-Type", "Ack")]
    if session:
        headers.append(("BITS-Session-Id", session))
    headers += [("BITS-Error-Code", code), ("BITS-Error", code),
                ("BITS-Error-Context", CONTEXT_SERVER)]
    return Answer(status, reason, headers)


class BitsUpload:
    """The client's end of one upload session. `send(headers, body)` makes one BITS_POST and
    returns (status, reason, headers); it is the caller's HTTP client."""

    def __init__(self, send: Callable[[Headers, bytes], tuple[int, str, Headers]],
                 name: str) -> None:
        self._send = send
        self.name = name
        self.session = ""

    def _packet(self, kind: str, extra: Headers, body: bytes = b"") -> tuple[int, str, Headers]:
        headers: Headers = [("User-Agent", "Microsoft BITS/7.8"), ("BITS-Packet-Type", kind)]
        if self.session:
            headers.append(("BITS-Session-Id", self.session))
        return self._send([*headers, *extra, ("Content-Length", str(len(body)))], body)

    def ping(self) -> tuple[int, str, Headers]:
        return self._packet("Ping", [])

    def create(self) -> tuple[int, str, Headers]:
        answer = self._packet("Create-Session", [("BITS-Supported-Protocols", PROTOCOL)])
        self.session = header(answer[2], "BITS-Session-Id") or ""
        return answer

    def fragment(self, first: int, data: bytes, total: int) -> tuple[int, str, Headers]:
        extra: Headers = [("Content-Name", self.name)] if first == 0 else []
        extra.append(("Content-Range", f"Bytes {first}-{first + len(data) - 1}/{total}"))
        return self._packet("Fragment", extra, data)

    def close(self) -> tuple[int, str, Headers]:
        return self._packet("Close-Session", [])

    def cancel(self) -> tuple[int, str, Headers]:
        return self._packet("Cancel-Session", [])


