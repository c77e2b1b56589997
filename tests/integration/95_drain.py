"""A drain does not wait for long polls, and cuts nobody who can be told to come again."""

from __future__ import annotations

import signal
import time

import pytest

from lab.client import Http1, Http2
from lab.site import ECHO, MP, Lab, on
from lab.waiting import wait_for

DRAIN = 10.0  # seconds, of the lab's daemons
SLOW = "/lab/slow?ms=55000&tag="
QUICK = on(MP, "/SMS_MP/.sms_aut?MPLIST")
FRONTS = pytest.mark.parametrize("front", ["http1", "http2"])


def begin(lab: Lab, front: str, target: str) -> tuple[Http1 | Http2, int | None]:
    """A request under way, on a connection of its own."""
    http = getattr(lab, front)()
    if isinstance(http, Http2):
        return http, http.start("GET", target)
    http.send_head("GET", target)
    return http, None


def end(http: Http1 | Http2, stream: int | None):
    with http:
        return http.finish(stream) if isinstance(http, Http2) else http.receive()


def arrived(lab: Lab, tag: str) -> None:
    wait_for(lambda: lab.site.seen(tag)["requests"], "the request to arrive",
             explain=lab.explain)


@FRONTS
def test_gateway_tells_a_long_poll_to_come_again(new_lab, front: str) -> None:
    """After what can still end has ended, and long before the drain does."""
    lab = new_lab(with_gates=False)
    poll = begin(lab, front, on(ECHO, SLOW + f"gw-{front}"))
    other = begin(lab, front, on(ECHO, f"/lab/slow?ms=2000&tag=gw-other-{front}"))
    arrived(lab, f"gw-{front}"), arrived(lab, f"gw-other-{front}")
    began = time.monotonic()
    lab.gateways[1].signal(signal.SIGTERM)
    assert end(*other).status == 200
    answer = end(*poll)
    assert answer.status == 503 and answer.get("Retry-After") == "1"
    assert "CMGService_Draining" in (answer.reason, answer.get("cmg-reason"))
    assert lab.gateways[1].wait_exit() == 0
    assert time.monotonic() - began < DRAIN - 1
    assert not lab.gateways[1].events("gateway.drain_timeout")


@FRONTS
def test_connection_point_tells_a_long_poll_to_come_again(new_lab, front: str) -> None:
    lab = new_lab(with_gates=False)
    poll = begin(lab, front, on(ECHO, SLOW + f"cp-{front}"))
    arrived(lab, f"cp-{front}")
    began = time.monotonic()
    lab.points["cp1"].signal(signal.SIGTERM)
    answer = end(*poll)
    assert answer.status == 503 and answer.get("Retry-After") == "1"
    assert lab.points["cp1"].wait_exit() == 0
    assert time.monotonic() - began < DRAIN - 1


@pytest.mark.parametrize("who", ["gateway", "connection point"])
def test_no_cut_at_the_deadline_either(new_lab, who: str) -> None:
    """Where silence counts for nothing, the answer comes before the drain is over."""
    drain = {"drain": "2s", "drain-silent": "1m"}
    lab = new_lab(with_gates=False, gateway={"gateway": drain}, point={"connection-point": drain})
    daemon = lab.gateways[1] if who == "gateway" else lab.points["cp1"]
    tags = [f"late-{front}-{who.split()[0]}" for front in ("http1", "http2")]
    polls = [begin(lab, front, on(ECHO, SLOW + tag))
             for front, tag in zip(("http1", "http2"), tags)]
    for tag in tags:
        arrived(lab, tag)
    daemon.signal(signal.SIGTERM)
    for poll in polls:
        answer = end(*poll)
        assert answer.status == 503 and answer.get("Retry-After") == "1"
    assert daemon.wait_exit(within=8) == 0


def test_body_under_way_is_not_silence(new_lab) -> None:
    """Whoever sends is waited for."""
    lab = new_lab(with_gates=False, gateway={"gateway": {"drain-silent": "300ms"}})
    with lab.http1() as http:
        http.send_head("POST", on(ECHO, "/lab/mirror"), [("Content-Length", "40")])
        lab.gateways[1].signal(signal.SIGTERM)
        lab.gateways[1].wait_log(r"gateway\.draining")
        for _ in range(4):
            http.send(b"x" * 10)
            time.sleep(0.3)  # a client that is slow
        answer = http.receive("POST")
        assert answer.status == 200 and answer.body == b"x" * 40
    assert lab.gateways[1].wait_exit() == 0


def test_what_no_endpoint_has_seen_goes_to_another_connection_point(new_lab) -> None:
    """One waits in line behind a long poll: nobody but the gateway notices that it moved."""
    lab = new_lab(with_gates=False, points=(), wait=False)
    lab.add_point("cp1", {"endpoint echo": {"max-connections": 1}}).start()
    lab.wait_up()
    poll = begin(lab, "http1", on(ECHO, SLOW + "line"))
    arrived(lab, "line")
    waits = begin(lab, "http1", on(ECHO, "/lab/slow?ms=1&tag=in-line"))
    # Requests of one channel come in order: when this one is answered, that one is in line.
    assert lab.get(QUICK).status == 200
    lab.add_point("cp2").start().wait_log(r"channel\.open")
    lab.points["cp1"].signal(signal.SIGTERM)
    answer = end(*waits)
    assert answer.status == 200 and answer.body == b"slow, and done"
    assert end(*poll).status == 503
    assert lab.site.seen("in-line")["requests"] == 1
    assert lab.gateways[1].wait_access(status="200", repeats="1")["connection_point"] == "cp2"
    assert lab.points["cp1"].wait_exit() == 0
