"""Tokens that nobody may accept, made from one that is right. Each has a name that says what is
wrong with it; nearly all are wrong in one place only, so that it is that check which refuses."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .keys import Certified, Key, b64url, compact, dumps, foreign_key, from_b64url, signed

Claims = dict[str, object]


@dataclass(frozen=True)
class Model:
    """A token that is right, in parts, and what else its verifier trusts."""
    key: Key
    header: Claims
    claims: Claims
    ec: Key           # trusted as well, for ES256
    ec_header: Claims
    others: Key       # trusted, too, but by another tenant or hierarchy

    def token(self, **header: object) -> str:
        return signed(self.key, self.claims, {**self.header, **header})

    def with_claims(self, **changes: object) -> str:
        claims = {name: value for name, value in {**self.claims, **changes}.items()
                  if value is not None}
        return signed(self.key, claims, self.header)

    def parts(self) -> tuple[str, str, str]:
        header, claims, signature = self.token().split(".")
        return header, claims, signature


Forgery = tuple[str, str]  # name, token


def forgeries(m: Model) -> Iterator[Forgery]:
    """What is wrong with tokens of any issuer."""
    yield from _algorithms(m)
    yield from _own_keys(m)
    yield from _key_names(m)
    yield from _signatures(m)
    yield from _elliptic(m)
    yield from _encodings(m)
    yield from _objects(m)
    yield from _times(m)
    yield from _addresses(m)


def _unsigned(m: Model, header: Claims, secret: bytes | None = None) -> str:
    """No signature, or an HMAC with `secret`."""
    text = f"{b64url(dumps(header))}.{b64url(dumps(m.claims))}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{text}.{b64url(mac)}"


def _algorithms(m: Model) -> Iterator[Forgery]:
    for name in ("none", "None", "nOnE", "NONE", ""):
        yield f"alg {name or 'empty'}", _unsigned(m, {**m.header, "alg": name})
    yield "alg none, signed", m.token(alg="none")
    yield "alg missing", signed(m.key, m.claims,
                                {k: v for k, v in m.header.items() if k != "alg"})
    yield "alg a list", m.token(alg=[m.key.alg])
    yield "alg rs256 in small letters", m.token(alg="rs256")
    hs256 = {**m.header, "alg": "HS256"}
    yield "HS256 with the public key as PEM", _unsigned(m, hs256, m.key.public_pem())
    yield "HS256 with the PEM without its last newline", _unsigned(
        m, hs256, m.key.public_pem().rstrip(b"\n"))
    yield "HS256 with the public key as DER", _unsigned(m, hs256, m.key.public_der())
    yield "HS256 with the modulus", _unsigned(m, hs256, from_b64url(m.key.jwk()["n"]))
    yield "HS256 with the JWK", _unsigned(m, hs256, dumps(m.key.jwk()))
    yield "HS256 with an empty secret", _unsigned(m, hs256, b"")
    for name in ("HS384", "RS384", "RS512", "PS256", "ES384", "EdDSA", "RSA1_5", "dir"):
        yield f"alg {name}", m.token(alg=name)


def _own_keys(m: Model) -> Iterator[Forgery]:
    """It brings the key that it was signed with."""
    own = foreign_key()
    certified = Certified.make(own)
    body = b"".join(certified.certificate.splitlines()[1:-1]).decode()
    for member, value in (("jwk", own.jwk()), ("jku", "https://localhost:1/keys"),
                          ("x5u", "https://localhost:1/key.pem"), ("x5c", [body])):
        yield f"{member}, by that key", signed(own, m.claims, {**m.header, member: value})
        yield f"{member}, by the right key", m.token(**{member: value})
    yield "by a key of a stranger", signed(own, m.claims, m.header)
    yield "by a key of a stranger under its name", signed(
        own, m.claims, {"typ": "JWT", "alg": "RS256", "kid": own.kid})
    yield "by a key that others trust", signed(m.others, m.claims, m.header)
    yield "by a key that others trust, under its name", signed(
        m.others, m.claims, {"typ": "JWT", "alg": "RS256", "kid": m.others.kid})


def _key_names(m: Model) -> Iterator[Forgery]:
    def named(kid: object) -> str:
        header = {k: v for k, v in m.header.items() if k not in ("kid", "x5t")}
        return signed(m.key, m.claims, header if kid is None else {**header, "kid": kid})
    yield "no kid", named(None)
    yield "kid of another key", named(m.ec.kid)
    yield "kid unknown", named("nobody")
    yield "kid empty", named("")
    yield "kid a number", named(7)
    yield "kid null", signed(m.key, m.claims, {**m.header, "kid": None})
    yield "kid in other case", named(m.key.kid.swapcase())
    yield "kid with a NUL", named(m.key.kid + "\0")
    yield "kid a path, HS256", _unsigned(
        m, {**m.header, "alg": "HS256", "kid": "../../../../../../dev/null"}, b"")
    yield "kid a path", named(f"../keys/{m.key.kid}")
    yield "kid a URL", named("https://localhost:1/keys")
    yield "kid a query", named("x' UNION SELECT 'key' --")
    yield "kid long", named("k" * 5000)


def _signatures(m: Model) -> Iterator[Forgery]:
    header, claims, signature = m.parts()
    raw = from_b64url(signature)
    yield "payload changed", f"{header}.{b64url(dumps({**m.claims, 'extra': 1}))}.{signature}"
    yield "header changed", f"{b64url(dumps({**m.header, 'extra': 1}))}.{claims}.{signature}"
    for name, bytes_ in (("signature: a bit changed", bytes([raw[0] ^ 1]) + raw[1:]),
                         ("signature: last bit changed", raw[:-1] + bytes([raw[-1] ^ 1])),
                         ("signature cut", raw[:-1]), ("signature longer", raw + b"\0"),
                         ("signature with a zero before it", b"\0" + raw),
                         ("signature empty", b""), ("signature of zeros", bytes(len(raw))),
                         ("signature of ones", b"\xff" * len(raw))):
        yield name, f"{header}.{claims}.{b64url(bytes_)}"
    yield "signature of another token", f"{header}.{claims}." + \
        m.with_claims(other="token").split(".")[2]


def _elliptic(m: Model) -> Iterator[Forgery]:
    head, body = dumps(m.ec_header), dumps(m.claims)
    text = f"{b64url(head)}.{b64url(body)}".encode()
    right = m.ec.sign(text)
    order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    for name, signature in (
            ("DER", m.ec.sign_der(text)), ("of zeros", bytes(64)), ("empty", b""),
            ("r zero", bytes(32) + right[32:]), ("s zero", right[:32] + bytes(32)),
            ("r and s of the order", 2 * order.to_bytes(32, "big")),
            ("r and s swapped", right[32:] + right[:32]), ("cut", right[:63]),
            ("longer", right + b"\0"), ("with zeros for P-521", bytes(34) + right + bytes(34))):
        yield f"ES256 {name}", compact(head, body, signature)
    yield "ES256 by the RSA key", m.token(alg="ES256")
    yield "RS256 by the EC key", signed(m.ec, m.claims, {**m.ec_header, "alg": "RS256"})
    yield "ES256, named as the RSA key", signed(m.ec, m.claims, {**m.header, "alg": "ES256"})


def _encodings(m: Model) -> Iterator[Forgery]:
    header, claims, signature = m.parts()
    pad = "=" * (-len(signature) % 4) or "="
    yield "signature padded", f"{header}.{claims}.{signature}{pad}"
    yield "signature padded too much", f"{header}.{claims}.{signature}===="
    padded = b64url(dumps(m.claims)) + "=" * (-len(claims) % 4 or 4)
    text = f"{header}.{padded}"
    yield "payload padded, signed so", f"{text}.{b64url(m.key.sign(text.encode()))}"
    yield "signature in the plain alphabet", _plain_alphabet(m)
    yield "signature with other tail bits", f"{header}.{claims}.{_other_tail(signature)}"
    for where, name in ((1, "in the header"), (len(header) + 5, "in the payload"),
                        (len(header) + len(claims) + 9, "in the signature")):
        token = f"{header}.{claims}.{signature}"
        yield f"a '*' {name}", token[:where] + "*" + token[where:]
    yield "two parts", f"{header}.{claims}"
    yield "one part", header
    yield "four parts", f"{header}.{claims}.{signature}.{signature}"
    yield "an empty part before it", f".{header}.{claims}.{signature}"
    yield "no header", f".{claims}.{signature}"
    yield "no payload", f"{header}..{signature}"
    yield "dots only", ".."
    yield "a JWE of five parts", ".".join((
        b64url(dumps({"alg": "RSA-OAEP", "enc": "A256GCM"})), signature, b64url(bytes(12)), claims,
        b64url(bytes(16))))
    yield "another token behind it", f"{m.token()}.{m.token()}"
    yield "longer than any", m.with_claims(filler="x" * 20000)


def _plain_alphabet(m: Model) -> str:
    """With '+' or '/' where '-' or '_' belong."""
    for number in range(100):
        header, claims, signature = m.with_claims(number=number).split(".")
        if set(signature) & set("-_"):
            break
    return f"{header}.{claims}." + signature.replace("-", "+").replace("_", "/")


def _other_tail(text: str) -> str:
    """The same bytes for a careless reader: bits behind the last byte are not zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text) % 4, "no spare bits"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def _objects(m: Model) -> Iterator[Forgery]:
    """Signed as they are, but not one plain object each."""
    head, body = dumps(m.header), dumps(m.claims)
    alg = m.key.alg
    yield "alg twice, none last", signed(m.key, m.claims, head[:-1] + b',"alg":"none"}')
    yield "alg twice, none first", signed(m.key, m.claims, b'{"alg":"none",' + head[1:])
    yield "alg twice, the same", signed(m.key, m.claims, head[:-1] + f',"alg":"{alg}"}}'.encode())
    yield "kid twice", signed(m.key, m.claims, head[:-1] + b',"kid":"x"}')
    yield "exp twice", signed(m.key, body[:-1] + b',"exp":9999999999}', m.header)
    yield "aud twice", signed(m.key, body[:-1] + b',"aud":"other"}', m.header)
    for name, bytes_ in (
            ("a list", b"[" + body + b"]"), ("null", b"null"), ("text", dumps("x")),
            ("not JSON", b"exp=1"), ("cut", body[:-1]), ("empty", b""),
            ("followed by more", body + body), ("not UTF-8", body[:-1] + b',"x":"\xff"}'),
            ("with a NUL behind it", body + b"\0"),
            ("nested deep", body[:-1] + b',"x":' + b"[" * 3000 + b"]" * 3000 + b"}"),
            ("another token", m.token().encode())):
        yield f"payload {name}", signed(m.key, bytes_, m.header)
    yield "header a list", signed(m.key, m.claims, b"[" + head + b"]")
    yield "header not UTF-8", signed(m.key, m.claims, head[:-1] + b',"x":"\xff"}')
    yield "nested, cty JWT", signed(m.key, m.token().encode(), {**m.header, "cty": "JWT"})
    yield "crit unknown", m.token(crit=["exp"], exp=1)
    yield "crit empty", m.token(crit=[])
    yield "b64 false", m.token(b64=False, crit=["b64"])
    yield "zip", m.token(zip="DEF")
    yield "enc", m.token(enc="A256GCM")


