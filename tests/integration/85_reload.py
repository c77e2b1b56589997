"""SIGHUP: all or nothing, and nobody notices but those who gain or lose an endpoint."""

from __future__ import annotations

import pytest

from lab.client import Load
from lab.site import ECHO, MP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


@pytest.fixture
def lab(new_lab) -> Lab:
    return new_lab(with_gates=False)


def wait_status(lab: Lab, target: str, status: int) -> None:
    wait_for(lambda: lab.get(target).status == status, f"{status} for {target}",
             explain=lab.explain)


def test_endpoints_come_and_go(lab: Lab) -> None:
    """Live, on the same channel, while requests to the others are under way."""
    point = lab.points["cp1"]
    echo = dict(point.settings["endpoint echo"])
    opened = len(point.events("channel.open"))
    with Load(lab.port(), lab.tls(), 20, REQUEST) as load:
        wait_for(lambda: load.tally.done > 50, "requests to flow", explain=lab.explain)
        point.reconfigure({"endpoint echo": None})
        assert "conf.reloaded" in point.reload()
        wait_status(lab, on(ECHO, "/lab/echo"), 404)
        point.reconfigure({"endpoint echo": {**echo, "id": "4711"}})
        assert "conf.reloaded" in point.reload()
        wait_status(lab, on("4711", "/lab/echo"), 200)
        assert lab.get(on(ECHO, "/lab/echo")).status == 404
        enough = load.tally.done + 50
        wait_for(lambda: load.tally.done > enough, "requests to flow", explain=lab.explain)
        load.stop().assert_none_lost()
    assert len(point.events("channel.open")) == opened


def test_limits_and_paths_change_live(lab: Lab) -> None:
    point = lab.points["cp1"]
    point.reconfigure({"endpoint echo": {"max-request": "1K", "paths": "lab"}})
    assert "conf.reloaded" in point.reload()
    wait_status(lab, on(ECHO, "/bad/no-content"), 404)
    with lab.http1() as http:
        assert http.request("POST", on(ECHO, "/lab/mirror"), [], b"x" * 1024).status == 200
        assert http.request("POST", on(ECHO, "/lab/mirror"), [], b"x" * 1025).status == 413


def test_request_in_flight_outlives_its_endpoint(lab: Lab) -> None:
    point = lab.points["cp1"]
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=2000&tag=reload"))
        wait_for(lambda: lab.site.seen("reload")["requests"], "the request to arrive")
        point.reconfigure({"endpoint echo": None})
        assert "conf.reloaded" in point.reload()
        assert http.receive().body == b"slow, and done"


@pytest.mark.parametrize("who", ["gateway", "connection point"])
@pytest.mark.parametrize("mistake", [{"log": {"level": "loud"}}, {"log": {"nonsense": "1"}},
                                     {"nonsense": {"a": "b"}}])
def test_mistake_leaves_everything_as_it_was(lab: Lab, who: str, mistake) -> None:
    daemon = lab.gateways[1] if who == "gateway" else lab.points["cp1"]
    daemon.reconfigure(mistake)
    assert "conf.refused" in daemon.reload()
    assert lab.get(REQUEST).status == 200
    assert daemon.is_running()


@pytest.mark.parametrize("who, change, key", [
    ("gateway", {"gateway": {"client-port": 1}}, "client-port"),
    ("connection point", {"connection-point": {"name": "other"}}, "name")])
def test_what_needs_a_restart_is_told(lab: Lab, who: str, change, key: str) -> None:
    daemon = lab.gateways[1] if who == "gateway" else lab.points["cp1"]
    daemon.reconfigure(change)
    told = daemon.reload()
    assert "conf.needs_restart" in told and key in told
    assert lab.get(REQUEST).status == 200


def test_log_level_changes_live(lab: Lab) -> None:
    point = lab.points["cp1"]
    point.reconfigure({"log": {"access": False}})
    assert "conf.reloaded" in point.reload()
    mark = point.mark()
    assert lab.get(REQUEST).status == 200
    assert not point.access(mark)
    point.reconfigure({"log": {"access": True}})
    point.reload()
    assert lab.get(REQUEST).status == 200
    point.wait_access(since=mark)


def test_reload_without_changes(lab: Lab) -> None:
    opened = len(lab.points["cp1"].events("channel.open"))
    for daemon in (lab.gateways[1], lab.points["cp1"]):
        assert "conf.reloaded" in daemon.reload()
    assert lab.get(REQUEST).status == 200
    assert len(lab.points["cp1"].events("channel.open")) == opened
