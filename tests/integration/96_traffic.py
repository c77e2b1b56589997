"""The traffic report of both daemons, and the gateway's guard of what it sends: over restarts."""

from __future__ import annotations

import json
import signal
import xml.etree.ElementTree as xml
from pathlib import Path

from lab.daemons import Daemon, Settings
from lab.site import ECHO, MP, Lab, on
from lab.tokens import guid
from lab.waiting import wait_for

NUMBERS = {"TotalRequests", "TotalRequestsWithBearerToken", "MaxConcurrentRequests",
           "TotalRequestBytes", "TotalResponseBytes", "FailedRequests"}


def kept(folder: Path, interval: str = "1h") -> Settings:
    folder.mkdir()
    return {"traffic": {"interval": interval, "state": folder}}


def report(daemon: Daemon, query: str = "") -> dict:
    return daemon.ask(f"/traffic{query}").json


def running(daemon: Daemon) -> dict[str, dict]:
    """Rows of the running period, by their names; they are counted at a restart, too."""
    return {row["Name"]: row for row in report(daemon)["Running"]["EndPoints"]}


def restart(lab: Lab, daemon: Daemon, number: signal.Signals = signal.SIGTERM) -> None:
    if number == signal.SIGTERM:
        daemon.stop()
    else:
        daemon.kill()
    daemon.start()
    lab.wait_gateways()
    lab.wait_up()


def test_a_restart_loses_nothing(labs, tmp_path: Path) -> None:
    lab = labs(with_gates=False, gateway=kept(tmp_path / "gw"), point=kept(tmp_path / "cp"))
    gateway, point = lab.gateways[1], lab.points["cp1"]
    for _ in range(3):
        with lab.http1() as http:
            answer = http.request("POST", on(ECHO, "/lab/echo"), body=b"x" * 1000)
            assert answer.status == 200
    restart(lab, gateway)
    restart(lab, point)
    ours, theirs = running(gateway)[ECHO], running(point)["echo"]
    assert set(ours) == NUMBERS | {"Name", "ProxyServer", "TargetHost"}
    assert ours["TotalRequests"] == theirs["TotalRequests"] == 3
    assert ours["TotalRequestBytes"] == theirs["TotalRequestBytes"] == 3000
    assert ours["TotalResponseBytes"] == theirs["TotalResponseBytes"] > 0
    assert ours["MaxConcurrentRequests"] == 1 and ours["FailedRequests"] == 0
    assert ours["ProxyServer"] == theirs["ProxyServer"] == "localhost"
    assert theirs["TargetHost"].startswith("127.0.0.1:")
    before = running(gateway)[MP]["TotalRequests"]
    restart(lab, gateway)  # its numbers begin anew; those of the period do not
    assert running(gateway)[MP]["TotalRequests"] >= before > 0


def check_document(state: xml.Element, server: str) -> dict[str, dict[str, str]]:
    assert state.tag == "ProxyTrafficStateDetails" and state.get("ServerName") == server
    assert set(state.keys()) == {"ServerName", "StartTime", "EndTime", "MaxConcurrentRequests"}
    assert state.get("StartTime") < state.get("EndTime")
    rows = state.findall("EndPoints/EndPoint")
    for row in rows:
        assert set(row.keys()) == NUMBERS | {"Name", "ProxyServer", "TargetHost"}
        assert all(row.get(number).isdigit() for number in NUMBERS)
    return {row.get("Name"): dict(row.items()) for row in rows}


