"""A throw-away public key infrastructure, made with the openssl command.

    client root  > client intermediate > clients, and one that chains to a foreign root
    point CA     > connection points cp1, cp2, ...
    server CA    > the gateways' certificate
    site CA      > the management point's certificate, and the connection point's
                   certificate for a management point that asks for one
    proxy CA     > the certificate of an https:// proxy
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .waiting import LabError


def _openssl(*args: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, cwd=cwd,
                          umask=0o077)
    if done.returncode != 0:
        raise LabError(f"openssl {args[0]}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Identity:
    """A certificate with its key. `certificate` holds the leaf, then its intermediates."""
    name: str
    certificate: Path
    key: Path


class Authority:
    def __init__(self, folder: Path, name: str, subject: str,
                 parent: "Authority | None" = None) -> None:
        self.folder = folder
        self.name = name
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.parent = parent
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign",
                      "subjectKeyIdentifier=hash"]
        _sign(folder, name, subject, extensions, parent)

    def chain(self) -> str:
        """The intermediates from here up, without the root."""
        if self.parent is None:
            return ""
        return self.certificate.read_text() + self.parent.chain()

    def issue(self, name: str, subject: str, *, usage: str | None = "clientAuth", san: str = "",
              with_chain: bool = True, expired: bool = False, crl_url: str = "") -> Identity:
        extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature",
                      "subjectKeyIdentifier=hash"]
        if usage:
            extensions.append(f"extendedKeyUsage={usage}")
        if san:
            extensions.append(f"subjectAltName={san}")
        if crl_url:
            extensions.append(f"crlDistributionPoints=URI:{crl_url}")
        _sign(self.folder, name, subject, extensions, self, expired)
        certificate = self.folder / f"{name}.pem"
        if with_chain:
            certificate.write_text(certificate.read_text() + self.chain())
        return Identity(name, certificate, self.folder / f"{name}.key")

    def crl(self, revoked: "Sequence[Identity | Authority]" = (), *, days: int = 7,
            file: Path | None = None, reason: str = "keyCompromise") -> Path:
        """A new revocation list (PEM); whoever reads `file` meanwhile sees the old or the new one.
        Negative `days`: it ended that long ago."""
        file = file or self.folder / f"{self.name}.crl"
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            base = Path(scratch)
            (base / "index").touch()
            (base / "number").write_text("01\n")
            (base / "ca.cnf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=index\n"
                                         "crlnumber=number\ndefault_md=sha256\n"
                                         "crl_extensions=x\n[x]\nauthorityKeyIdentifier=keyid\n")
            ca = ("ca", "-config", "ca.cnf", "-cert", self.certificate, "-keyfile", self.key)
            for one in revoked:
                _openssl(*ca, "-revoke", one.certificate, "-crl_reason", reason, cwd=base)
            end = time.gmtime(time.time() + days * 86400)
            dates = ("-crl_lastupdate", "20200101000000Z") if days < 0 else ()
            _openssl(*ca, "-gencrl", *dates, "-crl_nextupdate",
                     time.strftime("%Y%m%d%H%M%SZ", end), "-out", "list", cwd=base)
            (base / "list").replace(file)
        return file


def _sign(folder: Path, name: str, subject: str, extensions: list[str],
          issuer: Authority | None, expired: bool = False) -> None:
    """Makes NAME.key and NAME.pem, signed by `issuer` or by itself."""
    key, request, certificate = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    settings = folder / f"{name}.ext"
    if issuer:
        extensions = [*extensions, "authorityKeyIdentifier=keyid"]
    settings.write_text("[v3]\n" + "\n".join(extensions) + "\n")
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
             "-keyout", key, "-out", request, "-subj", subject)
    if expired:
        _sign_expired(folder, name, request, certificate, settings, issuer)
    elif issuer:
        _openssl("x509", "-req", "-in", request, "-out", certificate, "-days", "30",
                 "-CA", issuer.certificate, "-CAkey", issuer.key,
                 "-set_serial", str(int.from_bytes(os.urandom(8), "big")),
                 "-extfile", settings, "-extensions", "v3")
    else:
        _openssl("x509", "-req", "-in", request, "-out", certificate, "-days", "30",
                 "-signkey", key, "-extfile", settings, "-extensions", "v3")
    request.unlink()
    settings.unlink()
    key.chmod(0o600)


def _sign_expired(folder: Path, name: str, request: Path, certificate: Path, settings: Path,
                  issuer: Authority | None) -> None:
    """`openssl x509` cannot date a certificate back; `openssl ca` can."""
    assert issuer
    config = folder / f"{name}.cnf"
    (folder / f"{name}.index").write_text("")
    config.write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={name}.index\nnew_certs_dir=.\n"
                      f"default_md=sha256\npolicy=p\nrand_serial=yes\n[p]\ncommonName=optional\n"
                      f"organizationName=optional\n")
    _openssl("ca", "-batch", "-notext", "-config", config.name, "-in", request.name,
             "-out", certificate.name, "-cert", issuer.certificate.name,
             "-keyfile", issuer.key.name, "-startdate", "20200101000000Z",
             "-enddate", "20210101000000Z", "-extfile", settings.name, "-extensions", "v3",
             cwd=folder)


class Pki:
    def __init__(self, folder: Path, connection_points: int = 4) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder

        self.client_root = Authority(folder, "client-root", "/O=Lab/CN=Lab Client Root")
        self.client_issuing = Authority(folder, "client-issuing", "/O=Lab/CN=Lab Client Issuing",
                                        self.client_root)
        # Not in any trust file: what is issued here has a missing intermediate.
        self.client_hidden = Authority(folder, "client-hidden", "/O=Lab/CN=Lab Client Hidden",
                                       self.client_root)
        self.point_ca = Authority(folder, "point-ca", "/O=Lab/CN=Lab Connection Point CA")
        self.server_ca = Authority(folder, "server-ca", "/O=Lab/CN=Lab Gateway CA")
        self.site_ca = Authority(folder, "site-ca", "/O=Lab/CN=Lab Site CA")
        self.proxy_ca = Authority(folder, "proxy-ca", "/O=Lab/CN=Lab Proxy CA")
        self.foreign_ca = Authority(folder, "foreign-ca", "/O=Foreign/CN=Foreign Root")

        local = "DNS:localhost,IP:127.0.0.1"
        self.gateway = self.server_ca.issue("gateway", "/CN=localhost", usage="serverAuth",
                                            san=local)
        self.gateway_impostor = self.foreign_ca.issue("gateway-impostor", "/CN=localhost",
                                                      usage="serverAuth", san=local)
        self.gateway_other_name = self.server_ca.issue(
            "gateway-other-name", "/CN=other.example", usage="serverAuth", san="DNS:other.example")
        self.points = {f"cp{i}": self.point(f"cp{i}") for i in range(1, connection_points + 1)}
        self.point_foreign = self.foreign_ca.issue("cp1-foreign", "/CN=cp1", san="DNS:cp1")
        self.point_expired = self.point_ca.issue("cp1-expired", "/CN=cp1", san="DNS:cp1",
                                                 expired=True)
        self.point_no_usage = self.point_ca.issue("cp1-no-usage", "/CN=cp1", san="DNS:cp1",
                                                  usage=None)

        self.client = self.client_issuing.issue("client", "/CN=PC0001.example")
        self.client_2 = self.client_issuing.issue("client-2", "/CN=PC0007.example")
        self.client_expired = self.client_issuing.issue("client-expired", "/CN=PC0002.example",
                                                        expired=True)
        self.client_foreign = self.foreign_ca.issue("client-foreign", "/CN=PC0003.example")
        self.client_no_usage = self.client_issuing.issue("client-no-usage", "/CN=PC0004.example",
                                                         usage=None)
        self.client_server_usage = self.client_issuing.issue(
            "client-server-usage", "/CN=PC0005.example", usage="serverAuth")
        self.client_broken_chain = self.client_hidden.issue(
            "client-broken-chain", "/CN=PC0006.example", with_chain=False)

        self.management_point = self.site_ca.issue("mp", "/CN=mp.lab", usage="serverAuth",
                                                   san="DNS:mp.lab," + local)
        self.point_at_site = self.site_ca.issue("cp-site", "/CN=cp1.lab")
        self.proxy = self.proxy_ca.issue("proxy", "/CN=localhost", usage="serverAuth", san=local)

        # What the gateway is given: roots and intermediates in one file.
        self.client_trust = folder / "client-trust.pem"
        self.client_trust.write_text(self.client_root.certificate.read_text() +
                                     self.client_issuing.certificate.read_text())

    def point(self, name: str) -> Identity:
        return self.point_ca.issue(name, f"/CN={name}", san=f"DNS:{name}")
