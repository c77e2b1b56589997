"""Tokens that nobody may accept, against the living gateway, and tokens in places where none
belongs. What other libraries say of the same tokens is held against ours: they must take the right
ones, too, and of the wrong ones they take what the tables here say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import oracles
from lab.auth import Auth
from lab.client import Response
from lab.forged import Forgery, Model, entra_forgeries, forgeries, jose_parts, site_forgeries
from lab.http1 import Headers
from lab.keys import Key, signed
from lab.oidc import device
from lab.site import ECHO, SERVER, Lab, Site, on
from lab.tokens import bearer, guid

TAG = "forged"
REQUEST = on(ECHO, f"/lab/echo?tag={TAG}", SERVER)
BLOCKED = guid()


@pytest.fixture(scope="module", autouse=True)
def nothing_arrives(site: Site):
    """Not one request of this file may reach the site, but for those that are right."""
    yield
    assert site.seen(TAG)["requests"] == 0


@pytest.fixture(scope="module")
def lab(labs, auth: Auth, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    block_list = tmp_path_factory.mktemp("blocked") / "blocked"
    block_list.write_text(f"{BLOCKED} # stolen\n")
    return labs(with_gates=False,
                gateway=auth.settings({"site-tokens": {"block-list": block_list}}))


def model_of(auth: Auth, kind: str) -> Model:
    return auth.entra_model() if kind == "entra" else auth.site_model()


def all_forgeries(auth: Auth, kind: str) -> list[Forgery]:
    model = model_of(auth, kind)
    own = entra_forgeries(model, auth.fabrikam.id, auth.fabrikam.v2) if kind == "entra" else \
        site_forgeries(model, guid(), BLOCKED)
    return [*forgeries(model), *own]


def right_ones(auth: Auth, kind: str) -> list[str]:
    model = model_of(auth, kind)
    return [model.token(), signed(model.ec, model.claims, model.ec_header)]


def accepted(lab: Lab, open_front: Callable[..., object], wrong: list[Forgery]) -> list[str]:
    """Those that were not answered as they should be."""
    faults = []
    http = open_front(identity=None)
    for name, token in wrong:
        answer = http.request("GET", REQUEST, bearer(token))
        if answer.status != 401 or not answer.json()["detail"]:
            faults.append(f"{name}: {answer.status} {answer.reason}")
        elif answer.reason not in ("", "CMGService_Invalid_Token"):
            faults.append(f"{name}: {answer.reason}")
    http.close()
    return faults


@pytest.mark.parametrize("kind", ["entra", "site"])
def test_right_ones_are_taken(lab: Lab, auth: Auth, kind: str) -> None:
    """Else what follows would prove nothing."""
    for token in right_ones(auth, kind):
        with lab.http1(identity=None) as http:
            answer = http.request("GET", on(ECHO, "/lab/echo", SERVER), bearer(token))
            assert answer.status == 200, answer


@pytest.mark.slow(120)
@pytest.mark.parametrize("front", ["http1", "http2"])
@pytest.mark.parametrize("kind", ["entra", "site"])
def test_none_is_accepted(lab: Lab, auth: Auth, kind: str, front: str) -> None:
    wrong = all_forgeries(auth, kind)
    assert len(wrong) > 150 and len({name for name, _ in wrong}) == len(wrong)
    assert not accepted(lab, getattr(lab, front), wrong)


def test_real_token_with_any_bit_changed(lab: Lab, auth: Auth) -> None:
    """One character after the other, over a token of the real issuer."""
    token = auth.issuer.token(auth.contoso, device())
    changed = [(f"character {i}", token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:])
               for i in range(0, len(token), 7)]
    assert not accepted(lab, lab.http1, changed)


def test_one_kind_signed_by_the_other(lab: Lab, auth: Auth) -> None:
    """Keys of one issuer say nothing about another's tokens."""
    entra, of_site = auth.entra_model(), auth.site_model()
    crossed = [("Entra's claims by the site", signed(of_site.key, entra.claims, of_site.header)),
               ("the site's claims by Entra", signed(entra.key, of_site.claims, entra.header)),
               ("the site's issuer, Entra's audience",
                of_site.with_claims(aud=entra.claims["aud"])),
               ("Entra's issuer, the site's audience",
                entra.with_claims(aud=of_site.claims["aud"])),
               ("both audiences, the site's key under Entra's issuer", signed(
                   of_site.key, {**entra.claims, "aud": [entra.claims["aud"],
                                                         of_site.claims["aud"]]}, of_site.header))]
    assert not accepted(lab, lab.http1, crossed)


# --- where a token may be ----------------------------------------------------------------------

