"""What the gateway refuses, and how it says so: status, reason phrase, problem+json,
Proxy-Status, request id."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from lab.client import Http1, Response
from lab.http1 import Headers
from lab.site import ECHO, MP, MUTUAL, SERVER, SUP, Lab, on
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST")


@pytest.fixture
def http(plain: Lab) -> Iterator[Http1]:
    with plain.http1() as made:
        yield made


def assert_refusal(answer: Response, status: int) -> dict[str, object]:
    """Says who, why and which request, in all the ways it should."""
    assert answer.status == status, answer
    assert answer.get("Content-Type") == "application/problem+json", answer
    problem = answer.json()
    assert problem["status"] == status and problem["detail"] and problem["by"]
    assert problem["title"] == answer.reason or not answer.reason
    assert "error=" in (answer.get("Proxy-Status") or ""), answer
    assert problem["request"]
    assert answer.get("Cache-Control") == "no-store"
    return problem


@pytest.mark.parametrize("target", [
    on(MP, "/AdminService/v1.0/Device"), on(MP, "/nothing"), on(MP, "/"), on(MP, ""),
    on(MP, "/SMS_MPX/.sms_aut"), on(MP, "/SMS_M"), on(ECHO, "/ccm_system/request"),
    on(SUP, "/SMS_MP/.sms_aut?MPLIST"), on("4711", "/SMS_MP/.sms_aut"), f"{MUTUAL}/", MUTUAL,
    "/", "/SMS_MP/.sms_aut?MPLIST", "/CCM_STS", "/favicon.ico",
    "/.well-known/cmg/connection-point", "/CCM_Proxy_MutualAuth8/lab/echo"])
def test_what_is_not_published(plain: Lab, http: Http1, target: str) -> None:
    assert_refusal(http.request("GET", target), 404)


@pytest.mark.parametrize("bytes_, status, phrase", [
    (b"GET / HTTP/1.1\r\n\r\n", 400, "CMGService_Bad_Request"),
    (b"GET /" + 20000 * b"a" + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "CMGService_Target_Too_Long"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + 70000 * b"a" + b"\r\n\r\n", 431,
     "CMGService_Head_Too_Large"),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "CMGService_Version_Not_Supported")])
def test_what_cannot_be_read(http: Http1, bytes_: bytes, status: int, phrase: str) -> None:
    http.send(bytes_)
    answer = http.receive()
    problem = assert_refusal(answer, status)
    assert answer.reason == phrase
    assert answer.get("cmg-request-id") == problem["request"]
    assert http.is_closed()


def test_what_cannot_be_read_as_http2(plain: Lab) -> None:
    with plain.http2() as h2:
        answer = h2.request("GET", REQUEST, [("host", "another.example")])
        problem = assert_refusal(answer, 400)
        assert answer.get("cmg-reason") == "CMGService_Bad_Request"
        assert answer.get("cmg-request-id") == problem["request"]
        assert h2.request("GET", REQUEST).status == 200


def test_channel_path_is_not_for_clients(plain: Lab, http: Http1) -> None:
    assert_refusal(http.request("GET", "/.well-known/ptth/localhost/"), 403)


def test_upgrade_needs_a_certificate_of_a_connection_point(plain: Lab) -> None:
    """A client's certificate opens no channel, and none at all neither."""
    for identity in ("client", None):
        with plain.http1(identity=identity) as http:
            answer = http.request("GET", "/.well-known/ptth/localhost/", [
                ("Connection", "Upgrade"), ("Upgrade", "ptth"), ("ALPN", "h2")])
            assert answer.status in (401, 403), answer


def test_refusal_over_http2(plain: Lab) -> None:
    with plain.http2() as h2:
        assert_refusal(h2.request("GET", on(MP, "/nothing")), 404)
        assert h2.request("GET", REQUEST).status == 200


def test_unpublished_never_enters_the_tunnel(plain: Lab, http: Http1) -> None:
    mark = plain.points["cp1"].mark()
    assert http.request("GET", on(MP, "/AdminService/x")).status == 404
    assert http.request("GET", on(ECHO, "/lab/echo-after")).status == 200
    wait_for(lambda: plain.points["cp1"].access(mark), "the access event of the next request",
             explain=plain.explain)
    assert not any("AdminService" in line for line in plain.points["cp1"].lines_since(mark))


