"""HTTP/1.1 as attackers write it, over the wire, against the gateway's public port."""

from __future__ import annotations

import pytest

from lab.client import Http1
from lab.http1 import Closed, Malformed
from lab.http1_vectors import REFUSED, VALID, VECTORS, Vector
from lab.site import ECHO, MP, Lab, on

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
# 505: the message was readable, its version is not ours.
REFUSALS = (400, 431, 501, 505)


def published(vector: Vector) -> bytes:
    """Aimed at a path that is published, where it can be: else a head that is fine is refused for
    its target, and nobody looks at its body."""
    return vector.data.replace(b"POST / ", f"POST {on(ECHO, '/lab/mirror')} ".encode())


def exchange(lab: Lab, data: bytes) -> tuple[list[int], bool]:
    """The statuses that came back, and whether the gateway closed."""
    statuses = []
    with Http1(lab.port(), lab.tls(), timeout=5) as http:
        http.send(data)
        try:
            while True:
                statuses.append(http.receive().status)
        except TimeoutError:
            return statuses, False
        except (Closed, Malformed, OSError):
            return statuses, True


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.verdict == REFUSED],
                         ids=lambda v: v.name)
def test_refused(plain: Lab, vector: Vector) -> None:
    """400 or nothing, then the end; what comes behind it is never taken for a request."""
    statuses, closed = exchange(plain, published(vector) + SMUGGLED)
    assert closed, f"the connection stayed open after {statuses}"
    assert len(statuses) <= 1 and all(status in REFUSALS for status in statuses), statuses


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.verdict == VALID],
                         ids=lambda v: v.name)
def test_valid(plain: Lab, vector: Vector) -> None:
    """Understood, and refused for a better reason: nothing of that is published."""
    with Http1(plain.port(), plain.tls(), timeout=5) as http:
        http.send(vector.data)
        assert http.receive().status == 404


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.verdict == REFUSED],
                         ids=lambda v: v.name)
def test_refused_behind_a_good_request(plain: Lab, vector: Vector) -> None:
    """The same on a connection that has served already."""
    with Http1(plain.port(), plain.tls(), timeout=5) as http:
        assert http.request("GET", on(MP, "/SMS_MP/.sms_aut?MPLIST")).status == 200
        http.send(published(vector))
        try:
            assert http.receive().status in REFUSALS
        except (Closed, Malformed, ConnectionError):
            pass
        assert http.is_closed()


def test_byte_by_byte(plain: Lab) -> None:
    with plain.http1() as http:
        target = on(ECHO, "/lab/echo")
        for byte in f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode():
            http.send(bytes([byte]))
        assert http.receive().status == 200


def test_pipelined_requests_are_answered_in_order(plain: Lab) -> None:
    with plain.http1() as http:
        for i in range(10):
            http.send_head("GET", on(ECHO, f"/lab/echo?n={i}"))
        assert [http.receive().json()["target"] for _ in range(10)] == \
            [f"/lab/echo?n={i}" for i in range(10)]


@pytest.mark.parametrize("data, statuses", [
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", (400, 431)),
    (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (400, 414, 431)),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 5000 + b"\r\n", (400, 431)),
], ids=["long field", "long target", "many fields"])
def test_heads_have_a_ceiling(plain: Lab, data: bytes, statuses: tuple[int, ...]) -> None:
    with Http1(plain.port(), plain.tls(), timeout=5) as http:
        try:
            http.send(data)
            assert http.receive().status in statuses
        except (Closed, ConnectionError):
            pass


def test_slow_head_is_given_up(new_lab) -> None:
    lab = new_lab(with_gates=False, gateway={"clients": {"head-timeout": "1s",
                                                         "idle-timeout": "2s"}})
    with lab.http1() as http:
        http.send(b"GET / HTTP/1.1\r\nHos")
        try:
            assert http.receive().status == 408
        except Closed:
            pass
        assert http.is_closed()
    with lab.http1() as idle:
        assert idle.is_closed(within=8)


def test_plain_http_on_the_tls_port(plain: Lab) -> None:
    with Http1(plain.port(), None, timeout=5) as http:
        http.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            while http.sock.recv(4096):
                pass
        except ConnectionError:
            pass
    assert plain.is_up()