def misplaced(token: str, other: str) -> list[tuple[str, Headers, str]]:
    """A name, header fields, and what is added to the query."""
    def fields(*values: str) -> Headers:
        return [("Authorization", value) for value in values]
    return [
        ("twice", fields(f"Bearer {token}", f"Bearer {token}"), ""),
        ("two different", fields(f"Bearer {token}", f"Bearer {other}"), ""),
        ("beside Basic", fields("Basic eDp5", f"Bearer {token}"), ""),
        ("before Basic", fields(f"Bearer {token}", "Basic eDp5"), ""),
        ("Bearer twice", fields(f"Bearer Bearer {token}"), ""),
        ("Bearer alone", fields("Bearer"), ""),
        ("no scheme", fields(token), ""),
        ("Basic", fields(f"Basic {token}"), ""),
        ("Token", fields(f"Token {token}"), ""),
        ("Bearers", fields(f"Bearers {token}"), ""),
        ("DPoP", fields(f"DPoP {token}"), ""),
        ("no blank", fields(f"Bearer{token}"), ""),
        ("a list", fields(f"Bearer {token}, Bearer {token}"), ""),
        ("more behind it", fields(f"Bearer {token} x"), ""),
        ("a parameter", fields(f"Bearer token={token}"), ""),
        ("in quotes", fields(f'Bearer "{token}"'), ""),
        ("a colon", fields(f"Bearer: {token}"), ""),
        ("as JSON", fields(f"Bearer {jose_parts(token)}"), ""),
        ("cut by a blank", fields(f"Bearer {token[:40]} {token[40:]}"), ""),
        ("in Proxy-Authorization", [("Proxy-Authorization", f"Bearer {token}")], ""),
        ("in X-Authorization", [("X-Authorization", f"Bearer {token}")], ""),
        ("in Authentication", [("Authentication", f"Bearer {token}")], ""),
        ("in a cookie", [("Cookie", f"access_token={token}; Authorization=Bearer {token}")], ""),
        ("in the query", [], f"&access_token={token}"),
        ("in the query as a field", [], f"&Authorization=Bearer%20{token}"),
    ]


@pytest.mark.parametrize("front", ["http1", "http2"])
@pytest.mark.parametrize("kind", ["entra", "site"])
def test_token_where_none_belongs(lab: Lab, auth: Auth, kind: str, front: str) -> None:
    token, other = right_ones(auth, kind)
    faults = []
    for name, headers, query in misplaced(token, other):
        with getattr(lab, front)(identity=None) as http:
            answer: Response = http.request("GET", REQUEST + query, headers)
            if answer.status not in (400, 401):
                faults.append(f"{name}: {answer}")
    assert not faults


def test_underscored_field_is_not_authorization(lab: Lab, auth: Auth) -> None:
    """CGI folds `-` and `_`; nobody gets in by a field that we do not call Authorization."""
    token = right_ones(auth, "site")[0]
    with lab.http1(identity=None) as http:
        for name in ("Authorization_", "HTTP_AUTHORIZATION"):
            assert http.request("GET", REQUEST, [(name, f"Bearer {token}")]).status in (400, 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_has_no_case(lab: Lab, auth: Auth, scheme: str) -> None:
    for open_front in (lab.http1, lab.http2):
        with open_front(identity=None) as http:
            answer = http.request("GET", on(ECHO, "/lab/echo", SERVER),
                                  [("Authorization", f"{scheme} {right_ones(auth, 'site')[0]}")])
            assert answer.status == 200, answer


# --- what others say ---------------------------------------------------------------------------

# What npm's jose takes, given issuer, audience and the wish for exp, and we do not: it reads
# base64 forgivingly, keeps the last of two members, ignores keys and compression that a token
# brings, wants no key id, and has numbers that are no whole ones.
NPM_TAKES = {
    "jwk, by the right key", "jku, by the right key", "x5u, by the right key",
    "x5c, by the right key", "no kid", "signature padded", "payload padded, signed so",
    "signature with other tail bits", "longer than any", "alg twice, none first",
    "alg twice, the same", "exp twice", "payload nested deep", "zip", "enc",
    "issued in the future", "exp real", "exp beyond 64 bits", "exp 1e400"}

# What no library of signatures may take: everything that is wrong with the signature itself.
SIGNATURES = ("alg none", "alg None", "alg nOnE", "alg NONE", "alg empty", "HS256", "by a key",
              "signature:", "signature cut", "signature longer", "signature empty",
              "signature of", "payload changed", "header changed", "ES256 ")


@pytest.mark.parametrize("kind", ["entra", "site"])
def test_libraries_agree(auth: Auth, kind: str, tmp_path: Path) -> None:
    model, right, wrong = model_of(auth, kind), right_ones(auth, kind), all_forgeries(auth, kind)
    keys: list[Key] = [model.key, model.ec]
    issuer, audience = str(model.claims["iss"]), str(model.claims["aud"])

    def npm(tokens: list[str]) -> list[bool]:
        return oracles.npm_jose_takes(tokens, keys, issuer, audience)

    for token in right:
        assert oracles.jose_takes(token, keys, tmp_path)
        assert oracles.jwcrypto_takes(token, keys)
    assert npm(right) == [True, True]

    common = [name for name, _ in forgeries(model)]
    verdicts = dict(zip((name for name, _ in wrong), npm([token for _, token in wrong])))
    assert {name for name in common if verdicts[name]} == NPM_TAKES
    for name, token in wrong:
        if name.startswith(SIGNATURES):
            assert not oracles.jose_takes(token, keys, tmp_path), name
            assert not oracles.jwcrypto_takes(token, keys), name