TRICKS = ["/../secret", "/./x", "/x/..", "/%2e%2e/x", "/%2E./x", "/a%2fb", "/a%5cb", "/a\\b",
          "//x", "/x//y", "/%00", "/a%00b", "/a%0d%0aX: y", "/%", "/%4", "/%zz", "/%252e%252e/x",
          "/%252fx", "/%c0%ae%c0%ae/x", "/%c0%af", "/x./y", "/x/.../../y", "/x%2e/y"]


@pytest.mark.parametrize("trick", TRICKS)
def test_path_tricks(plain: Lab, trick: str) -> None:
    """A path that is not its own canonical form is refused, never rewritten."""
    for before in (on(ECHO, "/lab"), MUTUAL):
        with plain.http1() as http:
            answer = http.request("GET", before + trick)
            assert answer.status == 400, f"{before + trick}: {answer}"


def test_path_tricks_over_http2(plain: Lab) -> None:
    for trick in TRICKS:
        if "\\" in trick:
            continue
        with plain.http2() as h2:
            try:
                answer = h2.request("GET", on(ECHO, "/lab") + trick)
            except ConnectionError:
                continue  # a target that HTTP/2 itself forbids
            assert answer.status == 400, f"{trick}: {answer}"


def test_too_large_by_declaration(new_lab) -> None:
    """413 at once, before any of it was taken."""
    lab = new_lab(with_gates=False, point={"endpoint echo": {"max-request": "10K"}})
    with lab.http1() as http:
        assert http.request("POST", on(ECHO, "/lab/mirror"), [], b"x" * 10240).status == 200
        http.send_head("POST", on(ECHO, "/lab/mirror"), [("Content-Length", "10241")])
        assert_refusal(http.receive(), 413)
    with lab.http2() as h2:
        stream = h2.start("POST", on(ECHO, "/lab/mirror"), [("content-length", "10241")],
                          end=False)
        assert_refusal(h2.finish(stream), 413)


def test_too_large_without_declaration(new_lab) -> None:
    lab = new_lab(with_gates=False, point={"endpoint echo": {"max-request": "10K"}})
    with lab.http1() as http:
        try:
            answer = http.send_chunked("POST", on(ECHO, "/lab/mirror"), [], [b"x" * 4096] * 10)
        except OSError:
            return  # cut while sending: refused as well
        assert answer.status == 413, answer
    with lab.http1() as http:
        assert http.send_chunked("POST", on(ECHO, "/lab/mirror"), [], [b"x" * 4096] * 2).status \
            == 200


def test_no_connection_point(new_lab) -> None:
    lab = new_lab(points=(), wait=False)
    def answered() -> Response | None:
        try:
            return lab.get(REQUEST)
        except OSError:
            return None
    answer = wait_for(answered, "the gateway to answer", explain=lab.explain)
    assert_refusal(answer, 503)
    assert int(answer.get("Retry-After")) > 0


def test_connection_point_left(new_lab) -> None:
    """What was published a moment ago is 503, not 404: it will come back."""
    lab = new_lab()
    lab.points["cp1"].stop()
    answer = wait_for(lambda: (a := lab.get(REQUEST)).status != 200 and a, "another answer",
                      explain=lab.explain)
    assert answer.status == 503 and answer.get("Retry-After"), answer


# --- who may ask -----------------------------------------------------------------------------

@pytest.mark.parametrize("target", [on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER),
                                    on(MP, "/CCM_STS", SERVER),
                                    on(MP, "/x", "/ccm_proxy_serverauth"),
                                    f"{SERVER}/ServiceMetadata"])
@pytest.mark.parametrize("headers", [[], [("Authorization", "Bearer x.y.z")]])
def test_server_auth_without_a_token_of_anybody(plain: Lab, target: str, headers: Headers) -> None:
    for identity in (None, "client"):
        with plain.http1(identity=identity) as http:
            answer = http.request("GET", target, headers)
            assert_refusal(answer, 401)


def test_mutual_auth_without_a_certificate(plain: Lab) -> None:
    with plain.http1(identity=None) as http:
        assert_refusal(http.request("GET", REQUEST), 403)
        assert_refusal(http.request("CCM_POST", on(MP, "/ccm_system/request"), [], b"abc"), 403)


@pytest.mark.parametrize("name", ["client_foreign", "client_expired", "client_no_usage",
                                  "client_server_usage", "client_broken_chain"])
def test_mutual_auth_with_a_wrong_certificate(plain: Lab, name: str) -> None:
    identity = getattr(plain.pki, name)
    try:
        with plain.http1(identity=identity) as http:
            answer = http.request("GET", REQUEST)
    except (ssl.SSLError, OSError):
        return  # refused in the handshake
    assert answer.status in (401, 403), answer
    assert_refusal(answer, answer.status)


