"""Requests that wait until the keys for their token have been fetched: whose they are, what they
carry, and what becomes of them when something else happens first. The issuer stalls until the test
says so; an access to a freed request would end the gateway, which is built with AddressSanitizer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from lab.auth import Auth
from lab.client import Http1, Http2
from lab.keys import Key
from lab.oidc import device
from lab.site import ECHO, SERVER, Lab, on
from lab.tokens import bearer, entra_token, guid
from lab.waiting import wait_for

TARGET, MIRROR = on(ECHO, "/lab/echo", SERVER), on(ECHO, "/lab/mirror", SERVER)


@pytest.fixture
def stalled(new_lab, own_auth: Auth) -> Lab:
    """A gateway that waits for contoso's keys. The endpoint says who it was told that came."""
    own_auth.start()
    own_auth.issuer.enter("stall")
    return new_lab(with_gates=False,
                   gateway=own_auth.settings({"gateway": {"drain": "1s"},
                                              "tenant contoso": {"timeout": "1m"}}),
                   point={"endpoint echo": {"pass-identity": ["X-Id=id"]}})


def asked(auth: Auth) -> None:
    """Until the gateway has asked for the keys."""
    wait_for(lambda: auth.issuer.counts(auth.contoso)["discovery"], "the gateway to ask for keys")


def of_contoso(auth: Auth) -> tuple[str, str]:
    """A device's id and its token."""
    claims = device()
    return claims["deviceid"], entra_token(auth.contoso, **claims)


def of_site(auth: Auth) -> tuple[str, str]:
    client = guid()
    return client, auth.site.client(ClientId=client)


def waits_beside(lab: Lab, auth: Auth) -> None:
    """The requests sent before have been read, since one that came later has been answered."""
    asked(auth)
    with lab.http1(identity=None) as http:
        assert http.request("GET", TARGET, bearer(auth.site.client())).status == 200


def assert_alive(lab: Lab, auth: Auth) -> None:
    who, token = of_contoso(auth)
    with lab.http1(identity=None) as http:
        answer = http.request("GET", TARGET, bearer(token))
        assert answer.status == 200 and ["X-Id", who] in answer.json()["headers"], answer


def test_each_stream_is_its_own_client(stalled: Lab, own_auth: Auth) -> None:
    """Many clients' requests on one connection, as a proxy may send them, some of which wait, some
    do not, some are refused: none is taken for another."""
    unknown = Key(own_auth.contoso.keys[0].private, "unknown")
    with stalled.http2(identity=None) as h2:
        streams: list[tuple[int, str, bool]] = []
        for _ in range(12):
            for (who, token), waits in ((of_contoso(own_auth), True), (of_site(own_auth), False),
                                        (("", own_auth.site.client(exp=1)), False),
                                        (("", entra_token(own_auth.contoso, unknown)), True)):
                streams.append((h2.start("GET", TARGET, bearer(token)), who, waits))
        def finish(waiting: bool) -> None:
            for stream, who, waits in streams:
                if waits != waiting:
                    continue
                answer = h2.finish(stream)
                assert answer.status == (200 if who else 401), answer
                assert not who or ["X-Id", who] in answer.json()["headers"], answer
        finish(waiting=False)
        assert not any(h2.is_done(stream) for stream, _, waits in streams if waits)
        own_auth.issuer.enter("up")
        finish(waiting=True)


@pytest.mark.parametrize("front", ["http1", "http2"])
def test_body_waits_too(stalled: Lab, own_auth: Auth, front: str) -> None:
    """More of it than is ever held: it comes when there is somebody to take it."""
    body = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(20000))
    fields = [*bearer(of_contoso(own_auth)[1]), ("Content-Length", str(len(body)))]
    with getattr(stalled, front)(identity=None) as http:
        if isinstance(http, Http2):
            stream = http.start("POST", MIRROR, fields, end=False)
        else:
            http.send_head("POST", MIRROR, fields)
            http.send(body[:1000])
        waits_beside(stalled, own_auth)
        own_auth.issuer.enter("up")
        if isinstance(http, Http2):
            http.send_body(stream, [body])
            answer = http.finish(stream)
        else:
            http.send(body[1000:])
            answer = http.receive("POST")
    assert answer.status == 200 and answer.body == body


