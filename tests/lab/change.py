"""scripts/change: everything that is changed in a year of operations, in half a minute and under
load; what clients notice of it, counted.

The clients do what those of ConfigMgr do: a connection each, to either instance of the service;
when it is gone before a byte of the answer has come, the request is sent again, to the other one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .client import Http1
from .daemons import Daemon, build_folder
from .http1 import head_bytes
from .pki import Identity
from .site import ECHO, MP, Lab, Site, on
from .waiting import LabError, wait_for

RATE, POLLS, CLIENTS = 200, 50, 40  # requests a second; long polls; connections for the requests
REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")
POLL = "/BGB/handler.ashx?RequestType=LogIn&silent="
TRIES = 6  # of one request, all instances together
PATIENCE = 30.0  # of a client, for one answer


@dataclass
class Count:
    """What was noticed during one change."""
    name: str
    seconds: float = 0.0
    done: int = 0      # requests answered 200
    retried: int = 0   # of these, sent again because the connection had gone without a word
    slowest: float = 0.0
    polls: int = 0     # long polls answered 200
    again: int = 0     # long polls told to come again: 503 and Retry-After
    polls_retried: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


class Gone(Exception):
    """The connection ended before a byte of the answer."""


class Client:
    """One keep-alive connection to one of the instances."""

    def __init__(self, ports: list[int], tls: ssl.SSLContext, first: int) -> None:
        self.ports, self.tls, self.at = ports, tls, first % len(ports)
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    def close(self) -> None:
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def connect(self) -> None:
        """To the instance it is at, else to the next; nothing was asked yet, so nothing is lost."""
        for _ in range(2 * len(self.ports)):
            try:
                self.reader, self.writer = await asyncio.open_connection(
                    "127.0.0.1", self.ports[self.at], ssl=self.tls, server_hostname="localhost")
                return
            except OSError:
                self.at = (self.at + 1) % len(self.ports)
        raise LabError("no instance takes connections")

    async def once(self, target: str) -> tuple[int, dict[str, str], bytes]:
        if not self.writer:
            await self.connect()
        reader, writer = self.reader, self.writer
        assert reader and writer
        try:
            writer.write(head_bytes(f"GET {target} HTTP/1.1", [("Host", "localhost")]))
            await writer.drain()
            first = await reader.read(1)
        except OSError:
            first = b""
        if not first:
            raise Gone
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head[:-4].split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in
                  (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return int(start.split()[1]), fields, body

    async def ask(self, target: str) -> tuple[int, dict[str, str], bytes, int]:
        """The answer, and how often the request was sent again."""
        for again in range(TRIES):
            try:
                return *(await asyncio.wait_for(self.once(target), PATIENCE)), again
            except Gone:
                self.close()
                self.at = (self.at + 1) % len(self.ports)
            except BaseException:
                self.close()
                raise
        raise LabError(f"connection lost without an answer, {TRIES} times")


class Clients:
    """All of them, in a thread. What ends is counted under the change that is under way."""

    def __init__(self, ports: list[int], tls: ssl.SSLContext) -> None:
        self.ports, self.tls = ports, tls
        self.counts: list[Count] = [Count("start")]
        self.polling = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    @property
    def now(self) -> Count:
        return self.counts[-1]

    def start(self) -> "Clients":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Requests finish; long polls are given up."""
        self._stop.set()
        self._thread.join(PATIENCE + 5)
        if self._thread.is_alive():
            raise LabError("the clients did not end")

    async def _run(self) -> None:
        polls = [asyncio.create_task(self._poll(i)) for i in range(POLLS)]
        await asyncio.gather(*(self._requests(i) for i in range(CLIENTS)))
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    def _failed(self, what: object) -> None:
        self.now.failures[str(what)[:120]] += 1

    async def _requests(self, i: int) -> None:
        """At fixed times, not as fast as answers come: who waits makes no less load."""
        client, pace = Client(self.ports, self.tls, i), CLIENTS / RATE
        due = time.monotonic() + pace * i / CLIENTS
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += pace
            began = time.monotonic()
            try:
                status, _, body, again = await client.ask(REQUEST)
            except Exception as error:  # whatever it is, a client would have lost this one
                self._failed(f"{type(error).__name__}: {error}")
                continue
            if status != 200:
                self._failed(f"{status} {body[:90]!r}")
                continue
            self.now.done += 1
            self.now.retried += again > 0
            self.now.slowest = max(self.now.slowest, time.monotonic() - began)
        client.close()

    async def _poll(self, i: int) -> None:
        client = Client(self.ports, self.tls, i)
        target = on(ECHO, f"{POLL}{6 + i % 20}")
        while True:
            self.polling += 1
            try:
                status, fields, body, again = await client.ask(target)
            except asyncio.CancelledError:
                client.close()
                raise
            except Exception as error:  # as above
                self._failed(f"long poll: {type(error).__name__}: {error}")
                continue
            finally:
                self.polling -= 1
            self.now.polls_retried += again > 0
            if status == 200:
                self.now.polls += 1
            elif status == 503 and "retry-after" in fields:
                self.now.again += 1
                await asyncio.sleep(int(fields["retry-after"]))
            else:
                self._failed(f"long poll: {status} {body[:90]!r}")


# What is changed ----------------------------------------------------------------------------


