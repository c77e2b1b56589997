"""What a connection point tells of itself: that its numbers are those of the requests there were."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lab.daemons import ConnectionPoint
from lab.http1 import Closed
from lab.peers import FakeGateway
from lab.site import ECHO, MP, Lab, Site, on
from lab.waiting import wait_for

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """A scrape, as a scraper reads it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[tuple[str, Labels], float] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            key = name, tuple(sorted(LABEL.findall(labels or "")))
            assert key not in self.values, line
            self.values[key] = float(value)

    def get(self, name: str, **labels: str) -> float:
        return self.values[name, tuple(sorted(labels.items()))]

    def sum(self, name: str, **labels: str) -> float:
        """Over all samples that have these labels."""
        found = [value for (of, have), value in self.values.items()
                 if of == name and set(labels.items()) <= set(have)]
        assert found, f"no {name} with {labels}"
        return sum(found)


def scrape(point: ConnectionPoint) -> Metrics:
    answer = point.ask("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.text)


def endpoint(point: ConnectionPoint, label: str) -> dict[str, Any]:
    return next(e for e in point.ask("/status").json["endpoints"] if e["label"] == label)


def idle(point: ConnectionPoint) -> Metrics:
    """A scrape when the last request has been counted: that is after its answer has left."""
    wait_for(lambda: scrape(point).sum("cmg_requests_in_flight") == 0, "no request in flight")
    return scrape(point)


@pytest.fixture
def lab(new_lab) -> Lab:
    return new_lab(with_gates=False)


@pytest.fixture
def point(lab: Lab) -> ConnectionPoint:
    return lab.points["cp1"]


def told(before: Metrics, after: Metrics, name: str, label: str = "echo") -> float:
    return after.get(name, endpoint=label) - before.get(name, endpoint=label)


def test_numbers_are_those_of_the_requests(lab: Lab, point: ConnectionPoint) -> None:
    before = idle(point)
    with lab.http1() as http:
        assert http.request("POST", on(ECHO, "/lab/mirror"), [], b"x" * 1000).status == 200
        assert http.request("GET", on(ECHO, "/lab/pattern?size=70000")).status == 200
        assert http.request("GET", on(ECHO, "/lab/echo?status=404")).status == 404
        assert http.request("GET", on(ECHO, "/lab/echo?status=503")).status == 503
        assert http.request("GET", on(ECHO, "/bad/not-http")).status == 502
    after = idle(point)
    assert told(before, after, "cmg_requests_total") == 5
    assert told(before, after, "cmg_request_failures_total") == 2
    assert told(before, after, "cmg_request_bytes_total") == 1000
    assert told(before, after, "cmg_response_bytes_total") > 71000
    assert told(before, after, "cmg_requests_with_bearer_token_total") == 0
    assert told(before, after, "cmg_request_duration_seconds_count") == 5
    assert after.get("cmg_requests_in_flight_max", endpoint="echo") == 1
    for other in "mp-https", "sup":
        assert told(before, after, "cmg_requests_total", other) == 0

    status = endpoint(point, "echo")
    assert status["requests"] == after.get("cmg_requests_total", endpoint="echo")
    assert status["failures"] == 2 and status["id"] == ECHO and status["in_flight"] == 0
    assert status["connections"]["dialed"] >= 1 and status["connections"]["last_error"] is None


def test_cut_and_left_are_failures(lab: Lab, point: ConnectionPoint) -> None:
    before = idle(point)
    with lab.http1() as http, contextlib.suppress(Closed, OSError):
        http.request("GET", on(ECHO, "/bad/dies-half-way"))
    assert point.wait_log(r"relay\.cut")
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=20000&tag=left"))
        wait_for(lambda: endpoint(point, "echo")["in_flight"] == 1, "the request to be under way")
        assert scrape(point).get("cmg_requests_in_flight", endpoint="echo") == 1
    after = idle(point)
    assert told(before, after, "cmg_requests_total") == 2
    assert told(before, after, "cmg_request_failures_total") == 2
    assert endpoint(point, "echo")["in_flight_max"] == 1


def test_what_no_endpoint_had_to_do_with(new_lab, site: Site) -> None:
    """A gateway that asks for more than is published; the real one would not."""
    lab = new_lab(start=False, with_gates=False, point={"cmg lab": {"transport": "tcp-tls"},
                                                        "endpoint echo": {"max-request": "1K"}})
    point = lab.points["cp1"]
    with FakeGateway(lab.tcp_port, site.pki.gateway, str(site.pki.point_ca.certificate)) as fake:
        point.start()
        channel = fake.accept()
        fake.greet(channel)
        assert channel.request("GET", on("4711", "/lab/echo")).status == 404
        assert channel.request("GET", on(ECHO, "/ccm_system/request")).status == 404
        assert channel.request("GET", on(ECHO, "/lab//echo")).status == 400
        assert channel.request("POST", on(ECHO, "/lab/sink"), [("content-length", "1025")],
                               b"x" * 1025).status == 413
        metrics = scrape(point)
        for reason, count in ("not-published", 2), ("malformed", 1), ("too-large", 1):
            assert metrics.get("cmg_requests_refused_total", reason=reason) == count
        assert point.ask("/status").json["refused"] == {
            "malformed": 1, "not_published": 2, "too_large": 1}
        assert metrics.sum("cmg_requests_total") == 0


def test_latency_is_in_its_bucket(lab: Lab, point: ConnectionPoint) -> None:
    name = "cmg_request_duration_seconds_bucket"
    before = idle(point)
    assert lab.get(on(ECHO, "/lab/slow?ms=1200")).status == 200
    after = idle(point)
    assert after.get(name, endpoint="echo", le="1") == before.get(name, endpoint="echo", le="1")
    assert after.get(name, endpoint="echo", le="+Inf") == \
        before.get(name, endpoint="echo", le="+Inf") + 1


def test_tokens_are_counted(lab: Lab, point: ConnectionPoint) -> None:
    before = idle(point)
    with lab.http1() as http:
        for value in "Bearer abc.def.ghi", "bearer x", "Basic Ym9iOnB3", "Bearerish x":
            assert http.request("GET", on(ECHO, "/lab/echo"),
                                [("Authorization", value)]).status == 200
        assert http.request("GET", on(ECHO, "/lab/echo"), [("X-Authorization", "Bearer x")]
                            ).status == 200
    after = idle(point)
    assert told(before, after, "cmg_requests_total") == 5
    assert told(before, after, "cmg_requests_with_bearer_token_total") == 2
    for canary in "abc.def.ghi", "Ym9iOnB3":
        assert canary not in after.text and canary not in point.ask("/status").text


def test_counts_outlive_a_reload(lab: Lab, point: ConnectionPoint) -> None:
    """Also those of requests that began under the configuration before."""
    assert lab.get(on(ECHO, "/lab/echo")).status == 200
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=2000&tag=counted"))
        wait_for(lambda: lab.site.seen("counted")["requests"], "the request to arrive")
        point.reconfigure({"endpoint echo": {"max-request": "1M"}})
        assert "conf.reloaded" in point.reload()
        assert scrape(point).get("cmg_requests_in_flight", endpoint="echo") == 1
        assert http.receive().status == 200
    assert idle(point).get("cmg_requests_total", endpoint="echo") == 2
    assert endpoint(point, "echo")["requests"] == 2


def test_ready_follows_the_gateway(lab: Lab, point: ConnectionPoint) -> None:
    ready = point.ask("/ready")
    assert ready.status == 200
    assert ready.json == {"ready": True, "draining": False, "channels": {"up": 1, "of": 1},
                          "why": []}
    assert scrape(point).sum("cmg_channel_up", cmg="lab", instance="1") == 1
    channel = point.ask("/status").json["channels"][0]
    assert channel["state"] == "open" and channel["road"] == "tcp-tls"
    assert channel["last_error"] is None and channel["gateway_version"]
    assert wait_for(lambda: point.ask("/status").json["channels"][0]["round_trip_us"],
                    "an idle channel's PING") > 0

    lab.gateways[1].kill()
    wait_for(lambda: point.ask("/ready").status == 503, "the connection point to notice")
    ready = point.ask("/ready").json
    assert ready["channels"] == {"up": 0, "of": 1}
    assert len(ready["why"]) == 1 and ready["why"][0].startswith("lab: no channel is open")
    metrics = scrape(point)
    assert metrics.sum("cmg_channel_up") == 0 and metrics.get("cmg_ready") == 0
    assert metrics.get("cmg_channel_reconnects_total", cmg="lab", instance="1", cause="lost") == 1
    channel = point.ask("/status").json["channels"][0]
    assert channel["last_error"]["why"] and channel["connection"] is None

    lab.gateways[1].start()
    wait_for(lambda: point.ask("/ready").status == 200, "the channel to come back", 20)
    channel = point.ask("/status").json["channels"][0]
    assert channel["reconnects"]["lost"] == 1 and channel["times_opened"] == 2
    assert channel["last_error"] is not None


def test_status_says_what_is_in_force(lab: Lab, point: ConnectionPoint) -> None:
    status = point.ask("/status").json
    assert status["ready"] is True and status["name"] == "cp1" and status["site"] == "LAB"
    assert status["configuration"]["file"] == str(point.config)
    assert status["process"]["pid"] == point.pid and status["process"]["resident_bytes"] > 0
    own = next(c for c in status["certificates"] if c["use"] == "connection point")
    assert own["file"] == str(lab.pki.points["cp1"].certificate)
    assert own["expires_s"] > 0
    not_after = scrape(point).get("cmg_certificate_not_after_seconds", file=own["file"])
    assert abs(not_after - time.time() - own["expires_s"]) < 10
    assert {e["label"] for e in status["endpoints"]} == {"mp", "mp-https", "sup", "echo"}


def test_an_endpoint_that_is_down_says_why(lab: Lab, point: ConnectionPoint) -> None:
    point.reconfigure({"endpoint echo": {"url": "http://127.0.0.1:1"}})
    assert "conf.reloaded" in point.reload()
    wait_for(lambda: lab.get(on(ECHO, "/lab/echo")).status == 502, "the endpoint to be gone")
    connections = endpoint(point, "echo")["connections"]
    assert connections["failed"] >= 1 and "127.0.0.1" in connections["last_error"]
    assert scrape(point).get("cmg_endpoint_dial_failures_total", endpoint="echo") >= 1


def test_prometheus_accepts_it(lab: Lab, point: ConnectionPoint) -> None:
    assert lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST")).status == 200
    text = scrape(point).text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                             capture_output=True, timeout=30)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr + checked.stdout
    metrics = Metrics(text)
    assert metrics.sum("cmg_build_info") == 1
    assert abs(metrics.get("process_start_time_seconds") - time.time()) < 60
    for name in "process_resident_memory_bytes", "process_open_fds":
        assert metrics.get(name) > 0
    assert metrics.sum("cmg_buffer_bytes") >= 0


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_metrics_are_documented(lab: Lab, point: ConnectionPoint) -> None:
    """Each family with its type and labels, and no other."""
    wait_for(lambda: "cmg_channel_ping_seconds{" in scrape(point).text, "an idle channel's PING")
    metrics = scrape(point)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", metrics.text, re.M))
    have = set()
    for (name, labels) in metrics.values:
        family = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
        kept = ", ".join(sorted(f"`{key}`" for key, _ in labels if key != "le"))
        have.add((family, types[family], kept))
    part = DOCUMENT.read_text().split("## Connection point")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*?) ?\| ", part, re.M)
    assert have == {(name, kind, ", ".join(sorted(labels.split(", ")) if labels else []))
                    for name, kind, labels in rows}


