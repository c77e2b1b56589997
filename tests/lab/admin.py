"""Asks a daemon at its administrator's door."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class _Connection(http.client.HTTPConnection):
    """Over a unix socket; Host is of no interest there."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def _asked(path: Path, method: str, target: str, body: bytes | None, within: float,
           ) -> Iterator[http.client.HTTPResponse]:
    connection = _Connection(path, within)
    try:
        connection.request(method, target, body)
        yield connection.getresponse()
    finally:
        connection.close()


def ask(path: Path, method: str, target: str, body: bytes | None = None,
        within: float = 10) -> Answer:
    with _asked(path, method, target, body, within) as response:
        return Answer(response.status, dict(response.headers), response.read().decode())


def lines(path: Path, method: str, target: str, within: float = 60) -> Iterator[Any]:
    """An answer that comes line by line; each is JSON."""
    with _asked(path, method, target, None, within) as response:
        for line in response:
            yield json.loads(line)