def _times(m: Model) -> Iterator[Forgery]:
    now = int(time.time())
    yield "expired long ago", m.with_claims(nbf=now - 9000, iat=now - 9000, exp=now - 3600)
    yield "expired beyond the leeway", m.with_claims(nbf=now - 3600, iat=now - 3600, exp=now - 90)
    yield "not yet valid", m.with_claims(nbf=now + 1800)
    yield "issued in the future", m.with_claims(nbf=None, iat=now + 1800)
    yield "no exp", m.with_claims(exp=None)
    for name, exp in (("text", str(now + 3600)), ("real", now + 3600.5), ("negative", -1),
                      ("zero", 0), ("null in a list", [None]), ("true", True),
                      ("beyond 64 bits", 1 << 70)):
        yield f"exp {name}", m.with_claims(exp=exp)
    yield "exp 1e400", signed(m.key, dumps(m.claims).replace(
        f'"exp":{m.claims["exp"]}'.encode(), b'"exp":1e400'), m.header)
    yield "nbf text", m.with_claims(nbf=str(now))


def _addresses(m: Model) -> Iterator[Forgery]:
    issuer, audience = str(m.claims["iss"]), str(m.claims["aud"])
    for name, value in (("missing", None), ("empty", ""), ("a list", [issuer]),
                        ("of nobody", "https://issuer.example/"), ("longer", issuer + "x"),
                        ("shorter", issuer[:-1]), ("in capitals", issuer.upper()),
                        ("with a blank", issuer + " "), ("with a NUL", issuer + "\0")):
        yield f"iss {name}", m.with_claims(iss=value)
    for name, value in (("missing", None), ("empty", ""), ("of others", "https://graph.example"),
                        ("an empty list", []), ("a list of others", ["a", "b"]),
                        ("longer", audience + "/"), ("shorter", audience[:-1]),
                        ("in capitals", audience.upper()), ("in a list in a list", [[audience]]),
                        ("an object", {audience: True}), ("with a NUL", audience + "\0")):
        yield f"aud {name}", m.with_claims(aud=value)


