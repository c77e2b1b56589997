"""Blob storage: what our own code signs is sent to a real service, and what it shares opens just
that. Between the two is only an HTTP client that changes nothing."""

from __future__ import annotations

import base64
import html
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.azurite import Answer, Azurite, ask

BODY = bytes(range(256)) * 40
# Each would be another one if a step encoded less, more or otherwise than the others.
NAMES = ["ps100042.3/plain.bin", "ps100042.3/sub folder/with blank.bin",
         "ps100042.3/100%25/a+b&c=d;e,f(g)'h!.bin", "ps100042.3/grün/€/😀.bin",
         "ps100042.3/.hidden~_-@:$*[]#?.bin"]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    made = Azurite(tmp_path_factory.mktemp("azurite"))
    try:
        made.start()
        made.make("content")
        for name in NAMES:
            made.put("content", name, BODY + name.encode())
        yield made
    finally:
        made.stop()


class Ours:
    """Requests and shares as our code makes them."""

    def __init__(self, build: Path, storage: Azurite, secret: Path) -> None:
        self._argv = [build / "tests" / "blobs", storage.account, storage.url, secret]

    def _run(self, *words: str) -> str:
        return subprocess.run([str(w) for w in [*self._argv, *words]], check=True, timeout=30,
                              capture_output=True, text=True).stdout

    def ask(self, verb: str, container: str, name: str = "", third: str = "",
            body: bytes = b"") -> Answer:
        lines = self._run("request", verb, container, name, third, str(len(body))).splitlines()
        method, url = lines[0].split(" ", 1)
        return ask(method, url, dict(line.split(": ", 1) for line in lines[1:]), body)

    def share(self, container: str, name: str, until: float) -> str:
        return self._run("share", container, name, str(int(until))).strip()


@pytest.fixture
def ours(build: Path, storage: Azurite) -> Ours:
    return Ours(build, storage, storage.key_file)


def test_a_list_comes_page_by_page(ours: Ours) -> None:
    seen, marker = 0, ""
    for _ in range(len(NAMES)):
        answer = ours.ask("list", "content", "ps100042.3/", marker)
        assert answer.status == 200, answer.code
        seen += answer.body.count(b"<Blob>")
        found = re.search(rb"<NextMarker>([^<]+)</NextMarker>", answer.body)
        if not found:
            break
        marker = html.unescape(found[1].decode())
    assert seen == len(NAMES) and marker


def test_a_blob_is_made_of_blocks(ours: Ours) -> None:
    assert ours.ask("create-container", "made").status == 201
    assert ours.ask("create-container", "made").code == "ContainerAlreadyExists"
    assert ours.ask("head", "made", "a b/c.bin").status == 404
    for block, body in ("0001", b"hello "), ("0002", b"world"):
        assert ours.ask("put-block", "made", "a b/c.bin", block, body).status == 201
    listed = ours.ask("get-block-list", "made", "a b/c.bin")
    assert listed.status == 200 and listed.body.count(b"<Block>") == 2
    ids = "".join(f"<Latest>{base64.b64encode(b).decode()}</Latest>" for b in (b"0001", b"0002"))
    whole = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{ids}</BlockList>'.encode()
    assert ours.ask("put-block-list", "made", "a b/c.bin", "", whole).status == 201
    assert ours.ask("get", "made", "a b/c.bin").body == b"hello world"
    assert ours.ask("put", "made", "a b/c.bin", "", b"shorter").status == 201
    assert ours.ask("head", "made", "a b/c.bin").headers["content-length"] == "7"
    assert ours.ask("delete", "made", "a b/c.bin").status == 202
    assert ours.ask("get", "made", "a b/c.bin").status == 404


@pytest.mark.parametrize("name", NAMES)
def test_a_share_opens_the_blob(ours: Ours, name: str) -> None:
    url = ours.share("content", name, time.time() + 3600)
    whole = ask("GET", url)
    assert (whole.status, whole.body) == (200, BODY + name.encode())
    part = ask("GET", url, {"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, BODY[10:20])


def test_a_share_opens_nothing_else(ours: Ours, storage: Azurite) -> None:
    url = ours.share("content", NAMES[0], time.time() + 3600)
    query = url.split("?", 1)[1]
    assert ask("GET", f"{storage.url}/content/ps100042.3/other.bin?{query}").status == 403
    assert ask("GET", f"{storage.url}/content?restype=container&comp=list&{query}").status == 403
    assert ask("PUT", url, {"x-ms-blob-type": "BlockBlob"}, b"x").status == 403
    assert ask("DELETE", url).status == 403
    assert ask("GET", url.split("?")[0]).status in (403, 404)
    later = re.sub(r"se=\d{4}", "se=2099", url)
    assert ask("GET", later).status == 403


def test_a_share_ends(ours: Ours) -> None:
    assert ask("GET", ours.share("content", NAMES[0], time.time() - 5)).status == 403


def test_a_signature_for_the_container_will_do(build: Path, storage: Azurite,
                                               tmp_path: Path) -> None:
    secret = tmp_path / "sas"
    secret.write_text("?" + storage.sas("content", "rl", time.time() + 600) + "\n")
    secret.chmod(0o600)
    ours = Ours(build, storage, secret)
    assert ours.ask("list", "content", "ps100042.3/").body.count(b"<Blob>") == 2
    assert ask("GET", ours.share("content", NAMES[1], 0)).body == BODY + NAMES[1].encode()
    assert ours.ask("put", "content", "new", "", b"x").status == 403


def test_another_key_opens_nothing(build: Path, storage: Azurite, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(base64.b64encode(b"k" * 64).decode())
    secret.chmod(0o600)
    assert Ours(build, storage, secret).ask("list", "content").status == 403
