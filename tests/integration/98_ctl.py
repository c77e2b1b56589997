"""cmgctl on daemons that run: as an operator sees it on a terminal, and a script in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from lab.daemons import SANITIZERS
from lab.site import ECHO, Lab, on
from lab.waiting import wait_for

Done = subprocess.CompletedProcess[str]
ESCAPE = "\x1b["


class Ctl:
    """cmgctl about one daemon, by its socket."""

    def __init__(self, build: Path, socket: Path) -> None:
        self.program, self.socket = build / "cmgctl", socket

    def argv(self, *args: str | Path) -> list[str]:
        return [str(self.program), str(args[0]), f"--socket={self.socket}", *map(str, args[1:])]

    def __call__(self, *args: str | Path, within: float = 100) -> Done:
        return subprocess.run(self.argv(*args), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=within, env={**os.environ, **SANITIZERS})

    def good(self, *args: str | Path) -> str:
        done = self(*args)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def on_terminal(self, *args: str | Path, env: dict[str, str] | None = None) -> str:
        """What it writes to a terminal; its exit status is not looked at."""
        master, slave = pty.openpty()
        child = subprocess.Popen(self.argv(*args), stdin=slave, stdout=slave, stderr=slave,
                                 env={**os.environ, **SANITIZERS, "TERM": "xterm", **(env or {})})
        os.close(slave)
        text = b""
        try:
            while part := os.read(master, 65536):
                text += part
        except OSError:
            pass  # EIO: the other end is closed
        child.wait(60)
        os.close(master)
        return text.decode()


def sockets(lab: Lab, build: Path) -> tuple[Ctl, Ctl]:
    return Ctl(build, lab.gateways[1].socket), Ctl(build, lab.points["cp1"].socket)


@pytest.fixture(scope="module")
def lab(labs) -> Lab:
    return labs()


@pytest.fixture(scope="module")
def ctls(lab: Lab, build: Path) -> tuple[Ctl, Ctl]:
    return sockets(lab, build)


# --- status -----------------------------------------------------------------------------------

@pytest.mark.parametrize("which, program", [(0, "cmg-gateway"), (1, "cmg-connection-point")])
def test_status_in_a_pipe_and_on_a_terminal(ctls, which: int, program: str) -> None:
    ctl = ctls[which]
    plain = ctl.good("status")
    assert ESCAPE not in plain and plain.splitlines()[0].endswith(": ready")
    assert re.search(r"^certificates$", plain, re.M) and not re.search(r" +$", plain, re.M)
    everything = ctl.good("status", "--all")
    assert re.search(r"^process$", everything, re.M) and len(everything) > len(plain)
    shown = ctl.on_terminal("status")
    assert f"{ESCAPE}32mready{ESCAPE}0m" in shown
    assert ESCAPE not in ctl.on_terminal("status", env={"NO_COLOR": "1"})
    assert ESCAPE not in ctl.on_terminal("status", env={"TERM": "dumb"})
    assert isinstance(json.loads(ctl.good("status", "--json")), dict)


def test_status_of_a_gateway_without_a_channel(new_lab, build: Path) -> None:
    lab = new_lab(points=(), wait=False)
    done = Ctl(build, lab.gateways[1].socket)("status")
    assert done.returncode == 1 and "not ready" in done.stdout.splitlines()[0]


# --- who does not answer ------------------------------------------------------------------------

def test_a_socket_that_is_not_there(build: Path, tmp_path: Path) -> None:
    done = Ctl(build, tmp_path / "none.sock")("status")
    assert done.returncode == 3 and not done.stdout
    assert str(tmp_path / "none.sock") in done.stderr and "systemctl status" in done.stderr


def test_a_socket_whose_daemon_is_dead(new_lab, build: Path) -> None:
    lab = new_lab(points=(), wait=False)
    ctl = Ctl(build, lab.gateways[1].socket)
    ctl.good("log-level")
    lab.gateways[1].kill()
    done = ctl("status")
    assert done.returncode == 3 and "does it run?" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_a_socket_of_a_group_that_one_is_not_in(ctls, build: Path) -> None:
    for folder in (ctls[0].socket.parent, *ctls[0].socket.parent.parents):
        if folder.stat().st_mode & 0o001 == 0 and folder != ctls[0].socket.parent:
            break  # then the folder refuses already, which has to be said alike
    try:
        done = subprocess.run(ctls[0].argv("status"), capture_output=True, text=True, timeout=60,
                              user=65534, group=65534, extra_groups=[],
                              env={**os.environ, **SANITIZERS})
    except PermissionError:
        pytest.skip("nobody cannot run what is built here")
    assert done.returncode == 3 and "group cmg" in done.stderr, done.stderr


# --- what no daemon of ours answers ---------------------------------------------------------------

class Door:
    """Answers each connection with the same bytes, and closes it."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.path, self.answer = path, answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                with self.listener.accept()[0] as peer:
                    while not peer.recv(65536).endswith(b"\r\n\r\n"):
                        pass
                    peer.sendall(self.answer)
        except OSError:
            pass  # closed

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def stream(*parts: bytes, end: bool = True) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
            + (b"0\r\n\r\n" if end else b""))


