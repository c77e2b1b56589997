"""Certificates that are renewed on disk: in force for whoever comes next, unnoticed by whoever is
there, and no reload needed."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path

import pytest

from lab.client import Load
from lab.pki import Identity
from lab.site import MP, MP_HTTPS, Lab, on
from lab.waiting import wait_for

QUICK = on(MP, "/SMS_MP/.sms_aut?MPLIST")
WORKERS = 4


def copy_of(identity: Identity, folder: Path) -> Identity:
    """Files that a test may write over."""
    folder.mkdir(exist_ok=True)
    return Identity(identity.name, Path(shutil.copy2(identity.certificate, folder)),
                    Path(shutil.copy2(identity.key, folder)))


def replace(file: Path, by: Path) -> None:
    """As renewal tools do it: whoever reads meanwhile sees the old or the new one."""
    scratch = file.with_suffix(".new")
    shutil.copy2(by, scratch)
    os.replace(scratch, file)


def serial(lab: Lab) -> str:
    """Of the certificate that the gateway shows to a new client."""
    with lab.http1() as http:
        assert isinstance(http.sock, ssl.SSLSocket)
        return str(http.sock.getpeercert()["serialNumber"])


def paths(identity: Identity) -> dict[str, Path]:
    return {"certificate": identity.certificate, "key": identity.key}


def test_gateway(new_lab, site, tmp_path) -> None:
    """Half of a pair does nothing but complain; the connections of clients live through all."""
    own = copy_of(site.pki.gateway, tmp_path / "own")
    lab = new_lab(with_gates=False, gateway={"gateway": paths(own)})
    gateway = lab.gateways[1]
    before = serial(lab)
    new = site.pki.server_ca.issue("renewed", "/O=Lab/CN=localhost", usage="serverAuth",
                                   san="DNS:localhost,IP:127.0.0.1")
    with Load(lab.port(), lab.tls(), WORKERS, QUICK) as load:
        wait_for(lambda: load.tally.done > 20, "requests to flow", explain=lab.explain)
        replace(own.certificate, new.certificate)
        gateway.wait_log(r"certificate\.refused .*does not belong", within=20)
        assert serial(lab) == before
        replace(own.key, new.key)
        gateway.wait_log(r"certificate\.renewed .*CN=localhost", within=20)
        assert serial(lab) != before
        enough = load.tally.done + 20
        wait_for(lambda: load.tally.done > enough, "requests to flow", explain=lab.explain)
        load.stop().assert_none_lost(WORKERS)
    assert not gateway.events("conf.reloaded")
    assert len(lab.points["cp1"].events("channel.open")) == 1


def test_gateway_trusts_another_ca(new_lab, site, tmp_path) -> None:
    """Clients of a CA that was added come in; a damaged file changes nothing."""
    trust = Path(shutil.copy2(site.pki.client_trust, tmp_path / "trust.pem"))
    lab = new_lab(with_gates=False, gateway={"clients": {"ca-file": trust}})
    gateway = lab.gateways[1]
    stranger = site.pki.site_ca.issue("stranger", "/O=Lab/CN=Stranger")
    def status() -> int:
        with lab.http1(identity=stranger) as http:
            return http.request("GET", QUICK).status
    assert status() == 401
    good = trust.read_text()
    trust.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    gateway.wait_log(r"certificate\.refused", within=20)
    assert lab.get(QUICK).status == 200
    trust.write_text(good + site.pki.site_ca.certificate.read_text())
    gateway.wait_log(r"certificate\.renewed", within=20)
    assert status() == 200


def test_connection_point(new_lab, site, tmp_path) -> None:
    """The channel stays; the next one shows the new certificate."""
    own = copy_of(site.pki.points["cp1"], tmp_path / "own")
    lab = new_lab(with_gates=False, point={"connection-point": paths(own)})
    point = lab.points["cp1"]
    # Another connection point's certificate: whether it was shown is what the gateway says.
    new = site.pki.points["cp2"]
    replace(own.certificate, new.certificate), replace(own.key, new.key)
    point.wait_log(r"certificate\.renewed .*cp2", within=20)
    assert lab.get(QUICK).status == 200
    assert len(point.events("channel.open")) == 1
    mark = lab.gateways[1].mark()
    lab.gateways[1].stop(), lab.gateways[1].start()
    lab.gateways[1].wait_log(r"channel\.greeting .*connection_point=cp2", since=mark)


@pytest.mark.parametrize("what", ["ca-file", "certificate"])
def test_endpoint(new_lab, site, tmp_path, what: str) -> None:
    """libcurl reads them for each connection; the event tells what it will find."""
    own = copy_of(site.pki.point_at_site, tmp_path / "own")
    trust = Path(shutil.copy2(site.pki.site_ca.certificate, tmp_path / "trust.pem"))
    lab = new_lab(with_gates=False,
                  point={"endpoint mp-https": {**paths(own), "ca-file": trust}})
    if what == "ca-file":
        trust.write_text(trust.read_text() + site.pki.server_ca.certificate.read_text())
    else:
        new = site.pki.site_ca.issue("renewed-at-site", "/O=Lab/CN=renewed")
        replace(own.certificate, new.certificate), replace(own.key, new.key)
    lab.points["cp1"].wait_log(r"certificate\.renewed", within=20)
    assert lab.get(on(MP_HTTPS, "/SMS_MP/.sms_aut?MPLIST")).status == 200
