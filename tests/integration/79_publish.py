"""cmgctl content publish: what arrives, what is not sent twice, what is said when it fails."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.azurite import Azurite, ask
from lab.daemons import SANITIZERS, ini
from lab.waiting import free_ports
from lab.watched import Watched

CONTENT = "PS100042.3"
PREFIX = "ps100042.3/"
BLOCK = 64 << 10
BIG = 20 * BLOCK + 17  # 21 blocks
STRANGE = ["a b.txt", "Größe/Übermaß äöüß.bin", "100% + more.txt", "%41%2e%2F.txt", "a+b&c=d;e.txt",
           "#hash?question.txt", "sub/deeper/deepest/x.cab", "漢字/😀.dat", "quote'\"<>.txt"]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    made = Azurite(tmp_path_factory.mktemp("azurite"))
    try:
        yield made.start()
    finally:
        made.stop()


class Publisher:
    """A folder, a container of its own, and the command that brings one to the other."""

    def __init__(self, build: Path, azurite: Azurite, folder: Path, number: int) -> None:
        self.program = build / "cmgctl"
        self.azurite = azurite
        self.folder = folder / "content"
        self.folder.mkdir()
        self.container = f"test{number}"
        self.watched = Watched(azurite.url)

    def write(self, name: str, size: int, seed: int = 0) -> bytes:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = random.Random(f"{name} {seed}").randbytes(size)
        path.write_bytes(text)
        return text

    def storage(self) -> list[str]:
        return ["--account", self.azurite.account, "--key-file", str(self.azurite.key_file),
                "--url", self.watched.url, "--container", self.container]

    def argv(self, *more: str, storage: list[str] | None = None) -> list[str]:
        return [str(self.program), "content", "publish", str(self.folder), "--id", CONTENT,
                "--block-size", "64K", *(self.storage() if storage is None else storage), *more]

    def run(self, *more: str, storage: list[str] | None = None,
            status: int = 0) -> subprocess.CompletedProcess[str]:
        return command(self.argv(*more, storage=storage), status)

    def other(self, verb: str, *more: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return command([str(self.program), "content", verb, *self.storage(), *more], status)

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(*more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=environment())

    def published(self) -> dict[str, bytes]:
        """What readers get, by relative name."""
        found = {}
        listed = json.loads(self.other("list", "--id", CONTENT, "--json").stdout)
        for blob in listed:
            answer = self.azurite.ask("GET", f"/{self.container}/{blob['name']}")
            assert answer.status == 200
            md5 = base64.b64encode(hashlib.md5(answer.body).digest()).decode()
            assert blob["md5"] == md5 == answer.headers["content-md5"]
            found[blob["name"].removeprefix(PREFIX)] = answer.body
        return found


def environment() -> dict[str, str]:
    return {**os.environ, **SANITIZERS}


def command(argv: list[str], status: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=50, env=environment())
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


_containers = iter(range(1000))


@pytest.fixture
def publisher(build: Path, azurite: Azurite, tmp_path: Path) -> Iterator[Publisher]:
    made = Publisher(build, azurite, tmp_path, next(_containers))
    yield made
    made.watched.stop()


# --- what arrives --------------------------------------------------------------------------


def test_what_clients_get_is_what_was_there(publisher: Publisher) -> None:
    files = {name: publisher.write(name, 1000 + i) for i, name in enumerate(STRANGE)}
    for name, size in (("empty", 0), ("one", 1), ("block", BLOCK), ("block+1", BLOCK + 1),
                       ("two", 2 * BLOCK), ("big/data.cab", BIG)):
        files[name] = publisher.write(name, size)
    done = publisher.run()
    assert publisher.published() == files
    assert f"{len(files)} files" in done.stdout and f"{len(files)} sent" in done.stdout
    assert sorted(re.findall(r"^sent (.*) \(.*\)$", done.stderr, re.M)) == sorted(files)


def test_the_container_is_made_private_and_once(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.run()
    publisher.run()
    assert publisher.watched.count("container") == 1
    url = f"{publisher.azurite.url}/{publisher.container}/{PREFIX}a"
    assert ask("GET", url).status in (401, 403, 404, 409)


def test_many_small_files_in_parallel(publisher: Publisher) -> None:
    files = {f"d{i % 7}/f{i}": publisher.write(f"d{i % 7}/f{i}", i) for i in range(200)}
    publisher.run("--parallel", "16")
    assert publisher.published() == files
    assert publisher.watched.count("blob") == len(files)


def test_the_account_comes_from_the_gateways_configuration(
        publisher: Publisher, site, tmp_path: Path) -> None:
    pki = site.pki
    config = tmp_path / "gateway.ini"
    config.write_text(ini({
        "gateway": {"name": "localhost", "certificate": pki.gateway.certificate,
                    "key": pki.gateway.key},
        "clients": {"ca-file": pki.client_root.certificate},
        "channel": {"ca-file": pki.point_ca.certificate},
        "storage main": {"account": publisher.azurite.account, "url": publisher.watched.url,
                         "container": publisher.container,
                         "key-file": publisher.azurite.key_file},
        "storage other": {"account": "other", "key-file": publisher.azurite.key_file},
        "connection-point cp1": {"site": "PS1"},
    }))
    files = {"a": publisher.write("a", 10)}
    said = publisher.run(storage=["--config", str(config)], status=78).stderr
    assert "--storage" in said
    said = publisher.run(storage=["--config", str(config), "--storage", "none"], status=78).stderr
    assert "[storage none]" in said
    publisher.run(storage=["--config", str(config), "--storage", "main"])
    assert publisher.published() == files


# --- what is not sent twice ----------------------------------------------------------------


def test_a_second_run_sends_nothing(publisher: Publisher) -> None:
    for name, size in (("a", 10), ("empty", 0), ("big", BIG)):
        publisher.write(name, size)
    publisher.run()
    publisher.watched.forget()
    summary = json.loads(publisher.run("--json").stdout)
    assert {seen.kind for seen in publisher.watched.seen} == {"list"}
    assert summary["files_same"] == 3 and summary["files_sent"] == summary["bytes_sent"] == 0
    assert summary["published"]


def test_only_the_changed_file_is_sent_again(publisher: Publisher) -> None:
    files = {name: publisher.write(name, 1000) for name in ("a", "b", "c")}
    publisher.run()
    publisher.watched.forget()
    files["b"] = publisher.write("b", 1000, seed=1)  # same size, other bytes
    publisher.run()
    assert [seen.name for seen in publisher.watched.seen if seen.kind == "blob"] == [
        f"{publisher.container}/{PREFIX}b"]
    assert publisher.published() == files


def test_only_the_changed_blocks_of_a_file_are_sent_again(publisher: Publisher) -> None:
    text = bytearray(publisher.write("big", BIG))
    publisher.run()
    publisher.watched.forget()
    text[5 * BLOCK + 3] ^= 1
    text += b"and more"
    (publisher.folder / "big").write_bytes(text)
    publisher.run()
    assert publisher.watched.count("block") == 2
    assert publisher.published() == {"big": bytes(text)}


def test_a_killed_upload_goes_on_where_it_was(publisher: Publisher) -> None:
    text = publisher.write("big", BIG)
    publisher.watched.hold("block", after=8)
    upload = publisher.start("--parallel", "3")
    publisher.watched.wait_held(3)
    upload.kill()
    upload.communicate()
    publisher.watched.release(drop=True)
    assert publisher.watched.count("block") == 8 and publisher.watched.count("commit") == 0
    publisher.watched.forget()

    summary = json.loads(publisher.run("--json").stdout)
    assert publisher.watched.count("block") == summary["blocks_sent"] == 21 - 8
    assert summary["blocks_there"] == 8
    assert publisher.watched.body("block") == summary["bytes_sent"] == BIG - 8 * BLOCK
    assert publisher.published() == {"big": text}


def test_a_file_that_changed_after_a_kill_is_not_mixed(publisher: Publisher) -> None:
    publisher.write("big", BIG)
    publisher.watched.hold("block", after=8)
    upload = publisher.start()
    publisher.watched.wait_held(4)
    upload.kill()
    upload.communicate()
    publisher.watched.release(drop=True)
    publisher.watched.forget()
    text = publisher.write("big", BIG, seed=1)
    publisher.run()
    assert publisher.watched.count("block") == 21
    assert publisher.published() == {"big": text}


def test_an_interrupted_upload_says_how_to_go_on(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.write("big", BIG)
    publisher.watched.hold("block", after=4)
    upload = publisher.start()
    publisher.watched.wait_held(4)
    upload.send_signal(signal.SIGINT)
    _, said = upload.communicate(timeout=20)
    publisher.watched.release(drop=True)
    assert upload.returncode == 1
    assert "interrupted" in said and "1 of 2 files" in said and "the same command" in said
    publisher.watched.forget()
    publisher.run()
    assert publisher.watched.count("block") == 21 - 4 and publisher.watched.count("blob") == 0


def test_a_file_that_changes_meanwhile_is_not_published(publisher: Publisher) -> None:
    text = publisher.write("big", BIG)
    publisher.watched.hold("block", after=4)
    upload = publisher.start()
    publisher.watched.wait_held(4)
    (publisher.folder / "big").write_bytes(text[::-1])
    publisher.watched.release()
    _, said = upload.communicate(timeout=20)
    assert upload.returncode == 1 and "big has changed" in said
    assert publisher.watched.count("commit") == 0


# --- what is superfluous -------------------------------------------------------------------


def test_prune_removes_what_the_folder_has_not(publisher: Publisher) -> None:
    files = {name: publisher.write(name, 100) for name in ("a", "b c%", "sub/d")}
    publisher.run()
    neighbour = f"{PREFIX[:-1]}4/a"  # ps100042.34: another content
    publisher.azurite.put(publisher.container, neighbour, b"stays")
    (publisher.folder / "b c%").unlink()
    del files["b c%"]

    dry = publisher.run("--prune", "--dry-run")
    assert f"would remove {PREFIX}b c%" in dry.stderr and len(publisher.published()) == 3
    publisher.run()
    assert len(publisher.published()) == 3  # not without being told to
    assert "1 removed" in publisher.run("--prune").stdout
    assert publisher.published() == files
    assert publisher.azurite.ask("GET", f"/{publisher.container}/{neighbour}").status == 200


def test_a_dry_run_changes_nothing(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.write("big", BIG)
    done = publisher.run("--dry-run")
    assert "2 would be sent" in done.stdout and "would send big" in done.stderr
    assert {seen.kind for seen in publisher.watched.seen} == {"list"}
    assert publisher.azurite.ask("GET", f"/{publisher.container}",
                                 "restype=container&comp=list").status == 404


def test_list_and_remove(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.write("sub/b", 20)
    assert "no container" in publisher.other("list", status=1).stderr
    publisher.run()
    publisher.azurite.put(publisher.container, "other.1/x", b"stays")
    listed = publisher.other("list").stdout
    assert re.search(rf"^{PREFIX[:-1]} +2 files +30 B$", listed, re.M)
    assert re.search(r"^other.1 +1 files +5 B$", listed, re.M)
    one = publisher.other("list", "--id", CONTENT.lower()).stdout
    assert f"10  {PREFIX}a" in one and f"20  {PREFIX}sub/b" in one and "other" not in one
    assert "2 files removed" in publisher.other("remove", "--id", CONTENT).stdout
    assert "not published" in publisher.other("remove", "--id", CONTENT, status=1).stderr
    assert "other.1" in publisher.other("list").stdout


# --- what fails ----------------------------------------------------------------------------


def test_a_wrong_key_is_refused_with_what_to_check(publisher: Publisher, tmp_path: Path) -> None:
    publisher.write("a", 10)
    key = tmp_path / "wrong.key"
    key.write_text(base64.b64encode(b"wrong" * 12).decode())
    key.chmod(0o600)
    storage = publisher.storage()
    storage[storage.index("--key-file") + 1] = str(key)
    said = publisher.run(storage=storage, status=1).stderr
    assert "403 Auth" in said and "key" in said and "clock" in said
    assert len(publisher.watched.seen) == 1  # not tried again
    assert key.read_text() not in said

    key.chmod(0o644)
    assert "chmod" in publisher.run(storage=storage, status=78).stderr


def test_a_shared_access_signature_does_in_place_of_the_key(
        publisher: Publisher, tmp_path: Path) -> None:
    files = {"a": publisher.write("a", 10), "big": publisher.write("big", BIG)}
    publisher.azurite.make(publisher.container)
    sas = tmp_path / "sas"
    storage = publisher.storage()
    storage[storage.index("--key-file"):storage.index("--url")] = ["--sas-file", str(sas)]

    def allow(what: str) -> str:
        sas.touch(0o600)
        sas.write_text(publisher.azurite.sas(publisher.container, what, time.time() + 3600))
        return sas.read_text().rsplit("sig=", 1)[1]

    signature = allow("rl")
    refused = publisher.run(storage=storage, status=1)
    assert "403 Auth" in refused.stderr and "SAS must allow" in refused.stderr
    assert signature not in refused.stderr + refused.stdout
    allow("rcwdl")
    publisher.run("--prune", storage=storage)
    assert publisher.published() == files


def test_storage_that_is_down_is_tried_again_and_given_up(publisher: Publisher) -> None:
    publisher.write("a", 10)
    storage = publisher.storage()
    storage[storage.index("--url") + 1] = f"http://127.0.0.1:{free_ports()}/contoso"
    said = publisher.run("--tries", "2", storage=storage, status=1).stderr
    assert said.count("trying again in") == 1
    assert "storage contoso" in said.splitlines()[-1]


def test_a_busy_storage_is_asked_again(publisher: Publisher) -> None:
    files = {"a": publisher.write("a", 10), "big": publisher.write("big", BIG)}
    publisher.watched.answer("block", 503, 500)
    done = publisher.run()
    assert done.stderr.count("trying again in") == 2 and "503 ServerBusy" in done.stderr
    assert publisher.watched.count("block") == 21
    assert publisher.published() == files


def test_a_storage_that_stays_busy_is_given_up(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.watched.answer("blob", 503, 503, 503, 503)
    said = publisher.run("--tries", "3", status=1).stderr
    assert said.count("trying again in") == 2
    assert "a: storage contoso: 503 ServerBusy" in said and "0 of 1 files" in said


def test_a_folder_that_cannot_be_published_is_refused_before_anything_is_sent(
        publisher: Publisher) -> None:
    assert "no files" in publisher.run(status=78).stderr
    publisher.write("a", 10)
    (publisher.folder / "link").symlink_to("/etc/passwd")
    said = publisher.run(status=78).stderr
    assert "link: a link that leads out of the folder" in said
    (publisher.folder / "link").unlink()
    (publisher.folder / os.fsdecode(b"latin1-\xe4")).write_bytes(b"")
    assert "latin1-?: its name is not UTF-8" in publisher.run(status=78).stderr
    assert not publisher.watched.seen


@pytest.mark.parametrize("wrong, words", [
    (["--parallel", "0"], "from 1 to 32"),
    (["--parallel", "33"], "from 1 to 32"),
    (["--tries", "0"], "from 1 to 100"),
    (["--sas-file", "/dev/null"], "do not go together"),
    (["--config", "/dev/null"], "say which storage"),
    (["--storage", "main"], "section of --config"),
])
def test_wrong_arguments(publisher: Publisher, wrong: list[str], words: str) -> None:
    publisher.write("a", 10)
    assert words in publisher.run(*wrong, status=2).stderr


# --- how far it is ---------------------------------------------------------------------------


COLUMNS = 60


def read_terminal(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # nobody has the other end any more
        return b""


def test_a_terminal_shows_a_bar(publisher: Publisher) -> None:
    publisher.write("sub/Größe.cab", BIG)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    publisher.watched.hold("block", after=10)
    began = time.monotonic()
    upload = subprocess.Popen(publisher.argv(), stdout=subprocess.PIPE, stderr=theirs, text=True,
                              env=environment())
    os.close(theirs)
    raw = b""
    while raw.count(b"\r") < 12 and (more := read_terminal(ours)):
        raw += more
    took = time.monotonic() - began
    publisher.watched.release()
    while more := read_terminal(ours):
        raw += more
    shown = raw.decode()
    out, _ = upload.communicate(timeout=20)
    os.close(ours)

    assert upload.returncode == 0 and "1 sent" in out
    assert 12 <= took * 10 + 2  # ten a second at most
    bars = [bar.removesuffix("\x1b[K") for bar in shown.split("\r") if bar]
    assert all(len(bar) < COLUMNS for bar in bars), bars
    assert any(re.match(r" \d\d% \[=+> +\]  \d+ KiB of 1.3 MiB", bar) for bar in bars), bars
    assert shown.endswith("\r\x1b[K") and "\n" not in shown


def test_a_pipe_gets_one_line_for_each_file(publisher: Publisher) -> None:
    publisher.write("a", 10)
    publisher.write("big", BIG)
    done = publisher.run()
    assert "\r" not in done.stderr and "\x1b" not in done.stderr + done.stdout
    assert sorted(done.stderr.splitlines()) == ["sent a (10 B)", "sent big (1.3 MiB)"]
    assert len(done.stdout.splitlines()) == 1
