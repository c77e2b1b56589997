"""Peers that lie: endpoints, gateways, connection points. What they break is theirs alone; the
channel, and everything else on it, lives on."""

from __future__ import annotations

import json
import os
import struct
import uuid
from collections.abc import Callable, Iterator

import pytest

from lab.client import Http1, Http2, context
from lab.peers import GREETING, Asked, FakeGateway, FakePoint, greeting
from lab.site import ECHO, MP, Lab, Site, on
from lab.waiting import free_ports, wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


# --- endpoints -------------------------------------------------------------------------------

MALFORMED = ["two-lengths", "length-and-chunked", "bare-lf", "folded-header",
             "blank-before-colon", "nul-in-header", "not-http", "huge-head", "dies-at-once",
             "resets-at-once", "dies-in-head", "answers-101"]
CUT = ["bad-chunk", "dies-half-way", "dies-in-chunk"]


@pytest.fixture
def lives_on(plain: Lab) -> Iterator[None]:
    """The same channel afterwards as before, and it serves."""
    point = plain.points["cp1"]
    opened = len(point.events("channel.open"))
    yield
    assert plain.get(REQUEST).status == 200
    assert len(point.events("channel.open")) == opened, plain.explain()


@pytest.mark.parametrize("how", MALFORMED)
def test_endpoint_answers_badly(plain: Lab, lives_on: None, how: str) -> None:
    """502 that says who and why, and an event with the reason on site."""
    mark = plain.points["cp1"].mark()
    for open_front in (plain.http1, plain.http2):
        with open_front() as http:
            for method, body in (("GET", None), ("POST", b"x" * 1000)):
                answer = http.request(method, on(ECHO, f"/bad/{how}"), [], body)
                assert answer.status == 502, f"{how}: {answer}"
                assert "error=" in (answer.get("Proxy-Status") or ""), answer
                assert answer.get("Content-Type") == "application/problem+json"
                assert answer.json()["status"] == 502 and answer.json()["detail"]
    def told() -> bool:
        return any("502" in line or "failed" in line
                   for line in plain.points["cp1"].lines_since(mark))
    wait_for(told, "an event with the reason", explain=plain.explain)


@pytest.mark.parametrize("how", CUT)
def test_endpoint_breaks_off_half_way(plain: Lab, lives_on: None, how: str) -> None:
    """A 502 when nothing of the answer has left yet; else the client must see that the body is
    not whole."""
    for open_front in (plain.http1, plain.http2):
        with open_front() as http:
            try:
                assert http.request("GET", on(ECHO, f"/bad/{how}")).status == 502
            except OSError:
                pass
    with plain.http2() as h2:
        try:
            h2.request("GET", on(ECHO, f"/bad/{how}"))
        except ConnectionResetError:
            pass
        assert h2.request("GET", REQUEST).status == 200, "the client's connection must live on"


def test_endpoint_breaks_off_late(plain: Lab, lives_on: None, site: Site) -> None:
    """Megabytes are through when the endpoint dies: no client may take that for the whole."""
    for open_front in (plain.http1, plain.http2):
        with open_front() as http, pytest.raises(OSError):
            http.request("GET", on(ECHO, "/bad/dies-late"))


def test_endpoint_never_answers(new_lab) -> None:
    lab = new_lab(with_gates=False, point={"endpoint echo": {"response-timeout": "1s"}})
    with lab.http1() as http:
        answer = http.request("GET", on(ECHO, "/bad/never-answers"))
        assert answer.status == 504 and "error=" in answer.get("Proxy-Status"), answer
        assert http.request("GET", REQUEST).status == 200


def test_endpoint_is_down(new_lab) -> None:
    lab = new_lab(with_gates=False, point={
        "endpoint echo": {"url": f"http://127.0.0.1:{free_ports()}"},
        "endpoint mp-https": {"ca-file": str(new_lab._site.pki.foreign_ca.certificate)}})
    with lab.http1() as http:
        answer = http.request("GET", on(ECHO, "/lab/echo"))
        assert answer.status == 502 and "error=" in answer.get("Proxy-Status"), answer
        assert http.request("GET", REQUEST).status == 200


