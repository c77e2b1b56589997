"""Who the client is, as an endpoint hears it ([endpoint] pass-identity), and what no client can
make it believe."""

from __future__ import annotations

import base64
import hashlib
import ssl
import time

import pytest

from lab.http1 import Headers
from lab.pki import Identity
from lab.site import ECHO, SERVER, Lab, Site, on
from lab.tokens import SiteKeys, bearer, guid
from lab.waiting import wait_for

TARGET, UNTOLD = on(ECHO, "/lab/echo"), "9"
TOLD = {"client-cert": "client-cert", "X-Client-Name": "name", "X-Site-User": "id",
        "X-How": "how", "X-Kind": "kind", "X-Tenant": "tenant", "X-Digest": "sha256",
        "X-Since": "since", "X-Until": "until", "X-All": "text"}
ITEMS = [header if header == what else f"{header}={what}" for header, what in TOLD.items()]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SiteKeys:
    return SiteKeys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def lab(labs, site: Site, keys: SiteKeys) -> Lab:
    """With an endpoint that is told, and the same one untold under another id."""
    tokens = {**keys.settings()["site-tokens"], "bulk-paths": "lab"}
    untold = {**site.endpoints()["endpoint echo"], "id": UNTOLD}
    return labs(with_gates=False, gateway={"site-tokens": tokens},
                point={"endpoint echo": {"pass-identity": ITEMS}, "endpoint untold": untold})


