"""Channels that are lost, replaced and improved while clients are busy."""

from __future__ import annotations

import time

import pytest

from lab.client import Load
from lab.http1 import PatternCheck, pattern_pieces
from lab.site import ECHO, MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


@pytest.mark.parametrize("instances", [1, 2])
def test_falls_back_in_mid_life(new_lab, instances: int) -> None:
    lab = new_lab(instances=instances, point={"channel": {"probe": "1h"}})
    for instance in range(1, instances + 1):
        lab.wait_road("tcp-tls", instance=instance)
    for gate in lab.tcp_gates:
        gate.block()
    lab.wait_up()
    for instance in range(1, instances + 1):
        lab.wait_road("https", instance=instance)
        assert lab.get(REQUEST, instance).status == 200
    assert lab.points["cp1"].events("channel.fallback")


def test_only_the_blocked_instance_falls_back(new_lab) -> None:
    lab = new_lab(instances=2, point={"channel": {"probe": "1h"}})
    lab.wait_road("tcp-tls", instance=1)
    lab.wait_road("tcp-tls", instance=2)
    lab.tcp_gates[1].block()
    lab.wait_road("https", instance=2)
    lab.wait_road("tcp-tls", instance=1)
    lab.wait_up()


def test_moves_back_up_with_500_requests_in_flight(new_lab) -> None:
    lab = new_lab(start=False)
    lab.make_gates()
    lab.tcp_gates[0].refuse()
    for daemon in (lab.gateways[1], lab.points["cp1"]):
        daemon.start()
    lab.wait_up()
    lab.wait_road("https")
    answer = b"slow, and done"
    with Load(lab.port(), lab.tls(), 500, on(ECHO, "/lab/slow?ms=3000"), expect=answer) as load:
        wait_for(lambda: load.tally.in_flight >= 500, "500 requests in flight", 60,
                 explain=lab.explain)
        lab.tcp_gates[0].open()
        lab.points["cp1"].wait_log(r"channel\.moved_up")
        busy = load.tally.in_flight
        lab.wait_road("tcp-tls")
        tally = load.stop()
    assert busy >= 450, f"only {busy} requests were in flight when the channel moved up"
    assert tally.done >= 500
    tally.assert_none_lost()


def test_moves_up_while_bodies_stream(new_lab) -> None:
    """Long transfers in both directions cross the move untouched."""
    lab = new_lab(start=False)
    lab.make_gates()
    lab.tcp_gates[0].refuse()
    for daemon in (lab.gateways[1], lab.points["cp1"]):
        daemon.start()
    lab.wait_up()

    size = 12_000_000
    with lab.http1() as down, lab.http1() as up:
        down.send_head("GET", on(ECHO, f"/lab/pattern?size={size}&pace=4000000"))
        response, body = down.receive_head()
        pieces, check = iter(body), PatternCheck()
        check.feed(next(pieces))
        up.send_head("POST", on(ECHO, "/lab/sink"), [("Content-Length", str(size))])
        halves = list(pattern_pieces(size))
        for piece in halves[:10]:
            up.send(piece)
        lab.tcp_gates[0].open()
        lab.points["cp1"].wait_log(r"channel\.moved_up")
        for piece in halves[10:]:
            up.send(piece)
        for piece in pieces:
            check.feed(piece)
        assert (response.status, check.size, check.wrong_at) == (200, size, None)
        assert up.receive().json() == {"size": size, "wrong_at": None}
    lab.wait_road("tcp-tls")


def test_black_holed_peer_is_noticed_within_the_deadline(new_lab) -> None:
    """Nothing is refused and nothing comes back: PING, and its deadline."""
    keepalive, deadline = 1.0, 2.0
    lab = new_lab(point={"channel": {"connect-timeout": "2s", "probe": "1h"}})
    lab.wait_road("tcp-tls")
    mark = lab.points["cp1"].mark()
    began = time.monotonic()
    lab.tcp_gates[0].black_hole()
    lab.points["cp1"].wait_log(r"channel\.lost", within=15, since=mark)
    noticed = time.monotonic() - began
    # Half a second for timers and a machine that is busy with other tests.
    assert noticed <= keepalive + deadline + 0.5, f"noticed only after {noticed:.1f} s"
    lab.wait_up()
    assert lab.https_gates[0].live() == 1
    assert time.monotonic() - began < keepalive + deadline + 5


