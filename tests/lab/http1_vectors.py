"""Byte strings to throw at an HTTP/1.1 server, valid and hostile, and what a strict one does
with each. Two readers could read the hostile ones differently: that is what smuggling is made
of, so they are refused and the connection is closed."""

from __future__ import annotations

from dataclasses import dataclass

VALID, REFUSED = "valid", "refused"


@dataclass(frozen=True)
class Vector:
    name: str
    data: bytes
    verdict: str


def _vector(verdict: str, name: str, text: str) -> Vector:
    return Vector(name, text.encode("latin-1"), verdict)


_H = "Host: a\r\n"
_CHUNKED = f"POST / HTTP/1.1\r\n{_H}Transfer-Encoding: chunked\r\n\r\n"


def _post(fields: str, body: str = "hello", version: str = "1.1") -> str:
    return f"POST / HTTP/{version}\r\n{_H}{fields}\r\n\r\n{body}"


def _get(fields: str) -> str:
    return f"GET / HTTP/1.1\r\n{_H}{fields}\r\n\r\n"


_VALID = {
    "GET": f"GET /x HTTP/1.1\r\n{_H}\r\n",
    "CCM_POST with a body": f"CCM_POST /ccm HTTP/1.1\r\n{_H}Content-Length: 5\r\n\r\nhello",
    "BITS_POST without a body": f"BITS_POST /ccm HTTP/1.1\r\n{_H}Content-Length: 0\r\n\r\n",
    "PROPFIND": f"PROPFIND / HTTP/1.1\r\n{_H}\r\n",
    "chunked": _CHUNKED + "5\r\nhello\r\n0\r\n\r\n",
    "chunk extension": _CHUNKED + "5;a=b\r\nhello\r\n0\r\n\r\n",
    "trailers": _CHUNKED + "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "high byte in the target": f"GET /\xe9 HTTP/1.1\r\n{_H}\r\n",
}

_REFUSED = {
    "Content-Length and Transfer-Encoding": _post(
        "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "Content-Length twice, equal": _post("Content-Length: 5\r\nContent-Length: 5"),
    "Content-Length twice, different": _post("Content-Length: 5\r\nContent-Length: 6", "hello!"),
    "Content-Length +5": _post("Content-Length: +5"),
    "Content-Length 5, 5": _post("Content-Length: 5, 5"),
    "Content-Length 5 6": _post("Content-Length: 5 6"),
    "Content-Length empty": _post("Content-Length: "),
    "Content-Length 2^64+5": _post("Content-Length: 18446744073709551621"),
    "Content-Length -1": _post("Content-Length: -1"),
    "Content-Length 0x5": _post("Content-Length: 0x5"),
    "Transfer-Encoding xchunked": _post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    "Transfer-Encoding chunked, identity": _post("Transfer-Encoding: chunked, identity",
                                                 "0\r\n\r\n"),
    "Transfer-Encoding gzip, chunked": _post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    "Transfer-Encoding VT chunked": _post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    "Transfer-Encoding twice": _post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                                     "0\r\n\r\n"),
    "HTTP/1.0 and Transfer-Encoding": _post("Transfer-Encoding: chunked", "0\r\n\r\n", "1.0"),
    "blank before the colon": _post("Content-Length : 5"),
    "folded line": _get("X: a\r\n b"),
    "folded first line": f"GET / HTTP/1.1\r\n X: a\r\n{_H}\r\n",
    "bare LF everywhere": "GET / HTTP/1.1\nHost: a\n\n",
    "bare CR in a value": _get("X: a\rY: b"),
    "NUL in a value": _get("X: a\0b"),
    "no Host": "GET / HTTP/1.1\r\n\r\n",
    "two Hosts": _get("Host: b"),
    "chunk size 0x5": _CHUNKED + "0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size with a blank": _CHUNKED + "5 \r\nhello\r\n0\r\n\r\n",
    "chunk size -1": _CHUNKED + "-1\r\nhello\r\n0\r\n\r\n",
    "chunk size too large": _CHUNKED + "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk extension ended by LF": _CHUNKED + "5;a\nhello\r\n0\r\n\r\n",
    "chunk size ended by LF": _CHUNKED + "5\nhello\r\n0\r\n\r\n",
    "chunk without CRLF behind": _CHUNKED + "5\r\nhelloXX0\r\n\r\n",
    "HTTP/1.2": f"GET / HTTP/1.2\r\n{_H}\r\n",
    "HTTP/2.0": f"GET / HTTP/2.0\r\n{_H}\r\n",
    "http/1.1 in lower case": f"GET / http/1.1\r\n{_H}\r\n",
    "HTTP/0.9": "GET /\r\n",
    "absolute form of another host": f"GET http://b/x HTTP/1.1\r\n{_H}\r\n",
    "empty line first": f"\r\nGET / HTTP/1.1\r\n{_H}\r\n",
    "two blanks in the request line": f"GET  / HTTP/1.1\r\n{_H}\r\n",
    "tabs in the request line": f"GET\t/\tHTTP/1.1\r\n{_H}\r\n",
    "blank in the target": f"GET /a b HTTP/1.1\r\n{_H}\r\n",
    "control character in the target": f"GET /\x01 HTTP/1.1\r\n{_H}\r\n",
    "control character in a name": _get("X\x01: a"),
    "empty name": _get(": a"),
    "no colon": _get("foo"),
}

VECTORS = [_vector(VALID, name, text) for name, text in _VALID.items()] + \
          [_vector(REFUSED, name, text) for name, text in _REFUSED.items()]
