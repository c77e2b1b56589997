"""What every daemon answers at the administrator's door: the real ones, over their sockets."""

from __future__ import annotations

import http.client
import os
import signal
import stat

import pytest

from lab.client import Load
from lab.daemons import Daemon, Gateway, Settings
from lab.site import MP, Lab, on
from lab.waiting import free_ports, wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


@pytest.fixture
def lab(new_lab) -> Lab:
    return new_lab(with_gates=False)


def both(lab: Lab) -> list[Daemon]:
    return [lab.gateways[1], lab.points["cp1"]]


def test_health(lab: Lab) -> None:
    for daemon in both(lab):
        health = daemon.ask("/health").json
        assert health["status"] == "ok"
        assert health["program"] == daemon.program
        assert health["draining"] is False
        assert 0 <= health["loop_lag_us"] <= health["loop_lag_max_us"]
        assert daemon.ask("/health", "HEAD").text == ""


def test_a_late_loop_is_seen(lab: Lab) -> None:
    """Stopped for more than a second, it finds out that it came too late."""
    gateway = lab.gateways[1]
    wait_for(lambda: gateway.ask("/health").json["uptime_s"] >= 1, "the first second to pass")
    os.kill(gateway.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            gateway.ask("/health", within=2)
    finally:
        os.kill(gateway.pid, signal.SIGCONT)
    wait_for(lambda: gateway.ask("/health").json["loop_lag_max_us"] > 500_000, "the lag to show")


def test_the_file_is_the_authorisation(lab: Lab) -> None:
    for daemon in both(lab):
        mode = daemon.socket.stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660
        daemon.stop()
        assert not daemon.socket.exists()


@pytest.mark.parametrize("target, method, status, allow", [
    ("/nothing", "GET", 404, None), ("/health/", "GET", 404, None), ("/", "GET", 404, None),
    ("/health", "POST", 405, "GET, HEAD"), ("/reload", "GET", 405, "POST"),
    ("/log-level", "PUT", 405, "GET, HEAD, POST"), ("/health?x=1", "GET", 400, None),
    ("/log-level", "POST", 400, None), ("/log-level?level=loud", "POST", 400, None),
    ("/log-level?level=debug&for=0s", "POST", 400, None),
    ("/log-level?level=debug&for=25h", "POST", 400, None),
    ("/log-level?level=debug&request=", "POST", 400, None),
    ("/log-level?level=debug&request=a%20b", "POST", 400, None),
    (f"/log-level?level=debug&request={'a' * 65}", "POST", 400, None),
    ("/log-level?level=debug&reqest=ab", "POST", 400, None)])
def test_refusals(plain: Lab, target: str, method: str, status: int, allow: str | None) -> None:
    for daemon in both(plain):
        answer = daemon.ask(target, method)
        assert answer.status == status, answer.text
        assert answer.headers.get("Allow") == allow
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == status and answer.json["detail"]
        assert daemon.ask("/log-level").json["override"] is None


def test_body_is_read_up_to_its_ceiling(plain: Lab) -> None:
    gateway = plain.gateways[1]
    assert gateway.post("/log-level?level=configured", b"x" * 4096).status == 200
    assert gateway.post("/log-level?level=configured", b"x" * 4097).status == 413


def test_reload_tells_how_it_went(lab: Lab) -> None:
    for daemon in both(lab):
        assert daemon.post("/reload").json["changed"] == []
        daemon.reconfigure({"log": {"level": "notice"}})
        done = daemon.post("/reload")
        assert (done.status, done.json["result"]) == (200, "reloaded")
        assert done.json["changed"] == ["log.level"]
        daemon.reconfigure({"log": {"level": "loud"}})
        refused = daemon.post("/reload")
        assert (refused.status, refused.json["result"]) == (422, "refused")
        assert "level" in refused.json["why"]
        daemon.reconfigure({"log": {"level": "info", "format": "json"}})
        late = daemon.post("/reload")
        assert (late.status, late.json["result"]) == (409, "needs_restart")
        assert late.json["changed"] == ["log.format", "log.level"]
        assert late.json["needs_restart"] == ["log.format"]
    assert lab.get(REQUEST).status == 200


def test_level_for_a_while(lab: Lab) -> None:
    gateway = lab.gateways[1]
    mark = gateway.mark()
    changed = gateway.post("/log-level?level=debug&for=1s").json
    assert (changed["level"], changed["configured"]) == ("debug", "info")
    assert changed["override"]["for_s"] == 1
    lab.get(REQUEST)  # and its connection closes, which is an event of level debug
    gateway.wait_log(r"debug client\.closed", since=mark)
    gateway.wait_log(r"admin\.log_level peer=timer level=configured", since=mark)
    assert gateway.ask("/log-level").json == {
        "level": "info", "configured": "info", "override": None}


def test_level_outlives_a_reload_and_is_taken_back(lab: Lab) -> None:
    gateway = lab.gateways[1]
    gateway.post("/log-level?level=warn")
    assert gateway.post("/reload").status == 200
    assert gateway.ask("/log-level").json["level"] == "warn"
    assert gateway.post("/log-level?level=configured").json["level"] == "info"
    mark = gateway.mark()
    assert gateway.post("/reload").status == 200
    gateway.wait_log(r"conf\.reloaded", since=mark)


def test_drain_loses_nothing(lab: Lab) -> None:
    """As SIGTERM; the door stays open until it is over, and asking twice is asking once."""
    point = lab.points["cp1"]
    with lab.http1() as http:
        http.send_head("GET", on("8", "/lab/slow?ms=1500&tag=drain"))
        wait_for(lambda: lab.site.seen("drain")["requests"], "the request to arrive")
        assert point.post("/drain").status == 202
        assert point.post("/drain").json == {"draining": True}
        assert point.ask("/health").json["draining"] is True
        assert point.post("/reload").json["result"] == "draining"
        assert http.receive().body == b"slow, and done"
    assert point.wait_exit() == 0


def test_port_only_reads(new_lab) -> None:
    port = free_ports()
    lab = new_lab(with_gates=False, gateway={"admin": {"listen": f"127.0.0.1:{port}"}})

    def ask(method: str, target: str, host: str = "") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, target, headers={"Host": host} if host else {})
        response = connection.getresponse()
        assert "Access-Control-Allow-Origin" not in response.headers
        response.read()
        connection.close()
        return response.status

    assert ask("GET", "/health") == 200
    assert ask("GET", "/health", "localhost:1") == ask("GET", "/health", "[::1]:1") == 200
    assert ask("GET", "/health", "rebound.example") == 403
    assert ask("POST", "/reload") == ask("POST", "/drain") == 403
    assert ask("POST", "/log-level?level=debug") == 403
    assert lab.gateways[1].ask("/log-level").json["override"] is None