class Site2:
    """Two gateways with certificate files of their own, two connection points."""

    def __init__(self, site: Site, build: Path, folder: Path) -> None:
        self.site = site
        self.own = _copy(site.pki.gateway, folder / "own")
        self.lab = Lab(site, build, folder, instances=2, points=("cp1", "cp2"), with_gates=False,
                       gateway={"gateway": {"certificate": self.own.certificate,
                                            "key": self.own.key}})

    def daemons(self) -> list[Daemon]:
        return [*self.lab.gateways.values(), *self.lab.points.values()]

    def up(self) -> None:
        """All four channels are open."""
        for point in self.lab.points.values():
            wait_for(lambda: len(_open(point)) == 2, f"both channels of {point.name}",
                     explain=self.lab.explain)
        self.lab.wait_up()

    def reload(self) -> str:
        for daemon in self.daemons():
            if "conf.reloaded" not in (told := daemon.reload()):
                raise LabError(f"{daemon.name}: {told}")
        return "4 daemons by SIGHUP"

    def needs_restart(self) -> str:
        gateway = self.lab.gateways[1]
        before = gateway.settings["gateway"]["client-port"]
        gateway.reconfigure({"gateway": {"client-port": 1}})
        told = gateway.reload()
        gateway.reconfigure({"gateway": {"client-port": before}})
        if "conf.needs_restart" not in told or "gateway.client-port" not in told:
            raise LabError(told)
        return "keys=" + told.split("keys=")[1]

    def renew(self) -> str:
        new = self.site.pki.server_ca.issue("change-renewed", "/O=Lab/CN=localhost",
                                            usage="serverAuth",
                                            san="DNS:localhost,IP:127.0.0.1")
        before = self._serials()
        for mine, renewed in ((self.own.certificate, new.certificate), (self.own.key, new.key)):
            scratch = mine.with_suffix(".new")
            shutil.copy2(renewed, scratch)
            os.replace(scratch, mine)
        for gateway in self.lab.gateways.values():
            gateway.wait_log(r"certificate\.renewed", within=20)
        if any(serial in before for serial in self._serials()):
            raise LabError("a gateway still shows the old certificate")
        return "certificate.renewed on both, no reload"

    def _serials(self) -> list[str]:
        found = []
        for instance in self.lab.gateways:
            with self.lab.http1(instance) as http:
                assert isinstance(http, Http1) and isinstance(http.sock, ssl.SSLSocket)
                found.append(str(http.sock.getpeercert()["serialNumber"]))
        return found

    def restart_point(self) -> str:
        return self._restart(self.lab.points["cp1"])

    def restart_gateway(self) -> str:
        return self._restart(self.lab.gateways[1])

    def _restart(self, daemon: Daemon) -> str:
        began = time.monotonic()
        daemon.stop()
        stopped = time.monotonic() - began
        daemon.start()
        self.lab.wait_gateways()
        self.up()
        return f"stopped in {stopped:.1f} s, back after {time.monotonic() - began:.1f} s"


def _open(point: Daemon) -> set[str]:
    """Instances with an open channel, by the log of the process that runs now."""
    lines = point.text().split("service.start")[-1]
    found: set[str] = set()
    for line in lines.splitlines():
        instance = line.partition("instance=")[2].partition(" ")[0]
        if "channel.open " in line:
            found.add(instance)
        elif "channel.lost " in line or "channel.draining " in line:
            found.discard(instance)
    return found


def _copy(identity: Identity, folder: Path) -> Identity:
    folder.mkdir(parents=True, exist_ok=True)
    return Identity(identity.name, Path(shutil.copy2(identity.certificate, folder)),
                    Path(shutil.copy2(identity.key, folder)))


# All of it ----------------------------------------------------------------------------------


def run(site: Site, build: Path, folder: Path,
        say: Callable[[str], object] = print) -> list[Count]:
    """Every change in turn, each seen through to its end and a second longer."""
    made = Site2(site, build, folder)
    changes = [("nothing", lambda: "for comparison"), ("reload", made.reload),
               ("reload that needs a restart", made.needs_restart),
               ("certificate renewed", made.renew),
               ("connection point restarted", made.restart_point),
               ("gateway restarted", made.restart_gateway)]
    with made.lab:
        made.up()
        clients = Clients([made.lab.port(1), made.lab.port(2)], made.lab.tls()).start()
        try:
            wait_for(lambda: clients.now.done >= RATE and clients.polling == POLLS,
                     "the load to flow", explain=made.lab.explain)
            for name, change in changes:
                _one(clients, name, change, say)
        finally:
            clients.stop()
    return clients.counts[1:]


def _one(clients: Clients, name: str, change: Callable[[], str],
         say: Callable[[str], object]) -> None:
    count, began = Count(name), time.monotonic()
    clients.counts.append(count)
    told = change()
    enough = count.done + RATE
    wait_for(lambda: count.done >= enough or count.failed, "requests to flow")
    count.seconds = time.monotonic() - began
    say(f"  {name:<28} {told}")


def table(counts: list[Count]) -> str:
    columns = ("change", "s", "requests", "sent again", "slowest ms", "polls", "come again",
               "failed")
    rows = [columns] + [
        (c.name, f"{c.seconds:.1f}", str(c.done), str(c.retried), f"{c.slowest * 1e3:.0f}",
         str(c.polls), str(c.again), str(c.failed)) for c in counts]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join("  " + "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))) for row in rows)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--folder", type=Path, required=True)
    folder = options.parse_args().folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{RATE} requests a second and {POLLS} long polls, two gateways, two connection points:")
    site = Site(folder)
    try:
        counts = run(site.start(), build_folder(), folder / "lab")
    finally:
        site.stop()
    print("\n" + table(counts))
    for count in counts:
        for failure, times in count.failures.most_common(5):
            print(f"  {count.name}: {times} x {failure}")
    failed = sum(count.failed for count in counts)
    print(f"\n{failed} requests failed." if failed else "\nNo request failed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
