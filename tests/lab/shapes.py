"""What ConfigMgr clients put on the wire, as bytes.

A management message is multipart/mixed with a boundary that never changes: one part of XML in
UTF-16LE with its byte order mark, one part of zlib over UTF-16LE XML. Bodies are binary: NUL,
BOM and CRLF occur in them, and whoever treats them as text breaks them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .http1 import Headers

BOUNDARY = "aAbBcCdDv1234567890VxXyYzZ"
MESSAGE_TYPE = f'multipart/mixed; boundary="{BOUNDARY}"'
BOM = b"\xff\xfe"


def utf16(text: str) -> bytes:
    return BOM + text.encode("utf-16-le")


@dataclass(frozen=True)
class Message:
    envelope: str  # <Msg ...>
    payload: str   # what the envelope announces

    def encode(self) -> bytes:
        marker = f"--{BOUNDARY}".encode()
        return b"".join([
            marker, b"\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n", utf16(self.envelope),
            b"\r\n", marker, b"\r\ncontent-type: application/octet-stream\r\n\r\n",
            zlib.compress((self.payload + "\r\n").encode("utf-16-le")),
            b"\r\n", marker, b"--"])


def decode_message(body: bytes) -> Message:
    """The reverse of encode(). ValueError when one byte is not where it belongs."""
    marker = f"--{BOUNDARY}".encode()
    if not body.startswith(marker) or not body.endswith(b"\r\n" + marker + b"--"):
        raise ValueError("not framed by the boundary")
    first, second = body[len(marker):-len(marker) - 4].split(b"\r\n" + marker, 1)
    envelope = first.split(b"\r\n\r\n", 1)[1]
    payload = second.split(b"\r\n\r\n", 1)[1]
    if not envelope.startswith(BOM):
        raise ValueError("no byte order mark")
    return Message(envelope[2:].decode("utf-16-le"),
                   zlib.decompress(payload).decode("utf-16-le").removesuffix("\r\n"))


def registration(client_id: str = "GUID:11111111-2222-3333-4444-555555555555") -> Message:
    return Message(
        '<Msg ReplyCompression="zlib" SchemaVersion="1.1"><Body Type="ByteRange" Length="0" '
        f'Offset="0"/><SourceID>{client_id}</SourceID><TargetAddress>mp:[http]MP_ClientRegistration'
        '</TargetAddress><ReplyMode>Sync</ReplyMode><Timeout>60000</Timeout></Msg>',
        '<ClientRegistrationRequest><Data HashAlgorithm="1.2.840.113549.1.1.11" SMSID="'
        f'{client_id}" RequestType="Registration" Note="Größe: 10 €"/></ClientRegistrationRequest>')


def reply_to(message: Message) -> Message:
    """What the stand-in answers, computable by whoever asked."""
    return Message(f'<Msg><CorrelationID>{zlib.crc32(message.envelope.encode()):08x}'
                   '</CorrelationID><ReplyMode>Sync</ReplyMode></Msg>',
                   f'<Reply characters="{len(message.payload)}"/>')


MESSAGE_HEADERS: Headers = [
    ("User-Agent", "ConfigMgr Messaging HTTP Sender"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Content-Type", MESSAGE_TYPE),
    ("CCMClientID", "GUID:11111111-2222-3333-4444-555555555555"),
    ("CCMClientTimestamp", "2026-11-22T04:31:07Z"),
    ("CCMClientIDSignature", "0F" * 32),
    ("CCMClientTimestampsSignature", "A0" * 32),
]

# Queries without '=' and names that start with a dot: both are usual here.
LOCATION_TARGETS = ["/SMS_MP/.sms_aut?MPLIST", "/SMS_MP/.sms_aut?MPLIST2&LAB",
                    "/SMS_MP/.sms_aut?SITESIGNCERT", "/SMS_MP/.sms_aut?MPKEYINFORMATIONMEDIA"]
POLICY_TARGETS = ["/SMS_MP/.sms_pol?{6c6c2f0a-3f1d-4c4b-9d0e-000000000001}.SHA256:A1B2,1_00",
                  "/SMS_MP/.sms_pol?%7b6c6c2f0a-3f1d-4c4b-9d0e-000000000001%7d.SHA256:A1B2,1_00"]

WSUS_CALLS = {
    "/SimpleAuthWebService/SimpleAuth.asmx":
        ("GetAuthorizationCookie", "http://www.microsoft.com/SoftwareDistribution/Server/"
                                   "SimpleAuthWebService/GetAuthorizationCookie"),
    "/ClientWebService/Client.asmx":
        ("SyncUpdates", "http://www.microsoft.com/SoftwareDistribution/Server/"
                        "ClientWebService/SyncUpdates"),
    "/ReportingWebService/ReportingWebService.asmx":
        ("ReportEventBatch", "http://www.microsoft.com/SoftwareDistribution/ReportEventBatch"),
}


def soap_call(operation: str, filler: int = 0) -> bytes:
    return ('<?xml version="1.0" encoding="utf-8"?>\r\n<soap:Envelope xmlns:soap='
            '"http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<{operation}>{"x" * filler}</{operation}></soap:Body></soap:Envelope>').encode()


def soap_answer(operation: str, request_size: int) -> bytes:
    return ('<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap='
            '"http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<{operation}Response size="{request_size}"/></soap:Body></soap:Envelope>').encode()


def soap_headers(action: str) -> Headers:
    return [("User-Agent", "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.71"),
            ("SOAPAction", f'"{action}"'), ("Content-Type", "text/xml; charset=utf-8"),
            ("Accept", "text/xml")]


DAV_LISTING = (
    '<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>'
    '/SMS_DP_SMSPKG$/LAB00001/</D:href><D:propstat><D:status>HTTP/1.1 200 OK</D:status><D:prop>'
    '<D:resourcetype><D:collection/></D:resourcetype></D:prop></D:propstat></D:response>'
    '</D:multistatus>').encode()
