"""No secret leaves by a log, an answer, a command line or an environment: everything that could
bring one is sent with a canary in it, at level debug, and then looked for everywhere."""

from __future__ import annotations

import base64
import configparser
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import proxies as proxy_lab
from lab.auth import Auth
from lab.client import Response
from lab.oidc import device, user
from lab.proxies import ProxyLab
from lab.site import ECHO, MP, SERVER, Lab, on
from lab.tokens import CONTENT_PATH, bearer
from lab.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


class Canaries:
    """Secrets by what they are, with every form in which one could come to light."""

    def __init__(self) -> None:
        self.forms: dict[str, str] = {}

    def new(self, what: str) -> str:
        return self.add(what, f"canary{secrets.token_hex(12)}")

    def add(self, what: str, secret: str) -> str:
        self.forms[what] = secret
        self.forms[f"{what} in base64"] = base64.b64encode(secret.encode()).decode().rstrip("=")
        return secret

    def token(self, what: str, token: str) -> str:
        """A token is given away by its signature, and by its claims and header put together."""
        header, claims, signature = token.split(".")
        self.forms[f"{what}: signature"] = signature
        self.forms[f"{what}: claims"] = claims[:60]
        self.forms[f"{what}: header"] = f"{header}."
        return token

    def key(self, what: str, path: Path) -> None:
        lines = [line for line in path.read_text().splitlines() if "-----" not in line]
        for number, line in enumerate(lines):
            if len(line) > 16:
                self.forms[f"{what}: line {number + 1}"] = line

    def found_in(self, text: str) -> list[str]:
        return [what for what, form in self.forms.items() if form in text]


class Secretive:
    """A lab at level debug that has secrets of every kind, and the answers that it gave."""

    def __init__(self, lab: Lab, auth: Auth, canaries: Canaries) -> None:
        self.lab, self.auth, self.canaries = lab, auth, canaries
        self.answers: list[Response] = []

    def ask(self, target: str, headers: list[tuple[str, str]] = (), body: bytes | None = None,
            identity: str | None = None, method: str = "GET") -> None:
        for open_front in (self.lab.http1, self.lab.http2):
            with open_front(identity=identity) as http:
                try:
                    self.answers.append(http.request(method, target, headers, body))
                except OSError:
                    pass  # it may well close instead of answering


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(params=["text", "json"], scope="module")
def secretive(request, labs, auth: Auth, proxies: ProxyLab, canaries: Canaries,
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secretive]:
    folder = tmp_path_factory.mktemp("secrets")
    storage_key = base64.b64encode(canaries.new("storage key").encode()).decode()
    (folder / "storage.key").write_text(canaries.add("storage key as it is", storage_key) + "\n")
    (folder / "storage.sas").write_text(
        f"sv=2020-12-06&sr=c&sp=rl&se=2099-01-01T00:00:00Z&sig={canaries.new('SAS')}\n")
    for file in ("storage.key", "storage.sas"):
        (folder / file).chmod(0o600)
    canaries.add("proxy password", proxy_lab.PASSWORD)
    log = {"log": {"level": "debug", "format": request.param}}
    storage = {"url": "http://127.0.0.1:9/contoso", "timeout": "1s"}
    proxy = proxies.start("basic")
    lab = labs(env=proxy.env, gateway=auth.settings({
        **log,
        "content": {"issuers": auth.site.content_issuer},
        "storage main": {"account": "contoso", "key-file": folder / "storage.key", **storage},
        "storage second": {"account": "contoso2", "sas-file": folder / "storage.sas", **storage}}),
        point={**log, "proxy": proxy.settings, "cmg lab": {"transport": "https"}})
    for name in ("gateway", "client", "client_2"):
        canaries.key(f"key of {name}", getattr(lab.pki, name).key)
    canaries.key("key of cp1", lab.pki.points["cp1"].key)
    made = Secretive(lab, auth, canaries)
    send_everything(made)
    yield made


def send_everything(s: Secretive) -> None:
    send_tokens(s)
    send_fields(s)
    send_content(s)
    send_malformed(s)
    # The last one is in the log: so are those before it.
    mark = s.lab.gateways[1].mark()
    s.ask(on(MP, "/SMS_MP/.sms_aut?MPLIST"), identity="client")
    wait_for(lambda: any("access" in line for line in s.lab.gateways[1].lines_since(mark)),
             "the last access event", explain=s.lab.explain)


def send_tokens(s: Secretive) -> None:
    site, issuer, contoso = s.auth.site, s.auth.issuer, s.auth.contoso
    tokens = {"device token": issuer.token(contoso, device()),
              "user token": issuer.token(contoso, user(), "v1.0"), "client token": site.client(),
              "bulk token": site.bulk(), "expired token": site.client(exp=1),
              "token of a stranger": site.client(TenantId="x", iss="urn:x")}
    for what, token in tokens.items():
        s.canaries.token(what, token)
        for target in (on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), on(MP, "/nothing", SERVER),
                       on(ECHO, "/lab/slow?ms=1", SERVER), f"{SERVER}/ServiceMetadata"):
            s.ask(target, bearer(token))
        s.ask(on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), bearer(token[:-3]))
        s.ask(on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), [*bearer(token), *bearer(token)])
        s.ask(on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), [("Authorization", f"Bearer x {token}")])
        s.ask(on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), [("Authorization", token)])
        s.ask(on(MP, f"/SMS_MP/.sms_aut?token={token}", SERVER))


