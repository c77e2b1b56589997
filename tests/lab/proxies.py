"""Internet proxies of every kind a site may have: squid with Basic, Digest, NTLM and Negotiate
(an MIT KDC of its own on loopback), over http:// and https://, squid that refuses by policy,
and tinyproxy. Each lives in a folder of its own with its own pid file; the system's
configuration is neither read nor touched."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .pki import Pki
from .process import Process
from .waiting import LabError, free_ports, port_answers, wait_for

USER, PASSWORD = "svc-cmg", "Pa55 word#1"
REALM = "LAB.LOCAL"
HELPERS = Path("/usr/lib/squid")


@dataclass
class Proxy:
    """A running proxy; `settings` is the [proxy] section that passes it."""
    name: str
    url: str
    process: Process
    access_log: Path
    settings: dict[str, str]
    env: dict[str, str]  # what the connection point needs in its environment

    def connects(self) -> list[str]:
        """The CONNECT requests in the access log."""
        text = self.access_log.read_text(errors="replace") if self.access_log.exists() else ""
        return [line for line in text.splitlines() if "CONNECT" in line]

    def stop(self) -> None:
        self.process.kill()


class ProxyLab:
    """Starts proxies below `folder`, and ends them all."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        self.pki = pki
        self.running: list[Proxy] = []
        self.kdc: Kdc | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self.wrong_password_file = folder / "wrong-password"
        self.wrong_password_file.write_text("not it\n")
        self.wrong_password_file.chmod(0o600)

    def close(self) -> None:
        for proxy in self.running:
            proxy.stop()
        if self.kdc:
            self.kdc.stop()

    def start(self, kind: str) -> Proxy:
        """kind: open, basic, digest, ntlm, negotiate, https, refusing, tinyproxy."""
        folder = self.folder / f"{kind}-{len(self.running)}"
        folder.mkdir()
        proxy = self._tinyproxy(folder) if kind == "tinyproxy" else self._squid(kind, folder)
        self.running.append(proxy)
        port = int(proxy.url.rsplit(":", 1)[1])

        def answers() -> bool:
            if not proxy.process.is_running():
                raise LabError(f"{kind} proxy ended:\n{proxy.process.explain()}")
            return port_answers(port)
        wait_for(answers, f"the {kind} proxy on port {port}", 20, explain=proxy.process.explain)
        return proxy

    # --- squid ---------------------------------------------------------------------------

    def _squid(self, kind: str, folder: Path) -> Proxy:
        # squid drops root for this user, so its folder must be the user's.
        user = "proxy" if os.geteuid() == 0 else ""
        port = free_ports()
        auth, settings, env = self._auth(kind, folder)
        tls = kind == "https"
        listen = f"https_port 127.0.0.1:{port} tls-cert={folder}/proxy.pem" if tls \
            else f"http_port 127.0.0.1:{port}"
        if tls:
            (folder / "proxy.pem").write_text(self.pki.proxy.certificate.read_text() +
                                              self.pki.proxy.key.read_text())
        access = "http_access deny all" if kind == "refusing" else \
            "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all" \
            if auth else "http_access allow all"
        log = folder / "access.log"
        (folder / "squid.conf").write_text(f"""
{listen}
{auth}
{access}
{f"cache_effective_user {user}" if user else ""}
pid_filename {folder}/squid.pid
access_log stdio:{log}
buffered_logs off
cache_log {folder}/cache.log
coredump_dir {folder}
cache deny all
cache_mem 8 MB
shutdown_lifetime 0 seconds
visible_hostname localhost
hosts_file /etc/hosts
client_persistent_connections on
pinger_enable off
max_filedescriptors 4096
logfile_rotate 0
""")
        if user:
            self._give(folder, user)
        process = Process(f"squid-{kind}", ["/usr/sbin/squid", "-N", "-f", folder / "squid.conf",
                                            "-n", f"lab{port}"], folder / "squid.out", env=env)
        process.start()
        scheme, host = ("https", "localhost") if tls else ("http", "localhost")
        url = f"{scheme}://{host}:{port}"
        return Proxy(kind, url, process, log, {"url": url, **settings}, env)

    def _give(self, folder: Path, user: str) -> None:
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
        # The folders above must let it in; the files in them stay closed.
        for parent in folder.parents:
            if parent == Path("/") or parent.stat().st_mode & 0o001:
                continue
            parent.chmod(parent.stat().st_mode | 0o011)

    def _auth(self, kind: str, folder: Path) -> tuple[str, dict[str, str], dict[str, str]]:
        """squid's auth_param lines, the connection point's [proxy] options, the environment."""
        password = {"user": USER, "password-file": str(self.password_file)}
        if kind in ("basic", "https"):
            _htpasswd(folder / "users")
            lines = (f"auth_param basic program {HELPERS}/basic_ncsa_auth {folder}/users\n"
                     "auth_param basic children 2\nauth_param basic realm lab")
            extra = {"ca-file": str(self.pki.proxy_ca.certificate)} if kind == "https" else {}
            return lines, {"auth": "basic", **password, **extra}, {}
        if kind == "digest":
            secret = hashlib.md5(f"{USER}:lab:{PASSWORD}".encode()).hexdigest()
            (folder / "users").write_text(f"{USER}:lab:{secret}\n")
            lines = (f"auth_param digest program {HELPERS}/digest_file_auth -c {folder}/users\n"
                     "auth_param digest children 2\nauth_param digest realm lab")
            return lines, {"auth": "digest", **password}, {}
        if kind == "ntlm":
            lines = (f"auth_param ntlm program {HELPERS}/ntlm_fake_auth\n"
                     "auth_param ntlm children 2\nauth_param ntlm keep_alive on")
            return lines, {"auth": "ntlm", **password}, {}
        if kind == "negotiate":
            self.kdc = self.kdc or Kdc(self.folder / "kdc")
            keytab = folder / "http.keytab"
            keytab.write_bytes(self.kdc.http_keytab.read_bytes())
            lines = (f"auth_param negotiate program {HELPERS}/negotiate_kerberos_auth "
                     f"-k {keytab} -s GSS_C_NO_NAME\n"
                     "auth_param negotiate children 2\nauth_param negotiate keep_alive on")
            return lines, {"auth": "negotiate"}, self.kdc.env
        return "", {"auth": "any"}, {}

    # --- tinyproxy -----------------------------------------------------------------------

    def _tinyproxy(self, folder: Path) -> Proxy:
        port = free_ports()
        log = folder / "tinyproxy.log"
        # tinyproxy's BasicAuth knows no blanks in passwords.
        password = self.folder / "tiny-password"
        password.write_text("tinySecret1")
        password.chmod(0o600)
        (folder / "tinyproxy.conf").write_text(f"""
Port {port}
Listen 127.0.0.1
Timeout 600
LogFile "{log}"
LogLevel Connect
PidFile "{folder}/tinyproxy.pid"
MaxClients 100
BasicAuth {USER} tinySecret1
""")
        process = Process("tinyproxy", ["/usr/bin/tinyproxy", "-d", "-c",
                                        folder / "tinyproxy.conf"], folder / "tinyproxy.out")
        process.start()
        url = f"http://localhost:{port}"
        settings = {"url": url, "auth": "basic", "user": USER, "password-file": str(password)}
        return Proxy("tinyproxy", url, process, log, settings, {})