def folded(name: str) -> str:
    """As the most forgiving back end makes a variable of it."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def heard(lab: Lab, version: str, sent: Headers = (), target: str = TARGET,
          identity: Identity | None | str = "client") -> Headers:
    """What the back end got."""
    connect = lab.http1 if version == "http1" else lab.http2
    if version == "http2":
        sent = [(name.lower(), value) for name, value in sent]
    with connect(identity=identity) as http:
        answer = http.request("GET", target, sent)
        assert answer.status == 200, answer
        return [(name, value) for name, value in answer.json()["headers"]]


def only(fields: Headers, name: str) -> str | None:
    """The one field that a back end could take for that name."""
    values = [value for n, value in fields if folded(n) == folded(name)]
    assert len(values) < 2, values
    return values[0] if values else None


def der(identity: Identity) -> bytes:
    leaf = identity.certificate.read_text().split("-----END CERTIFICATE-----")[0]
    return ssl.PEM_cert_to_DER_cert(leaf + "-----END CERTIFICATE-----\n")


both = pytest.mark.parametrize("version", ["http1", "http2"])


@both
def test_the_endpoint_hears_who_it_is(lab: Lab, version: str) -> None:
    fields = heard(lab, version)
    raw, now = der(lab.pki.client), time.time()
    assert only(fields, "Client-Cert") == f":{base64.b64encode(raw).decode()}:"
    assert only(fields, "X-Digest") == hashlib.sha256(raw).hexdigest()
    assert only(fields, "X-How") == "certificate"
    assert only(fields, "X-Kind") == "device"
    assert only(fields, "X-Client-Name") == "PC0001.example"
    assert now - 60 < int(only(fields, "X-Since") or 0) <= now + 1
    assert int(only(fields, "X-Until") or 0) > now
    assert (only(fields, "X-All") or "").startswith('certificate; kind=device; name="')
    assert only(fields, "X-Site-User") is None and only(fields, "X-Tenant") is None
    assert not [name for name, _ in fields if name.lower().startswith("cmg-")]


@both
@pytest.mark.parametrize("kind", ["Client", "BulkRegistration", "UDA"])
def test_a_token_is_who_it_says(lab: Lab, keys: SiteKeys, version: str, kind: str) -> None:
    """Also where the client has shown a certificate: under ServerAuth that is not what it is."""
    member, who = ("UniqueId", guid()) if kind == "BulkRegistration" else ("ClientId", guid())
    sent = [*bearer(keys.token(kind, **{member: who})), ("X-Digest", "forged"),
            ("Client-Cert", "forged"), ("X_Site_User", "forged")]
    target = on(ECHO, "/lab/echo", SERVER)
    for identity in (None, "client"):
        fields = heard(lab, version, sent, target, identity)
        assert only(fields, "X-How") == "site-token"
        assert only(fields, "X-Kind") == {"BulkRegistration": "bulk", "UDA": "user"}.get(kind,
                                                                                       "device")
        assert only(fields, "X-Site-User") == who
        assert only(fields, "X-Tenant") == keys.hierarchy.lower()
        assert only(fields, "Client-Cert") is None and only(fields, "X-Digest") is None
        assert not [name for name, value in fields if "forged" in value]


# Names that are told, and names that back ends believe, spelled as they may be taken for one.
FORGED = [
    "X-Client-Name", "x-client-NAME", "X_Client_Name", "X-Client_Name", "X.Client.Name",
    "X~Client!Name", "X-Site-User", "x_site_user", "X.Site.User", "X-SITE-USER", "X-Tenant",
    "x_tenant", "X-How", "X_All", "Client-Cert", "Client_Cert", "client-cert", "CLIENT.CERT",
    "Client-Cert-Chain", "client_cert_chain", "cmg-identity", "Cmg_Identity", "cmg-client-cert",
    "CMG.CLIENT.CERT", "X-Forwarded-Client-Cert", "X-ARR-ClientCert", "MS-ASPNETCORE-CLIENTCERT"]


@both
def test_nothing_forged_arrives(lab: Lab, version: str) -> None:
    """In every spelling, once and twice, before and behind other fields; also where the client has
    no such attribute."""
    for name in FORGED:
        sent = [("X-First", "1"), (name, "forged"), ("X-Between", "2"), (name.lower(), "forged"),
                ("X-Last", "3")]
        fields = heard(lab, version, sent)
        assert not [n for n, value in fields if "forged" in value], name
        assert only(fields, "X-How") == "certificate", name
        assert [only(fields, n) for n in ("X-First", "X-Between", "X-Last")] == ["1", "2", "3"]
    everything = [(name, "forged") for name in FORGED]
    assert not [n for n, value in heard(lab, version, everything) if "forged" in value]


@both
def test_an_endpoint_that_is_not_told_hears_nothing(lab: Lab, version: str) -> None:
    """No certificate of anybody, and its own fields are its own."""
    sent = [("X-Site-User", "mine"), ("Client-Cert", "forged"), ("Client_Cert_Chain", "forged")]
    fields = heard(lab, version, sent, on(UNTOLD, "/lab/echo"))
    assert only(fields, "X-Site-User") == "mine"
    assert only(fields, "Client-Cert") is None and only(fields, "X-How") is None
    assert not [n for n, value in fields if "forged" in value]


def test_trailers_are_no_way_in(lab: Lab) -> None:
    with lab.http1() as http:
        http.send(f"POST {TARGET} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                  "\r\n5\r\nhello\r\n0\r\nX-Client-Name: forged\r\nX-Site-User: forged\r\n"
                  "X-Forwarded-For: forged\r\n\r\n".encode())
        answer = http.receive()
        assert answer.status == 200 and answer.json()["size"] == 5
        assert "forged" not in answer.body.decode()


def test_the_connection_field_strips_nothing_of_ours(lab: Lab) -> None:
    for name in ("X-Client-Name", "Client-Cert", "X-How"):
        fields = heard(lab, "http1", [("Connection", f"keep-alive, {name}")])
        assert only(fields, name)


def test_clients_are_told_apart(lab: Lab) -> None:
    """The endpoint's connections are shared; what it hears is each client's own."""
    for _ in range(3):
        assert only(heard(lab, "http1"), "X-Client-Name") == "PC0001.example"
        fields = heard(lab, "http1", identity=lab.pki.client_2)
        assert only(fields, "X-Client-Name") == "PC0007.example"
        raw = der(lab.pki.client_2)
        assert only(fields, "Client-Cert") == f":{base64.b64encode(raw).decode()}:"


def test_the_log_names_the_client_and_how_it_proved_itself(lab: Lab) -> None:
    mark = lab.points["cp1"].mark()
    heard(lab, "http1")
    lab.points["cp1"].wait_access(since=mark, who="PC0001.example", how="certificate")


def test_a_private_connection_outlives_a_new_verification(new_lab) -> None:
    """A reload makes the gateway verify clients anew: `since` is another, the client is not."""
    lab: Lab = new_lab(with_gates=False, point={"endpoint echo": {
        "connections": "private", "pass-identity": "X-Since=since"}})

    def connection(identity: Identity | str = "client") -> tuple[str | None, int]:
        with lab.http1(identity=identity) as http:
            seen = http.request("GET", TARGET).json()
            return only([tuple(f) for f in seen["headers"]], "X-Since"), seen["connection"]
    since, first = connection()
    assert connection(lab.pki.client_2)[1] != first
    wait_for(lambda: connection()[0] != since, "another time of verification")
    assert connection()[1] == first


def test_a_reload_changes_what_is_told(new_lab) -> None:
    lab: Lab = new_lab(with_gates=False)
    assert only(heard(lab, "http1"), "Client-Cert") is None
    lab.points["cp1"].reconfigure({"endpoint echo": {"pass-identity": "client-cert"}})
    assert "conf.reloaded" in lab.points["cp1"].reload()
    wait_for(lambda: only(heard(lab, "http1"), "Client-Cert"), "the certificate to be passed on",
             explain=lab.explain)
