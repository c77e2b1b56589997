"""A stock HAProxy at either end of a channel (reverse HTTP, 2.9 or newer on PATH)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.bench import has_reverse_http
from lab.client import Http1, Http2, Load, context
from lab.http1 import pattern_bytes
from lab.process import Process
from lab.site import ECHO, Lab, Site, on
from lab.waiting import port_answers, wait_for

pytestmark = pytest.mark.skipif(not has_reverse_http(),
                                reason="no HAProxy 2.9 or newer on PATH")

COMMON = """
global
    nbthread 1
    expose-experimental-directives
    tune.h2.max-concurrent-streams 1000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Process]:
    """Not started: write haproxy.cfg first."""
    process = Process("haproxy", ["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"],
                      tmp_path / "haproxy.log")
    yield process
    process.kill()


def bundle(folder: Path, identity) -> Path:
    path = folder / f"{identity.name}.both"
    path.write_text(identity.certificate.read_text() + identity.key.read_text())
    return path


@pytest.fixture
def behind(new_lab, site: Site, haproxy: Process, tmp_path: Path) -> Lab:
    """A connection point whose gateway is a HAProxy."""
    lab: Lab = new_lab(start=False, with_gates=False, point={"cmg lab": {"transport": "tcp-tls"}})
    server = bundle(tmp_path, site.pki.gateway)
    (tmp_path / "haproxy.cfg").write_text(COMMON + f"""
frontend public
    bind 127.0.0.1:{lab.port()} ssl crt {server} alpn h2,http/1.1
    use_backend site
frontend channel
    bind 127.0.0.1:{lab.tcp_port} ssl crt {server} verify required ca-file {site.pki.point_ca.certificate} alpn h2
    tcp-request session attach-srv site/point
backend site
    http-reuse always
    server point rhttp@
""")
    haproxy.start()
    wait_for(lambda: port_answers(lab.tcp_port), "HAProxy", explain=haproxy.explain)
    lab.points["cp1"].start()
    lab.points["cp1"].wait_log(r"channel\.open")
    tls = context(str(site.pki.server_ca.certificate))

    def answers() -> bool:
        with Http1(lab.port(), tls) as http:
            return http.request("GET", on(ECHO, "/lab/echo")).status == 200
    wait_for(answers, "an answer through HAProxy", explain=lab.explain)
    return lab


def test_haproxy_as_the_gateway(behind: Lab, site: Site, haproxy: Process) -> None:
    tls = context(str(site.pki.server_ca.certificate))
    opened = len(behind.points["cp1"].events("channel.open"))
    with Http1(behind.port(), tls) as http:
        body = pattern_bytes(200_000)
        answer = http.request("CCM_POST", on(ECHO, "/lab/mirror"), [], body)
        assert answer.body == body
        assert answer.get("cmg-names") is None, "what our own ends tell each other"
        assert http.request("GET", on(ECHO, "/nothing")).status == 404
        assert http.request("HEAD", on(ECHO, "/lab/echo")).body == b""
        for _ in range(60):
            assert http.request("GET", on(ECHO, "/lab/echo")).status == 200
    Load(behind.port(), tls, 20, on(ECHO, "/lab/echo"), rounds=10).start().join().assert_none_lost()
    assert len(behind.points["cp1"].events("channel.open")) == opened, "one channel carried it all"
    haproxy.stop()


def test_haproxy_passes_http2_on(behind: Lab, site: Site) -> None:
    tls = context(str(site.pki.server_ca.certificate), alpn=("h2",))
    body = pattern_bytes(3_000_000)
    with Http2.dial(behind.port(), tls) as h2:
        assert h2.request("POST", on(ECHO, "/lab/mirror"), [], body).body == body
        assert h2.request("GET", on(ECHO, "/lab/echo")).status == 200


def test_clients_of_haproxy_cannot_end_the_channel(behind: Lab, site: Site) -> None:
    """An Upgrade makes HAProxy ask for extended CONNECT; clients that leave make it reset."""
    tls = context(str(site.pki.server_ca.certificate))
    opened = len(behind.points["cp1"].events("channel.open"))
    websocket = [("Connection", "Upgrade"), ("Upgrade", "websocket"),
                 ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x" * 22 + "==")]
    with Http1(behind.port(), tls) as http:
        assert http.request("GET", on(ECHO, "/lab/echo"), websocket).status >= 400
    for _ in range(50):
        with Http1(behind.port(), tls) as http:
            http.send_head("GET", on(ECHO, "/lab/slow?ms=2000"))
    with Http1(behind.port(), tls) as http:
        assert http.request("GET", on(ECHO, "/lab/echo")).status == 200
    assert len(behind.points["cp1"].events("channel.open")) == opened, behind.explain()


def test_haproxy_as_the_connection_point(new_lab, site: Site, haproxy: Process,
                                         tmp_path: Path) -> None:
    lab: Lab = new_lab(start=False, with_gates=False, points=(), gateway={
        "endpoint haproxy": {"connection-point": "cp2", "role": "management-point", "id": "77",
                             "paths": "lab", "client-auth": "mutual"}})
    (tmp_path / "haproxy.cfg").write_text(COMMON + f"""
frontend site
    bind rhttp@dial/gateway
    http-request return status 404 if {{ path_beg /.well-known/ }}
    http-request set-path %[path,regsub(^/CCM_Proxy_MutualAuth/77,,i)]
    use_backend endpoint
backend dial
    server gateway 127.0.0.1:{lab.tcp_port} ssl verify required ca-file {site.pki.server_ca.certificate} crt {bundle(tmp_path, site.pki.points["cp2"])} sni str(localhost) alpn h2
backend endpoint
    server s1 127.0.0.1:{site.dynamic_port}
""")
    lab.gateways[1].start()
    wait_for(lambda: port_answers(lab.tcp_port), "the gateway", explain=lab.explain)
    haproxy.start()

    def answers() -> bool:
        return lab.get(on("77", "/lab/echo")).status == 200
    wait_for(answers, "an answer through HAProxy", explain=lambda: haproxy.explain() +
             lab.explain())
    with lab.http1() as http:
        body = pattern_bytes(200_000)
        assert http.request("CCM_POST", on("77", "/lab/mirror"), [], body).body == body
        assert http.request("GET", on("77", "/nothing")).status == 404
    load = Load(lab.port(), lab.tls(), 20, on("77", "/lab/echo"), rounds=10)
    load.start().join().assert_none_lost()

    # Its soft stop says GOAWAY at once and finishes what it has.
    target = on("77", "/lab/slow?ms=1500&tag=haproxy-stop")
    with Load(lab.port(), lab.tls(), 20, target, rounds=1) as slow:
        wait_for(lambda: site.seen("haproxy-stop")["requests"] == 20, "requests in flight")
        haproxy.signal(signal.SIGUSR1)
        slow.join().assert_none_lost()
