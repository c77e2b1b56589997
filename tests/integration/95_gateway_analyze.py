"""The gateway's analyzer: a sound set-up has no fault; each that is broken on purpose is named."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lab.auth import Auth
from lab.azurite import Azurite
from lab.daemons import Settings
from lab.gate import Gate
from lab.pki import Authority, Identity
from lab.site import Lab, Site
from lab.tokens import SiteKeys
from lab.waiting import free_ports, wait_for

Finding = dict[str, str]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    made = Azurite(tmp_path_factory.mktemp("storage"), "first")
    try:
        made.start()
        made.make("content")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SiteKeys:
    return SiteKeys(tmp_path_factory.mktemp("keys"))


def content(storage: Azurite, keys: SiteKeys, **changes: object) -> Settings:
    """Content and its account, which is called "main" here."""
    return {**keys.settings(), "content": {"issuers": keys.content_issuer},
            "storage main": {"account": storage.account, "key-file": storage.key_file,
                             "timeout": "2s", "url": storage.url, **changes}}


def findings(lab: Lab, instance: int = 1) -> list[Finding]:
    gateway = lab.gateways[instance]
    *found, last = list(gateway.ask_lines("/analyze", "GET", within=70))
    assert last["stopped"] is None and last["ms"] < 60_000, last
    for finding in found:
        assert set(finding) == {"check", "subject", "verdict", "says", "means", "do"}
        assert finding["says"] and finding["subject"], finding
        assert finding["verdict"] == "pass" or (finding["means"] and finding["do"]), finding
    for verdict, n in last["totals"].items():
        assert n == sum(finding["verdict"] == verdict for finding in found)
    return found


def the(found: list[Finding], check: str, verdict: str, *words: str) -> Finding:
    """The finding of that check and verdict that has all the words."""
    for finding in found:
        if (finding["check"], finding["verdict"]) == (check, verdict) and \
                all(word in " ".join(finding.values()) for word in words):
            return finding
    raise AssertionError("\n".join([f"no {verdict} of {check} with {words} in",
                                    *map(str, found)]))


def faults(found: list[Finding], verdict: str = "fail") -> set[str]:
    return {finding["check"] for finding in found if finding["verdict"] == verdict}


def roots(site: Site) -> Settings:
    return {"analyze": {"ca-file": site.pki.server_ca.certificate}}


def crls(site: Site, folder: Path, days: int = 7) -> Settings:
    pki = site.pki
    lists = [ca.crl(days=days, file=folder / f"{ca.name}.crl")
             for ca in (pki.client_root, pki.client_issuing)]
    return {"revocation": {"check": "hard", "fetch": False, "files": [str(f) for f in lists]}}


def issue(ca: Authority, folder: Path, name: str, days_left: float, days_gone: float) -> Identity:
    """A certificate of the gateway with dates that the openssl command cannot give it."""
    issued = ca.issue(name, "/CN=localhost", usage="serverAuth", san="DNS:localhost")
    old = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    key = serialization.load_pem_private_key(ca.key.read_bytes(), None)
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(),
                                      old.serial_number, now - timedelta(days=days_gone),
                                      now + timedelta(days=days_left))
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    file = folder / f"{name}.pem"
    file.write_bytes(pem)
    return Identity(name, file, issued.key)


# --- sound ---------------------------------------------------------------------------------------

def test_a_sound_one(labs, site: Site, auth: Auth, storage: Azurite, keys: SiteKeys,
                     tmp_path: Path) -> None:
    settings = {**auth.settings(), **content(storage, keys), **roots(site),
                **crls(site, tmp_path)}
    lab = labs(with_gates=False, gateway={**settings, **{
        f"connection-point {name}": None for name in site.pki.points if name != "cp1"}})
    found = findings(lab)
    assert not faults(found) and not faults(found, "warn"), found
    for check in ("port", "certificate", "chain", "client-roots", "channel-roots", "revocation",
                  "tenant", "storage", "site-token-key", "connection-point", "clock"):
        the(found, check, "pass")
    the(found, "connection-point", "pass", "cp1 of site LAB", "version 0.")
    the(found, "tenant", "pass", "contoso", "keys, fetched")
    assert "ours is" in the(found, "clock", "pass")["says"]


# --- broken --------------------------------------------------------------------------------------

def test_tenant_storage_and_points(labs, site: Site, storage: Azurite, keys: SiteKeys,
                                   tmp_path: Path) -> None:
    """Nobody answers for the tenant, one account is down and one has another key; no connection
    point came."""
    nobody = free_ports(2)
    wrong = tmp_path / "wrong.key"
    wrong.write_bytes(base64.b64encode(bytes(64)))
    wrong.chmod(0o600)
    settings = content(storage, keys)
    settings["storage down"] = {**settings["storage main"], "url":
                                f"http://127.0.0.1:{nobody}/{storage.account}"}
    settings["storage locked"] = {**settings["storage main"], "key-file": wrong}
    settings["storage nowhere"] = {**settings["storage main"], "container": "not-there"}
    settings["tenant contoso"] = {
        "id": "0b1c2d3e-0000-4000-8000-00000000000a", "audiences": "api://x",
        "discovery": f"http://127.0.0.1:{nobody}/.well-known/openid-configuration"}
    lab = labs(points=(), wait=False, with_gates=False, gateway={**settings, **roots(site)})
    lab.wait_gateways()
    found = findings(lab)
    assert "connect to" in the(found, "tenant", "fail", "contoso")["says"]
    assert "connect to" in the(found, "storage", "fail", "down")["says"]
    the(found, "storage", "fail", "locked", "403")
    the(found, "storage", "fail", "nowhere", "404")
    the(found, "storage", "pass", "main")
    the(found, "connection-point", "fail", "cp1", "no channel is up", "503")
    the(found, "revocation", "warn", "switched off")
    assert faults(found) == {"tenant", "storage", "connection-point"}


def test_storage_that_hangs(labs, site: Site, storage: Azurite, keys: SiteKeys) -> None:
    gate = Gate(free_ports(), storage.port)
    try:
        url = f"http://127.0.0.1:{gate.port}/{storage.account}"
        lab = labs(points=(), wait=False, with_gates=False,
                   gateway={**content(storage, keys, url=url, timeout="1s"), **roots(site)})
        lab.wait_gateways()
        gate.black_hole()
        assert "within 1000 ms" in the(findings(lab), "storage", "fail", "main")["says"]
    finally:
        gate.close()


def test_ended_and_missing_lists(labs, site: Site, tmp_path: Path) -> None:
    settings = crls(site, tmp_path, days=-1)
    settings["revocation"]["files"] = settings["revocation"]["files"][1:]
    lab = labs(points=(), wait=False, with_gates=False, gateway={**settings, **roots(site)})
    lab.wait_gateways()
    found = findings(lab)
    the(found, "revocation", "fail", "Lab Client Issuing", "ended 1 day ago")
    the(found, "revocation", "fail", "Lab Client Root", "there is no list")


def test_a_certificate_near_its_end(labs, site: Site, tmp_path: Path) -> None:
    near = issue(site.pki.server_ca, tmp_path, "near-its-end", days_left=5.5, days_gone=85)
    lab = labs(points=(), wait=False, with_gates=False, gateway={
        "gateway": {"certificate": near.certificate, "key": near.key}, **roots(site)})
    lab.wait_gateways()
    found = findings(lab)
    the(found, "certificate", "warn", "5 days left", "renew it")
    the(found, "chain", "pass")


def test_a_missing_intermediate(labs, site: Site, tmp_path: Path) -> None:
    between = Authority(tmp_path, "server-issuing", "/O=Lab/CN=Lab Server Issuing",
                        site.pki.server_ca)
    bare = between.issue("bare", "/CN=localhost", usage="serverAuth", san="DNS:localhost",
                         with_chain=False)
    settings = {"gateway": {"certificate": bare.certificate, "key": bare.key}, **roots(site)}
    lab = labs(points=(), wait=False, with_gates=False, gateway=settings)
    lab.wait_gateways()
    found = findings(lab)
    the(found, "chain", "fail", "1 certificate is sent", "append the certificate of",
        "Lab Server Issuing")
    bare.certificate.write_text(bare.certificate.read_text() + between.chain())
    gateway = lab.gateways[1]
    the(findings(lab), "chain", "fail")  # what is served counts, not what lies there
    assert "conf.reloaded" in gateway.reload()
    the(findings(lab), "chain", "pass", "2 certificates sent")
    gateway.reconfigure({"analyze": {"ca-file": ""}})
    assert "conf.reloaded" in gateway.reload()
    the(findings(lab), "chain", "warn", "no public root", "[analyze] ca-file")


def test_one_at_a_time(labs, site: Site, storage: Azurite, keys: SiteKeys) -> None:
    """A second one is refused while the first waits; a reload ends the first with a word."""
    gate = Gate(free_ports(), storage.port)
    try:
        url = f"http://127.0.0.1:{gate.port}/{storage.account}"
        lab = labs(points=(), wait=False, with_gates=False,
                   gateway={**content(storage, keys, url=url, timeout="30s"), **roots(site)})
        lab.wait_gateways()
        gate.black_hole()
        gateway = lab.gateways[1]
        mark = gateway.mark()
        lines = gateway.ask_lines("/analyze", "GET", within=40)
        first = next(iter(lines))
        assert first["check"]
        wait_for(lambda: gateway.events("analyze.start", mark), "the first one")
        assert gateway.ask("/analyze").status == 409
        assert "conf.reloaded" in gateway.reload()
        assert "reloaded" in list(lines)[-1]["stopped"]
        assert gateway.events("analyze.end", mark)
    finally:
        gate.close()