PASS = b'{"check":"clock","subject":"","verdict":"pass","says":"right to 1 s","means":"","do":""}\n'
FAIL = (b'{"check":"port","subject":"10125","verdict":"fail","says":"filt\\u001b[2Jered","means":"no '
        b'channel","do":"open 10125"}\n')
TOTALS = b'{"pass":1,"warn":0,"fail":1}\n'
PLAIN = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize("what, answer, status, out, err", [
    ("whole", stream(PASS + FAIL[:20], FAIL[20:] + TOTALS), 1,
     "ok      clock            right to 1 s\n"
     "FAIL    port             10125: filt?[2Jered\n"
     "        means: no channel\n"
     "        do: open 10125\n\n"
     "1 passed, 0 to look at, 1 failed\n", ""),
    ("all well", stream(PASS, TOTALS), 0, "1 passed, 0 to look at, 0 failed\n", ""),
    ("no totals", stream(PASS), 1, "1 passed", "ended before its end"),
    ("cut", stream(PASS, end=False), 3, "ok ", "cmgctl: "),
    ("a new verdict", stream(PASS.replace(b'"pass"', b'"odd"'), TOTALS), 0, "1 to look at", ""),
    ("no JSON", stream(b"what?\n"), 1, "0 passed", "ended before its end"),
    ("busy", PLAIN % (409, 21, b'{"detail":"one runs"}'), 1, "", "one runs"),
    ("too new", PLAIN % (404, 2, b"{}"), 1, "", "as new as cmgctl"),
    ("not HTTP", b"SSH-2.0-x\r\n", 3, "", "does it run"),
    ("nothing", b"", 3, "", "does it run"),
    ("a line without end", stream(*[b"x" * 32768] * 3), 3, "", "cmgctl: "),
])
def test_analyze_of_any_answer(build: Path, tmp_path: Path, what: str, answer: bytes, status: int,
                               out: str, err: str) -> None:
    with Door(tmp_path / "s", answer) as path:
        done = Ctl(build, path)("analyze")
    assert (done.returncode, out in done.stdout, err in done.stderr) == (status, True, True), \
        (what, done)


@pytest.mark.parametrize("verb", ["status", "traffic", "reload", "drain", "log-level"])
@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"result":5,"Periods":{},"Running":[1]}', b"x", b""])
def test_no_answer_upsets_it(build: Path, tmp_path: Path, verb: str, answer: bytes) -> None:
    for status in (200, 202, 500):
        with Door(tmp_path / f"s{status}", PLAIN % (status, len(answer), answer)) as path:
            done = Ctl(build, path)(verb)
        assert done.returncode in (0, 1) and "Sanitizer" not in done.stderr, done


