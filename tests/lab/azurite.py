"""Blob storage as Azure has it: azurite, an emulator that checks signatures and ends as Azure does.

What signs the lab's own requests is written here once more, in Python, from Azure's description of
Shared Key and of service SAS: what the daemons sign is held against it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
from datetime import datetime, timezone
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from . import node
from .process import Process
from .waiting import LabError, free_ports

VERSION = "2020-12-06"
LISTENS = "successfully listens"


def sign(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def shared_key(account: str, key: bytes, method: str, url: str, headers: dict[str, str],
               length: int = 0) -> str:
    """The value of Authorization."""
    given = {name.lower(): value for name, value in headers.items()}
    standard = ["content-encoding", "content-language", "content-length", "content-md5",
                "content-type", "date", "if-modified-since", "if-match", "if-none-match",
                "if-unmodified-since", "range"]
    given["content-length"] = str(length) if length else ""
    lines = [method] + [given.get(name, "") for name in standard]
    lines += [f"{name}:{given[name]}" for name in sorted(given) if name.startswith("x-ms-")]
    parts = urlsplit(url)
    lines.append(f"/{account}{parts.path or '/'}")
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return f"SharedKey {account}:" + sign(key, "\n".join(
        lines + [f"{name.lower()}:{value}" for name, value in query]))


def iso(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sas(account: str, key: bytes, resource: str, may: str, until: float, kind: str,
        protocol: str = "") -> str:
    """A service SAS: `resource` is "container" or "container/blob", `kind` c or b."""
    end = iso(until)
    text = "\n".join([may, "", end, f"/blob/{account}/{resource}", "", "", protocol, VERSION, kind,
                      "", "", "", "", "", "", ""])
    query = {"sv": VERSION, "sr": kind, "sp": may, "se": end}
    if protocol:
        query["spr"] = protocol
    query["sig"] = sign(key, text)
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def code(self) -> str:
        return self.headers.get("x-ms-error-code", "")


def ask(method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """One request; nothing is encoded, followed or repeated."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""),
                           body if body or method == "PUT" else None, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Azurite:
    """One account of an emulator that keeps all in memory."""

    def __init__(self, folder: Path, account: str = "contoso", port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.account = account
        self.key = hashlib.sha512(account.encode()).digest()
        self.port = port or free_ports()
        self.url = f"http://127.0.0.1:{self.port}/{account}"
        self.key_file = folder / f"{account}.key"
        self.key_file.write_text(base64.b64encode(self.key).decode() + "\n")
        self.key_file.chmod(0o600)
        program = node.packages() / "node_modules" / ".bin" / "azurite-blob"
        self.process = Process(
            f"azurite-{account}",
            ["node", program, "--blobHost", "127.0.0.1", "--blobPort", str(self.port),
             "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"],
            folder / f"{account}.log",
            {"AZURITE_ACCOUNTS": f"{account}:{base64.b64encode(self.key).decode()}"}, cwd=folder)

    def start(self) -> "Azurite":
        self.process.start()
        self.process.wait_log(LISTENS, 60)
        return self

    def stop(self) -> None:
        self.process.kill()

    def ask(self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None,
            body: bytes = b"") -> Answer:
        """A request signed with the account's key."""
        url = self.url + quote(path, safe="/") + (f"?{query}" if query else "")
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, **(headers or {})}
        sent["Authorization"] = shared_key(self.account, self.key, method, url, sent, len(body))
        return ask(method, url, sent, body)

    def make(self, container: str) -> None:
        self._done(self.ask("PUT", f"/{container}", "restype=container"), f"make {container}")

    def put(self, container: str, name: str, body: bytes,
            kind: str = "application/octet-stream") -> None:
        self._done(self.ask("PUT", f"/{container}/{name}", "",
                            {"x-ms-blob-type": "BlockBlob", "Content-Type": kind}, body),
                   f"put {name}")

    def sas(self, resource: str, may: str, until: float, kind: str = "c") -> str:
        return sas(self.account, self.key, resource, may, until, kind)

    def _done(self, answer: Answer, what: str) -> None:
        if answer.status != 201:
            raise LabError(f"{self.process.name}: {what}: {answer.status} {answer.code}")