def entra_forgeries(m: Model, other_tenant: str, other_issuer: str) -> Iterator[Forgery]:
    """Signed by the tenant's own key, and still not a client's."""
    yield "tid of another tenant", m.with_claims(tid=other_tenant)
    yield "tid missing", m.with_claims(tid=None)
    yield "tid and iss of another tenant", m.with_claims(tid=other_tenant, iss=other_issuer)
    yield "iss of another tenant", m.with_claims(iss=other_issuer)
    yield "neither device nor user", m.with_claims(deviceid=None, idtyp=None)
    yield "an application", m.with_claims(deviceid=None, idtyp="app", oid=other_tenant)
    yield "deviceid empty", m.with_claims(deviceid="", idtyp=None)


def site_forgeries(m: Model, other_hierarchy: str, blocked: str) -> Iterator[Forgery]:
    """Signed by the site's own key, and still refused. `m` is a client token."""
    now = int(time.time())
    yield "x5t of another certificate", m.token(x5t=b64url(b"\x01" * 20))
    yield "x5t#S256 of another certificate", m.token(**{"x5t#S256": b64url(b"\x01" * 32)})
    yield "of another hierarchy", m.with_claims(
        TenantId=other_hierarchy, iss=f"urn:sccm:oauth2:{other_hierarchy}")
    yield "TenantId of another hierarchy", m.with_claims(TenantId=other_hierarchy)
    yield "Authority of others", m.with_claims(Authority="Other")
    yield "Type unknown", m.with_claims(Type="Administrator")
    yield "Type missing", m.with_claims(Type=None)
    yield "category of a bulk token", m.with_claims(SCCMTokenCategory="SCCMPreAuthToken")
    yield "ClientId missing", m.with_claims(ClientId=None)
    yield "ClientId no GUID", m.with_claims(ClientId="PC1")
    yield "UniqueId missing", m.with_claims(UniqueId=None)
    yield "UniqueId no GUID", m.with_claims(UniqueId="1")
    yield "blocked token", m.with_claims(UniqueId=blocked)
    yield "blocked token in capitals", m.with_claims(UniqueId=blocked.upper())
    yield "blocked client", m.with_claims(ClientId=blocked)
    yield "91 days", m.with_claims(exp=now + 91 * 86400)
    yield "no nbf", m.with_claims(nbf=None)
    day = {"Type": "Device", "SCCMTokenCategory": "SCCMToken"}
    yield "token of CCM_STS for 9 hours", m.with_claims(**day, exp=now + 9 * 3600)
    bulk = {"Type": "BulkRegistration", "SCCMTokenCategory": "SCCMPreAuthToken", "ClientId": None}
    yield "bulk token for 8 days", m.with_claims(**bulk, exp=now + 8 * 86400)
    yield "bulk token without an id", m.with_claims(**bulk, UniqueId=None, exp=now + 86400)
    yield "blocked bulk token", m.with_claims(**bulk, UniqueId=blocked, exp=now + 86400)


def jose_parts(token: str) -> str:
    """A compact token as the flattened JSON form, which no field may carry."""
    header, claims, signature = token.split(".")
    return json.dumps({"protected": header, "payload": claims, "signature": signature},
                      separators=(",", ":"))
