"""Who may get in changes while clients are connected: in force within ten seconds, on connections
that are open, and nobody else notices. All of it with a second client that asks without a pause."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.auth import Auth
from lab.client import Http1, Load
from lab.keys import Certified, Key
from lab.oidc import device
from lab.site import MP, SERVER, Lab, on
from lab.tokens import bearer, guid
from lab.waiting import wait_for

BY_CERTIFICATE = on(MP, "/SMS_MP/.sms_aut?MPLIST")
REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER)
SECONDS = 10
WORKERS = 3


@pytest.fixture
def auth(own_auth: Auth) -> Auth:
    return own_auth.start()


@pytest.fixture
def lab(new_lab, auth: Auth) -> Lab:
    return new_lab(with_gates=False, gateway=auth.settings())


@contextmanager
def undisturbed(lab: Lab, token: str | None = None) -> Iterator[None]:
    """Another client asks all the time, by its certificate or its token: no request of it fails
    and no connection of it ends."""
    loads = [Load(lab.port(), lab.tls(), WORKERS, BY_CERTIFICATE)]
    if token:
        loads.append(Load(lab.port(), lab.tls(None), WORKERS, REQUEST, headers=bearer(token)))
    try:
        for load in loads:
            load.start()
        def flows(more: int) -> Callable[[], bool]:
            goals = [load.tally.done + more for load in loads]
            return lambda: all(load.tally.done > goal for load, goal in zip(loads, goals))
        wait_for(flows(20), "requests to flow", explain=lab.explain)
        yield
        wait_for(flows(20), "requests to flow", explain=lab.explain)
    finally:
        tallies = [load.stop() for load in loads]
    for tally in tallies:
        tally.assert_none_lost(WORKERS)


def wait_status(lab: Lab, http: Http1, token: str, status: int, what: str) -> None:
    """Asked on that one connection, which stays open all the time."""
    wait_for(lambda: http.request("GET", REQUEST, bearer(token)).status == status, what, SECONDS,
             every=0.1, explain=lab.explain)


def test_site_certificate_is_changed(lab: Lab, auth: Auth) -> None:
    """First the new one is added, then the old one goes."""
    site, new = auth.site, Certified.make(Key.rsa())
    by_old, by_new = site.client(), site.token("Client", new)
    by_third = site.token("Client", site.ec)
    with lab.http1(identity=None) as http, undisturbed(lab, by_third):
        assert http.request("GET", REQUEST, bearer(by_old)).status == 200
        assert http.request("GET", REQUEST, bearer(by_new)).status == 401
        site.trust(site.rsa, site.ec, new)
        wait_status(lab, http, by_new, 200, "the new key to be taken")
        assert http.request("GET", REQUEST, bearer(by_old)).status == 200
        site.trust(site.ec, new)
        wait_status(lab, http, by_old, 401, "the old key to be gone")
        assert http.request("GET", REQUEST, bearer(by_new)).status == 200


def test_site_certificates_cannot_be_read(lab: Lab, auth: Auth) -> None:
    """What was there serves on."""
    gateway, token = lab.gateways[1], auth.site.client()
    with lab.http1(identity=None) as http, undisturbed(lab, auth.site.client()):
        mark = gateway.mark()
        auth.site.certificates.write_text("not PEM\n")
        gateway.wait_log(r"site_tokens\.refused", SECONDS, mark)
        assert http.request("GET", REQUEST, bearer(token)).status == 200
        auth.site.trust(auth.site.ec)
        wait_status(lab, http, token, 401, "the repaired file to be read")
        auth.site.trust(auth.site.ec, auth.site.rsa)
        wait_status(lab, http, token, 200, "the old key to be back")


def test_entra_keys_are_turned(lab: Lab, auth: Auth) -> None:
    tenant, issuer = auth.contoso, auth.issuer
    by_old, other = issuer.token(tenant, device()), issuer.token(auth.fabrikam, device())
    with lab.http1(identity=None) as http, undisturbed(lab, other):
        assert http.request("GET", REQUEST, bearer(by_old)).status == 200
        issuer.use_keys(tenant, [Key.rsa()])
        wait_status(lab, http, issuer.token(tenant, device()), 200, "the new key to be taken")
        wait_status(lab, http, by_old, 401, "the old key to be gone")


def test_tenant_is_switched_off_and_on(lab: Lab, auth: Auth) -> None:
    gateway = lab.gateways[1]
    token = auth.issuer.token(auth.contoso, device())
    other = auth.issuer.token(auth.fabrikam, device())
    with lab.http1(identity=None) as http, undisturbed(lab, other):
        assert http.request("GET", REQUEST, bearer(token)).status == 200
        for enabled, status in ((False, 401), (True, 200)):
            gateway.reconfigure({"tenant contoso": {"enabled": enabled}})
            assert "conf.reloaded" in gateway.reload()
            wait_status(lab, http, token, status, f"{status} for its clients")


@pytest.mark.parametrize("claim", ["UniqueId", "ClientId"])
def test_token_and_client_are_blocked(lab: Lab, auth: Auth, claim: str) -> None:
    blocked = guid()
    token = auth.site.client(**{claim: blocked})
    with lab.http1(identity=None) as http, undisturbed(lab, auth.site.client()):
        assert http.request("GET", REQUEST, bearer(token)).status == 200
        for verb, status in (("block", 401), ("unblock", 200)):
            done = subprocess.run(
                [lab.build / "cmgctl", "token", verb, blocked, "--list", auth.site.block_list],
                capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            wait_status(lab, http, token, status, f"{status} after token {verb}")
