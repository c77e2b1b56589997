"""Keys that sign tokens, on python3-cryptography, and the compact form of a token, byte by byte,
so that a test can make it wrong wherever it likes."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID

_numbers = itertools.count(1)


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _uint(number: int, length: int) -> str:
    return b64url(number.to_bytes(length, "big"))


@dataclass(frozen=True)
class Key:
    """An RSA or EC private key with the id that it is published under."""
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    kid: str

    @classmethod
    def rsa(cls, bits: int = 2048, kid: str = "") -> "Key":
        return cls(rsa.generate_private_key(65537, bits), kid or f"rsa-{next(_numbers)}")

    @classmethod
    def ec(cls, kid: str = "") -> "Key":
        return cls(ec.generate_private_key(ec.SECP256R1()), kid or f"ec-{next(_numbers)}")

    @property
    def alg(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    def sign(self, data: bytes) -> bytes:
        """As RFC 7518 wants it: RS256, or ES256 with r and s as 32 bytes each."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = utils.decode_dss_signature(self.sign_der(data))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def sign_der(self, data: bytes) -> bytes:
        """ES256 as ASN.1, which no token may have."""
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def public_der(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def private_pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    def jwk(self, private: bool = False) -> dict[str, str]:
        made = {"kid": self.kid, "use": "sig", "alg": self.alg}
        numbers = self.private.private_numbers()
        public = numbers.public_numbers
        if isinstance(public, rsa.RSAPublicNumbers):
            size = self.private.key_size // 8
            made |= {"kty": "RSA", "n": _uint(public.n, size), "e": _uint(public.e, 3)}
            if private:
                half = size // 2
                made |= {"d": _uint(numbers.d, size), "p": _uint(numbers.p, half),
                         "q": _uint(numbers.q, half), "dp": _uint(numbers.dmp1, half),
                         "dq": _uint(numbers.dmq1, half), "qi": _uint(numbers.iqmp, half)}
        else:
            made |= {"kty": "EC", "crv": "P-256", "x": _uint(public.x, 32), "y": _uint(public.y, 32)}
            if private:
                made["d"] = _uint(numbers.private_value, 32)
        return made


@dataclass(frozen=True)
class Certified:
    """A key with a certificate that it signed itself, as a site has for its tokens. The key's id
    is the certificate's SHA-1 thumbprint."""
    key: Key
    certificate: bytes  # PEM
    x5t: str

    @classmethod
    def make(cls, key: Key, name: str = "Lab site token", from_days: int = -1,
             to_days: int = 365) -> "Certified":
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder(
            subject, subject, key.private.public_key(), x509.random_serial_number(),
            now + datetime.timedelta(from_days), now + datetime.timedelta(to_days),
        ).sign(key.private, hashes.SHA256())
        x5t = b64url(hashlib.sha1(made.public_bytes(serialization.Encoding.DER)).digest())
        return cls(Key(key.private, x5t), made.public_bytes(serialization.Encoding.PEM), x5t)

    def write(self, folder: Path, name: str) -> Path:
        """NAME.pem and NAME.key; returns the first."""
        key = folder / f"{name}.key"
        key.write_bytes(self.key.private_pem())
        key.chmod(0o600)
        (folder / f"{name}.pem").write_bytes(self.certificate)
        return folder / f"{name}.pem"


def dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def compact(header: bytes, claims: bytes, signature: bytes) -> str:
    return ".".join(b64url(part) for part in (header, claims, signature))


def signed(key: Key, claims: dict[str, object] | bytes, header: dict[str, object] | bytes) -> str:
    """A token whose signature is right, whatever else is in it."""
    head = header if isinstance(header, bytes) else dumps(header)
    body = claims if isinstance(claims, bytes) else dumps(claims)
    text = f"{b64url(head)}.{b64url(body)}".encode()
    return text.decode() + "." + b64url(key.sign(text))


@functools.cache
def foreign_key() -> Key:
    """A key that nobody trusts."""
    return Key.rsa(kid="foreign")
