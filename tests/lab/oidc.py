"""A real OpenID issuer, on npm's oidc-provider, that plays Microsoft Entra ID for any number of
tenants: each has a v1 and a v2 issuer with the names that Microsoft gives them, and one set of
keys. It can turn its keys, count who asks for them, and go down."""

from __future__ import annotations

import json
import ssl
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from . import node
from .daemons import Settings
from .keys import Key
from .pki import Pki
from .waiting import free_ports

AUDIENCE = "https://ConfigMgrService"
CLIENT_APP = "0b7e6d8e-6c0c-4b8e-8f0e-9d4d9a1f2c33"


@dataclass
class Tenant:
    label: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    keys: list[Key] = field(default_factory=lambda: [Key.rsa()])

    @property
    def v1(self) -> str:
        return f"https://sts.windows.net/{self.id}/"

    @property
    def v2(self) -> str:
        return f"https://login.microsoftonline.com/{self.id}/v2.0"


def device(name: str = "PC0001") -> dict[str, str]:
    """Claims of a device's token."""
    return {"deviceid": str(uuid.uuid4()), "idtyp": "device", "device_name": name}


def user(name: str = "ada@contoso.example") -> dict[str, str]:
    """Claims of a user's token."""
    return {"oid": str(uuid.uuid4()), "upn": name, "scp": "user_impersonation"}


class Issuer:
    """One process that serves the issuers of all `tenants`."""

    def __init__(self, folder: Path, pki: Pki, tenants: list[Tenant]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tenants = tenants
        self.trust = pki.server_ca.certificate
        self.port = free_ports(2)
        self._control = f"http://127.0.0.1:{self.port + 1}"
        self._tls = ssl.create_default_context(cafile=str(self.trust))
        settings = folder / "issuer.json"
        settings.write_text(json.dumps({
            "port": self.port, "control": self.port + 1,
            "certificate": str(pki.gateway.certificate), "key": str(pki.gateway.key),
            "tenants": {tenant.id: _private(tenant.keys) for tenant in tenants}}))
        settings.chmod(0o600)
        self.process = node.process("issuer", "issuer.mjs", settings, log=folder / "issuer.log")

    def start(self) -> "Issuer":
        self.process.start().wait_log(r"issuer\.ready", within=30)
        return self

    def stop(self) -> None:
        self.process.kill()

    def url(self, tenant: Tenant, version: str = "v2.0") -> str:
        return f"https://localhost:{self.port}/{tenant.id}/{version}"

    def settings(self) -> Settings:
        """[tenant ...] sections of a gateway that accepts all of them."""
        return {f"tenant {tenant.label}": {
            "id": tenant.id, "client-app": CLIENT_APP, "ca-file": self.trust,
            "discovery": self.url(tenant) + "/.well-known/openid-configuration",
        } for tenant in self.tenants}

    def token(self, tenant: Tenant, claims: dict[str, str], version: str = "v2.0",
              audience: str = AUDIENCE) -> str:
        """An access token, by the client credentials grant."""
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": "lab", "client_secret": "lab",
            "resource": audience}).encode()
        request = urllib.request.Request(self.url(tenant, version) + "/token", form,
                                         {"X-Lab-Claims": json.dumps(claims)})
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            return json.loads(answer.read())["access_token"]

    def use_keys(self, tenant: Tenant, keys: list[Key]) -> None:
        """Signs with the first of these from now on, and publishes all of them."""
        tenant.keys = keys
        self._ask(f"/tenants/{tenant.id}", _private(keys))

    def enter(self, mode: str) -> None:
        """"up", "down", "fail" or "stall"."""
        self._ask("/mode", mode)

    def counts(self, tenant: Tenant) -> dict[str, int]:
        """How often its "discovery" and its "jwks" were asked for."""
        return self._ask("/counts", None)[tenant.id]

    def _ask(self, path: str, body: object) -> dict[str, dict[str, int]]:
        request = urllib.request.Request(
            self._control + path, None if body is None else json.dumps(body).encode(),
            method="GET" if body is None else "PUT")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())


def _private(keys: list[Key]) -> dict[str, object]:
    return {"keys": [key.jwk(private=True) for key in keys]}