def test_traffic_of_two_periods(build: Path, tmp_path: Path) -> None:
    row = {"Name": "mp1", "ProxyServer": "", "TargetHost": "mp1.example", "TotalRequests": 120,
           "TotalRequestsWithBearerToken": 7, "MaxConcurrentRequests": 3, "TotalRequestBytes": 2048,
           "TotalResponseBytes": 5 << 20, "FailedRequests": 1}
    span = {"ServerName": "cp1", "StartTime": "2026-01-31T10:00:00Z",
            "EndTime": "2026-01-31T10:05:00Z", "MaxConcurrentRequests": 3}
    body = json.dumps({"Periods": [{**span, "EndPoints": [row]}],
                       "Running": {**span, "EndPoints": []}}).encode()
    with Door(tmp_path / "s", PLAIN % (200, len(body), body)) as path:
        assert Ctl(build, path).good("traffic") == (
            "cp1, 2026-01-31T10:00:00Z to 2026-01-31T10:05:00Z: 3 requests at one time at most\n"
            "  endpoint  target       requests  with token  failed  at once  received     sent\n"
            "  mp1       mp1.example       120           7       1        3   2.0 KiB  5.0 MiB\n"
            "cp1, 2026-01-31T10:00:00Z to now, not over yet: 3 requests at one time at most\n")
        assert json.loads(Ctl(build, path).good("traffic", "--json")) == json.loads(body)


# --- analyze, traffic -----------------------------------------------------------------------------

@pytest.mark.parametrize("which", [0, 1])
def test_analyze_says_the_same_to_people_and_scripts(ctls, which: int) -> None:
    done, raw = ctls[which]("analyze"), ctls[which]("analyze", "--json")
    findings = [json.loads(line) for line in raw.stdout.splitlines()]
    verdicts = [f["verdict"] for f in findings if "verdict" in f]
    assert len(verdicts) >= 3 and "verdict" not in findings[-1]
    assert done.returncode == raw.returncode == (1 if "fail" in verdicts else 0), raw.stderr
    assert len(re.findall(r"^(?:ok|warn|FAIL) ", done.stdout, re.M)) == len(verdicts)
    last = done.stdout.splitlines()[-1]
    assert last == (f"{verdicts.count('pass')} passed, {verdicts.count('warn')} to look at, "
                    f"{verdicts.count('fail')} failed")


@pytest.mark.parametrize("which", ["gateway", "point"])
def test_traffic(new_lab, build: Path, which: str) -> None:
    lab = new_lab(**{which: {"traffic": {"interval": "1s"}}})
    ctl = sockets(lab, build)[which == "point"]
    lab.get(on(ECHO, "/lab/x"))
    shown = wait_for(lambda: re.search(r"^  endpoint +target +requests.*\n(  .*\n)+",
                                       ctl.good("traffic", "--periods=5"), re.M),
                     "a period with a request", 20, every=0.2, explain=lab.explain)
    assert len({len(line) for line in shown[0].splitlines()}) == 1  # its last column is numbers
    assert "Running" in json.loads(ctl.good("traffic", "--json", "--periods=3"))
    assert "<ProxyTrafficStateDetails" in ctl.good("traffic", "--xml")
    assert ctl("traffic", "--xml", "--json").returncode == 2


# --- changes ----------------------------------------------------------------------------------

def test_reload_says_what_has_changed_or_why_it_has_not(new_lab, build: Path) -> None:
    lab = new_lab()
    gateway, (ctl, _) = lab.gateways[1], sockets(lab, build)
    assert "no option has changed" in ctl.good("reload")
    gateway.reconfigure({"channel": {"keepalive": "3s"}})
    assert "channel.keepalive" in ctl.good("reload")
    gateway.reconfigure({"clients": {"max": "many"}})
    done = ctl("reload")
    assert done.returncode == 1 and "max" in done.stderr, done.stderr
    gateway.reconfigure({"clients": {"max": None}, "gateway": {"client-port": 1}})
    done = ctl("reload")
    assert done.returncode == 1 and "client-port" in done.stdout + done.stderr, done


def test_log_level_for_a_time_and_back(lab: Lab, ctls) -> None:
    _, ctl = ctls
    assert ": info" in ctl.good("log-level")
    assert ": debug" in ctl.good("log-level", "debug", "--for=10m")
    assert "configured: info" in ctl.good("log-level")
    assert ": info\n" in ctl.good("log-level", "configured")
    shown = ctl.good("log-level", "debug", "--request=abc", "--for", "5m")
    assert "debug for requests abc" in shown, shown
    ctl.good("log-level", "configured")
    for wrong in (["loud"], ["debug", "--for=soon"]):
        assert ctl("log-level", *wrong).returncode == 1
    for wrong in (["--for=1m"], ["debug", "--request=a&level=b"], ["debug", "info"]):
        assert ctl("log-level", *wrong).returncode == 2