def test_periods_and_their_documents(labs, tmp_path: Path) -> None:
    lab = labs(with_gates=False, gateway=kept(tmp_path / "gw", "1s"),
               point=kept(tmp_path / "cp", "1s"))
    assert lab.get(on(ECHO, "/lab/echo")).status == 200
    for daemon, server, name in ((lab.gateways[1], "localhost", ECHO),
                                 (lab.points["cp1"], "cp1", "echo")):
        event = wait_for(lambda: [e for e in daemon.events("traffic.period")
                                  if e["endpoint"] == name and e["requests"] == "1"],
                         "traffic.period", explain=daemon.explain)[0]
        assert event["failed"] == "0" and event["max_in_flight"] == "1"
        answer = daemon.ask("/traffic?format=xml&periods=288")
        root = xml.fromstring(answer.text)
        assert root.tag == "ProxyTrafficStates"
        states = [check_document(state, server) for state in root]
        assert sum(int(rows[name]["TotalRequests"]) for rows in states if name in rows) == 1
        listed = report(daemon, "?periods=288")["Periods"]
        assert sum(row["TotalRequests"] for period in listed for row in period["EndPoints"]
                   if row["Name"] == name) == 1
        one = daemon.ask("/traffic?format=xml")
        check_document(xml.fromstring(one.text), server)
        for wrong in ("?periods=0", "?periods=289", "?periods=x", "?format=csv", "?period=1"):
            assert daemon.ask(f"/traffic{wrong}").status == 400
        starts = [period["StartTime"] for period in listed]
        daemon.stop()
        daemon.start()
        wait_for(lambda: daemon.socket.exists(), "the door", explain=daemon.explain)
        wait_for(lambda: starts[-1] in [p["StartTime"] for p in
                                        report(daemon, "?periods=288")["Periods"]],
                 "the periods of before", explain=daemon.explain)


def test_damaged_files_are_left_behind(labs, tmp_path: Path) -> None:
    settings = kept(tmp_path / "gw")
    (tmp_path / "gw" / "traffic.jsonl").write_text('{"v":1,"start":\n' + guid() + "\n{")
    (tmp_path / "gw" / "traffic-now.json").write_text("")
    (tmp_path / "gw" / "egress.json").write_text('{"v":1}')
    lab = labs(points=(), wait=False, with_gates=False, gateway=settings)
    lab.wait_gateways()
    gateway = lab.gateways[1]
    assert report(gateway, "?periods=9")["Periods"] == []
    assert (tmp_path / "gw" / "traffic.jsonl").read_text() == ""
    assert "damaged" in gateway.events("egress.state_failed")[0]["why"]


def test_the_guard_warns_stops_and_remembers(labs, tmp_path: Path) -> None:
    settings = {**kept(tmp_path / "gw"), "egress": {"threshold": "2M", "stop": True}}
    lab = labs(with_gates=False, gateway=settings)
    gateway = lab.gateways[1]

    def egress() -> dict:
        return gateway.ask("/status").json["egress"]

    def download(size: int) -> None:
        answer = lab.get(on(ECHO, f"/lab/pattern?size={size}"))
        assert answer.status == 200 and len(answer.body) == size

    assert egress()["level"] == "free" and egress()["threshold_bytes"] == 2 * 1024 * 1024
    download(1200 * 1024)
    wait_for(lambda: gateway.events("egress.warning"), "egress.warning", explain=gateway.explain)
    sent = egress()["sent_bytes"]
    assert sent > 1200 * 1024 and not egress()["stopped"]
    restart(lab, gateway)
    assert egress()["sent_bytes"] >= sent and egress()["level"] == "warning"
    assert len(gateway.events("egress.warning")) == 1, "told once, also over a restart"
    download(800 * 1024)
    for name in ("egress.critical", "egress.stopped"):
        wait_for(lambda name=name: gateway.events(name), name, explain=gateway.explain)
    answer = lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST"))
    assert (answer.status, answer.reason) == (503, "CMGService_Egress_Limit")
    assert 1 <= int(answer.get("Retry-After")) <= 3600
    gateway.kill()  # what was decided is on the disk at once
    gateway.start()
    lab.wait_gateways()
    assert lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST")).status == 503
    gateway.reconfigure({"egress": {"threshold": "20M"}})
    assert "conf.reloaded" in gateway.reload()
    assert gateway.events("egress.less")[-1]["resumed"] == "yes"
    lab.wait_up()
    days = json.loads((tmp_path / "gw" / "egress.json").read_text())["bytes"]
    assert len(days) == 14 and sum(days) > 2000 * 1024