def _htpasswd(path: Path) -> None:
    done = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], capture_output=True,
                          text=True, check=True)
    path.write_text(f"{USER}:{done.stdout.strip()}\n")


class Kdc:
    """A Kerberos realm on loopback, and a ticket cache for USER."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        port = free_ports()
        self.env = {"KRB5_CONFIG": str(folder / "krb5.conf"),
                    "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
                    "KRB5CCNAME": f"FILE:{folder}/ticket",
                    "KRB5RCACHETYPE": "none"}
        # dns_canonicalize_hostname: the service is HTTP/localhost whatever /etc/hosts says.
        (folder / "krb5.conf").write_text(f"""
[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {REALM}
""")
        (folder / "kdc.conf").write_text(f"""
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {REALM} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        acl_file = {folder}/acl
        max_life = 1h
    }}
""")
        self._run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        self._admin(f"addprinc -pw user-password {USER}")
        # Once: a second ktadd would make new keys, and tickets in the cache worthless.
        self.http_keytab = folder / "http.keytab"
        self._admin("addprinc -randkey HTTP/localhost")
        self._admin(f"ktadd -k {self.http_keytab} HTTP/localhost")
        self.process = Process("krb5kdc", ["/usr/sbin/krb5kdc", "-n", "-P", folder / "kdc.pid"],
                               folder / "kdc.out", env=self.env).start()
        wait_for(lambda: port_answers(port), f"the KDC on port {port}",
                 explain=self.process.explain)
        self._run("kinit", USER, stdin="user-password\n")

    def _run(self, program: str, *args: str, stdin: str = "") -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        done = subprocess.run([program, *args], input=stdin, capture_output=True, text=True,
                              env={**os.environ, **self.env, "PATH": path})
        if done.returncode != 0:
            raise LabError(f"{program} {args}: {done.stdout}{done.stderr}")

    def _admin(self, query: str) -> None:
        self._run("kadmin.local", "-r", REALM, "-q", query)

    def stop(self) -> None:
        self.process.kill()
