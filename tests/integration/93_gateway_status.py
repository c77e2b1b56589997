"""What a gateway says of itself: /ready, /status, /metrics. For requests and refusals that are
known the numbers add up, Prometheus' own checker reads them, and no secret is among them."""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab.admin import Answer
from lab.auth import Auth
from lab.client import Http1
from lab.oidc import device
from lab.site import ECHO, MP, SERVER, Lab, on
from lab.tokens import CONTENT_PATH, bearer
from lab.waiting import free_ports, wait_for

LIST = "/SMS_MP/.sms_aut?MPLIST"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
GATEWAY_PART = DOCUMENT.read_text().split("\n## Gateway\n")[1].split("\n## ")[0]
Metrics = Mapping[str, float]


class Watched:
    """A lab whose gateway has both doors open."""

    def __init__(self, labs, auth: Auth, **settings: object) -> None:
        self.port, self.auth = free_ports(), auth
        self.lab: Lab = labs(with_gates=False, gateway=auth.settings({
            "admin": {"listen": f"127.0.0.1:{self.port}"}, **settings}))
        self.ask: Callable[[str], Answer] = self.lab.gateways[1].ask

    def status(self) -> dict:
        answer = self.ask("/status")
        assert answer.status == 200, answer
        return answer.json

    def metrics(self) -> Metrics:
        """By name and labels, as they are spelled."""
        answer = self.ask("/metrics")
        assert answer.status == 200, answer
        found = {}
        for line in answer.text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                assert name not in found, f"{name} is there twice"
                found[name] = float(value)
        return found

    def wait_ready(self, status: int, target: str = "/ready") -> dict:
        return wait_for(lambda: (a := self.ask(target)).status == status and a,
                        f"{target} to say {status}", explain=self.lab.explain).json

    def wait_grown(self, before: Metrics, want: Metrics) -> None:
        """Until exactly these have grown by so much: a request is counted when it is over, which
        is a moment after its client has the answer."""
        grown: dict[str, float] = {}

        def has() -> bool:
            now = self.metrics()
            grown.update({name: now[name] - before.get(name, 0) for name in want})
            return grown == want
        wait_for(has, "the numbers to add up",
                 explain=lambda: f"want {want}\ngot  {grown}\n{self.lab.explain()}")


@pytest.fixture(scope="module")
def watched(labs, auth: Auth) -> Watched:
    return Watched(labs, auth)


@pytest.fixture
def own(new_lab, auth: Auth) -> Watched:
    return Watched(new_lab, auth)


def endpoint(name: str, of: str = MP, **labels: str) -> str:
    more = "".join(f',{key}="{value}"' for key, value in labels.items())
    return f'cmg_{name}{{endpoint="{of}"{more}}}'


def refused(status: int, reason: str, error: str = "http_request_denied") -> str:
    return (f'cmg_requests_refused_total{{status="{status}",reason="CMGService_{reason}",'
            f'error="{error}"}}')


def credentials(kind: str, result: str) -> str:
    return f'cmg_credentials_total{{kind="{kind}",result="{result}"}}'


def statuses(http: Http1, *asked: tuple[str, list[tuple[str, str]]]) -> list[int]:
    return [http.request("GET", target, headers).status for target, headers in asked]


# --- ready -------------------------------------------------------------------------------------

def test_ready_is_what_clients_would_find(own: Watched) -> None:
    said = own.wait_ready(200)
    assert said == {"ready": True, "draining": False, "sites": {"LAB": 1}, "why": []}
    point = own.lab.points["cp1"]
    point.stop()
    said = own.wait_ready(503)
    assert said["sites"] == {"LAB": 0} and said["why"] == ["no channel is open"]
    assert own.metrics()["cmg_ready"] == 0
    point.start()
    own.wait_ready(200)
    assert own.metrics()["cmg_ready"] == 1


def test_ready_of_one_site(watched: Watched) -> None:
    assert watched.ask("/ready?site=LAB").status == 200
    other = watched.ask("/ready?site=XXX")
    assert other.status == 503 and other.json["why"] == [
        "no connection point of this site is admitted"]


def test_not_ready_while_draining(own: Watched) -> None:
    """A request that is under way keeps the gateway there for as long as is needed to look."""
    gateway = own.lab.gateways[1]
    with own.lab.http1() as http:
        http.send_head("POST", on(ECHO, "/lab/echo"), [("Content-Length", "5")])
        wait_for(lambda: own.metrics()[endpoint("requests_in_flight", ECHO)] == 1,
                 "the request to be under way", explain=own.lab.explain)
        assert gateway.post("/drain").status < 300
        said = own.wait_ready(503)
        assert said["draining"] and "draining" in said["why"][0]
        assert own.metrics()["cmg_draining"] == 1
        http.send(b"hello")
        assert http.receive().status == 200
    assert gateway.wait_exit() == 0


