"""Everything by which a client may prove who it is, put together for a gateway: two tenants of a
real OpenID issuer, and the site's token keys."""

from __future__ import annotations

from pathlib import Path

from .daemons import Settings, merged
from .forged import Model
from .keys import Key
from .oidc import Issuer, Tenant
from .pki import Pki
from .tokens import SiteKeys, entra_claims


class Auth:
    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        # The second key is published, too, so that ES256 has one that verifies.
        self.contoso = Tenant("contoso", keys=[Key.rsa(), Key.ec()])
        self.fabrikam = Tenant("fabrikam")
        self.issuer = Issuer(folder, pki, [self.contoso, self.fabrikam])
        self.site = SiteKeys(folder / "site")

    def start(self) -> "Auth":
        self.issuer.start()
        return self

    def stop(self) -> None:
        self.issuer.stop()

    def settings(self, changes: Settings | None = None) -> Settings:
        """Sections of a gateway that accepts all of it."""
        return merged({**self.issuer.settings(), **self.site.settings()}, changes)

    def entra_model(self) -> Model:
        rsa, ec = self.contoso.keys
        return Model(rsa, {"typ": "JWT", "alg": "RS256", "kid": rsa.kid},
                     entra_claims(self.contoso), ec, {"typ": "JWT", "alg": "ES256", "kid": ec.kid},
                     self.fabrikam.keys[0])

    def site_model(self) -> Model:
        rsa, ec = self.site.rsa, self.site.ec
        return Model(rsa.key, {"typ": "JWT", "alg": "RS256", "x5t": rsa.x5t, "kid": rsa.x5t},
                     self.site.claims("Client"), ec.key,
                     {"typ": "JWT", "alg": "ES256", "x5t": ec.x5t, "kid": ec.x5t},
                     self.contoso.keys[0])
