"""Who gets in where: each way to prove who one is against each thing that can be asked for, over
both versions of HTTP. One table says what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab import shapes
from lab.auth import Auth
from lab.azurite import Azurite
from lab.client import Response
from lab.http1 import Headers
from lab.oidc import device, user
from lab.site import MP, MUTUAL, SERVER, Lab, on
from lab.tokens import CONTENT_PATH, bearer, guid

CERTIFICATE, TOKEN = "CMGService_Client_Certificate_Required", "CMGService_Invalid_Token"
NOT_PERMITTED, UNKNOWN = "CMGService_Token_Not_Permitted", "CMGService_Tenant_Unknown"
NOT_PUBLISHED = "CMGService_Not_Published"

OK, NO_CERTIFICATE, NO_TOKEN = (200, "OK"), (403, CERTIFICATE), (401, TOKEN)
FORBIDDEN, NOT_THERE, NO_TENANT = (403, NOT_PERMITTED), (404, NOT_PUBLISHED), (404, UNKNOWN)

CONTENT = "PS100042.3"
Outcome = tuple[int, str]


@dataclass
class Credential:
    identity: str | None
    headers: Headers
    query: str = ""


def targets(auth: Auth) -> dict[str, str]:
    return {
        "mutual": on(MP, "/SMS_MP/.sms_aut?MPLIST", MUTUAL),
        "mutual sts": on(MP, "/CCM_STS?x", MUTUAL),
        "mutual unpublished": on(MP, "/AdminService/x?y", MUTUAL),
        "mutual unknown id": on("4711", "/SMS_MP/x?y", MUTUAL),
        "mutual metadata": f"{MUTUAL}/ServiceMetadata?x",
        "server": on(MP, "/CCM_System/request?x", SERVER),
        "server bulk": on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER),
        "server bulk, case": on(MP, "/ccm_sts?x", SERVER),
        "server unpublished": on(MP, "/AdminService/x?y", SERVER),
        "server unknown id": on("4711", "/SMS_MP/x?y", SERVER),
        "server metadata": f"{SERVER}/ServiceMetadata?x",
        "info": f"{SERVER}/AADAuthInfo?TenantID={auth.contoso.id}",
        "info unknown": f"{SERVER}/AADAuthInfo?TenantID={guid()}",
        "content": f"{CONTENT_PATH}?",
        "outside": "/SMS_MP/.sms_aut?MPLIST",
    }


def expected(mutual: bool, server: bool | None, content: bool = False) -> dict[str, Outcome]:
    """Whether the credential opens that tree, and the content; `server` None is a bulk token."""
    refused = NO_TOKEN if server is False else None
    return {
        "mutual": OK if mutual else NO_CERTIFICATE,
        "mutual sts": OK if mutual else NO_CERTIFICATE,
        "mutual unpublished": NOT_THERE if mutual else NO_CERTIFICATE,
        "mutual unknown id": NOT_THERE if mutual else NO_CERTIFICATE,
        "mutual metadata": OK if mutual else NO_CERTIFICATE,
        "server": refused or (FORBIDDEN if server is None else OK),
        "server bulk": refused or OK,
        "server bulk, case": refused or OK,
        "server unpublished": refused or (FORBIDDEN if server is None else NOT_THERE),
        "server unknown id": refused or NOT_THERE,
        "server metadata": refused or OK,
        "info": OK,
        "info unknown": NO_TENANT,
        "content": OK if content else NO_TOKEN,
        "outside": NOT_THERE,
    }


CREDENTIALS: dict[str, tuple[Callable[[Auth], Credential], dict[str, Outcome]]] = {
    "none": (lambda auth: Credential(None, []), expected(False, False)),
    "certificate": (lambda auth: Credential("client", []), expected(True, False)),
    "entra device": (lambda auth: Credential(
        None, bearer(auth.issuer.token(auth.contoso, device()))), expected(False, True)),
    "entra user": (lambda auth: Credential(
        None, bearer(auth.issuer.token(auth.fabrikam, user(), "v1.0"))), expected(False, True)),
    "client token": (lambda auth: Credential(None, bearer(auth.site.client())),
                     expected(False, True)),
    "sts token": (lambda auth: Credential(None, bearer(auth.site.token("Device"))),
                  expected(False, True)),
    "bulk token": (lambda auth: Credential(None, bearer(auth.site.bulk())), expected(False, None)),
    "content token": (lambda auth: Credential(None, [], auth.site.content(CONTENT)),
                      expected(False, False, content=True)),
    "bad token": (lambda auth: Credential(None, bearer(auth.site.client(exp=1))),
                  expected(False, False)),
    "certificate, bulk token": (lambda auth: Credential("client", bearer(auth.site.bulk())),
                                expected(True, None)),
    "certificate, bad token": (lambda auth: Credential("client", bearer("x.y.z")),
                               expected(True, False)),
}


def outcome(answer: Response) -> Outcome:
    """HTTP/2 has no phrase: a refusal says it in a field, and in its body."""
    phrase = answer.reason or answer.get("cmg-reason") or ("OK" if answer.status == 200 else "")
    return answer.status, phrase


@pytest.fixture(scope="module")
def lab(labs, auth: Auth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With everything that it takes for each column to be 200 for somebody."""
    storage = Azurite(tmp_path_factory.mktemp("azurite"))
    try:
        storage.start()
        storage.make("content")
        storage.put("content", f"{CONTENT.lower()}/a.bin", b"abc")
        yield labs(with_gates=False, gateway=auth.settings({
            "content": {"issuers": auth.site.content_issuer},
            "storage main": {"account": storage.account, "url": storage.url,
                             "key-file": storage.key_file}}))
    finally:
        storage.stop()


@pytest.mark.parametrize("front", ["http1", "http2"])
@pytest.mark.parametrize("name", CREDENTIALS)
def test_matrix(lab: Lab, auth: Auth, name: str, front: str) -> None:
    make, wanted = CREDENTIALS[name]
    credential = make(auth)
    got = {}
    for what, target in targets(auth).items():
        method = "CCM_POST" if "/CCM_System/" in target else "GET"
        with getattr(lab, front)(identity=credential.identity) as http:
            body = shapes.registration().encode() if method == "CCM_POST" else None
            between = "" if target.endswith("?") or not credential.query else "&"
            answer = http.request(method, target + between + credential.query,
                                  credential.headers, body)
            got[what] = outcome(answer)
            if answer.status != 200:
                assert answer.json()["title"] == got[what][1], answer
    assert got == wanted

