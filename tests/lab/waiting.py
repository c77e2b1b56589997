"""Waiting for events. Nothing in the lab sleeps and hopes: a wait names what it waits for,
has a deadline, and says what the processes involved logged last when it gives up."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class LabError(AssertionError):
    """Something in the lab did not happen. Its text is meant to be read without a debugger."""


def wait_for(check: Callable[[], T | None], what: str, within: float = 15.0, every: float = 0.02,
             explain: Callable[[], str] | None = None) -> T:
    """Calls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + within
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() >= deadline:
            details = "\n" + explain() if explain else ""
            raise LabError(f"waited {within:g} s for {what}{details}")
        time.sleep(every)


def tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"    ({path.name}: {error.strerror})"
    return "\n".join("    " + line for line in text[-lines:]) or f"    ({path.name} is empty)"


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


_handed_out: set[int] = set()


def free_ports(count: int = 1) -> int:
    """The first of `count` consecutive free ports. They lie below the range from which the
    kernel picks ports for outgoing connections, so that nobody takes them meanwhile."""
    for _ in range(1000):
        first = random.randrange(10200, 32700 - count)
        block = range(first, first + count)
        if not _handed_out.intersection(block) and all(_is_free(port) for port in block):
            _handed_out.update(block)
            return first
    raise LabError(f"no {count} consecutive free ports between 10200 and 32700")


def port_answers(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
