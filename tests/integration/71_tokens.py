"""Microsoft Entra tokens: which are accepted, what is said of the others, and where the keys come
from. The issuer is a real one (npm's oidc-provider); only what it would never say is signed here,
with its own key."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.auth import Auth
from lab.client import Response
from lab.keys import Key
from lab.oidc import AUDIENCE, CLIENT_APP, Tenant, device, user
from lab.site import ECHO, MP, SERVER, Lab, on
from lab.tokens import bearer, entra_token, guid
from lab.waiting import wait_for

REQUEST = on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER)
UNTRUE = "CMGService_Invalid_Token"


def ask(lab: Lab, token: str, target: str = REQUEST) -> Response:
    with lab.http1(identity=None) as http:
        return http.request("GET", target, bearer(token))


def assert_refused(lab: Lab, token: str, why: str) -> None:
    """401, and the same reason for the client and in the log."""
    gateway = lab.gateways[1]
    mark = gateway.mark()
    answer = ask(lab, token)
    assert (answer.status, answer.reason) == (401, UNTRUE), answer
    assert re.search(why, answer.json()["detail"]), answer
    events = wait_for(lambda: gateway.events("client.token_refused", mark),
                      "client.token_refused", explain=gateway.explain)
    assert any(re.search(why, event["why"]) for event in events), events
    assert answer.get("WWW-Authenticate", ), "RFC 9110: a 401 says how to do better"


# --- accepted ----------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["v1.0", "v2.0"])
@pytest.mark.parametrize("label", ["contoso", "fabrikam"])
@pytest.mark.parametrize("who", [device, user])
def test_real_tokens(auth_lab: Lab, auth: Auth, version: str, label: str, who) -> None:
    token = auth.issuer.token(getattr(auth, label), who(), version)
    assert ask(auth_lab, token).status == 200
    with auth_lab.http2(identity=None) as h2:
        assert h2.request("GET", REQUEST, bearer(token)).status == 200


def test_access_event_says_who(auth_lab: Lab, auth: Auth) -> None:
    claims = device("PC4711")
    mark = auth_lab.gateways[1].mark()
    assert ask(auth_lab, auth.issuer.token(auth.contoso, claims)).status == 200
    event = auth_lab.gateways[1].wait_access(since=mark, status="200")
    assert claims["deviceid"] in str(event) or "PC4711" in str(event), event


def test_many_requests_on_one_connection(auth_lab: Lab, auth: Auth) -> None:
    """Each request is judged by its own token."""
    right = auth.issuer.token(auth.contoso, device())
    with auth_lab.http1(identity=None) as http:
        for token, status in ((right, 200), (right[:-4] + "AAAA", 401), (right, 200)):
            assert http.request("GET", REQUEST, bearer(token)).status == status
        assert http.request("GET", REQUEST).status == 401


def test_authorization_goes_on_to_the_endpoint(auth_lab: Lab, auth: Auth) -> None:
    """The management point judges the token once more, so it must get it."""
    token = auth.issuer.token(auth.contoso, device())
    seen = ask(auth_lab, token, on(ECHO, "/lab/echo", SERVER)).json()["headers"]
    assert dict(bearer(token)).items() <= dict(seen).items()


def test_certificate_beside_a_token(auth_lab: Lab, auth: Auth) -> None:
    """The tree decides what counts, not what else a client brings."""
    token = auth.issuer.token(auth.contoso, device())
    with auth_lab.http1() as http:
        assert http.request("GET", REQUEST, bearer(token)).status == 200
        assert http.request("GET", REQUEST).status == 401
        assert http.request("GET", REQUEST, bearer(token[:-4] + "AAAA")).status == 401


# --- refused -----------------------------------------------------------------------------------

@pytest.mark.parametrize("changes, why", [
    ({"exp": int(time.time()) - 3600, "nbf": int(time.time()) - 7200}, r"expired"),
    ({"nbf": int(time.time()) + 3600}, r"not (yet )?valid|before"),
    ({"aud": "https://graph.example"}, r"audience|\baud\b"),
    ({"aud": None}, r"audience|\baud\b"),
    ({"tid": guid()}, r"tenant|\btid\b"),
    ({"deviceid": None, "idtyp": None}, r"device"),
    ({"deviceid": None, "idtyp": "app"}, r"application|device"),
    ({"exp": None}, r"\bexp\b"),
    ({"iss": "https://issuer.example/"}, r"issue")])
def test_refused_with_the_reason(auth_lab: Lab, auth: Auth, changes, why: str) -> None:
    assert_refused(auth_lab, entra_token(auth.contoso, **changes), why)


def test_token_of_another_tenants_key(auth_lab: Lab, auth: Auth) -> None:
    assert_refused(auth_lab, entra_token(auth.contoso, auth.fabrikam.keys[0]), r"key")


def test_tenant_that_is_not_onboarded(auth_lab: Lab) -> None:
    assert_refused(auth_lab, entra_token(Tenant("stranger")), r"issue")


def test_no_token_at_all(auth_lab: Lab) -> None:
    with auth_lab.http1(identity=None) as http:
        answer = http.request("GET", REQUEST)
    assert (answer.status, answer.reason) == (401, UNTRUE), answer


def test_disabled_tenant(new_lab, auth: Auth) -> None:
    lab = new_lab(with_gates=False,
                  gateway=auth.settings({"tenant fabrikam": {"enabled": False}}))
    assert ask(lab, auth.issuer.token(auth.contoso, device())).status == 200
    assert_refused(lab, auth.issuer.token(auth.fabrikam, device()), r"fabrikam|switched off|enabled")
    with lab.http1(identity=None) as http:
        answer = http.request("GET", info(auth.fabrikam.id))
        assert (answer.status, answer.reason) == (404, "CMGService_Tenant_Unknown"), answer


def test_other_audience_and_issuer_by_configuration(new_lab, auth: Auth) -> None:
    lab = new_lab(with_gates=False, gateway=auth.settings({
        "tenant contoso": {"audiences": ["api://mine", "https://also.mine"],
                           "issuers": auth.contoso.v2}}))
    for audience in ("api://mine", "https://also.mine"):
        token = auth.issuer.token(auth.contoso, device(), audience=audience)
        assert ask(lab, token).status == 200
    assert_refused(lab, auth.issuer.token(auth.contoso, device()), r"audience|\baud\b")
    assert_refused(lab, auth.issuer.token(auth.contoso, device(), "v1.0", "api://mine"), r"issue")


# --- AADAuthInfo -------------------------------------------------------------------------------

def info(tenant: str) -> str:
    return f"{SERVER}/AADAuthInfo?TenantID={tenant}"


def test_auth_info(auth_lab: Lab, auth: Auth) -> None:
    """What a client needs to ask Entra for a token; nobody has to prove anything for it."""
    for identity in (None, "client"):
        with auth_lab.http1(identity=identity) as http:
            for tenant in (auth.contoso.id, auth.contoso.id.upper()):
                answer = http.request("GET", info(tenant))
                assert answer.status == 200, answer
                assert CLIENT_APP in answer.body.decode() and AUDIENCE in answer.body.decode()
    with auth_lab.http2(identity=None) as h2:
        assert CLIENT_APP in h2.request("GET", info(auth.fabrikam.id)).body.decode()


@pytest.mark.parametrize("query", [guid(), "", "x", "../contoso"])
def test_auth_info_of_a_stranger(auth_lab: Lab, query: str) -> None:
    with auth_lab.http1(identity=None) as http:
        answer = http.request("GET", info(query))
        assert answer.status in (400, 404), answer


# --- keys --------------------------------------------------------------------------------------

def test_keys_are_fetched_once_for_all(new_lab, own_auth: Auth) -> None:
    """However many tokens come at the same time, and however many keys they make up."""
    own_auth.start()
    lab = new_lab(with_gates=False, gateway=own_auth.settings())
    token = own_auth.issuer.token(own_auth.contoso, device())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(lab, token).status, range(48)))
    assert answers == [200] * 48
    assert own_auth.issuer.counts(own_auth.contoso) == {"discovery": 1, "jwks": 1}

    def made_up(number: int) -> int:
        stranger = Key(own_auth.contoso.keys[0].private, f"made-up-{number}")
        return ask(lab, entra_token(own_auth.contoso, stranger)).status
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(made_up, range(48))) == {401}
    assert own_auth.issuer.counts(own_auth.contoso)["jwks"] == 2, "once a minute at most"
    assert own_auth.issuer.counts(own_auth.fabrikam)["jwks"] <= 1, "only its own tenant's"
    assert ask(lab, token).status == 200


def test_new_keys_are_taken_up(new_lab, own_auth: Auth) -> None:
    """By the first token that names one; the old ones serve until they are no longer published."""
    own_auth.start()
    lab = new_lab(with_gates=False, gateway=own_auth.settings())
    tenant, issuer = own_auth.contoso, own_auth.issuer
    before = issuer.token(tenant, device())
    assert ask(lab, before).status == 200
    old, new = tenant.keys[0], Key.rsa()
    issuer.use_keys(tenant, [new, old])
    assert ask(lab, issuer.token(tenant, device())).status == 200
    assert ask(lab, before).status == 200


def test_withdrawn_keys_end_with_the_next_refresh(new_lab, own_auth: Auth) -> None:
    own_auth.start()
    lab = new_lab(with_gates=False,
                  gateway=own_auth.settings({"tenant contoso": {"refresh": "1s"}}))
    tenant, issuer = own_auth.contoso, own_auth.issuer
    before = issuer.token(tenant, device())
    assert ask(lab, before).status == 200
    issuer.use_keys(tenant, [Key.rsa()])
    wait_for(lambda: ask(lab, before).status == 401, "the old key to end", explain=lab.explain)
    assert ask(lab, issuer.token(tenant, device())).status == 200


@pytest.mark.parametrize("mode", ["down", "fail", "stall"])
def test_issuer_fails_later(new_lab, own_auth: Auth, mode: str) -> None:
    """The keys that are there serve on."""
    own_auth.start()
    lab = new_lab(with_gates=False, gateway=own_auth.settings(
        {"tenant contoso": {"refresh": "1s", "timeout": "1s"}}))
    token = own_auth.issuer.token(own_auth.contoso, device())
    assert ask(lab, token).status == 200
    mark = lab.gateways[1].mark()
    own_auth.issuer.enter(mode)
    lab.gateways[1].wait_log(r"\btenants?\.\w*failed\b.*contoso", since=mark)
    assert ask(lab, token).status == 200
    unknown = Key(own_auth.contoso.keys[0].private, "unknown")
    assert ask(lab, entra_token(own_auth.contoso, unknown)).status == 401


def test_issuer_is_not_there_yet(new_lab, own_auth: Auth) -> None:
    """Its clients are refused with the reason, everyone else is served; then it comes."""
    lab = new_lab(with_gates=False, gateway=own_auth.settings())
    token = entra_token(own_auth.contoso)
    assert_refused(lab, token, r"key")
    assert ask(lab, own_auth.site.client()).status == 200
    own_auth.start()
    wait_for(lambda: ask(lab, token).status == 200, "the keys to be fetched", 20,
             explain=lab.explain)


def test_slow_issuer_holds_up_only_its_own(new_lab, own_auth: Auth) -> None:
    own_auth.start()
    own_auth.issuer.enter("stall")
    lab = new_lab(with_gates=False, gateway=own_auth.settings(
        {"tenant contoso": {"timeout": "4s"}, "tenant fabrikam": {"timeout": "4s"}}))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, lab, entra_token(own_auth.contoso))
        began = time.monotonic()
        assert ask(lab, own_auth.site.client()).status == 200
        assert lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST")).status == 200
        assert time.monotonic() - began < 3
        assert waiting.result(timeout=20).status == 401


def test_issuer_that_cannot_be_trusted(new_lab, own_auth: Auth) -> None:
    """Keys over a connection whose certificate does not verify are nobody's keys."""
    own_auth.start()
    lab = new_lab(with_gates=False, gateway=own_auth.settings(
        {"tenant contoso": {"ca-file": own_auth.site.certificates}}))
    assert_refused(lab, own_auth.issuer.token(own_auth.contoso, device()), r"key|certificate")
    assert ask(lab, own_auth.issuer.token(own_auth.fabrikam, device())).status == 200
