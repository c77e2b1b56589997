"""Everything that the tunnel must not touch."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator

import pytest

from lab.client import Http1, Http2
from lab.http1 import PatternCheck, pattern_bytes, pattern_pieces
from lab.site import ECHO, MP, Lab, Site, on
from lab.waiting import wait_for

ECHO_TARGET = on(ECHO, "/lab/echo")


@pytest.fixture
def http(plain: Lab) -> Iterator[Http1]:
    with plain.http1() as made:
        yield made


@pytest.fixture
def h2(plain: Lab) -> Iterator[Http2]:
    with plain.http2() as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CCM_POST",
                                    "BITS_POST_X", "PROPFIND_X", "MKCOL", "!#$%&'*+-.^_`|~09az"])
def test_any_method(http: Http1, method: str) -> None:
    answer = http.request(method, ECHO_TARGET)
    assert answer.status == 200 and answer.json()["method"] == method


@pytest.mark.parametrize("target", [
    "/lab/echo?", "/lab/echo?MPLIST", "/lab/echo?a&b&&c", "/lab/echo?x=1=2?3/4", "/lab/echo/.sms_aut",
    "/lab/echo/{5E0F}.~x", "/lab/echo/%7b%7D", "/lab/echo/a+b%20c", "/lab/echo/%C3%A4/\xe4",
    "/lab/echo/...a", "/lab/echo/a..b", "/lab/echo/$metadata;v=1,2(3)'*!", "/lab/echo/@:", "/LAB/Echo",
    "/lab/echo?q=/../..//%2e%2e/%2f", "/lab/echo?" + "x" * 4000])
def test_targets_keep_their_bytes(http: Http1, target: str) -> None:
    answer = http.request("GET", on(ECHO, target))
    assert answer.status == 200, answer
    assert answer.json()["target"] == target


def test_targets_keep_their_bytes_over_http2(h2: Http2) -> None:
    target = "/lab/echo/.x/{5E0F}%7b?MPLIST&a&&b=c=d"
    assert h2.request("GET", on(ECHO, target)).json()["target"] == target


def test_fields_keep_order_spelling_and_number(http: Http1) -> None:
    sent = [("x-LOWER-upper", "a"), ("X-Twice", "1"), ("CCM_Under_Score", "u"), ("X-Twice", "2"),
            ("X-Empty", ""), ("X-Latin", "\xe9\xff"), ("X-Blanks", "a  b\tc"), ("x-twice", "3"),
            ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"), ("Cookie", "a=1; b=2"),
            ("Range", "bytes=0-1"), ("Content-Range", "Bytes 0-1/2"),
            ("Authorization", "Basic eDp5"), ("If-Match", '"x"'), ("Date", "x")]
    seen = http.request("GET", ECHO_TARGET, sent).json()["headers"]
    names = {name.lower() for name, _ in sent}
    assert [(n, v) for n, v in seen if n.lower() in names] == sent


def test_nothing_is_added_that_changes_the_meaning(http: Http1) -> None:
    seen = {n.lower() for n, _ in http.request("GET", ECHO_TARGET).json()["headers"]}
    assert not seen & {"accept", "user-agent", "expect", "accept-encoding", "content-length",
                       "transfer-encoding", "content-type", "te", "upgrade"}


def test_answer_fields_keep_order_spelling_and_number(http: Http1) -> None:
    answer = http.request("GET", ECHO_TARGET)
    assert [f for f in answer.headers if f[0].startswith("X-")] == \
        [("X-Twice", "1"), ("X-Twice", "2"), ("X-MiXeD-CaSe", "kept")]


def test_empty_body_with_length_zero(http: Http1, h2: Http2) -> None:
    for answer in (http.request("BITS_POST_X", ECHO_TARGET, [("Content-Length", "0")]),
                   h2.request("CCM_POST", ECHO_TARGET, [("content-length", "0")])):
        lengths = [v for n, v in answer.json()["headers"] if n.lower() == "content-length"]
        assert lengths == ["0"], answer


@pytest.mark.parametrize("size", [1, 255, 16384, 65535, 65536, 1_000_003])
def test_bodies_come_back_equal(http: Http1, h2: Http2, size: int) -> None:
    body = pattern_bytes(size)
    assert http.request("POST", on(ECHO, "/lab/mirror"), [], body).body == body
    assert h2.request("POST", on(ECHO, "/lab/mirror"), [], body).body == body


def test_body_of_every_byte(http: Http1) -> None:
    body = bytes(range(256)) * 17 + b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\0\xff\xfe"
    assert http.request("CCM_POST", on(ECHO, "/lab/mirror"), [], body).body == body


def test_chunked_request(http: Http1) -> None:
    pieces = [b"a", b"bc" * 5000, b"\r\n0\r\n\r\n", b"d" * 70_000]
    whole = b"".join(pieces)
    seen = http.send_chunked("POST", ECHO_TARGET, [], pieces, [("X-Sum", "1")]).json()
    assert (seen["size"], seen["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert http.request("GET", ECHO_TARGET).status == 200


def test_http2_body_without_a_length(h2: Http2) -> None:
    stream = h2.start("POST", ECHO_TARGET, end=False)
    h2.send_body(stream, [b"no", b"length"])
    assert h2.finish(stream).json()["size"] == 8


def test_chunked_answer(http: Http1, h2: Http2) -> None:
    target = on(ECHO, "/lab/pattern?size=300000&chunked")
    assert http.request("GET", target).body == h2.request("GET", target).body == \
        pattern_bytes(300_000)


def test_expect_100_continue(http: Http1) -> None:
    http.send_head("POST", on(ECHO, "/lab/mirror"), [("Content-Length", "5"),
                                                     ("Expect", "100-continue")])
    http.sock.settimeout(10)
    assert http.reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    http.send(b"hello")
    assert http.receive().body == b"hello"


@pytest.mark.parametrize("status, phrase", [
    (200, "Alles gut"), (201, "Created"), (202, "Nearly_There"), (299, "Odd")])
def test_reason_phrase_of_success(http: Http1, status: int, phrase: str) -> None:
    answer = http.request("GET", on(ECHO, f"/lab/echo?status={status}&reason={phrase}"
                                    .replace(" ", "%20")))
    assert (answer.status, answer.reason) == (status, phrase)


@pytest.mark.parametrize("status, phrase", [
    (400, "Bad Message"), (403, "Client certificate required"), (404, "Not Found"),
    (500, "Internal Server Error"), (503, "Busy"), (599, "Own Number")])
def test_reason_phrase_of_failure_names_the_connector(http: Http1, status: int,
                                                      phrase: str) -> None:
    """Clients log it, and operators know it: CMGConnector_ and the phrase without blanks."""
    answer = http.request("GET", on(ECHO, f"/lab/echo?status={status}&reason={phrase}"
                                    .replace(" ", "%20")))
    assert (answer.status, answer.reason) == (status, "CMGConnector_" + phrase.replace(" ", ""))


def test_reason_phrase_over_http2_is_a_field(h2: Http2) -> None:
    answer = h2.request("GET", on(ECHO, "/bad/certificate-required"))
    assert answer.status == 403
    assert any("Clientcertificaterequired" in value for _, value in answer.headers), answer


def test_informational_answers(http: Http1, h2: Http2) -> None:
    for answer in (http.request("GET", on(ECHO, "/bad/informational")),
                   h2.request("GET", on(ECHO, "/bad/informational"))):
        assert (answer.status, answer.body) == (200, b"ok")
        assert [status for status, _ in answer.informational] == [103, 102], answer


def test_trailers_of_an_answer(http: Http1, h2: Http2) -> None:
    one = http.request("GET", on(ECHO, "/bad/trailers"), [("TE", "trailers")])
    assert (one.status, one.body) == (200, b"hello")
    assert [(name.lower(), value) for name, value in one.trailers] == [("x-checksum", "5d41402a")]
    two = h2.request("GET", on(ECHO, "/bad/trailers"))
    assert (two.status, two.body) == (200, b"hello")
    assert ("x-checksum", "5d41402a") in two.trailers


@pytest.mark.parametrize("path, status, body", [
    ("/bad/splits-head", 200, b"ok"), ("/bad/until-close", 200, b"up to the end"),
    ("/bad/no-content", 204, b""), ("/bad/not-modified", 304, b"")])
def test_unusual_and_right(http: Http1, h2: Http2, path: str, status: int, body: bytes) -> None:
    for front in (http, h2):
        for _ in range(3):
            answer = front.request("GET", on(ECHO, path))
            assert (answer.status, answer.body) == (status, body), answer


def test_endpoint_closes_without_a_word(http: Http1, h2: Http2) -> None:
    """A kept connection may be closed while the next request is on its way into it. What became
    of that one nobody knows: it is not sent again, and the client is told."""
    seen = [front.request("GET", on(ECHO, "/bad/closes-after")).status
            for _ in range(20) for front in (http, h2)]
    assert set(seen) <= {200, 502}, seen
    assert seen.count(200) > len(seen) / 2, seen


def test_head_has_the_length_and_no_body(http: Http1) -> None:
    for _ in range(3):
        answer = http.request("HEAD", on(ECHO, "/lab/pattern?size=123456"))
        assert (answer.status, answer.get("Content-Length"), answer.body) == (200, "123456", b"")


def test_early_answer_reaches_the_client(http: Http1) -> None:
    """An endpoint that refuses before it has the body: its answer counts."""
    http.send_head("POST", on(ECHO, "/bad/early-answer"), [("Content-Length", "50000000")])
    try:
        for piece in pattern_pieces(50_000_000):
            http.send(piece)
    except OSError:
        pass
    assert http.receive().status == 413


@pytest.mark.parametrize("method, body", [("GET", None), ("CCM_POST", b""), ("POST", b"x" * 1000)])
@pytest.mark.parametrize("how", ["dies-at-once", "resets-at-once"])
def test_never_sent_twice(plain: Lab, site: Site, http: Http1, method: str, body: bytes | None,
                          how: str) -> None:
    """Neither on a new nor on a kept connection, whatever libraries like to do."""
    for _ in range(3):
        tag = str(uuid.uuid4())
        assert http.request("GET", ECHO_TARGET).status == 200  # leaves a kept connection behind
        answer = http.request(method, on(ECHO, f"/bad/{how}"), [("X-Lab-Tag", tag)], body)
        assert answer.status == 502, answer
        assert site.seen(tag)["requests"] == 1


def test_connections_to_an_endpoint_are_kept(plain: Lab, http: Http1) -> None:
    numbers = {http.request("GET", ECHO_TARGET).json()["connection"] for _ in range(20)}
    assert len(numbers) <= 2


def test_private_connections(new_lab, site: Site) -> None:
    """connections = private: what one client leaves behind, no other gets."""
    lab = new_lab(with_gates=False, point={"endpoint echo": {"connections": "private"}})

    def number(identity) -> int:
        with lab.http1(identity=identity) as http:
            return http.request("GET", ECHO_TARGET).json()["connection"]
    first, second = site.pki.client, site.pki.client_2
    one, other, again = number(first), number(second), number(first)
    assert one != other and again != other


def test_policy_of_32_megabytes(http: Http1) -> None:
    size = 32 << 20
    http.send_head("GET", on(ECHO, f"/lab/pattern?size={size}"))
    response, body = http.receive_head()
    check = PatternCheck()
    for piece in body:
        check.feed(piece)
    assert (response.status, check.size, check.wrong_at) == (200, size, None)


@pytest.mark.slow(240)
def test_four_gigabytes_each_way(plain: Lab) -> None:
    """Past every 32-bit counter, both directions at once, and nothing is gathered."""
    size = (4 << 30) + 12345
    daemons = [plain.gateways[1], plain.points["cp1"]]
    before = [daemon.rss_bytes() for daemon in daemons]
    results: dict[str, object] = {}

    def download() -> None:
        with plain.http1(timeout=120) as http:
            http.send_head("GET", on(ECHO, f"/lab/pattern?size={size}"))
            _, body = http.receive_head()
            check = PatternCheck()
            for piece in body:
                check.feed(piece)
            results["down"] = {"size": check.size, "wrong_at": check.wrong_at}

    def upload() -> None:
        with plain.http1(timeout=120) as http:
            http.send_head("POST", on(ECHO, "/lab/sink"), [("Content-Length", str(size))])
            for piece in pattern_pieces(size):
                http.send(piece)
            results["up"] = http.receive().json()

    threads = [threading.Thread(target=work) for work in (download, upload)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    whole = {"size": size, "wrong_at": None}
    assert results == {"down": whole, "up": whole}, plain.explain()
    growth = [daemon.rss_bytes() - rss for daemon, rss in zip(daemons, before)]
    assert max(growth) < 60 << 20, f"resident memory grew by {growth}"


def test_long_silence(new_lab) -> None:
    """An exchange outlives every keepalive and idle limit on its way while it is in flight."""
    lab = new_lab(with_gates=False,
                  gateway={"clients": {"idle-timeout": "3s", "stall-timeout": "3s"},
                           "channel": {"keepalive": "1s", "deadline": "1s"}},
                  point={"channel": {"keepalive": "1s", "deadline": "1s"},
                         "endpoint echo": {"idle-timeout": "2s"}})
    target = on(ECHO, "/BGB/handler.ashx?RequestType=LogIn&silent=15")
    with lab.http1() as http, lab.http2() as h2:
        http.send_head("GET", target)
        stream = h2.start("GET", target)
        assert http.receive().body == b"<BgbMessage/>"
        assert h2.finish(stream).body == b"<BgbMessage/>"


def test_request_id_is_the_same_on_both_sides(plain: Lab) -> None:
    name = f"echo-{uuid.uuid4()}"
    marks = {d: d.mark() for d in (plain.gateways[1], plain.points["cp1"])}
    assert plain.get(on(ECHO, f"/lab/{name}")).status == 200

    def ids() -> list[str] | None:
        found = [[event for event in daemon.events("access", mark) if name in str(event)]
                 for daemon, mark in marks.items()]
        return [events[0]["request"] for events in found] if all(found) else None
    one, other = wait_for(ids, "both access events", explain=plain.explain)
    assert one == other and len(one) >= 8


def test_big_file_through_nginx(http: Http1) -> None:
    """sendfile on the other side: 200 MB of it, then the client has enough."""
    http.send_head("GET", on(MP, "/CCM_Client/big.bin"))
    _, body = http.receive_head()
    total = 0
    for piece in body:
        total += len(piece)
        if total > 200 << 20:
            break
    assert total > 200 << 20

