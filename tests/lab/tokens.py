"""Tokens that are right: those of the site, and Entra ones signed with the issuer's own key where
a real issuer would not say what a test needs (yesterday, another tenant). And the query that opens
a content. Written from the protocol, not with the code under test."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from .daemons import Settings
from .keys import Certified, Key, b64url, signed
from .oidc import AUDIENCE, Tenant, device

HOUR, DAY = 3600, 86400
CATEGORIES = {"BulkRegistration": "SCCMPreAuthToken", "Client": "SCCMClientToken",
              "Device": "SCCMToken", "UDA": "SCCMToken"}


def guid() -> str:
    return str(uuid.uuid4())


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


# --- Entra ------------------------------------------------------------------------------------

def entra_claims(tenant: Tenant, **changes: object) -> dict[str, object]:
    """Claims of a device's token; None takes one out."""
    now = int(time.time())
    return changed({"aud": AUDIENCE, "iss": tenant.v2, "iat": now, "nbf": now, "exp": now + HOUR,
                    "tid": tenant.id, "ver": "2.0", **device()}, changes)


def entra_token(tenant: Tenant, key: Key | None = None, **changes: object) -> str:
    key = key or tenant.keys[0]
    return signed(key, entra_claims(tenant, **changes),
                  {"typ": "JWT", "alg": key.alg, "kid": key.kid})


def changed(claims: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


# --- the site ---------------------------------------------------------------------------------

@dataclass
class SiteKeys:
    """The hierarchy and what it signs with: an RSA key for tokens and content, and an EC key that
    is trusted as well. Files are this object's own, so that a test may change them."""
    folder: Path
    hierarchy: str = field(default_factory=guid)
    rsa: Certified = field(default_factory=lambda: Certified.make(Key.rsa()))
    ec: Certified = field(default_factory=lambda: Certified.make(Key.ec()))
    content_issuer: str = "mp.corp.example.com"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.block_list = self.folder / "blocked"
        self.block_list.write_text("# nobody yet\n")
        self.trust(self.rsa, self.ec)

    @property
    def certificates(self) -> Path:
        return self.folder / "site-tokens.pem"

    def trust(self, *certified: Certified) -> None:
        """What the gateway takes for the site's keys from now on; replaced in one step."""
        fresh = self.folder / "site-tokens.pem.new"
        fresh.write_bytes(b"".join(one.certificate for one in certified))
        fresh.rename(self.certificates)

    def settings(self) -> Settings:
        return {"site-tokens": {"hierarchy": self.hierarchy, "certificates": self.certificates,
                                "block-list": self.block_list}}

    @property
    def issuer(self) -> str:
        return f"urn:sccm:oauth2:{self.hierarchy.lower()}"

    def claims(self, kind: str, **changes: object) -> dict[str, object]:
        """`kind` is "BulkRegistration", "Client", "Device" or "UDA"."""
        now = int(time.time())
        lifetime = {"BulkRegistration": 3 * DAY, "Client": 90 * DAY}.get(kind, 8 * HOUR)
        claims = {"SCCMTokenCategory": CATEGORIES[kind], "Authority": "SCCM", "License": "SCCM",
                  "Type": kind, "TenantId": self.hierarchy, "UniqueId": guid(),
                  "iss": self.issuer, "aud": "urn:sccm:service", "nbf": now, "exp": now + lifetime}
        if kind != "BulkRegistration":
            claims["ClientId"] = guid()
        return changed(claims, changes)

    def token(self, kind: str, by: Certified | None = None, **changes: object) -> str:
        by = by or self.rsa
        return signed(by.key, self.claims(kind, **changes),
                      {"typ": "JWT", "alg": by.key.alg, "x5t": by.x5t, "kid": by.x5t})

    def client(self, **changes: object) -> str:
        return self.token("Client", **changes)

    def bulk(self, **changes: object) -> str:
        return self.token("BulkRegistration", **changes)

    def content(self, content: str = "PS100042.3", **changes: str | None) -> str:
        """The query that opens a content: signed over its very bytes."""
        now = time.time()
        members = {"pid": "PS100042", "cid": content, "tid": f"GUID:{guid().upper()}",
                   "iss": self.content_issuer, "alg": "1.2.840.113549.1.1.11",
                   "st": _utc(now - 60), "et": _utc(now + 8 * HOUR), "x5t": self.rsa.x5t}
        query = "&".join(f"{name}={value}" for name, value in changed(members, changes).items())
        return f"{query}&signature={b64url(self.rsa.key.sign(query.encode()))}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


CONTENT_PATH = "/downloadrestservice.svc/getcontentxmlsecure"