def second(lab: Lab, settings: Settings) -> Gateway:
    """One more gateway on ports of its own."""
    first = free_ports(3)
    own = {"client-port": first, "tcp-tls-port": first + 1, "https-port": first + 2}
    gateway = Gateway(lab.build, lab.folder, "gw-second", lab.gateways[1].settings)
    gateway.reconfigure({"gateway": own, **settings})
    return gateway


def test_a_living_socket_is_left_alone_a_dead_one_is_not(lab: Lab) -> None:
    first = lab.gateways[1]
    other = second(lab, {})
    other.start()
    assert other.wait_exit() == 78
    assert "another process answers on it" in other.text()
    assert first.ask("/health").status == 200

    first.kill()
    assert first.socket.exists()
    other.start().wait_log("service.ready", since=other.mark())
    assert other.ask("/health").status == 200
    other.stop()


def test_no_door_is_no_trouble(lab: Lab) -> None:
    """None is wanted; the folder of the default is not there."""
    other = second(lab, {"admin": {"socket": "none"}})
    other.start().wait_log("service.ready")
    assert not other.events("admin.off")
    other.stop()
    if not os.path.exists("/run/cmg-gateway"):
        other.settings.pop("admin")
        other.write_config()
        mark = other.mark()
        other.start().wait_log("service.ready", since=mark)
        assert other.events("admin.off", mark)[0]["socket"] == "/run/cmg-gateway/admin.sock"
        other.stop()
    gone = second(lab, {"admin": {"socket": lab.folder / "missing" / "a.sock"}})
    gone.start()
    assert gone.wait_exit() == 78
    assert "its folder is not there" in gone.text()


def test_nobody_notices_reloads_under_load(lab: Lab) -> None:
    with Load(lab.port(), lab.tls(), 10, REQUEST) as load:
        for i in range(20):
            for daemon in both(lab):
                daemon.reconfigure({"log": {"access": bool(i % 2)}})
                assert daemon.post("/reload").json["changed"] == ["log.access"]
        load.stop().assert_none_lost()
