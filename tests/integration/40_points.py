"""Several connection points: sharing the work, leaving without a failed request."""

from __future__ import annotations

import json
import signal

import pytest

from lab.client import Load
from lab.peers import FakePoint, greeting
from lab.site import ECHO, MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")
TWO = ("cp1", "cp2")


def both_up(lab: Lab) -> None:
    for point in lab.points.values():
        point.wait_log(r"channel\.open")
    lab.wait_up()
    # A channel counts from its greeting on: both have served when both have logged access.
    def both_serve() -> bool:
        lab.get(REQUEST)
        return all(point.access() for point in lab.points.values())
    wait_for(both_serve, "both connection points to serve", explain=lab.explain)


def test_requests_go_round(new_lab) -> None:
    lab = new_lab(points=TWO)
    both_up(lab)
    marks = {name: point.mark() for name, point in lab.points.items()}
    with lab.http1() as http:
        for _ in range(40):
            assert http.request("GET", REQUEST).status == 200
    wait_for(lambda: sum(len(p.access(marks[n])) for n, p in lab.points.items()) >= 40,
             "40 access events", explain=lab.explain)
    shares = [len(point.access(marks[name])) for name, point in lab.points.items()]
    # One event more where that of the question before the first mark came late.
    assert min(shares) == 20 and sum(shares) <= 41, shares


@pytest.mark.parametrize("method", ["GET", "CCM_POST"])
def test_drained_under_load_without_a_failed_request(new_lab, method: str) -> None:
    lab = new_lab(points=TWO)
    both_up(lab)
    target, body = on(ECHO, "/lab/slow?ms=100"), b"x" * 3000 if method != "GET" else b""
    with Load(lab.port(), lab.tls(), 60, target, method, body=body,
              expect=b"slow, and done") as load:
        wait_for(lambda: load.tally.done > 200, "requests to flow", explain=lab.explain)
        lab.points["cp1"].stop()
        enough = load.tally.done + 200
        wait_for(lambda: load.tally.done > enough, "requests to flow through cp2",
                 explain=lab.explain)
        lab.points["cp1"].start()
        lab.points["cp1"].wait_log(r"channel\.open")
        lab.points["cp2"].stop()
        enough = load.tally.done + 200
        wait_for(lambda: load.tally.done > enough, "requests to flow through cp1",
                 explain=lab.explain)
        tally = load.stop()
    tally.assert_none_lost()


def test_long_request_survives_the_drain(new_lab) -> None:
    """SIGTERM waits for what is in flight."""
    lab = new_lab()
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=2000&tag=drain-long"))
        wait_for(lambda: lab.site.seen("drain-long")["requests"], "the request to arrive")
        lab.points["cp1"].signal(signal.SIGTERM)
        assert http.receive().status == 200
    assert lab.points["cp1"].wait_exit() == 0


def test_drain_ends_in_time(new_lab) -> None:
    """A request that does not end cannot keep the daemon alive."""
    lab = new_lab(point={"connection-point": {"drain": "1s"}})
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=20000&tag=drain-cut"))
        wait_for(lambda: lab.site.seen("drain-cut")["requests"], "the request to arrive")
        lab.points["cp1"].signal(signal.SIGTERM)
        lab.points["cp1"].wait_exit(within=8)


def test_killed_connection_point_is_replaced(new_lab) -> None:
    """No drain at all: what was in flight there fails, what comes later does not."""
    lab = new_lab(points=TWO)
    both_up(lab)
    lab.points["cp1"].kill()
    lab.gateways[1].wait_log(r"channel|dock|point")
    def twenty_in_a_row() -> bool:
        return all(lab.get(REQUEST).status == 200 for _ in range(20))
    wait_for(twenty_in_a_row, "20 requests in a row to succeed", explain=lab.explain)


def test_gateway_finishes_what_is_in_flight(new_lab) -> None:
    lab = new_lab()
    target = on(ECHO, "/lab/slow?ms=1500")
    with Load(lab.port(), lab.tls(), 50, target, rounds=1) as load:
        wait_for(lambda: load.tally.in_flight == 50, "50 requests in flight", explain=lab.explain)
        lab.gateways[1].signal(signal.SIGTERM)
        tally = load.join()
    tally.assert_none_lost()
    assert tally.done == 50
    assert lab.gateways[1].wait_exit() == 0


def test_endpoint_of_one_connection_point_only(new_lab, site) -> None:
    """Requests go where their endpoint is published, and nowhere else."""
    lab = new_lab(points=(), wait=False)
    lab.add_point("cp1", {"endpoint echo": None})
    lab.add_point("cp2", {"endpoint mp": None, "endpoint mp-https": None, "endpoint sup": None})
    for point in lab.points.values():
        point.start().wait_log(r"channel\.open")
    wait_for(lambda: lab.get(on(ECHO, "/lab/echo")).status == 200 and
             lab.get(REQUEST).status == 200, "both endpoints", explain=lab.explain)
    for _ in range(6):
        assert lab.get(on(ECHO, "/lab/echo")).status == 200
        assert lab.get(REQUEST).status == 200
    assert {e["endpoint"] for e in lab.points["cp2"].access()} == {"echo"}


def test_refused_stream_is_replayed_elsewhere(new_lab, site) -> None:
    """REFUSED_STREAM means that the peer did nothing: another connection point is asked."""
    lab = new_lab()

    def refuse(point: FakePoint, asked) -> None:
        point.h2.reset_stream(asked.stream, 7)
        point.flush()

    body = json.dumps(greeting(endpoint=ECHO, endpoints=[{
        "id": ECHO, "role": "management-point", "paths": ["lab"],
        "max_request_bytes": 1 << 20, "auth": ["mutual"]}])).encode()
    with FakePoint(lab.tcp_port, site.pki.points["cp2"], str(site.pki.server_ca.certificate),
                   greeting_body=body, answer=refuse) as fake:
        fake.wait_greeted()
        with lab.http1() as http:
            def asked_both() -> bool:
                answer = http.request("POST", on(ECHO, "/lab/mirror"), [], b"once and whole")
                assert (answer.status, answer.body) == (200, b"once and whole"), answer
                return len(fake.asked) >= 3
            wait_for(asked_both, "three requests to be refused and replayed", explain=lab.explain)


def test_two_sites(new_lab) -> None:
    """Each connection point belongs to a site; its endpoints are reached through it."""
    lab = new_lab(points=(), wait=False, gateway={"connection-point cp2": {"site": "SEC"}})
    lab.add_point("cp1", {"endpoint echo": None})
    lab.add_point("cp2", {"connection-point": {"site": "SEC"}, "endpoint mp": None})
    for point in lab.points.values():
        point.start()
    wait_for(lambda: lab.get(on(ECHO, "/lab/echo")).status == 200 and
             lab.get(REQUEST).status == 200, "both sites", explain=lab.explain)