def send_fields(s: Secretive) -> None:
    new = s.canaries.new
    basic = base64.b64encode(f"user:{new('Basic password')}".encode()).decode()
    fields = [("Authorization", f"Basic {s.canaries.add('Basic', basic)}"),
              ("Cookie", f"session={new('cookie')}"),
              ("Proxy-Authorization", f"Basic {new('proxy authorization')}"),
              ("X-Api-Key", new("field")), ("CCMClientIDSignature", new("signature field")),
              ("ClientToken", new("client token field"))]
    for target in (on(MP, "/SMS_MP/.sms_aut?MPLIST"), on(MP, "/nothing"),
                   on(ECHO, "/bad/not-http"), on(ECHO, "/lab/slow?ms=1")):
        for method in ("GET", "POST"):
            body = new("body").encode() if method == "POST" else None
            s.ask(f"{target}{'&' if '?' in target else '?'}key={new('query')}", fields, body,
                  "client", method)
            s.ask(target, fields, body, None, method)


def send_content(s: Secretive) -> None:
    right = s.auth.site.content()
    s.canaries.add("content token", right.rsplit("=", 1)[1])
    for query in (right, right + "x", "signature=" + s.canaries.new("content signature"),
                  s.canaries.new("content query"), right + "&" + right):
        s.ask(f"{CONTENT_PATH}?{query}")


def send_malformed(s: Secretive) -> None:
    """What cannot be read is not quoted either."""
    new = s.canaries.new
    for head in (f"GET /?{new('bad line')} X HTTP/1.1", f"{new('bad method')}( / HTTP/1.1",
                 f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {new('bad field')}",
                 f"GET / HTTP/1.1\r\nHost: a\r\nCookie: {new('bad value')}\x01",
                 f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {new('bad length')}",
                 f"GET /%zz?{new('bad path')} HTTP/1.1\r\nHost: a",
                 f"GET / HTTP/1.1\r\nHost: {new('bad host')}@x"):
        with s.lab.http1(identity=None) as http:
            http.send(f"{head}\r\n\r\n".encode("latin-1"))
            try:
                s.answers.append(http.receive())
            except OSError:
                pass


# --- and now they are looked for ---------------------------------------------------------------

def test_there_is_something_to_find(secretive: Secretive) -> None:
    """The lab logs at level debug, and the canaries are not too short to be found."""
    text = secretive.lab.gateways[1].text()
    assert text.count("access") > 100 and "debug" in text.lower()
    assert all(len(form) >= 10 for form in secretive.canaries.forms.values())
    assert secretive.canaries.found_in("x" + next(iter(secretive.canaries.forms.values())) + "y")


def test_no_log_has_one(secretive: Secretive) -> None:
    for daemon in (*secretive.lab.gateways.values(), *secretive.lab.points.values()):
        assert not secretive.canaries.found_in(daemon.text()), daemon.name


def test_no_refusal_has_one(secretive: Secretive) -> None:
    """Status text, fields and bodies of what the gateway itself says."""
    refusals = [answer for answer in secretive.answers if answer.status >= 400
                and answer.get("Content-Type") == "application/problem+json"]
    assert len(refusals) > 50
    for answer in refusals:
        said = f"{answer.reason} {answer.headers} {answer.body.decode()}"
        assert not secretive.canaries.found_in(said), answer


def test_no_command_line_or_environment_has_one(secretive: Secretive) -> None:
    for daemon in (*secretive.lab.gateways.values(), *secretive.lab.points.values()):
        for file in ("cmdline", "environ"):
            text = Path(f"/proc/{daemon.pid}/{file}").read_bytes().decode("latin-1")
            assert not secretive.canaries.found_in(text), (daemon.name, file)


def test_printed_configuration_has_none(secretive: Secretive) -> None:
    """--check and --print-config say where a secret lies, not what it is."""
    for daemon in (*secretive.lab.gateways.values(), *secretive.lab.points.values()):
        for option in ("--check", "--print-config"):
            done = subprocess.run([*daemon.argv, option], capture_output=True, text=True,
                                  env=daemon.env)
            assert not secretive.canaries.found_in(done.stdout + done.stderr), daemon.name


def test_a_file_that_is_none_is_not_quoted(secretive: Secretive, tmp_path: Path) -> None:
    """A secret in the wrong place is a mistake that must not be repeated in a log."""
    wrong = tmp_path / "wrong"
    wrong.write_text(secretive.canaries.new("misplaced") + "\n")
    wrong.chmod(0o600)
    gateway = secretive.lab.gateways[1]
    before = gateway.settings
    for change in ({"site-tokens": {"block-list": wrong}}, {"site-tokens": {"certificates": wrong}},
                   {"storage main": {"key-file": wrong}}, {"gateway": {"key": wrong}},
                   {"storage second": {"sas-file": wrong}}, {"clients": {"ca-file": wrong}}):
        gateway.reconfigure(change)
        said = gateway.reload()
        assert not secretive.canaries.found_in(said), said
        gateway.settings = before
        gateway.write_config()
    assert "conf.reloaded" in gateway.reload()
    assert not secretive.canaries.found_in(gateway.text())


@pytest.mark.parametrize("name", ["cmg-gateway", "cmg-connection-point"])
def test_units_leave_no_core(name: str) -> None:
    """A core file is all secrets at once."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "systemd" / f"{name}.service")
    assert unit["Service"].get("LimitCORE") == "0"
    assert not re.search(r"Environment=.*(PASS|KEY|TOKEN|SECRET)",
                         (ROOT / "systemd" / f"{name}.service").read_text())