def test_endpoint_with_a_certificate_of_a_foreign_ca(new_lab) -> None:
    lab = new_lab(with_gates=False, point={
        "endpoint mp-https": {"ca-file": str(new_lab._site.pki.foreign_ca.certificate)}})
    answer = lab.get(on("72057594037937982", "/SMS_MP/.sms_aut?MPLIST"))
    assert answer.status == 502 and "error=" in answer.get("Proxy-Status"), answer
    assert lab.get(REQUEST).status == 200


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def test_refused_heads_cost_nothing(new_lab) -> None:
    """Requests that HTTP/2 itself forbids, with large heads, again and again: nothing of them
    is kept."""
    lab = new_lab(with_gates=False)
    gateway = lab.gateways[1]
    # HPACK by hand: GET, https, a :path with a blank in it, and 16,000 bytes of x-f.
    head = b"\x82\x87\x04\x04/a b\x01\x01a\x00\x03x-f\x7f" + bytes([0x81, 0x7c]) + b"f" * 16_000

    def send(count: int) -> None:
        with lab.http2() as h2:
            for i in range(count):
                h2.sock.sendall(frame(1, 5, 2 * i + 1, head))
            received = 0
            while received < 13 * count:  # a RST_STREAM for each
                data = h2.sock.recv(65536)
                if not data:
                    return  # or the gateway has had enough
                received += len(data)
    send(50)
    before = gateway.rss_bytes()
    for _ in range(20):
        send(100)
    assert gateway.rss_bytes() - before < 10 << 20
    assert lab.get(REQUEST).status == 200


# --- a gateway that lies ------------------------------------------------------------------------

@pytest.fixture
def victim(new_lab, site: Site) -> Iterator[tuple[FakeGateway, Lab]]:
    """A real connection point whose only gateway is ours to play."""
    lab = new_lab(start=False, with_gates=False, point={
        "cmg lab": {"transport": "tcp-tls"}})
    with FakeGateway(lab.tcp_port, site.pki.gateway, str(site.pki.point_ca.certificate)) as fake:
        lab.points["cp1"].start()
        yield fake, lab


def assert_serves(fake: FakeGateway, channel: Http2 | None = None) -> Http2:
    """A channel on which the connection point behaves."""
    channel = channel or fake.accept()
    assert fake.greet(channel)["name"] == "cp1"
    answer = channel.request("GET", REQUEST)
    assert answer.status == 200, answer
    return channel


def test_greeting_of_a_connection_point(victim) -> None:
    fake, lab = victim
    said = fake.greet(fake.accept())
    assert (said["name"], said["site"]) == ("cp1", "LAB")
    assert uuid.UUID(said["connection_id"])
    published = {endpoint["id"]: endpoint for endpoint in said["endpoints"]}
    assert set(published) == {"72057594037937981", "72057594037937982", "72057594037937983", "8"}
    assert "SMS_MP" in published[MP]["paths"]
    assert published[ECHO]["paths"] == ["lab", "bad", "CCM_Incoming", "BGB"]
    assert "://" not in json.dumps(said), "internal URLs are nobody's business in the cloud"


@pytest.mark.parametrize("target", [
    on(MP, "/AdminService/x"), on(ECHO, "/ccm_system/request"), on("4711", "/SMS_MP/.sms_aut"),
    "/", "/etc/passwd", "http://127.0.0.1/", on(ECHO, "/lab/../etc"), on(ECHO, "/lab/%2e%2e/x"),
    on(ECHO, "/lab//x"), "*"])
def test_compromised_gateway_gets_nothing_unpublished(victim, target: str) -> None:
    """The connection point checks again: no open proxy into the site."""
    fake, lab = victim
    channel = assert_serves(fake)
    try:
        answer = channel.request("GET", target)
        assert answer.status in (400, 404), answer
    except ConnectionResetError:
        pass  # a target that HTTP/2 itself forbids
    assert_still(channel)