# --- numbers -----------------------------------------------------------------------------------

def test_requests_of_an_endpoint(watched: Watched) -> None:
    before = watched.metrics()
    body = secrets.token_bytes(1000)
    with watched.lab.http1() as http:
        for _ in range(3):
            answer = http.request("POST", on(ECHO, "/lab/mirror"), body=body)
            assert (answer.status, answer.body) == (200, body)
    token = watched.auth.site.client()
    with watched.lab.http2(identity=None) as http:
        for _ in range(2):
            assert http.request("GET", on(ECHO, "/lab/slow?ms=1", SERVER),
                                bearer(token)).status == 200
    watched.wait_grown(before, {
        endpoint("requests_total", ECHO): 5,
        endpoint("requests_with_bearer_token_total", ECHO): 2,
        endpoint("request_failures_total", ECHO): 0,
        endpoint("requests_in_flight", ECHO): 0,
        endpoint("request_bytes_total", ECHO): 3000,
        endpoint("request_duration_seconds_count", ECHO): 5,
        "cmg_gateway_requests_total": 5,
        "cmg_gateway_requests_with_bearer_token_total": 2,
        "cmg_gateway_requests_in_flight": 0,
        "cmg_gateway_request_duration_seconds_count": 5,
        'cmg_gateway_request_duration_seconds_bucket{le="+Inf"}': 5,
        'cmg_connection_point_requests_total{connection_point="cp1"}': 5,
        credentials("certificate", "good"): 1, credentials("certificate", "known"): 2,
        credentials("site-token", "good"): 1, credentials("site-token", "known"): 1,
        'cmg_handshakes_total{result="done"}': 2,
        'cmg_client_connections_total{http="http/1.1"}': 1,
        'cmg_client_connections_total{http="h2"}': 1,
    })
    after = watched.metrics()
    assert after[endpoint("requests_in_flight_max", ECHO)] >= 1
    assert after["cmg_client_sent_bytes_total"] - before["cmg_client_sent_bytes_total"] > 3000
    assert (after["cmg_client_received_bytes_total"]
            - before["cmg_client_received_bytes_total"] > 3000)


def test_refusals_by_reason(watched: Watched) -> None:
    before = watched.metrics()
    token = watched.auth.site.client()
    with watched.lab.http1(identity=None) as http:
        assert statuses(
            http, (on("9", "/x"), []), (on(MP, LIST, SERVER), bearer(token[:-4] + "AAAA")),
            (on(MP, LIST, SERVER), bearer(watched.auth.site.client(iss="urn:x"))),
            (on(MP, LIST, SERVER), []), (on("9", "/x", SERVER), bearer(token)),
            ("/elsewhere", [])) == [403, 401, 401, 401, 404, 404]
    with watched.lab.http1(identity=None) as http:
        http.send(b"GET /x HTTP/9.9\r\nHost: a\r\n\r\n")
        assert http.receive().status == 505
    watched.wait_grown(before, {
        refused(403, "Client_Certificate_Required"): 1,
        refused(401, "Invalid_Token"): 3,
        refused(404, "Not_Published"): 2,
        refused(505, "Version_Not_Supported", "http_request_error"): 1,
        credentials("site-token", "bad"): 1, credentials("unknown", "bad"): 1,
        credentials("site-token", "good"): 1, credentials("certificate", "bad"): 0,
        "cmg_gateway_requests_total": 6, "cmg_gateway_request_failures_total": 0,
        endpoint("requests_total", MP): 0,
    })
    said = {r["phrase"]: r["refused"] for r in watched.status()["refusals"]}
    assert said["CMGService_Invalid_Token"] >= 3


def test_a_client_that_leaves_is_a_failure(watched: Watched) -> None:
    before = watched.metrics()
    with watched.lab.http1() as http:
        http.send_head("POST", on(ECHO, "/lab/echo"), [("Content-Length", "5")])
        wait_for(lambda: watched.metrics()[endpoint("requests_in_flight", ECHO)] == 1,
                 "the request to be under way", explain=watched.lab.explain)
    watched.wait_grown(before, {endpoint("requests_total", ECHO): 1,
                                endpoint("request_failures_total", ECHO): 1,
                                endpoint("requests_in_flight", ECHO): 0,
                                "cmg_gateway_request_failures_total": 1})


