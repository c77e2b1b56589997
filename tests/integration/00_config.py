"""Command lines and configuration: what is wrong is said with file, line, key and remedy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.daemons import SANITIZERS, ConnectionPoint, Daemon, Gateway, ini
from lab.site import Lab, Site
from lab.waiting import port_answers, wait_for

EX_CONFIG = 78


@pytest.fixture(scope="module")
def sample(site: Site, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Configurations that are right; never started."""
    return Lab(site, build, tmp_path_factory.mktemp("config"))


def daemon_of(sample: Lab, program: str) -> Daemon:
    return sample.gateways[1] if program == Gateway.program else sample.points["cp1"]


def run(build: Path, program: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([build / program, *map(str, args)], capture_output=True, text=True,
                          timeout=20, env={**os.environ, **SANITIZERS})


BOTH = pytest.mark.parametrize("program", [Gateway.program, ConnectionPoint.program])


@BOTH
def test_version_and_help(build: Path, program: str) -> None:
    version = run(build, program, "--version")
    assert version.returncode == 0 and program in version.stdout
    usage = run(build, program, "--help")
    assert usage.returncode == 0
    for option in ("--config", "--check", "--print-config", "--version"):
        assert option in usage.stdout


@BOTH
def test_unknown_argument_is_a_usage_error(build: Path, program: str) -> None:
    done = run(build, program, "--nonsense")
    assert done.returncode == 2 and done.stderr


@BOTH
def test_check_accepts_what_is_right(build: Path, sample: Lab, program: str) -> None:
    done = run(build, program, "--check", "--config", daemon_of(sample, program).config)
    assert done.returncode == 0, done.stderr


@BOTH
def test_printed_configuration_loads_again(build: Path, sample: Lab, program: str,
                                           tmp_path: Path) -> None:
    printed = run(build, program, "--print-config", "--config", daemon_of(sample, program).config)
    assert printed.returncode == 0, printed.stderr
    again = tmp_path / "again.ini"
    again.write_text(printed.stdout)
    second = run(build, program, "--print-config", "--config", again)
    assert second.returncode == 0, second.stderr
    assert second.stdout == printed.stdout


@BOTH
def test_missing_file(build: Path, program: str, tmp_path: Path) -> None:
    done = run(build, program, "--check", "--config", tmp_path / "nowhere.ini")
    assert done.returncode == EX_CONFIG and "nowhere.ini" in done.stderr


# What is done to a configuration that is right, and what the error must name.
MISTAKES = [
    (Gateway, "unknown key", "[gateway]\n", "[gateway]\ninstanse = 1\n", ["instanse", "instance"]),
    (Gateway, "unknown section", "[log]", "[logg]", ["logg", "log"]),
    (Gateway, "duplicate key", "[gateway]\n", "[gateway]\ninstance = 1\n", ["instance", ":"]),
    (Gateway, "not a number", "instance = 1\n", "instance = one\n", ["instance", "one"]),
    (Gateway, "out of bounds", "instances = 1\n", "instances = 17\n", ["instances", "16"]),
    (Gateway, "instance above instances", "instance = 1\n", "instance = 2\n", ["instance"]),
    (Gateway, "not a choice", "level = info", "level = loud", ["level", "loud", "debug"]),
    (Gateway, "not a time", "drain = 10s", "drain = soon", ["drain", "soon"]),
    (Gateway, "missing required", "name = localhost\n", "", ["name"]),
    (ConnectionPoint, "unreadable file", "server-ca.pem", "no-such-ca.pem", ["no-such-ca.pem"]),
    (ConnectionPoint, "bad role", "role = software-update-point", "role = sup",
     ["role", "software-update-point"]),
    (ConnectionPoint, "bad site code", "site = LAB", "site = LABX", ["site"]),
    (ConnectionPoint, "TCP-TLS to a scale set", "[cmg lab]\n",
     "[cmg lab]\ndeployment = scale-set\ntransport = tcp-tls\n", ["scale-set", "tcp-tls"]),
    (ConnectionPoint, "no scheme in a URL", "url = http://127", "url = 127", ["url"]),
    (ConnectionPoint, "one id twice", "id = 8\n", "id = 72057594037937981\n",
     ["72057594037937981"]),
    (ConnectionPoint, "indented line", "[cmg lab]\n", "[cmg lab]\n  probe = 1s\n", [":"]),
    (ConnectionPoint, "very long line", "[cmg lab]\n", f"[cmg lab]\naddress = {'a' * 5000}\n",
     [":"]),
]


@pytest.mark.parametrize("kind, mistake, old, new, named", MISTAKES,
                         ids=[f"{m[0].program}: {m[1]}" for m in MISTAKES])
def test_mistake_is_named(build: Path, sample: Lab, tmp_path: Path, kind: type[Daemon],
                          mistake: str, old: str, new: str, named: list[str]) -> None:
    right = ini(daemon_of(sample, kind.program).settings)
    assert old in right
    wrong = tmp_path / "wrong.ini"
    wrong.write_text(right.replace(old, new, 1))
    done = run(build, kind.program, "--check", "--config", wrong)
    assert done.returncode == EX_CONFIG, done.stderr
    assert "wrong.ini" in done.stderr
    for word in named:
        assert word in done.stderr


@BOTH
def test_key_that_others_can_read_is_refused(build: Path, sample: Lab, program: str,
                                             tmp_path: Path) -> None:
    daemon = daemon_of(sample, program)
    section = "gateway" if program == Gateway.program else "connection-point"
    key = tmp_path / "open.key"
    key.write_bytes(Path(str(daemon.settings[section]["key"])).read_bytes())
    key.chmod(0o644)
    config = tmp_path / "open-key.ini"
    config.write_text(ini({**daemon.settings, section: {**daemon.settings[section], "key": key}}))
    done = run(build, program, "--check", "--config", config)
    assert done.returncode == EX_CONFIG, done.stderr
    assert "open.key" in done.stderr


def test_occupied_port_ends_the_start(build: Path, new_lab) -> None:
    first = new_lab(start=False, with_gates=False)
    gateway = first.gateways[1]
    gateway.start()
    wait_for(lambda: port_answers(first.port()), "the first gateway to listen",
             explain=gateway.explain)
    second = Gateway(build, first.folder, "gw1-again", gateway.settings)
    second.reconfigure({"admin": {"socket": "none"}})  # else it would stop there already
    second.start()
    assert second.wait_exit() not in (0, -6, -11)
    assert str(first.port()) in second.text() or "address" in second.text().lower()