def test_black_hole_is_noticed_by_the_gateway_too(new_lab) -> None:
    """A request that hangs in a dead channel is answered, not kept for ever."""
    lab = new_lab(point={"channel": {"connect-timeout": "1s", "probe": "1h"}})
    lab.wait_road("tcp-tls")
    with lab.http1() as http:
        assert http.request("GET", REQUEST).status == 200
        lab.tcp_gates[0].black_hole()
        began = time.monotonic()
        answer = http.request("GET", REQUEST)
        assert answer.status in (200, 502, 503, 504), answer
        assert time.monotonic() - began < 10


def test_cut_channel_comes_back_at_once(new_lab) -> None:
    lab = new_lab(point={"channel": {"backoff-min": "5s", "backoff-max": "60s"}})
    lab.wait_road("tcp-tls")
    accepted = lab.tcp_gates[0].accepted
    began = time.monotonic()
    lab.tcp_gates[0].cut()
    wait_for(lambda: lab.tcp_gates[0].accepted > accepted, "a new channel", 5,
             explain=lab.explain)
    lab.wait_up()
    assert time.monotonic() - began < 4, "the first retry was not immediate"


def test_restarted_gateway_is_found_again(new_lab) -> None:
    lab = new_lab()
    for _ in range(2):
        lab.gateways[1].stop()
        lab.gateways[1].start()
        lab.wait_up()


def test_backs_off_while_nobody_answers(new_lab) -> None:
    """Retries become rarer: no thousand connects a second against a dead gateway."""
    lab = new_lab(start=False, point={"channel": {"backoff-min": "200ms", "backoff-max": "10s"}})
    lab.make_gates()  # nothing behind the gates: taken, then reset
    point = lab.points["cp1"].start()
    point.wait_log(r"channel\.failed")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 3, "3 s to pass", 5)
    tries = lab.tcp_gates[0].accepted + lab.https_gates[0].accepted
    assert 2 <= tries <= 30, f"{tries} attempts in 3 s"


@pytest.mark.parametrize("fault, identity", [
    ("foreign CA", "gateway_impostor"), ("other name", "gateway_other_name")])
def test_gateway_that_is_not_the_gateway_is_refused(new_lab, site, fault: str,
                                                    identity: str) -> None:
    wrong = getattr(site.pki, identity)
    lab = new_lab(wait=False, gateway={"gateway": {"certificate": wrong.certificate,
                                                   "key": wrong.key}})
    lab.points["cp1"].wait_log(r"channel\.failed.*certificate")
    assert not lab.points["cp1"].events("channel.open")


@pytest.mark.parametrize("identity", ["point_foreign", "point_no_usage"])
@pytest.mark.parametrize("transport", ["tcp-tls", "https"])
def test_connection_point_that_is_not_admitted(new_lab, site, identity: str,
                                               transport: str) -> None:
    wrong = getattr(site.pki, identity)
    lab: Lab = new_lab(wait=False, instances=2, point={
        "connection-point": {"certificate": wrong.certificate, "key": wrong.key},
        "cmg lab": {"transport": transport}})
    lab.points["cp1"].wait_log(r"channel\.(failed|lost)")
    assert not lab.points["cp1"].events("channel.open")
    assert lab.get(REQUEST).status == 503


def test_own_expired_certificate_is_told_at_the_start(new_lab, site) -> None:
    expired = site.pki.point_expired
    lab: Lab = new_lab(start=False, points=())
    point = lab.add_point("cp1", {"connection-point": {"certificate": expired.certificate,
                                                       "key": expired.key}})
    assert point.start().wait_exit() not in (0, None)
    assert "expired" in point.text() and "cp1-expired.pem" in point.text()
    del lab.points["cp1"]


def test_connection_point_that_nobody_listed(new_lab, site) -> None:
    """A good certificate is not enough: the gateway lists whom it admits."""
    unlisted = {f"connection-point {name}": None for name in site.pki.points if name != "cp2"}
    lab = new_lab(wait=False, gateway=unlisted)
    lab.points["cp1"].wait_log(r"channel\.(failed|lost)")
    assert not lab.points["cp1"].events("channel.open")
    wait_for(lambda: lab.get(REQUEST).status == 503, "503 from the gateway", explain=lab.explain)