def test_handshake_that_fails(watched: Watched) -> None:
    before = watched.metrics()
    with Http1(watched.lab.port(), None) as plain:
        plain.send(b"GET / HTTP/1.1\r\n\r\n")
        watched.wait_grown(before, {'cmg_handshakes_total{result="failed"}': 1,
                                    'cmg_handshakes_total{result="done"}': 0})


def test_numbers_go_on_when_a_connection_point_comes_back(own: Watched) -> None:
    lab, point = own.lab, own.lab.points["cp1"]
    before = own.metrics()
    assert lab.get(on(MP, LIST)).status == 200
    own.wait_grown(before, {endpoint("requests_total"): 1})
    point.kill()
    own.wait_ready(503)
    point.start()
    own.wait_ready(200)
    assert lab.get(on(MP, LIST)).status == 200
    cp1 = 'connection_point="cp1"'
    own.wait_grown(before, {endpoint("requests_total"): 2,
                            f"cmg_channel_opened_total{{{cp1}}}": 1,
                            f'cmg_channel_ended_total{{{cp1},cause="lost"}}': 1})


# --- how it is told ----------------------------------------------------------------------------

def test_prometheus_reads_it(watched: Watched) -> None:
    answer = watched.ask("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run(["promtool", "check", "metrics"], input=answer.text, text=True,
                          capture_output=True)
    assert done.returncode == 0 and not done.stderr + done.stdout, done.stderr + done.stdout


def test_metrics_are_documented(watched: Watched) -> None:
    have = set(re.findall(r"^# TYPE (\S+) (\S+)$", watched.ask("/metrics").text, re.M))
    rows = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|", GATEWAY_PART, re.M)
    assert len(have) > 40 and have == set(rows) and len(rows) == len(have)


def test_status_is_documented(watched: Watched) -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ", GATEWAY_PART.split("### Metrics")[0], re.M)
    assert set(watched.status()) == {name for row in rows for name in re.findall(r"\w+", row)}