def test_connection_point_certificate_is_no_client(plain: Lab) -> None:
    with plain.http1(identity=plain.pki.points["cp1"]) as http:
        assert http.request("GET", REQUEST).status in (401, 403)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(plain: Lab, version: ssl.TLSVersion) -> None:
    with Http1(plain.port(), plain.tls(maximum=version)) as http:
        assert http.sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2"}.get(version, "TLSv1.3")
        assert http.request("GET", REQUEST).status == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(plain: Lab) -> None:
    tls = plain.tls()
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError)):
        Http1(plain.port(), tls)


def test_service_metadata(plain: Lab) -> None:
    for path in (f"{MUTUAL}/ServiceMetadata", "/ccm_proxy_mutualauth/servicemetadata"):
        with plain.http1() as http:
            answer = http.request("GET", path)
            assert answer.status == 200, answer
    with plain.http1(identity=None) as http:
        assert http.request("GET", f"{MUTUAL}/ServiceMetadata").status == 403


# --- header hygiene ---------------------------------------------------------------------------

FORGED = ["cmg-request-id", "CMG-Client", "Cmg-Identity", "cmg_identity", "Cmg-Client-Address",
          "CMG_REASON", "X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "Forwarded",
          "FORWARDED", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Client-Cert",
          "client_cert", "Client-Cert-Chain"]


def values_seen(answer: Response) -> str:
    return str(answer.json()["headers"])


@pytest.mark.parametrize("name", FORGED)
def test_forged_fields_do_not_arrive(plain: Lab, name: str) -> None:
    with plain.http1() as http:
        answer = http.request("GET", on(ECHO, "/lab/echo"), [(name, "forged"), (name, "forged")])
        assert answer.status == 200 and "forged" not in values_seen(answer), answer
    with plain.http2() as h2:
        answer = h2.request("GET", on(ECHO, "/lab/echo"), [(name, "forged")])
        assert answer.status == 200 and "forged" not in values_seen(answer), answer


def test_address_is_the_true_client(plain: Lab) -> None:
    for source in ("127.0.0.1", "127.7.7.7"):
        with plain.http1(source=source) as http:
            headers = http.request("GET", on(ECHO, "/lab/echo"), [
                ("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")]).json()["headers"]
        values = {n.lower(): v for n, v in headers}
        assert values["x-forwarded-for"] == source
        assert f"for={source}" in values["forwarded"].replace('"', "")
        assert "6.6.6.6" not in str(headers)


def test_connection_field_strips_what_it_names(http: Http1) -> None:
    seen = http.request("GET", on(ECHO, "/lab/echo"), [
        ("Connection", "keep-alive, X-Mine"), ("X-Mine", "m"), ("X-Other", "o")]).json()["headers"]
    names = [n.lower() for n, _ in seen]
    assert "x-other" in names and "x-mine" not in names


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Host", "Cmg-Request-Id",
                                  "Content-Length", "Authorization"])
def test_connection_field_cannot_strip_ours(plain: Lab, name: str) -> None:
    """Nominating a field that is not the connection's is refused, or does nothing."""
    with plain.http1() as http:
        answer = http.request("POST", on(ECHO, "/lab/echo"), [
            ("Connection", f"keep-alive, {name}"), ("Authorization", "Basic eDp5")], b"abc")
        if answer.status == 400:
            return
        values = {n.lower(): v for n, v in answer.json()["headers"]}
        assert {"x-forwarded-for", "forwarded", "host", "authorization"} <= set(values)
        assert answer.json()["size"] == 3


def test_hop_by_hop_fields_stay_here(http: Http1) -> None:
    seen = {n.lower() for n, _ in http.request("GET", on(ECHO, "/lab/echo"), [
        ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "trailers"),
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("X-End-To-End", "1"),
    ]).json()["headers"]}
    assert "x-end-to-end" in seen
    assert not seen & {"keep-alive", "proxy-connection", "upgrade"}


def test_endpoint_cannot_set_internal_fields(http: Http1) -> None:
    answer = http.request("GET", on(ECHO, "/bad/spoofs"))
    assert answer.status == 200 and answer.get("X-Fine") == "yes"
    assert "Forged" not in str(answer.headers) and answer.reason == "OK"


def test_host_is_not_split(http: Http1) -> None:
    """One Host at the endpoint, whatever comes in the authority."""
    seen = http.request("GET", on(ECHO, "/lab/echo")).json()["headers"]
    assert len([v for n, v in seen if n.lower() == "host"]) == 1