def test_alerts_are_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(DOCUMENT.read_text().split("```yaml\n")[1].split("```")[0])
    checked = subprocess.run(["promtool", "check", "rules", rules], text=True,
                             capture_output=True, timeout=30)
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_held_bytes_are_seen(lab: Lab, point: ConnectionPoint) -> None:
    """A client that reads nothing of a large answer."""
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/pattern?size=1000000000"))
        wait_for(lambda: scrape(point).sum("cmg_buffer_bytes") > 0, "bytes to be held", 30,
                 explain=lab.explain)
    wait_for(lambda: scrape(point).sum("cmg_buffer_bytes") == 0, "them to be gone", 30,
             explain=lab.explain)


def test_draining_is_told(lab: Lab, point: ConnectionPoint) -> None:
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=3000&tag=drained"))
        wait_for(lambda: lab.site.seen("drained")["requests"], "the request to arrive")
        point.ask("/drain", "POST")
        ready = point.ask("/ready")
        assert ready.status == 503 and ready.json["draining"] is True
        assert ready.json["why"][0].startswith("draining")
        assert scrape(point).get("cmg_draining") == 1
        assert http.receive().status == 200


class Manager:
    """Listens where a service manager does."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.status = ""

    def hears(self) -> str:
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self.socket.recv(4096).decode().splitlines():
                    if line.startswith("STATUS="):
                        self.status = line.removeprefix("STATUS=")
        return self.status


def test_the_line_of_systemctl_status_is_true(new_lab, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    manager = Manager(path)
    lab = new_lab(with_gates=False, env={"NOTIFY_SOCKET": str(path)})
    def says(line: str) -> None:
        wait_for(lambda: manager.hears() == line, line, explain=manager.hears)
    says("1 of 1 channels up, 0 requests in flight")
    with lab.http1() as http:
        http.send_head("GET", on(ECHO, "/lab/slow?ms=4000"))
        says("1 of 1 channels up, 1 requests in flight")
        assert http.receive().status == 200
    says("1 of 1 channels up, 0 requests in flight")
    lab.gateways[1].kill()
    says("0 of 1 channels up, 0 requests in flight")
    lab.points["cp1"].stop()
    assert manager.hears().endswith(", draining")
