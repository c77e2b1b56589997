"""HTTP/1.1 as bytes. Client and back end keep what http.client and http.server throw away:
the raw target, the order, spelling and repetition of header fields, the reason phrase, 1xx
answers and trailers. Text is latin-1, so that every byte has its character."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

Headers = list[tuple[str, str]]

CHUNK = 256 * 1024


class Closed(ConnectionError):
    """The peer closed the connection in the middle of a message, or before one."""


class Malformed(ConnectionError):
    """What the peer sent is not HTTP/1.1."""


def header(headers: Headers, name: str) -> str | None:
    """The first field of that name."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def headers_named(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name.lower()]


class Reader:
    """Bytes of one connection, buffered."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self.total = 0

    def _fill(self) -> None:
        data = self.sock.recv(CHUNK)
        if not data:
            raise Closed(f"peer closed; {len(self.buffer)} bytes of the message had come")
        self.total += len(data)
        self.buffer += data

    def _take(self, size: int) -> bytes:
        data = bytes(memoryview(self.buffer)[:size])
        del self.buffer[:size]
        return data

    def until(self, mark: bytes, limit: int = 1 << 20) -> bytes:
        """Everything up to and with `mark`."""
        searched = 0
        while (at := self.buffer.find(mark, searched)) < 0:
            if len(self.buffer) > limit:
                raise Malformed(f"no {mark!r} in {limit} bytes")
            searched = max(0, len(self.buffer) - len(mark) + 1)
            self._fill()
        return self._take(at + len(mark))

    def some(self, most: int) -> bytes:
        """At least one byte, at most `most`."""
        if not self.buffer:
            data = self.sock.recv(min(most, CHUNK))
            if not data:
                raise Closed(f"peer closed with {most} bytes of the body to come")
            self.total += len(data)
            return data
        return self._take(min(most, len(self.buffer)))

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._fill()
        return self._take(size)

    def at_end(self) -> bool:
        """True when the peer has closed and nothing is left."""
        if self.buffer:
            return False
        try:
            self._fill()
        except (Closed, ConnectionError):
            return True
        return False


@dataclass
class Head:
    start: str
    headers: Headers
    raw: bytes

    def get(self, name: str) -> str | None:
        return header(self.headers, name)

    def all(self, name: str) -> list[str]:
        return headers_named(self.headers, name)


def read_head(reader: Reader) -> Head:
    raw = reader.until(b"\r\n\r\n")
    lines = raw[:-4].decode("latin-1").split("\r\n")
    return Head(lines[0], parse_fields(lines[1:]), raw)


def parse_fields(lines: list[str]) -> Headers:
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(f"no colon in {line!r}")
        headers.append((name, value.strip(" \t")))
    return headers


@dataclass
class Body:
    """A body on its way in. Iterate over it once; then `trailers` is filled."""
    reader: Reader
    headers: Headers
    is_response: bool = False
    has_none: bool = False
    trailers: Headers = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        if self.has_none:
            return
        if (coding := header(self.headers, "Transfer-Encoding")) is not None:
            if coding.lower() != "chunked":
                raise Malformed(f"Transfer-Encoding {coding!r}")
            yield from self._chunked()
        elif (length := header(self.headers, "Content-Length")) is not None:
            left = int(length)
            while left > 0:
                data = self.reader.some(left)
                left -= len(data)
                yield data
        elif self.is_response:
            yield from self._until_close()

    def _chunked(self) -> Iterator[bytes]:
        while True:
            size = int(self.reader.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            left = size
            while left > 0:
                data = self.reader.some(left)
                left -= len(data)
                yield data
            if self.reader.exactly(2) != b"\r\n":
                raise Malformed("no CRLF behind a chunk")
        lines = []
        while (line := self.reader.until(b"\r\n")) != b"\r\n":
            lines.append(line[:-2].decode("latin-1"))
        self.trailers = parse_fields(lines)

    def _until_close(self) -> Iterator[bytes]:
        try:
            while True:
                yield self.reader.some(CHUNK)
        except Closed:
            return

    def read(self) -> bytes:
        return b"".join(self)


def head_bytes(start: str, headers: Headers) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


# --- a body whose every byte is known, of any size, made and checked at memory speed ---------

_BLOCK = bytes((i * 7 + (i >> 8) * 13 + (i >> 16)) & 0xff for i in range(1 << 18))
_TWICE = memoryview(_BLOCK + _BLOCK)


def pattern(offset: int, size: int) -> memoryview:
    """`size` bytes (at most 256 KiB) of the pattern, from `offset`."""
    start = offset % len(_BLOCK)
    return _TWICE[start:start + size]


def pattern_bytes(size: int, offset: int = 0) -> bytes:
    return b"".join(pattern_pieces(size, offset))


def pattern_pieces(size: int, offset: int = 0) -> Iterator[memoryview]:
    end = offset + size
    while offset < end:
        piece = pattern(offset, min(CHUNK, end - offset))
        yield piece
        offset += len(piece)


class PatternCheck:
    """Compares a stream with the pattern, piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self.wrong_at: int | None = None

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        while len(view):
            piece = view[:CHUNK]
            if self.wrong_at is None and piece != pattern(self.size, len(piece)):
                self.wrong_at = self.size
            self.size += len(piece)
            view = view[len(piece):]