def test_next_request_on_the_connection_waits_its_turn(stalled: Lab, own_auth: Auth) -> None:
    """Two requests at once by HTTP/1.1: answered in their order, each to its own client."""
    first, second = of_contoso(own_auth), of_site(own_auth)
    with stalled.http1(identity=None) as http:
        for _, token in (first, second):
            http.send_head("GET", TARGET, bearer(token))
        waits_beside(stalled, own_auth)
        own_auth.issuer.enter("up")
        for who, _ in (first, second):
            answer = http.receive()
            assert answer.status == 200 and ["X-Id", who] in answer.json()["headers"], answer


def test_clients_leave_meanwhile(stalled: Lab, own_auth: Auth) -> None:
    """By closing the connection and by ending the stream."""
    who, token = of_contoso(own_auth)
    leaving: list[Http1] = [stalled.http1(identity=None) for _ in range(10)]
    for http in leaving:
        http.send_head("POST", MIRROR, [*bearer(token), ("Content-Length", "5")])
    with stalled.http2(identity=None) as h2, stalled.http2(identity=None) as gone:
        streams = [h2.start("GET", TARGET, bearer(token)) for _ in range(10)]
        for _ in range(10):
            gone.start("GET", TARGET, bearer(token))
        waits_beside(stalled, own_auth)
        for stream in streams[::2]:
            h2.h2.reset_stream(stream)
        h2.flush()
        gone.close()
        for http in leaving[:5]:
            http.close()
        waits_beside(stalled, own_auth)
        own_auth.issuer.enter("up")
        for http in leaving[5:]:
            http.send(b"abcde")
            assert http.receive("POST").body == b"abcde"
            http.close()
        for stream in streams[1::2]:
            assert ["X-Id", who] in h2.finish(stream).json()["headers"]
    assert_alive(stalled, own_auth)


def test_keys_do_not_come(stalled: Lab, own_auth: Auth) -> None:
    with stalled.http2(identity=None) as h2:
        streams = [h2.start("GET", TARGET, bearer(of_contoso(own_auth)[1])) for _ in range(10)]
        waits_beside(stalled, own_auth)
        own_auth.issuer.enter("fail")
        assert {h2.finish(stream).status for stream in streams} == {401}


@pytest.mark.parametrize("change", [None, {"enabled": False}])
def test_tenant_goes_meanwhile(stalled: Lab, own_auth: Auth, change) -> None:
    """By a reload: nobody waits for what will never come."""
    gateway = stalled.gateways[1]
    with stalled.http2(identity=None) as h2:
        streams = [h2.start("GET", TARGET, bearer(of_contoso(own_auth)[1])) for _ in range(10)]
        waits_beside(stalled, own_auth)
        gateway.reconfigure({"tenant contoso": change})
        assert "conf.reloaded" in gateway.reload()
        assert {h2.finish(stream).status for stream in streams} == {401}
    with stalled.http1(identity=None) as http:
        assert http.request("GET", TARGET, bearer(own_auth.site.client())).status == 200


@pytest.mark.parametrize("front", ["http1", "http2"])
def test_gateway_stops_meanwhile(stalled: Lab, own_auth: Auth, front: str) -> None:
    """It ends in time, with status 0 and nothing left over."""
    open_front: Callable[..., Http1 | Http2] = getattr(stalled, front)
    waiting = [open_front(identity=None) for _ in range(5)]
    for http in waiting:
        start = http.start if isinstance(http, Http2) else http.send_head
        start("GET", TARGET, bearer(of_contoso(own_auth)[1]))
    waits_beside(stalled, own_auth)
    stalled.gateways[1].stop(within=20)
    for http in waiting:
        http.close()