def test_alerts_are_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(GATEWAY_PART.split("```yaml\n")[1].split("```")[0])
    done = subprocess.run(["promtool", "check", "rules", rules], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr + done.stdout


def test_scrapers_get_numbers_only(watched: Watched) -> None:
    """The port is open to every user of the machine."""
    def ask(target: str) -> int:
        with Http1(watched.port, None) as http:
            return http.request("GET", target).status
    assert [ask(t) for t in ("/metrics", "/ready")] == [200, 200]
    assert ask("/status") in (403, 404)


def test_status_says_what_there_is(watched: Watched) -> None:
    def has_round_trip() -> dict | None:
        """An idle channel sends a PING every second."""
        said = watched.status()
        channels = said["connection_points"][0]["channels"]
        return said if channels and channels[0]["round_trip_us"] else None
    said = wait_for(has_round_trip, "a round trip", explain=watched.lab.explain)
    assert said["ready"] and said["name"] == "localhost" and said["instance"] == 1
    assert Path(said["configuration"]["file"]) == watched.lab.gateways[1].config
    points = {p["name"]: p for p in said["connection_points"]}
    channel = points["cp1"]["channels"][0]
    assert points["cp1"]["connected"] and channel["state"] == "up"
    assert (channel["road"], channel["haproxy"]) == ("tcp-tls", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", channel["since"])
    served = {e["id"]: e for e in said["endpoints"]}
    offer = served[MP]["published_by"][0]
    assert (offer["connection_point"], offer["role"]) == ("cp1", "management-point")
    assert "SMS_MP" in offer["paths"] and served[MP]["counts"]["requests"] >= 1
    tenants = {t["tenant"]: t for t in said["tenants"]}
    assert tenants["contoso"]["enabled"] and tenants["contoso"]["keys"] == 2
    assert tenants["contoso"]["error"] is None and tenants["contoso"]["fetched"]
    assert watched.auth.site.rsa.x5t in [k["x5t"] for k in said["site_tokens"]["keys"]]
    assert said["revocation"]["check"] == "off" and not said["content"]["served"]
    uses = {c["use"] for c in said["certificates"]}
    assert {"server", "clients-ca", "channel-ca", "site-token", "connection-point"} <= uses
    assert all(c["not_after"] for c in said["certificates"])
    assert None not in said.values()


def ends(certificate: Path) -> float:
    done = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", certificate], text=True,
                          capture_output=True, check=True)
    return ssl.cert_time_to_seconds(done.stdout.strip().removeprefix("notAfter="))


def test_certificates_end_when_they_say(watched: Watched) -> None:
    pki, name = watched.lab.pki, "cmg_certificate_not_after_seconds"
    said = watched.metrics()
    server, point = pki.gateway.certificate, pki.points["cp1"].certificate
    assert said[f'{name}{{use="server",file="{server}"}}'] == ends(server)
    assert said[f'{name}{{use="connection-point",connection_point="cp1"}}'] == ends(point)
    ca = pki.point_ca.certificate
    assert said[f'{name}{{use="channel-ca",file="{ca}"}}'] == ends(ca)


def test_tenant_whose_keys_do_not_come(new_lab, auth: Auth) -> None:
    own = Watched(new_lab, auth,
                  **{"tenant contoso": {"discovery": f"https://localhost:{free_ports()}/x"}})

    def failing() -> dict | None:
        tenants = {t["tenant"]: t for t in own.status()["tenants"]}
        return tenants["contoso"] if tenants["contoso"]["error"] else None
    tenant = wait_for(failing, "the failure to be told", explain=own.lab.explain)
    assert tenant["keys"] == 0 and tenant["fetched"] is None
    assert own.metrics()['cmg_tenant_keys_failing{tenant="contoso"}'] == 1


def test_revocation_list_and_its_end(new_lab, auth: Auth, site, tmp_path: Path) -> None:
    pki = site.pki
    lists = [pki.client_root.crl(file=tmp_path / "root.crl"),
             pki.client_issuing.crl([pki.client_2], file=tmp_path / "issuing.crl")]
    own = Watched(new_lab, auth, revocation={
        "check": "hard", "files": [str(file) for file in lists], "fetch": False})
    said = own.status()["revocation"]
    assert said["check"] == "hard"
    revoked = {Path(s["source"]).name: s["lists"][0]["revoked"] for s in said["sources"]}
    assert revoked == {"root.crl": 0, "issuing.crl": 1}
    assert own.metrics()[f'cmg_revocation_next_update_seconds{{source="{lists[1]}"}}'] > 1.7e9


# --- what is not told --------------------------------------------------------------------------

def test_no_secret_and_no_client(new_lab, auth: Auth, tmp_path: Path) -> None:
    def canary() -> str:
        return f"canary{secrets.token_hex(12)}"
    key = base64.b64encode(canary().encode()).decode()
    sas, query, name = canary(), canary(), canary()
    files = {"storage.key": key, "storage.sas":
             f"sv=2020-12-06&sr=c&sp=rl&se=2099-01-01T00:00:00Z&sig={sas}"}
    for file, text in files.items():
        (tmp_path / file).write_text(text + "\n")
        (tmp_path / file).chmod(0o600)
    storage = {"url": "http://127.0.0.1:9/contoso", "timeout": "1s"}
    own = Watched(new_lab, auth, **{
        "content": {"issuers": auth.site.content_issuer},
        "storage main": {"account": "contoso", "key-file": tmp_path / "storage.key", **storage},
        "storage second": {"account": "contoso2", "sas-file": tmp_path / "storage.sas",
                           **storage}})
    tokens = [auth.site.client(), auth.issuer.token(auth.contoso, device()),
              auth.site.client(iss=f"urn:{name}")]
    for token in tokens:
        own.lab.get(on(MP, f"{LIST}&{query}", SERVER), headers=bearer(token))
    content = auth.site.content()
    assert own.lab.get(f"{CONTENT_PATH}?{content}").status == 502
    assert own.lab.get(on(name, "/x")).status == 404
    with own.lab.http1() as http:  # and while one is under way
        http.send_head("POST", on(ECHO, f"/lab/echo?{query}"), [("Content-Length", "5")])
        wait_for(lambda: own.metrics()[endpoint("requests_in_flight", ECHO)] == 1,
                 "the request to be under way", explain=own.lab.explain)
        said = [own.ask(target).text for target in ("/status", "/metrics", "/ready")]
        http.send(b"hello")
        assert http.receive().status == 200
    storages = {s["storage"]: s for s in json.loads(said[0])["content"]["storages"]}
    assert not storages["main"]["ok"] and storages["main"]["error"]
    hidden = {"storage key": key, "SAS": sas, "query": query, "name": name,
              "content token": content.rsplit("=", 1)[1],
              **{f"token {i}": t.split(".")[2] for i, t in enumerate(tokens)}}
    hidden["client's name"] = client_name(own)
    for text in said:
        assert not [what for what, secret in hidden.items() if secret in text]


def client_name(watched: Watched) -> str:
    """As the log has it."""
    return watched.lab.gateways[1].access(how="certificate")[0]["who"]
