"""A client that stops reading costs one window in each daemon, and nobody else anything."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from lab.http1 import PatternCheck, pattern_pieces
from lab.site import ECHO, MP, Lab, on

GROWTH_MAX = 40 << 20
REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")
GIGABYTE = 1 << 30


@pytest.fixture(scope="module")
def lab(labs) -> Lab:
    return labs(with_gates=False)


@pytest.fixture
def memory(lab: Lab) -> Iterator[None]:
    """Nothing may have grown by more than a few windows, buffers of the allocator included."""
    daemons = [lab.gateways[1], lab.points["cp1"]]
    with lab.http1() as http:  # warm
        for _ in range(50):
            http.request("GET", REQUEST)
    before = [daemon.rss_bytes() for daemon in daemons]
    yield
    growth = {d.name: d.rss_bytes() - rss for d, rss in zip(daemons, before)}
    assert max(growth.values()) < GROWTH_MAX, f"resident memory grew by {growth}"


def others_stay_fast(lab: Lab, seconds: float = 2) -> None:
    """Requests on the same channel, for a while: all succeed, and none waits."""
    slowest, count, end = 0.0, 0, time.monotonic() + seconds
    with lab.http1() as http:
        while time.monotonic() < end:
            began = time.monotonic()
            answer = http.request("GET", REQUEST)
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status == 200, answer
            count += 1
        began = time.monotonic()
        body = http.request("GET", on(ECHO, "/lab/pattern?size=3000000")).body
        assert len(body) == 3_000_000 and time.monotonic() - began < 2
    assert slowest < 0.5, f"one of {count} requests took {slowest:.2f} s"
    assert count > 50, f"only {count} requests in {seconds} s"


def small_buffer(http) -> None:
    http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)


@pytest.mark.parametrize("source", [on(MP, "/CCM_Client/big.bin"),
                                    on(ECHO, f"/lab/pattern?size={GIGABYTE}"),
                                    on(ECHO, f"/lab/pattern?size={GIGABYTE}&chunked")],
                         ids=["nginx", "length", "chunked"])
def test_http1_client_stops_reading(lab: Lab, memory: None, source: str) -> None:
    with lab.http1() as http:
        small_buffer(http)
        http.send_head("GET", source)
        response, body = http.receive_head()
        assert response.status == 200
        others_stay_fast(lab)
        check = PatternCheck()
        for piece in body:  # goes on where it stopped
            check.feed(piece)
            if check.size > 64 << 20:
                break
        assert "big.bin" in source or check.wrong_at is None


def test_http2_client_stops_reading(lab: Lab, memory: None) -> None:
    """By its window, and other streams of its own connection go on."""
    with lab.http2() as h2:
        h2.consume = False
        stalled = h2.start("GET", on(MP, "/CCM_Client/big.bin"))
        while len(h2._responses[stalled].body) < 65535 // 2:
            h2.step()
        others_stay_fast(lab, 1)


def test_many_clients_stop_reading(lab: Lab) -> None:
    """Twenty at once: twenty windows, and still nobody else waits."""
    daemons = [lab.gateways[1], lab.points["cp1"]]
    before = [daemon.rss_bytes() for daemon in daemons]
    stalled = []
    try:
        for _ in range(20):
            http = lab.http1()
            stalled.append(http)
            small_buffer(http)
            http.send_head("GET", on(MP, "/CCM_Client/big.bin"))
            assert http.receive_head()[0].status == 200
        others_stay_fast(lab)
        growth = [daemon.rss_bytes() - rss for daemon, rss in zip(daemons, before)]
        assert max(growth) < 120 << 20, growth
    finally:
        for http in stalled:
            http.close()


def test_endpoint_stops_reading(lab: Lab, memory: None) -> None:
    """The same the other way: an endpoint that takes next to nothing of an upload."""
    with lab.http1() as http:
        http.send_head("POST", on(ECHO, "/lab/sink?pace=20000"),
                       [("Content-Length", str(GIGABYTE))])
        http.sock.settimeout(1)
        sent = 0
        try:
            for piece in pattern_pieces(GIGABYTE):
                http.send(piece)
                sent += len(piece)
        except TimeoutError:
            pass
        assert sent < 64 << 20, f"{sent} bytes were swallowed on the way"
        others_stay_fast(lab)


def test_client_that_leaves_frees_everything(lab: Lab, memory: None) -> None:
    for _ in range(30):
        with lab.http1() as http:
            http.send_head("GET", on(MP, "/CCM_Client/big.bin"))
            http.receive_head()
    others_stay_fast(lab, 1)