def test_drain_ends_the_daemon_and_waits_for_it(new_lab, build: Path) -> None:
    lab = new_lab()
    _, ctl = sockets(lab, build)
    assert "has ended" in ctl.good("drain", "--wait")
    wait_for(lambda: not lab.points["cp1"].is_running(), "the connection point to end")
    assert ctl("drain").returncode == 3


# --- diag -------------------------------------------------------------------------------------

def test_diag_has_all_and_no_secret(new_lab, build: Path, tmp_path: Path) -> None:
    """Secrets lie where people put them by mistake: in a URL, in a file's name."""
    canary = f"canary{secrets.token_hex(8)}"
    password = tmp_path / f"{canary}.password"
    password.write_text(canary)
    password.chmod(0o600)
    lab = new_lab(wait=False, point={"proxy": {
        "url": "http://127.0.0.1:9", "user": canary, "password-file": password}})
    for ctl, program in zip(sockets(lab, build), ("cmg-gateway", "cmg-connection-point")):
        archive = tmp_path / f"{program}.tar.gz"
        assert ctl.good("diag", archive).strip() == str(archive)
        assert archive.stat().st_mode & 0o777 == 0o600
        with tarfile.open(archive) as tar:
            files = {Path(*Path(m.name).parts[1:]).as_posix(): tar.extractfile(m).read().decode()
                     for m in tar.getmembers() if m.isfile()}
        assert canary not in "".join(files.values()), \
            [name for name, text in files.items() if canary in text]
        assert json.loads(files[f"{program}/health.json"])["program"] == program
        assert re.search(r"^key = \(redacted\)$", files[f"{program}/configuration.ini"], re.M)
        for name in ("status.json", "metrics.txt", "check.txt", "journal.txt", "limits.txt"):
            assert files[f"{program}/{name}"], name
        for name in ("README.txt", "machine/uname.txt", "machine/packages.txt"):
            assert files[name], name
        again = ctl("diag", archive)
        assert again.returncode == 1 and "exists" in again.stderr
    assert not list(Path("/tmp").glob(f"cmg-diag.*/*{os.getpid()}*"))


def test_diag_of_a_daemon_that_does_not_run(build: Path, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    Ctl(build, tmp_path / "none.sock").good("diag", archive)
    with tarfile.open(archive) as tar:
        said = [tar.extractfile(m).read().decode() for m in tar.getmembers()
                if m.name.endswith("/status.json")]
    assert len(said) == 1 and "could not be had" in said[0]


# --- completion ---------------------------------------------------------------------------------

@pytest.mark.parametrize("line, want", [
    ("cmgctl sta", ["status"]),
    ("cmgctl token b", ["block"]),
    ("cmgctl status --j", ["--json"]),
    ("cmgctl token new --li", ["--lifetime="]),
    ("cmgctl log-level de", ["debug"]),
    ("cmgctl log-level --request x no", ["notice"]),
    ("cmgctl nothing x", []),
    ("cmgctl pki init --days=", []),
])
def test_completion(build: Path, line: str, want: list[str]) -> None:
    """As bash calls it: words split at blanks and at '='."""
    words = [w for part in line.split() for w in re.split(r"(=)", part) if w]
    script = (f"source <({build}/cmgctl completion bash)\n"
              "COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n_cmgctl\n"
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True,
                          timeout=60, env={**os.environ, **SANITIZERS})
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.split() == want


def test_completion_of_file_names(build: Path, tmp_path: Path) -> None:
    (tmp_path / "a b.crl").touch()
    for words in ("cmgctl pki crl --crl a", "cmgctl pki crl --crl = a", "cmgctl token inspect a"):
        script = (f"source <({build}/cmgctl completion bash)\nCOMP_WORDS=({words})\n"
                  "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_cmgctl\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path,
                              timeout=60)
        assert done.stdout == "a b.crl\n", (words, done)
