"""What ConfigMgr clients send, byte for byte, over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from lab import shapes
from lab.bits import BitsUpload
from lab.client import Http1, Http2, Response
from lab.http1 import Headers, pattern_bytes
from lab.nginx import BIG_BYTES, CAB_BYTES, cab_sha256
from lab.site import ECHO, MP, MP_HTTPS, SUP, Lab, Site, on

CAB = on(MP, "/CCM_Client/ccmsetup.cab")


@pytest.fixture(params=["http/1.1", "h2"])
def front(plain: Lab, request: pytest.FixtureRequest) -> Iterator[Http1 | Http2]:
    with plain.http1() if request.param == "http/1.1" else plain.http2() as http:
        yield http


def as_sent(front: Http1 | Http2, headers: Headers) -> Headers:
    """HTTP/2 knows field names in lower case only."""
    return [(name.lower(), value) for name, value in headers] if isinstance(front, Http2) \
        else list(headers)


def arrived(answer: Response, sent: Headers) -> Headers:
    """Those of the fields that the endpoint saw which the client sent, in the order seen."""
    names = {name.lower() for name, _ in sent}
    return [(name, value) for name, value in answer.json()["headers"] if name.lower() in names]


def test_management_message_arrives_as_it_was_sent(front) -> None:
    body = shapes.registration().encode()
    answer = front.request("CCM_POST", on(ECHO, "/lab/echo"), shapes.MESSAGE_HEADERS, body)
    assert answer.status == 200, answer
    seen = answer.json()
    assert (seen["method"], seen["target"]) == ("CCM_POST", "/lab/echo")
    assert (seen["size"], seen["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert arrived(answer, shapes.MESSAGE_HEADERS) == as_sent(front, shapes.MESSAGE_HEADERS)
    assert [v for n, v in seen["headers"] if n.lower() == "content-length"] == [str(len(body))]


@pytest.mark.parametrize("endpoint", [MP, MP_HTTPS])
@pytest.mark.parametrize("path", ["/ccm_system/request", "/CCM_System/request"])
def test_management_message_and_its_answer(front, endpoint: str, path: str) -> None:
    message = shapes.registration()
    answer = front.request("CCM_POST", on(endpoint, path), shapes.MESSAGE_HEADERS,
                           message.encode())
    assert answer.status == 200, answer
    assert answer.get("Content-Type") == shapes.MESSAGE_TYPE
    assert answer.body == shapes.reply_to(message).encode()


@pytest.mark.parametrize("target", shapes.LOCATION_TARGETS + shapes.POLICY_TARGETS)
def test_locations_and_policies(front, target: str) -> None:
    answer = front.request("GET", on(MP, target), [("User-Agent", "SMS CCM 5.0")])
    assert answer.status == 200, answer
    query = target.partition("?")[2]
    expected = f'<MPList query="{query}"><MP Name="mp.lab"/></MPList>'.encode() \
        if ".sms_aut" in target else shapes.utf16(f"<Policy id='{query}'/>")
    assert answer.body == expected


@pytest.mark.parametrize("tree", ["/CCM_Proxy_MutualAuth", "/CCM_PROXY_MUTUALAUTH",
                                  "/ccm_proxy_mutualauth"])
def test_tree_in_any_case(front, tree: str) -> None:
    assert front.request("GET", on(MP, "/sms_mp/.sms_aut?MPLIST", tree)).status == 200


@pytest.mark.parametrize("path", list(shapes.WSUS_CALLS))
def test_wsus_calls(front, path: str) -> None:
    operation, action = shapes.WSUS_CALLS[path]
    body = shapes.soap_call(operation, 50_000)
    answer = front.request("POST", on(SUP, path), shapes.soap_headers(action), body)
    assert answer.status == 200, answer
    assert answer.body == shapes.soap_answer(operation, len(body))


def test_propfind(front) -> None:
    answer = front.request("PROPFIND", on(MP, "/CCM_Client/"), [("Depth", "1")])
    assert (answer.status, answer.body) == (207, shapes.DAV_LISTING), answer


def upload(front: Http1 | Http2, endpoint: str, name: str) -> BitsUpload:
    def send(headers: Headers, body: bytes) -> tuple[int, str, Headers]:
        answer = front.request("BITS_POST", on(endpoint, "/CCM_Incoming/{5E0F}"), headers, body)
        assert answer.body == b""
        return answer.status, answer.reason, answer.headers
    return BitsUpload(send, name)


def field(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


@pytest.mark.parametrize("endpoint", [MP, ECHO, MP_HTTPS])
def test_bits_upload(front, site: Site, endpoint: str) -> None:
    """Ping, Create-Session, fragments, one of them out of order and one sent twice, Close."""
    name = f"upload-{type(front).__name__}-{endpoint}.bin"
    data = pattern_bytes(1_000_000, 12345)
    job = upload(front, endpoint, name)
    status, _, headers = job.ping()
    assert status == 200 and field(headers, "bits-packet-type") == ["Ack"]
    status, _, headers = job.create()
    assert status == 200 and job.session
    assert field(headers, "bits-protocol") == ["{7df0354d-249b-430f-820d-3d2a9bef4931}"]

    assert job.fragment(0, data[:300_000], len(data))[0] == 200
    status, _, headers = job.fragment(600_000, data[600_000:700_000], len(data))
    assert status == 416
    assert field(headers, "bits-received-content-range") == ["300000"]
    assert field(headers, "bits-error-code") and field(headers, "bits-error-context") == ["0x5"]
    status, _, headers = job.fragment(200_000, data[200_000:600_000], len(data))
    assert status == 200 and field(headers, "bits-received-content-range") == ["600000"]
    assert job.fragment(600_000, data[600_000:], len(data))[0] == 200
    status, _, headers = job.close()
    assert status == 200 and field(headers, "bits-session-id") == [job.session]
    assert field(headers, "content-length") == ["0"]
    assert (site.uploads / name).read_bytes() == data


def test_bits_cancel_and_unknown_session(front) -> None:
    job = upload(front, ECHO, "cancelled.bin")
    job.create()
    assert job.fragment(0, b"abc", 6)[0] == 200
    assert job.cancel()[0] == 200
    status, _, headers = job.fragment(3, b"def", 6)
    assert status == 500 and field(headers, "bits-error-code") == ["0x8020001f"]


def test_ranged_download(front) -> None:
    """What BITS does: HEAD for the size, ranges, the end."""
    head = front.request("HEAD", CAB)
    assert (head.status, head.get("Content-Length"), head.body) == (200, str(CAB_BYTES), b"")
    assert head.get("Accept-Ranges") == "bytes" and head.get("ETag") and head.get("Last-Modified")
    digest = hashlib.sha256()
    for first in range(0, CAB_BYTES, 700_001):
        last = min(first + 700_001, CAB_BYTES) - 1
        part = front.request("GET", CAB, [("Range", f"bytes={first}-{last}"),
                                          ("If-Range", head.get("ETag"))])
        assert part.status == 206, part
        assert part.get("Content-Range") == f"bytes {first}-{last}/{CAB_BYTES}"
        assert part.get("Content-Length") == str(last - first + 1)
        digest.update(part.body)
    assert digest.hexdigest() == cab_sha256()


def test_several_ranges_come_as_the_endpoint_made_them(front, site: Site) -> None:
    headers = [("Range", "bytes=0-9,1000-1009")]
    with Http1(site.mp_port, None) as direct:
        length = direct.request("GET", "/CCM_Client/ccmsetup.cab", headers).get("Content-Length")
    answer = front.request("GET", CAB, headers)
    assert answer.status == 206 and answer.get("Content-Length") == length
    boundary = answer.get("Content-Type").partition("boundary=")[2].encode()
    assert answer.body.lstrip(b"\r\n").startswith(b"--" + boundary)
    assert pattern_bytes(10, 1000) in answer.body


def test_range_that_cannot_be_satisfied(front) -> None:
    answer = front.request("GET", CAB, [("Range", "bytes=99999999999-")])
    assert answer.status == 416 and answer.get("Content-Range") == f"bytes */{CAB_BYTES}"


def test_range_at_the_end_of_a_big_file(front) -> None:
    answer = front.request("GET", on(MP, "/CCM_Client/big.bin"),
                           [("Range", f"bytes={BIG_BYTES - 5}-{BIG_BYTES - 1}")])
    assert (answer.status, answer.body) == (206, b"\0" * 5)


def test_unchanged_file(front) -> None:
    tag = front.request("HEAD", CAB).get("ETag")
    answer = front.request("GET", CAB, [("If-None-Match", tag)])
    assert (answer.status, answer.body) == (304, b"")


def test_client_notification_stays_silent(front) -> None:
    answer = front.request("GET", on(ECHO, "/BGB/handler.ashx?RequestType=LogIn&silent=3"))
    assert (answer.status, answer.body) == (200, b"<BgbMessage/>")
