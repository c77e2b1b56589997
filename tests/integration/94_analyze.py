"""The connection analyzer: set-ups that are broken on purpose, each named for what it is; and a
sound one with nothing to complain of. With -s, a table of them is printed."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from lab.pki import Authority, Identity
from lab.proxies import ProxyLab
from lab.site import MP, Lab, Site, on
from lab.waiting import free_ports, wait_for

Finding = dict[str, str]
VERDICTS = {"pass", "warn", "fail"}


@dataclass
class Analysis:
    findings: list[Finding]
    totals: dict

    def of(self, check: str, verdict: str = "") -> list[Finding]:
        return [f for f in self.findings
                if f["check"] == check and verdict in ("", f["verdict"])]

    def the(self, check: str, verdict: str, *words: str) -> Finding:
        """A finding of that check and verdict that has all the words, in whichever sentence."""
        for finding in self.of(check, verdict):
            text = " ".join((finding["subject"], finding["says"], finding["means"],
                             finding["do"]))
            if all(word in text for word in words):
                return finding
        raise AssertionError(f"no {verdict} of {check} with {words} in\n{self}")

    def __str__(self) -> str:
        return "\n".join(f"  {f['verdict']} {f['check']} {f['subject']}: {f['says']} | "
                         f"{f['means']} | {f['do']}" for f in self.findings)


def opens(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(door)) == 0


def analyze(lab: Lab) -> Analysis:
    point = lab.points["cp1"]
    wait_for(lambda: opens(point.socket), "the administrator's door", explain=point.explain)
    lines = list(point.ask_lines("/analyze", "GET", within=70))
    *findings, last = lines
    totals = last["totals"]
    assert last["stopped"] is None, last
    assert last["ms"] < 60_000
    for finding in findings:
        assert set(finding) == {"check", "subject", "verdict", "says", "means", "do"}
        assert finding["verdict"] in VERDICTS and finding["says"] and finding["subject"]
        # Whoever is told of a fault is told what to do.
        assert finding["verdict"] == "pass" or (finding["means"] and finding["do"]), finding
    for verdict in VERDICTS:
        assert totals[verdict] == sum(f["verdict"] == verdict for f in findings)
    return Analysis(findings, totals)


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[Finding], None]:
    def tell(finding: Finding) -> None:
        name = request.node.name.removeprefix("test_").replace("_", " ")
        print(f"\n{name:45} {finding['verdict']:4} {finding['check']:13} {finding['subject']}\n"
              f"{'':51}{finding['means'] or finding['says']}")
        if finding["do"]:
            print(f"{'':51}-> {finding['do']}")
    return tell


@contextmanager
def silent_port() -> Iterator[int]:
    """Connections to it get no answer, as behind a firewall that drops: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_ports()))
        listener.listen(0)
        address, fillers = listener.getsockname(), []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                fillers.append(filler)
            yield address[1]
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def tls_server(identity: Identity, answer: Callable[[], bytes], port: int = 0) -> Iterator[int]:
    """Answers whatever it is asked, over TLS, and closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    with socket.create_server(("127.0.0.1", port or free_ports())) as listener:
        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                try:
                    plain.settimeout(10)
                    with context.wrap_socket(plain, server_side=True) as secure:
                        secure.recv(65536)
                        secure.sendall(answer())
                except OSError:
                    plain.close()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def page(date: float | None = None) -> bytes:
    dated = f"Date: {formatdate(date, usegmt=True)}\r\n" if date else ""
    return f"HTTP/1.1 200 OK\r\n{dated}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


def gateway_shows(new_lab, identity: Identity, **options: object) -> Lab:
    return new_lab(wait=False, gateway={"gateway": {"certificate": identity.certificate,
                                                    "key": identity.key}}, **options)


# --- nothing wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("instances", [1, 2])
def test_sound(new_lab, told, instances: int) -> None:
    lab = new_lab(instances=instances)
    result = analyze(lab)
    assert result.totals["fail"] == 0, result
    for check in ("configuration", "certificate", "port", "tls", "upgrade", "admission", "channel",
                  "client", "endpoint-tls", "endpoint", "clock"):
        assert result.of(check), f"nothing about {check} in\n{result}"
    assert len(result.of("admission", "pass")) == 2 * instances
    told(result.the("admission", "pass", "instance 1 of"))


def test_sound_through_a_proxy(new_lab, proxies: ProxyLab, told) -> None:
    proxy = proxies.start("basic")
    lab = new_lab(env=proxy.env, point={"proxy": proxy.settings, "cmg lab": {"transport": "https"}})
    result = analyze(lab)
    assert result.totals["fail"] == 0, result
    told(result.the("proxy", "pass", "connects"))


def test_channels_and_what_is_published_stay(new_lab) -> None:
    """A second greeting would replace what the first one published."""
    lab = new_lab()
    opened = len(lab.gateways[1].events("channel.open"))
    for _ in range(3):
        analyze(lab)
        assert lab.is_up()
    assert not lab.points["cp1"].events("channel.lost")
    assert len(lab.gateways[1].events("channel.open")) == opened
    assert len(lab.gateways[1].events("channel.greeting")) == opened


# --- gateways ---------------------------------------------------------------------------------


def test_wrong_ca(new_lab, site: Site, told) -> None:
    result = analyze(gateway_shows(new_lab, site.pki.gateway_impostor))
    told(result.the("tls", "fail", "Foreign Root", "wrong ca-file"))
    assert not result.of("admission", "pass")


def test_expired_gateway_certificate(new_lab, site: Site, told) -> None:
    # A gateway of ours does not start with one.
    expired = site.pki.server_ca.issue("gateway-expired", "/CN=localhost", usage="serverAuth",
                                       san="DNS:localhost", expired=True)
    with tls_server(expired, page) as port:
        lab = new_lab(wait=False, point={"cmg lab": {"transport": "https",
                                                     "https-port-single": port}})
        told(analyze(lab).the("tls", "fail", "expired on 2021-01-01"))


def test_own_certificate_expires(new_lab, site: Site, told) -> None:
    """It was good when the service started; the file is another one now."""
    lab = new_lab()
    point, pki = lab.points["cp1"], site.pki
    mine, key = lab.folder / "mine.pem", lab.folder / "mine.key"
    key.touch(mode=0o600)

    def now_is(identity: Identity) -> None:
        mine.write_text(identity.certificate.read_text())
        key.write_text(identity.key.read_text())
    now_is(pki.points["cp1"])
    point.stop()
    point.reconfigure({"connection-point": {"certificate": mine, "key": key}})
    point.start()
    lab.wait_up()
    now_is(pki.point_expired)
    told(analyze(lab).the("certificate", "fail", "mine.pem", "expired", "renew"))
    assert lab.is_up()


def test_missing_intermediate(new_lab, site: Site, told) -> None:
    pki = site.pki
    hidden = Authority(pki.folder, "server-hidden", "/O=Lab/CN=Lab Gateway Issuing", pki.server_ca)
    leaf = hidden.issue("gateway-no-chain", "/CN=localhost", usage="serverAuth",
                        san="DNS:localhost", with_chain=False)
    result = analyze(gateway_shows(new_lab, leaf))
    told(result.the("tls", "fail", "does not send the intermediate", "Lab Gateway Issuing"))
    assert not result.of("interception")


def test_port_closed(new_lab, told) -> None:
    lab = new_lab()
    lab.tcp_gates[0].refuse()
    result = analyze(lab)
    told(result.the("port", "warn", str(lab.gate_tcp_port), "refused", "other road"))
    assert result.totals["fail"] == 0, result


def test_all_ports_closed(new_lab, told) -> None:
    lab = new_lab()
    lab.tcp_gates[0].block()
    lab.https_gates[0].block()
    lab.points["cp1"].wait_log(r"channel\.failed.*road=https")
    result = analyze(lab)
    told(result.the("port", "fail", str(lab.gate_https_port), "refused"))
    result.the("channel", "fail", "no channel is open")


def test_port_filtered(new_lab, told) -> None:
    with silent_port() as port:
        lab = new_lab(point={"cmg lab": {"tcp-tls-port": port},
                             "channel": {"connect-timeout": "2s"}})
        told(analyze(lab).the("port", "warn", str(port), "filtered", "open TCP"))


def test_firewall_swallows_after_connecting(new_lab, told) -> None:
    lab = new_lab(point={"channel": {"connect-timeout": "2s"}})
    lab.tcp_gates[0].black_hole()
    told(analyze(lab).the("tls", "warn", str(lab.gate_tcp_port), "swallows"))


def test_other_instance_behind_the_port(new_lab, told) -> None:
    """Two instances, and the configuration says one."""
    lab = new_lab(instances=2, wait=False, point={"cmg lab": {"instances": 1}})
    told(analyze(lab).the("instances", "warn", "instance 1 of 2", "set instances"))


def test_wrong_service_name(new_lab, site: Site, told) -> None:
    result = analyze(gateway_shows(new_lab, site.pki.gateway_other_name))
    told(result.the("tls", "fail", "other.example", "localhost", "service in [cmg lab]"))


def test_name_that_dns_does_not_know(new_lab, told) -> None:
    lab = new_lab(wait=False, point={"cmg lab": {"address": "nowhere.invalid"}})
    told(analyze(lab).the("dns", "fail", "nowhere.invalid"))


def test_not_admitted(new_lab, site: Site, told) -> None:
    unlisted = {f"connection-point {name}": None for name in site.pki.points if name != "cp2"}
    result = analyze(new_lab(wait=False, gateway=unlisted))
    finding = result.the("admission", "fail", "no [connection-point] section")
    assert len(result.of("admission", "fail")) == 2, result
    assert not result.of("tls", "fail") and not result.of("upgrade", "fail"), result
    told(finding)


def test_certificate_of_a_foreign_ca_is_not_admitted(new_lab, site: Site, told) -> None:
    foreign = site.pki.point_foreign
    lab = new_lab(wait=False, point={"connection-point": {"certificate": foreign.certificate,
                                                          "key": foreign.key}})
    result = analyze(lab)
    told(result.the("admission", "fail", "does not admit"))
    assert not result.of("tls", "fail"), result


def test_upgrade_is_taken_out(new_lab, site: Site, told) -> None:
    with tls_server(site.pki.gateway, page) as port:
        lab = new_lab(point={"cmg lab": {"https-port-single": port}})
        told(analyze(lab).the("upgrade", "warn", "takes Upgrade out"))


# --- proxies ----------------------------------------------------------------------------------


def behind(new_lab, proxy, **settings: str) -> Lab:
    return new_lab(wait=False, env=proxy.env, point={
        "proxy": {"url": proxy.url, **settings}, "cmg lab": {"transport": "https"}})


def test_proxy_407(new_lab, proxies: ProxyLab, told) -> None:
    result = analyze(behind(new_lab, proxies.start("basic")))
    told(result.the("proxy", "fail", "407", "offers Basic", "user"))
    assert not result.of("port") and not result.of("tls"), result


def test_proxy_403(new_lab, proxies: ProxyLab, told) -> None:
    told(analyze(behind(new_lab, proxies.start("refusing"))).the("proxy", "fail", "403", "policy"))


def test_proxy_down(new_lab, told) -> None:
    port = free_ports()
    lab = new_lab(wait=False, point={"proxy": {"url": f"http://127.0.0.1:{port}"},
                                     "cmg lab": {"transport": "https"}})
    told(analyze(lab).the("proxy", "fail", str(port), "refused the connection", "[proxy] url"))


def test_interception(new_lab, site: Site, told) -> None:
    """Something before the HTTPS port shows a certificate of its own; TCP-TLS passes untouched."""
    with tls_server(site.pki.gateway_impostor, page) as port:
        lab = new_lab(point={"cmg lab": {"https-port-single": port}})
        result = analyze(lab)
    told(result.the("interception", "fail", "Foreign Root", "Lab Gateway CA", "intercepted"))


def test_intercepting_proxy(new_lab, site: Site, proxies: ProxyLab, told) -> None:
    """Every road leads through it, so there is nothing to compare with."""
    proxy = proxies.start("open")
    with tls_server(site.pki.gateway_impostor, page) as port:
        lab = new_lab(wait=False, point={"proxy": proxy.settings,
                                         "cmg lab": {"transport": "https",
                                                     "https-port-single": port}})
        result = analyze(lab)
    told(result.the("interception", "fail", "the proxy shows certificates of its own"))


# --- the clock --------------------------------------------------------------------------------


@pytest.mark.parametrize("off, verdict", [(-90, "warn"), (3600, "fail")])
def test_clock(new_lab, site: Site, told, off: int, verdict: str) -> None:
    """Everybody who tells the time tells another one than we do."""
    only = {f"endpoint {name}": None for name in ("mp", "mp-https", "sup")}
    with tls_server(site.pki.gateway, lambda: page(time.time() + off)) as port:
        lab = new_lab(instances=2, wait=False, point={
            "cmg lab": {"https-port-single": port}, **only})
        told(analyze(lab).the("clock", verdict, "behind" if off > 0 else "before", "NTP"))


def test_clock_of_the_gateway(new_lab, site: Site, told) -> None:
    with tls_server(site.pki.gateway, lambda: page(time.time() + 3600)) as port:
        lab = new_lab(instances=2, point={"cmg lab": {"https-port-single": port}})
        told(analyze(lab).the("clock", "warn", "localhost has the wrong time"))


# --- endpoints --------------------------------------------------------------------------------


def test_endpoint_down(new_lab, told) -> None:
    port = free_ports()
    lab = new_lab(wait=False, point={"endpoint mp": {"url": f"http://127.0.0.1:{port}"}})
    told(analyze(lab).the("endpoint-port", "fail", "endpoint mp ", "nothing listens there"))


def test_endpoint_wants_a_certificate(new_lab, told) -> None:
    lab = new_lab(point={"endpoint mp-https": {"certificate": None, "key": None}})
    result = analyze(lab)
    told(result.the("endpoint", "fail", "mp-https", "none is configured"))


def test_endpoint_of_another_ca(new_lab, site: Site, told) -> None:
    lab = new_lab(point={"endpoint mp-https": {"ca-file": site.pki.foreign_ca.certificate}})
    told(analyze(lab).the("endpoint-tls", "fail", "mp-https", "Lab Site CA"))


# --- how it behaves ---------------------------------------------------------------------------


def test_one_at_a_time(new_lab) -> None:
    with silent_port() as port:
        lab = new_lab(point={"cmg lab": {"tcp-tls-port": port},
                             "channel": {"connect-timeout": "3s"}})
        point = lab.points["cp1"]
        first = point.ask_lines("/analyze", "GET")
        next(first)
        answer = point.ask("/analyze")
        assert answer.status == 409 and "running already" in answer.text
        assert [line for line in first if "totals" in line]
        assert point.ask("/analyze").status == 200


@pytest.mark.parametrize("how", ["reload", "stop", "client leaves"])
def test_ends_early(new_lab, how: str) -> None:
    with silent_port() as port:
        lab = new_lab(point={"cmg lab": {"tcp-tls-port": port},
                             "channel": {"connect-timeout": "10s"}})
        point = lab.points["cp1"]
        lines = point.ask_lines("/analyze", "GET")
        next(lines)
        if how == "client leaves":
            lines.close()
            lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST"))
            return  # the lab's end waits for it, and looks for leaks
        if how == "reload":
            point.reload()
        else:
            threading.Thread(target=point.stop, daemon=True).start()
        last = list(lines)[-1]
        assert how in last["stopped"]
        if how == "stop":
            wait_for(lambda: not point.is_running(), "the service to stop")
