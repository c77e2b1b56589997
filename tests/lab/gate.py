"""A gate in front of a port: the firewall of the lab. What it does can be changed while
connections are open.

    open        passes everything
    refuse      nobody listens: new connections are refused; those that are open go on
    black_hole  connections stay, and new ones are taken, but nothing passes
    cut()       resets what is open; the mode stays
    delay       seconds that each piece of data is held back, each way
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .waiting import wait_for

T = TypeVar("T")
OPEN, REFUSE, BLACK_HOLE = "open", "refuse", "black-hole"


class _Loop:
    """One thread with an event loop for all gates."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="gates", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T], within: float = 10) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within)


_loop: _Loop | None = None


def _gates_loop() -> _Loop:
    global _loop
    _loop = _loop or _Loop()
    return _loop


class Gate:
    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.mode = OPEN
        self.delay = 0.0
        self.accepted = 0  # connections ever taken
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._pending: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._loop = _gates_loop()
        self._loop.run(self._listen())

    # --- for tests ---------------------------------------------------------------------

    def open(self) -> None:
        self._set(OPEN)

    def refuse(self) -> None:
        self._set(REFUSE)

    def black_hole(self) -> None:
        self._set(BLACK_HOLE)

    def cut(self) -> None:
        self._loop.run(self._cut())

    def block(self) -> None:
        """What a firewall rule does that somebody just added: open connections are reset, new
        ones refused."""
        self.refuse()
        self.cut()

    def close(self) -> None:
        self.refuse()
        self.cut()

    def live(self) -> int:
        """Connections that pass through now."""
        return len(self._pairs)

    def wait_live(self, count: int, within: float = 15, explain=None) -> None:
        wait_for(lambda: self.live() == count,
                 f"{count} connections through the gate on port {self.port} "
                 f"(to {self.target})", within, explain=explain)

    # --- inside ------------------------------------------------------------------------

    def _set(self, mode: str) -> None:
        self.mode = mode
        self._loop.run(self._apply())

    async def _apply(self) -> None:
        if self.mode == BLACK_HOLE:
            self._passing.clear()
        else:
            self._passing.set()
        if self.mode == REFUSE and self._server:
            self._server.close()
            self._server = None
        elif self.mode != REFUSE and not self._server:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", self.port,
                                                  backlog=1024, limit=1 << 18)
        if self.mode != BLACK_HOLE:
            self._passing.set()

    async def _on_connection(self, reader: asyncio.StreamReader,
                             writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._pending.add(writer)
        try:
            await self._passing.wait()
            if self.mode == REFUSE:
                raise ConnectionError("refused meanwhile")
            there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 18)
        except OSError:
            # Nobody behind the gate: the client sees a reset, as without a gate.
            _reset(writer)
            return
        except asyncio.CancelledError:
            return
        finally:
            self._pending.discard(writer)
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except OSError:
            _reset(writer)
            _reset(back)
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 18):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._passing.wait()
            sink.write(data)
            await sink.drain()
        await self._passing.wait()
        if sink.can_write_eof():
            sink.write_eof()

    async def _cut(self) -> None:
        for writer, back in list(self._pairs):
            _reset(writer)
            _reset(back)
        for writer in list(self._pending):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST."""
    sock = writer.get_extra_info("socket")
    try:
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    writer.transport.abort()


def gates(first_port: int, first_target: int, count: int) -> list[Gate]:
    """Gates in front of `count` consecutive ports."""
    return [Gate(first_port + i, first_target + i) for i in range(count)]
