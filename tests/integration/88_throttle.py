"""How much one address and one client may ask for: 429 with Retry-After beyond it, and nobody else
notices. Each test has limits so small that a burst of requests is past them at once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest

from lab.auth import Auth
from lab.client import Http1, Response
from lab.site import MP, SERVER, Lab, on
from lab.tokens import bearer, guid

BY_CERTIFICATE = on(MP, "/SMS_MP/.sms_aut?MPLIST")
BY_TOKEN = on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER)
LIMITED = "CMGService_Too_Many_Requests"


@pytest.fixture
def limited(new_lab, auth: Auth) -> Callable[..., Lab]:
    """A lab with these limits; those that are not named are off."""
    def make(**limits: int) -> Lab:
        return new_lab(with_gates=False, gateway=auth.settings({
            "throttle": {name.replace("_", "-"): value for name, value in limits.items()}}))
    return make


def burst(lab: Lab, token: str, source: str, count: int = 40) -> list[Response]:
    with lab.http1(identity=None, source=source) as http:
        return [http.request("GET", BY_TOKEN, bearer(token)) for _ in range(count)]


def assert_limited(answers: list[Response], let_through: int, first: int = 200) -> None:
    """The first few are answered, the rest are told when to come again."""
    statuses = [answer.status for answer in answers]
    assert statuses[:let_through] == [first] * let_through, statuses
    assert 429 in statuses and set(statuses) <= {first, 429}, statuses
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.get("Retry-After")) <= 60, refused
    assert refused.reason == LIMITED and refused.json()["detail"], refused
    assert refused.get("Content-Type") == "application/problem+json"


def test_requests_of_an_address(limited, auth: Auth) -> None:
    """Whoever asks from there, and whatever proves who it is."""
    lab = limited(requests_per_address=3)
    assert_limited([answer for _ in range(4) for answer in
                    burst(lab, auth.site.client(), "127.1.1.1", 10)], let_through=6)
    assert burst(lab, auth.site.client(), "127.1.1.2", 3)[-1].status == 200
    with lab.http2(source="127.1.1.1") as h2:
        statuses = {h2.request("GET", BY_CERTIFICATE).status for _ in range(12)}
        assert 429 in statuses and statuses <= {200, 429}


def test_requests_of_an_identity(limited, auth: Auth) -> None:
    """From however many addresses, with however many tokens of the same client."""
    lab = limited(requests_per_identity=3)
    client = guid()
    answers = [answer for i in range(20) for answer in
               burst(lab, auth.site.client(ClientId=client), f"127.1.2.{i + 1}", 2)]
    assert_limited(answers, let_through=6)
    assert burst(lab, auth.site.client(), "127.1.2.1", 3)[-1].status == 200


def test_requests_of_a_certificate(limited) -> None:
    """The lab's start has asked by the other certificate, so that its bucket may not be full."""
    lab = limited(requests_per_identity=3)
    by_second = lab.pki.client_2
    with lab.http1(identity=by_second) as first, \
            lab.http1(identity=by_second, source="127.1.3.1") as second:
        assert_limited([http.request("GET", BY_CERTIFICATE)
                        for _ in range(20) for http in (first, second)], let_through=6)
    assert lab.get(BY_CERTIFICATE).status == 200


def test_failures_of_an_address(limited, auth: Auth) -> None:
    """Different tokens each time, as one who tries does; beyond the limit not even looked at."""
    lab = limited(failures_per_address=5)
    with lab.http1(identity=None, source="127.1.4.1") as http:
        answers = [http.request("GET", BY_TOKEN, bearer(auth.site.client(exp=1)))
                   for _ in range(20)]
    assert_limited(answers, let_through=5, first=401)
    assert [a.status for a in burst(lab, auth.site.client(), "127.1.4.2", 20)] == [200] * 20
    assert burst(lab, auth.site.client(exp=1), "127.1.4.2", 1)[0].status == 401


def test_failures_of_a_credential(limited, auth: Auth) -> None:
    """One bad token, from however many addresses; good ones come through from there."""
    lab = limited(failures_per_credential=5)
    bad, good = auth.site.client(exp=1), auth.site.client()
    assert_limited([answer for i in range(10) for answer in
                    burst(lab, bad, f"127.1.5.{i + 1}", 2)], let_through=5, first=401)
    assert burst(lab, good, "127.1.5.1", 10)[-1].status == 200
    assert burst(lab, auth.site.client(exp=1), "127.1.5.1", 1)[0].status == 401


def test_success_is_no_failure(limited, auth: Auth) -> None:
    lab = limited(failures_per_address=5, failures_per_credential=5)
    assert [a.status for a in burst(lab, auth.site.client(), "127.1.6.1", 60)] == [200] * 60


def test_log_says_which_limit(limited, auth: Auth) -> None:
    lab = limited(requests_per_address=3)
    mark = lab.gateways[1].mark()
    burst(lab, auth.site.client(), "127.1.7.1", 20)
    assert "address" in lab.gateways[1].wait_access(since=mark, status="429")["why"]
    said = lab.gateways[1].events("client.throttled", mark)
    assert "address" in said[0]["why"] and said[0]["wait_s"] == "1" and len(said) < 5


def test_limits_change_by_a_reload(limited, auth: Auth) -> None:
    lab = limited(requests_per_address=3)
    gateway = lab.gateways[1]
    assert_limited(burst(lab, auth.site.client(), "127.1.8.1"), let_through=6)
    gateway.reconfigure({"throttle": {"requests-per-address": 0}})
    assert "conf.reloaded" in gateway.reload()
    assert [a.status for a in burst(lab, auth.site.client(), "127.1.8.1")] == [200] * 40
    gateway.reconfigure({"throttle": {"requests-per-address": 2}})
    assert "conf.reloaded" in gateway.reload()
    assert 429 in [a.status for a in burst(lab, auth.site.client(), "127.1.8.1")]


class Handshake:
    """A connection whose TLS handshake is not ended."""

    def __init__(self, lab: Lab) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = lab.tls(None).wrap_bio(self._incoming, self._outgoing,
                                           server_hostname="localhost")
        self.sock = socket.create_connection(("127.0.0.1", lab.port()), 10)

    def begin(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        self.sock.sendall(self._outgoing.read())

    def answered(self, within: float) -> bool:
        """True when something came of the server."""
        self.sock.settimeout(within)
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False


def test_handshakes_at_one_time(limited) -> None:
    """Two that never end hold up the third, until one is gone; those who are in go on."""
    lab = limited(handshakes=2)
    with lab.http1() as inside:
        idle = [Handshake(lab), Handshake(lab)]
        for one in idle:
            one.begin()
            assert one.answered(10)
        third = Handshake(lab)
        third.begin()
        assert not third.answered(0.5)
        assert inside.request("GET", BY_CERTIFICATE).status == 200
        idle[0].sock.close()
        assert third.answered(10)
        third.sock.close()
        idle[1].sock.close()
    with Http1(lab.port(), lab.tls()) as http:
        assert http.request("GET", BY_CERTIFICATE).status == 200