def assert_still(channel: Http2) -> None:
    assert channel.request("GET", REQUEST).status == 200


LIES: dict[str, bytes] = {
    "noise": os.urandom(4000),
    "oversized frame": frame(0, 0, 1, b"x" * 20000),
    "DATA on stream 0": frame(0, 0, 0, b"x"),
    "DATA on an idle stream": frame(0, 0, 101, b"x"),
    "HEADERS that are no HPACK": frame(1, 5, 101, b"\xff\xff\xff\xff\xff\xff"),
    "HEADERS on an even stream": frame(1, 5, 102, b"\x82"),
    "CONTINUATION out of nowhere": frame(9, 4, 101, b"\x82"),
    "endless CONTINUATION": frame(1, 0, 101, b"\x82") + frame(9, 0, 101, b"\x82") * 200,
    "SETTINGS of a wrong size": frame(4, 0, 0, b"abc"),
    "window of more than 2^31": frame(4, 0, 0, struct.pack(">HI", 4, 1 << 31)),
    "WINDOW_UPDATE of zero": frame(8, 0, 0, b"\0\0\0\0"),
    "WINDOW_UPDATE overflow": frame(8, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "PING of a wrong size": frame(6, 0, 0, b"abc"),
    "RST_STREAM on an idle stream": frame(3, 0, 101, b"\0\0\0\1"),
    "PUSH_PROMISE": frame(5, 4, 1, b"\0\0\0\2\x82"),
}


@pytest.mark.parametrize("lie", LIES)
def test_gateway_lies_about_frames(victim, lie: str) -> None:
    """The channel ends; the connection point dials again and serves."""
    fake, lab = victim
    channel = assert_serves(fake)
    channel.sock.sendall(LIES[lie])
    assert_ends(channel)
    assert_serves(fake)


def assert_ends(channel: Http2) -> None:
    channel.sock.settimeout(15)
    try:
        while channel.sock.recv(65536):
            pass
    except TimeoutError:
        pytest.fail("the channel stayed open")
    except OSError:
        pass


@pytest.mark.parametrize("noise", [b"", b"\0" * 1000, b"HTTP/1.1 200 OK\r\n\r\n", os.urandom(500)],
                         ids=["nothing", "zeros", "http/1.1", "noise"])
def test_gateway_that_does_not_speak_http2(victim, noise: bytes) -> None:
    fake, lab = victim
    sock = fake.accept_tls()
    sock.sendall(noise)
    if not noise:
        sock.close()
    assert_serves(fake)


def test_gateway_floods_with_pings(victim) -> None:
    fake, lab = victim
    channel = assert_serves(fake)
    before = lab.points["cp1"].rss_bytes()
    try:
        for _ in range(200):
            channel.sock.sendall(frame(6, 0, 0, b"12345678") * 500)
    except OSError:
        pass
    channel.close()
    assert_serves(fake)
    assert lab.points["cp1"].rss_bytes() - before < 40 << 20


def test_gateway_opens_and_resets(victim) -> None:
    """A thousand aborted requests: clients do that, so the shared channel must bear it."""
    fake, lab = victim
    channel = assert_serves(fake)
    for _ in range(1000):
        stream = channel.start("GET", on(ECHO, "/lab/slow?ms=50"))
        channel.h2.reset_stream(stream, 8)
        channel.flush()
    assert_still(channel)


# --- a connection point that lies --------------------------------------------------------------

@pytest.fixture(scope="module")
def lab(labs) -> Lab:
    return labs(gateway={"channel": {"greeting-timeout": "2s"}})


@pytest.fixture
def fake_point(lab: Lab, site: Site) -> Callable[..., FakePoint]:
    def make(**options: object) -> FakePoint:
        options.setdefault("identity", site.pki.points["cp2"])
        return FakePoint(lab.tcp_port, server_ca=str(site.pki.server_ca.certificate), **options)
    return make


@pytest.fixture
def cp1_unharmed(lab: Lab) -> Iterator[None]:
    opened = len(lab.points["cp1"].events("channel.open"))
    yield
    assert lab.get(REQUEST).status == 200
    assert len(lab.points["cp1"].events("channel.open")) == opened, lab.explain()


def without(member: str) -> bytes:
    said = greeting()
    del said[member]
    return json.dumps(said).encode()


def with_endpoint(**changes: object) -> bytes:
    said = greeting()
    said["endpoints"][0].update(changes)
    return json.dumps(said).encode()


BAD_GREETINGS = {
    "empty": b"", "not JSON": b"<html>", "cut short": json.dumps(greeting()).encode()[:-5],
    "an array": b"[]", "trailing data": json.dumps(greeting()).encode() + b"{}",
    "duplicate member": b'{"name": "cp2", ' + json.dumps(greeting()).encode()[1:],
    "not UTF-8": json.dumps(greeting(name="X")).encode().replace(b"X", b"\xff"),
    "no name": without("name"), "no endpoints": without("endpoints"),
    "no connection id": without("connection_id"), "no site": without("site"),
    "number for a name": json.dumps(greeting(name=5)).encode(),
    "endpoints an object": json.dumps(greeting(endpoints={})).encode(),
    "bad id": with_endpoint(id="../x"), "bad role": with_endpoint(role="king"),
    "negative limit": with_endpoint(max_request_bytes=-1),
    "limit as text": with_endpoint(max_request_bytes="1"),
    "path with a slash in front": with_endpoint(paths=["/../x"]),
    "unknown authentication": with_endpoint(auth=["none"]),
    "one id twice": json.dumps(greeting(endpoints=greeting()["endpoints"] * 2)).encode(),
    "300 endpoints": json.dumps(greeting(endpoints=[
        {**greeting()["endpoints"][0], "id": str(i)} for i in range(300)])).encode(),
    "a megabyte": json.dumps(greeting(version="v" * 60, padding="x" * (1 << 20))).encode(),
    "deep": b'{"name":' + b"[" * 100_000,
}


@pytest.mark.parametrize("said", BAD_GREETINGS)
def test_malformed_greeting(lab: Lab, cp1_unharmed: None, fake_point, said: str) -> None:
    with fake_point(greeting_body=BAD_GREETINGS[said]) as fake:
        fake.wait_closed()
        assert lab.get(on("99", "/SMS_MP/x")).status == 404


def test_greeting_that_never_comes(lab: Lab, cp1_unharmed: None, fake_point) -> None:
    with fake_point(greeting_body=None) as fake:
        fake.wait_closed(10)


@pytest.mark.parametrize("changes", [{"name": "cp1"}, {"site": "XXX"}])
def test_greeting_of_somebody_else(lab: Lab, cp1_unharmed: None, fake_point,
                                   changes: dict[str, str]) -> None:
    """The certificate says who it is, and the gateway's list which site; a greeting cannot."""
    def answer(point: FakePoint, asked: Asked) -> None:
        point.reply(asked, 204)
    said = json.dumps(greeting(**changes)).encode()
    with fake_point(greeting_body=said, answer=answer) as fake:
        fake.wait_greeted()
        def refused_or_ignored() -> bool:
            return fake.closed.is_set() or lab.get(on("99", "/SMS_MP/x")).status != 404
        wait_for(refused_or_ignored, "the greeting to be refused or overruled",
                 explain=lab.explain)


@pytest.mark.parametrize("lie", [lie for lie in LIES if "even stream" not in lie and
                                 "idle stream" not in lie or "HEADERS" in lie])
def test_connection_point_lies_about_frames(lab: Lab, cp1_unharmed: None, fake_point,
                                            lie: str) -> None:
    with fake_point() as fake:
        fake.wait_greeted()
        try:
            fake.raw(LIES[lie])
        except OSError:
            pass
        fake.wait_closed()


def answering(answer: Callable[[FakePoint, Asked], None], fake_point) -> FakePoint:
    return fake_point(answer=answer)


def status_less(point: FakePoint, asked: Asked) -> None:
    point.h2.send_headers(asked.stream, [("x", "y")], end_stream=True)
    point.flush()


def bad_status(point: FakePoint, asked: Asked) -> None:
    point.h2.send_headers(asked.stream, [(":status", "20x")], end_stream=True)
    point.flush()


def too_much(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"12345678", [("content-length", "3")])


def too_little(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"12", [("content-length", "3")])


def injected(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"ok", [("x-evil", "a\r\nSet-Cookie: b"), ("content-length", "2")])


def upper_case(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"ok", [("X-Upper", "a")])


def hop_by_hop(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"ok", [("transfer-encoding", "chunked")])


def huge_head(point: FakePoint, asked: Asked) -> None:
    point.reply(asked, 200, b"ok", [(f"x-{i}", "v" * 4000) for i in range(40)])


def resets(point: FakePoint, asked: Asked) -> None:
    point.h2.reset_stream(asked.stream, 2)
    point.flush()


def vanishes(point: FakePoint, asked: Asked) -> None:
    point.close()


@pytest.mark.parametrize("answer", [status_less, bad_status, too_much, too_little, injected,
                                    upper_case, hop_by_hop, huge_head, resets, vanishes],
                         ids=lambda f: f.__name__)
def test_connection_point_answers_badly(lab: Lab, cp1_unharmed: None, fake_point,
                                        answer) -> None:
    """502, or a body that visibly is not whole; never a bent message for the client."""
    with fake_point(answer=answer) as fake:
        fake.wait_greeted()
        wait_published(lab, "99")
        with lab.http1() as http:
            try:
                got = http.request("GET", on("99", "/SMS_MP/x"))
            except OSError:
                return
        assert got.status in (502, 503, 504), got
        assert "set-cookie" not in {name.lower() for name, _ in got.headers}


def wait_published(lab: Lab, endpoint: str) -> None:
    """Until the gateway knows the endpoint: an unpublished path of it is still 404, so ask by
    a request that is refused for its size, which no connection point sees."""
    def known() -> bool:
        with lab.http1() as http:
            http.send_head("POST", on(endpoint, "/SMS_MP/x"), [("Content-Length", str(1 << 40))])
            return http.receive().status == 413
    wait_for(known, f"endpoint {endpoint} to be published", explain=lab.explain)


def test_bent_reason_phrase(lab: Lab, cp1_unharmed: None, fake_point) -> None:
    """The phrase travels in a field; it cannot break out of the status line."""
    def answer(point: FakePoint, asked: Asked) -> None:
        point.reply(asked, 200, b"ok", [(name, "OK\r\nSet-Cookie: x") for name in
                                        ("cmg-reason", "cmg-phrase", "cmg-reason-phrase")])
    with fake_point(answer=answer) as fake:
        fake.wait_greeted()
        wait_published(lab, "99")
        try:
            got = lab.get(on("99", "/SMS_MP/x"))
        except OSError:
            return
        assert "\r" not in got.reason and "set-cookie" not in {n.lower() for n, _ in got.headers}


def test_handshakes_that_lead_nowhere(lab: Lab, cp1_unharmed: None) -> None:
    """Half-open connections on the channel port keep nobody out."""
    idle = [Http1(lab.tcp_port, None) for _ in range(50)]
    try:
        assert lab.get(REQUEST).status == 200
    finally:
        for connection in idle:
            connection.close()


def test_channel_port_without_a_certificate(lab: Lab, cp1_unharmed: None) -> None:

    with pytest.raises(OSError):
        tls = context(str(lab.pki.server_ca.certificate), None, ("rh2",))
        with Http1(lab.tcp_port, tls, timeout=5) as http:
            http.send(b"\0" * 100)
            if not http.reader.sock.recv(1000):
                raise ConnectionError("closed")
            if not http.reader.sock.recv(1000):
                raise ConnectionError("closed")


def test_greeting_path_is_not_for_clients(lab: Lab) -> None:
    assert lab.get(GREETING).status == 404
