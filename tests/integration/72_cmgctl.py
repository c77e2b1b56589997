"""cmgctl as an operator runs it; other people's tools judge what it makes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from jwcrypto import jwk, jws, jwt
from jwcrypto.common import base64url_decode, base64url_encode

from lab.daemons import SANITIZERS

SERVICE, POINT = "cmg.example.com", "cp1.corp.example.com"
CLIENT = "11111111-2222-4333-8444-555555555555"
Done = subprocess.CompletedProcess[str]


def run(*args: str | Path, text: str | None = None, cwd: Path | None = None) -> Done:
    return subprocess.run([*map(str, args)], input=text, cwd=cwd, capture_output=True, text=True,
                          timeout=60, env={**os.environ, **SANITIZERS})


class Ctl:
    def __init__(self, program: Path) -> None:
        self.program = program

    def __call__(self, *args: str | Path, text: str | None = None) -> Done:
        return run(self.program, *args, text=text)

    def good(self, *args: str | Path, text: str | None = None) -> str:
        done = self(*args, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bad(self, status: int, *args: str | Path, text: str | None = None) -> str:
        done = self(*args, text=text)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert done.stderr.startswith("cmgctl: ") or status == 1
        return done.stderr


@pytest.fixture(scope="module")
def ctl(build: Path) -> Ctl:
    return Ctl(build / "cmgctl")


@pytest.fixture(scope="module")
def tree(ctl: Ctl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cmgctl") / "site"
    ctl.good("pki", "init", folder, "--service", SERVICE, "--connection-point", POINT,
             "--connection-point", "cp2", "--clients", "2")
    return folder


def hierarchy(tree: Path) -> str:
    return (tree / "site/hierarchy").read_text().strip()


def signing_certificate(tree: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((tree / "site/site-token.pem").read_bytes())


def signing_key(tree: Path) -> jwk.JWK:
    """The private one, to make what cmgctl would not."""
    return jwk.JWK.from_pem((tree / "site/site-token.key").read_bytes())


# --- pki ------------------------------------------------------------------------------------------

def test_openssl_accepts_what_was_made(tree: Path) -> None:
    def verify(*args: str | Path) -> None:
        done = run("openssl", "verify", "-x509_strict", *args, cwd=tree)
        assert done.returncode == 0, done.stdout + done.stderr

    verify("-CAfile", "ca/gateway-ca.pem", "-purpose", "sslserver", "-verify_hostname", SERVICE,
           "gateway/gateway.pem")
    for name in POINT, "cp2":
        verify("-CAfile", "gateway/connection-points-ca.pem", "-purpose", "sslclient",
               "-verify_hostname", name, f"connection-points/{name}/connection-point.pem")
    verify("-CAfile", "gateway/clients-ca.pem", "-CRLfile", "gateway/clients-ca.crl", "-crl_check",
           "-purpose", "sslclient", "clients/client-1.pem", "clients/client-2.pem")
    crossed = run("openssl", "verify", "-CAfile", "gateway/clients-ca.pem",
                  f"connection-points/{POINT}/connection-point.pem", cwd=tree)
    assert crossed.returncode != 0
    assert signing_certificate(tree).public_key().key_size == 3072


def test_keys_are_the_owners_alone_and_belong_to_their_certificates(tree: Path) -> None:
    keys = sorted(tree.rglob("*.key"))
    assert len(keys) == 3 + 1 + 2 + 1 + 2
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        public = run("openssl", "pkey", "-in", key, "-pubout").stdout
        certificate = key.with_suffix(".pem")
        assert run("openssl", "x509", "-in", certificate, "-noout", "-pubkey").stdout == public
    assert stat.S_IMODE((tree / "ca").stat().st_mode) == 0o700


def test_daemons_accept_their_configurations(build: Path, tree: Path) -> None:
    for program, config in [("cmg-gateway", tree / "gateway/cmg-gateway.ini"),
                            ("cmg-connection-point",
                             tree / f"connection-points/{POINT}/cmg-connection-point.ini")]:
        done = run(build / program, "--check", "--config", config)
        assert done.returncode == 0, done.stderr


def everything(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_nothing_is_overwritten_nor_made_by_halves(ctl: Ctl, tree: Path, tmp_path: Path) -> None:
    before = everything(tree)
    assert "ca/clients-ca.pem is there already" in ctl.bad(1, "pki", "init", tree)
    assert everything(tree) == before

    last = tmp_path / "clients/client-1.key"
    last.parent.mkdir()
    last.write_text("mine")
    assert "clients/client-1.key is there already" in ctl.bad(1, "pki", "init", tmp_path)
    assert everything(tmp_path) == {last: b"mine"}

    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert "file" in ctl.bad(1, "pki", "init", in_the_way)


def test_what_was_made_is_listed_as_json(ctl: Ctl, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    said = json.loads(ctl.good("pki", "init", folder, "--json"))
    assert {folder / f["path"] for f in said["files"]} == set(everything(folder))
    assert said["hierarchy"] == hierarchy(folder)


@pytest.mark.parametrize("args, named", [
    (["--service", "no name"], "--service"), (["--service", f"{'a' * 60}.{'b' * 60}"], "64"),
    (["--connection-point", "a,DNS:b"], "--connection-point"),
    (["--connection-point", "a", "--connection-point", "A"], "twice"),
    (["--site", "TOOLONG"], "--site"), (["--clients", "1001"], "1000"), (["--days", "0"], "3650"),
    (["--management-point", "ftp://x"], "--management-point")])
def test_what_init_cannot_do_is_said_first(ctl: Ctl, tmp_path: Path, args: list[str],
                                           named: str) -> None:
    assert named in ctl.bad(2, "pki", "init", tmp_path / "x", *args)
    assert not (tmp_path / "x").exists()


def crl_arguments(tree: Path, crl: Path, authority: str = "clients-ca") -> list[str | Path]:
    return ["--ca", tree / f"ca/{authority}.pem", "--ca-key", tree / f"ca/{authority}.key",
            "--crl", crl]


def test_revoked_is_revoked_and_the_list_counts_on(ctl: Ctl, tree: Path, tmp_path: Path) -> None:
    crl = tmp_path / "new.crl"  # made, as there is none
    revoked = tree / "clients/client-1.pem"
    ctl.good("pki", "revoke", revoked, *crl_arguments(tree, crl), "--reason", "key-compromise")
    ctl.good("pki", "revoke", revoked, *crl_arguments(tree, crl))  # twice is once
    ctl.good("pki", "crl", *crl_arguments(tree, crl), "--days", "7")

    read = x509.load_pem_x509_crl(crl.read_bytes())
    assert [entry.serial_number for entry in read] == \
        [x509.load_pem_x509_certificate(revoked.read_bytes()).serial_number]
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    left = read.next_update.timestamp() - time.mktime(time.gmtime())
    assert 6.9 * 86400 < left <= 7 * 86400
    for name, good in ("client-1", False), ("client-2", True):
        done = run("openssl", "verify", "-CAfile", tree / "ca/clients-ca.pem", "-CRLfile", crl,
                   "-crl_check", tree / f"clients/{name}.pem")
        assert (done.returncode == 0) == good, done.stderr


def test_a_list_of_another_authority_stays_as_it_is(ctl: Ctl, tree: Path, tmp_path: Path) -> None:
    crl = tmp_path / "x.crl"
    ctl.good("pki", "crl", *crl_arguments(tree, crl))
    before = crl.read_bytes()
    client, gateway = tree / "clients/client-1.pem", tree / "gateway/gateway.pem"
    assert "another authority" in ctl.bad(78, "pki", "crl", *crl_arguments(tree, crl, "gateway-ca"))
    assert "not issued" in ctl.bad(78, "pki", "revoke", gateway, *crl_arguments(tree, crl))
    assert "not the key" in ctl.bad(78, "pki", "revoke", client, "--ca", tree / "ca/clients-ca.pem",
                                    "--ca-key", tree / "ca/gateway-ca.key", "--crl", crl)
    assert "--reason" in ctl.bad(2, "pki", "revoke", client, *crl_arguments(tree, crl),
                                 "--reason", "dislike")
    assert crl.read_bytes() == before
    assert list(tmp_path.iterdir()) == [crl]


# --- token new and inspect ------------------------------------------------------------------------

def new(ctl: Ctl, tree: Path, *args: str) -> tuple[str, str]:
    """The token, and what was said of it."""
    done = ctl("token", "new", "--site", tree / "site", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("args, kind, category, seconds", [
    (["--bulk"], "BulkRegistration", "SCCMPreAuthToken", 4320 * 60),
    (["--bulk", "--lifetime", "10080"], "BulkRegistration", "SCCMPreAuthToken", 10080 * 60),
    (["--client", CLIENT.upper()], "Client", "SCCMClientToken", 90 * 86400),
    (["--client", f"GUID:{CLIENT}", "--days", "2"], "Client", "SCCMClientToken", 2 * 86400),
    (["--client", CLIENT, "--sts"], "Device", "SCCMToken", 8 * 3600)])
def test_others_verify_what_was_signed(ctl: Ctl, tree: Path, tmp_path: Path, args: list[str],
                                       kind: str, category: str, seconds: int) -> None:
    token, said = new(ctl, tree, *args)
    public = jwk.JWK.from_pem((tree / "site/site-token.pem").read_bytes())
    claims = json.loads(jwt.JWT(jwt=token, key=public, algs=["RS256"]).claims)
    header = json.loads(base64url_decode(token.split(".")[0]))
    thumbprint = base64url_encode(run_sha1(signing_certificate(tree)))
    assert header == {"typ": "JWT", "alg": "RS256", "x5t": thumbprint, "kid": thumbprint}
    assert claims["Type"] == kind and claims["SCCMTokenCategory"] == category
    assert claims["Authority"] == claims["License"] == "SCCM"
    assert claims["aud"] == "urn:sccm:service"
    assert claims["TenantId"] == hierarchy(tree)
    assert claims["iss"] == f"urn:sccm:oauth2:{hierarchy(tree)}"
    assert claims["exp"] - claims["nbf"] == seconds and abs(claims["nbf"] - time.time()) < 60
    assert claims.get("ClientId") == (None if kind == "BulkRegistration" else CLIENT)
    assert claims["UniqueId"] in said

    key, signed = tmp_path / "key.jwk", tmp_path / "token"
    key.write_text(public.export_public())
    signed.write_text(token)
    done = run("jose", "jws", "ver", "-i", signed, "-k", key)
    assert done.returncode == 0, done.stderr


def run_sha1(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA1
    return certificate.fingerprint(SHA1())


def inspect(tree: Path) -> list[str | Path]:
    return ["token", "inspect", "--json", "--certificates", tree / "gateway/site-token.pem"]


def test_inspect_takes_what_new_made_by_any_way(ctl: Ctl, tree: Path) -> None:
    token, _ = new(ctl, tree, "--bulk", "--lifetime", str(3 * 24 * 60 + 10))
    for said in (ctl.good(*inspect(tree), token), ctl.good(*inspect(tree), text=f" {token}\r\n"),
                 ctl.good(*inspect(tree), "-", "--hierarchy", hierarchy(tree), text=token)):
        assert json.loads(said)["verified"] is True
    assert json.loads(ctl.good("token", "inspect", "--json", token))["verified"] is None
    plain = ctl.good("token", "inspect", token)
    assert "(in 3 days)" in plain and "not verified" in plain
    assert token.split(".")[2] not in plain


def signed(tree: Path, claims: dict[str, object], **header: str) -> str:
    thumbprint = base64url_encode(run_sha1(signing_certificate(tree)))
    made = jws.JWS(json.dumps(claims))
    made.add_signature(signing_key(tree), None,
                       json.dumps({"typ": "JWT", "alg": "RS256", "x5t": thumbprint, **header}))
    return made.serialize(compact=True)


def site_claims(tree: Path, **changes: object) -> dict[str, object]:
    now = int(time.time())
    return {"SCCMTokenCategory": "SCCMPreAuthToken", "Authority": "SCCM", "License": "SCCM",
            "Type": "BulkRegistration", "TenantId": hierarchy(tree), "UniqueId": str(uuid.uuid4()),
            "iss": f"urn:sccm:oauth2:{hierarchy(tree)}", "aud": "urn:sccm:service",
            "nbf": now, "exp": now + 3600, **changes}


def test_inspect_says_why_not(ctl: Ctl, tree: Path) -> None:
    def why(token: str, *args: str | Path) -> str:
        done = ctl(*inspect(tree), *args, text=token)
        assert done.returncode == 1, done.stdout + done.stderr
        said = json.loads(done.stdout)
        assert said["verified"] is False
        return said["why"]

    now = int(time.time())
    assert ctl(*inspect(tree), text=signed(tree, site_claims(tree))).returncode == 0
    assert "expired" in why(signed(tree, site_claims(tree, nbf=now - 7200, exp=now - 3600)))
    assert "UniqueId" in why(signed(tree, site_claims(tree, UniqueId="1")))
    why(signed(tree, site_claims(tree, exp=now + 10081 * 60)))
    why(signed(tree, site_claims(tree)), "--hierarchy", CLIENT)
    good = signed(tree, site_claims(tree))
    head, body, signature = good.split(".")
    forged = base64url_encode(json.dumps(site_claims(tree, Type="Client")))
    why(f"{head}.{forged}.{signature}")
    nobody = base64url_encode('{"alg":"none","typ":"JWT"}')
    why(f"{nobody}.{body}.")
    assert "no token" in ctl.bad(1, *inspect(tree), text="nonsense").replace("not a", "no")


def test_inspect_verifies_others_tokens_by_their_key_set(ctl: Ctl, tmp_path: Path) -> None:
    keys = jwk.JWKSet()
    for kind, more in ("RSA", {"size": 2048}), ("EC", {"crv": "P-256"}):
        keys.add(jwk.JWK.generate(kty=kind, kid=kind, **more))
    jwks = tmp_path / "keys.json"
    jwks.write_text(keys.export(private_keys=False))
    now = int(time.time())
    arguments = ["token", "inspect", "--json", "--jwks", jwks, "--issuer", "https://issuer/",
                 "--audience", "api://us"]
    for kid, alg in ("RSA", "RS256"), ("EC", "ES256"):
        made = jwt.JWT(header={"alg": alg, "kid": kid},
                       claims={"iss": "https://issuer/", "aud": "api://us", "exp": now + 60})
        made.make_signed_token(keys.get_key(kid))
        token = made.serialize()
        assert json.loads(ctl.good(*arguments, text=token))["verified"] is True
        for option, other in ("--issuer", "https://issuer"), ("--audience", "api://them"):
            changed = [*arguments]
            changed[changed.index(option) + 1] = other
            assert ctl(*changed, text=token).returncode == 1


@pytest.mark.parametrize("args, named", [
    ([], "--bulk or --client"), (["--bulk", "--client", CLIENT], "--bulk or --client"),
    (["--bulk", "--sts"], "--sts"), (["--client", "x"], "GUID"),
    (["--bulk", "--lifetime", "10081"], "10080"), (["--bulk", "--lifetime", "0"], "--lifetime"),
    (["--bulk", "--days", "8"], "10080"), (["--client", CLIENT, "--days", "91"], "90"),
    (["--client", CLIENT, "--sts", "--lifetime", "481"], "480"),
    (["--bulk", "--days", "1", "--lifetime", "9"], "--days")])
def test_what_no_token_may_be_is_wrong_usage(ctl: Ctl, tree: Path, args: list[str],
                                             named: str) -> None:
    assert named in ctl.bad(2, "token", "new", "--site", tree / "site", *args)


def test_files_that_are_no_use_are_named(ctl: Ctl, tree: Path, tmp_path: Path) -> None:
    key, pem = tree / "site/site-token.key", tree / "site/site-token.pem"
    readable = tmp_path / "open.key"
    readable.write_bytes(key.read_bytes())
    readable.chmod(0o644)
    bulk = ["token", "new", "--bulk", "--hierarchy", CLIENT]
    assert "--site" in ctl.bad(2, *bulk)
    assert "open.key" in ctl.bad(78, *bulk, "--certificate", pem, "--key", readable)
    assert "absent" in ctl.bad(78, *bulk, "--certificate", tmp_path / "absent", "--key", key)
    assert "nowhere" in ctl.bad(78, *bulk, "--site", tmp_path / "nowhere")
    other = tree / "gateway/gateway.key"
    assert "gateway.key" in ctl.bad(78, *bulk, "--certificate", pem, "--key", other)
    said = ctl.bad(78, *bulk, "--certificate", key, "--key", key)
    assert "PRIVATE" not in said


# --- block list -----------------------------------------------------------------------------------

def test_a_blocked_token_is_refused_until_it_is_unblocked(ctl: Ctl, tree: Path,
                                                          tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    token, _ = new(ctl, tree, "--client", CLIENT)
    unique = json.loads(base64url_decode(token.split(".")[1]))["UniqueId"]
    for guid in unique, CLIENT:
        ctl.good("token", "block", guid.upper(), "--list", blocked, "--comment", "lost")
        assert "blocked" in ctl(*inspect(tree), "--list", blocked, text=token).stdout
        ctl.good("token", "unblock", guid, "--list", blocked)
        ctl.good(*inspect(tree), "--list", blocked, text=token)
    assert stat.S_IMODE(blocked.stat().st_mode) == 0o644


def test_what_people_wrote_into_a_list_stays(ctl: Ctl, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text(f"# ours\n\n{CLIENT}  # PC1\n")
    blocked.chmod(0o640)
    other = str(uuid.uuid4())
    ctl.good("token", "block", other, CLIENT, "--list", blocked, "--comment", "a # b")
    assert blocked.read_text() == f"# ours\n\n{CLIENT}  # PC1\n{other} # a # b\n"
    assert stat.S_IMODE(blocked.stat().st_mode) == 0o640
    assert json.loads(ctl.good("token", "list", "--list", blocked, "--json")) == \
        [{"guid": CLIENT, "comment": "PC1"}, {"guid": other, "comment": "a # b"}]
    assert ctl.good("token", "list", "--list", blocked).splitlines() == \
        [f"{CLIENT}  PC1", f"{other}  a # b"]
    absent = str(uuid.uuid4())
    assert absent in ctl.bad(1, "token", "unblock", CLIENT, absent, "--list", blocked)
    assert CLIENT in blocked.read_text()
    assert list(tmp_path.iterdir()) == [blocked]


def test_a_damaged_list_is_not_built_upon(ctl: Ctl, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("# ours\nnonsense\n")
    for verb, *more in ("block", CLIENT), ("unblock", CLIENT), ("list",):
        assert "line 2" in ctl.bad(78, "token", verb, *more, "--list", blocked)
    assert blocked.read_text() == "# ours\nnonsense\n"
    assert "no-such" in ctl.bad(78, "token", "unblock", CLIENT, "--list", tmp_path / "no-such")
    assert ctl(*["token", "block", "x", "--list", tmp_path / "new"]).returncode == 2
    assert not (tmp_path / "new").exists()


def test_writers_at_one_time_lose_nobody_and_readers_see_whole_lists(ctl: Ctl,
                                                                     tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    ctl.good("token", "block", CLIENT, "--list", blocked)
    guids = [str(uuid.uuid4()) for _ in range(24)]
    over, halves = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            text = blocked.read_text()
            if CLIENT not in text or not text.endswith("\n"):
                halves.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    writers = [subprocess.Popen([ctl.program, "token", "block", guid, "--list", blocked],
                                env={**os.environ, **SANITIZERS}) for guid in guids]
    status = [writer.wait(timeout=50) for writer in writers]
    over.set()
    reader.join()
    assert set(status) == {0} and not halves
    listed = {one["guid"] for one in json.loads(ctl.good("token", "list", "--list", blocked,
                                                         "--json"))}
    assert listed == {CLIENT, *guids}
    assert list(tmp_path.iterdir()) == [blocked]


# --- content --------------------------------------------------------------------------------------

def test_others_verify_a_content_token(ctl: Ctl, tree: Path) -> None:
    arguments = ["content", "token", "--site", tree / "site", "--package", "PS100042", "--content",
                 "PS100042.3", "--client", CLIENT, "--issuer", "mp.corp.example.com"]
    url = ctl.good(*arguments, "--service", SERVICE, "--hours", "8").strip()
    parts = urlsplit(url)
    assert parts.netloc == SERVICE
    assert parts.path == "/downloadrestservice.svc/getcontentxmlsecure"
    values = {name: value[0] for name, value in parse_qs(parts.query).items()}
    assert values["tid"] == f"GUID:{CLIENT}" and values["alg"] == "1.2.840.113549.1.1.11"
    start, end = (time.strptime(values[n], "%Y-%m-%dT%H:%M:%SZ") for n in ("st", "et"))
    assert time.mktime(end) - time.mktime(start) == 8 * 3600
    part, _, signature = parts.query.partition("&signature=")
    signing_certificate(tree).public_key().verify(
        base64url_decode(signature), part.encode(), padding.PKCS1v15(), SHA256())

    assert "--content" in ctl.bad(2, *arguments[:-4], "--content", "a/b")
    ec = ["--certificate", tree / "gateway/gateway.pem", "--key", tree / "gateway/gateway.key"]
    assert "RSA" in ctl.bad(78, *arguments, *ec)


# --- the program ----------------------------------------------------------------------------------

def test_help_is_everywhere_and_complete(ctl: Ctl) -> None:
    commands = [line[2:24].split() for line in ctl.good("--help").splitlines()
                if line.startswith("  ") and line[2] != " "]
    assert all(want in commands for want in (["pki", "init"], ["token", "new"], ["status"]))
    for words in commands:
        if len(words) == 2:
            assert " ".join(words) in ctl.good(words[0], "--help")
        said = ctl.good(*words, "--help")
        assert said.startswith(f"Usage: cmgctl {' '.join(words)} ")
        assert max(map(len, said.splitlines())) <= 80


def test_output_that_cannot_be_written_is_a_failure(ctl: Ctl) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([ctl.program, "--help"], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=20, env={**os.environ, **SANITIZERS})
    assert done.returncode == 1 and "standard output" in done.stderr
