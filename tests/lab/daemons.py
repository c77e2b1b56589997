"""cmg-gateway and cmg-connection-point as child processes, with generated INI files."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import admin
from .process import Process
from .waiting import LabError, wait_for

Value = str | int | bool | Path | Sequence[str]
Settings = Mapping[str, Mapping[str, Value]]

SANITIZERS = {
    # A small quarantine, so that resident memory says something in the tests that measure it.
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8:malloc_context_size=8",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def ini(settings: Settings) -> str:
    """{"log": {"level": "info"}} as an INI file."""
    lines = []
    for section, options in settings.items():
        lines.append(f"[{section}]")
        for key, value in options.items():
            if isinstance(value, bool):
                value = "yes" if value else "no"
            elif not isinstance(value, (str, int, Path)):
                value = ", ".join(value)
            lines.append(f"{key} = {value}")
        lines.append("")
    return "\n".join(lines)


def merged(base: Settings, changes: Settings | None) -> dict[str, dict[str, Value]]:
    """`base` with single options replaced, added, or (None) taken out."""
    result = {section: dict(options) for section, options in base.items()}
    for section, options in (changes or {}).items():
        if options is None:
            result.pop(section, None)
            continue
        into = result.setdefault(section, {})
        for key, value in options.items():
            if value is None:
                into.pop(key, None)
            else:
                into[key] = value
    return result


class Daemon(Process):
    """A daemon of ours. `folder` holds its configuration and its log."""

    program = ""

    def __init__(self, build: Path, folder: Path, name: str, settings: Settings,
                 env: dict[str, str] | None = None, cpu: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / f"{name}.ini"
        self.settings = merged(settings, None)
        self.write_config()
        super().__init__(name, [build / self.program, "--config", self.config],
                         folder / f"{name}.log", {**SANITIZERS, **(env or {})}, cpu=cpu)

    def write_config(self) -> None:
        self.config.write_text(ini(self.settings))

    def reconfigure(self, changes: Settings) -> None:
        """Writes the changed configuration; reload() makes the daemon read it."""
        self.settings = merged(self.settings, changes)
        self.write_config()

    def reload(self, within: float = 10) -> str:
        """SIGHUP. Returns the event that tells how it went."""
        mark = self.mark()
        self.signal(signal.SIGHUP)
        return self.wait_log(r"\bconf\.(reloaded|refused|needs_restart)\b.*", within, mark).group(0)

    @property
    def socket(self) -> Path:
        """Of the administrator."""
        return Path(str(self.settings["admin"]["socket"]))

    def ask(self, target: str, method: str = "GET", body: bytes | None = None,
            within: float = 10) -> admin.Answer:
        """Asks at the administrator's door: gw.ask("/health").json["status"]"""
        return admin.ask(self.socket, method, target, body, within)

    def post(self, target: str, body: bytes | None = None, within: float = 10) -> admin.Answer:
        return self.ask(target, "POST", body, within)

    def ask_lines(self, target: str, method: str = "POST", within: float = 60) -> Iterator[Any]:
        """The same, where the answer comes line by line."""
        return admin.lines(self.socket, method, target, within)

    def events(self, name: str, since: int = 0) -> list[dict[str, str]]:
        """The events of that name, as their fields."""
        found = []
        for line in self.lines_since(since):
            if match := re.search(rf"(?:^|\s){re.escape(name)}(\s.*|)$", line):
                found.append(fields(match.group(1)))
        return found

    def access(self, since: int = 0, **want: str) -> list[dict[str, str]]:
        """Access events in which all of `want` is equal."""
        return [event for event in self.events("access", since)
                if all(event.get(key) == value for key, value in want.items())]

    def wait_access(self, within: float = 10, since: int = 0, **want: str) -> dict[str, str]:
        return wait_for(lambda: self.access(since, **want),
                        f"an access event with {want} in the log of {self.name}", within,
                        explain=self.explain)[0]

    def stop(self, within: float = 40) -> int:
        """SIGTERM; complains about a crash, a sanitizer's report or a wrong exit status."""
        status = super().stop(within)
        self.check()
        if status != 0:
            raise LabError(f"{self.name} ended with status {status}\n{self.explain()}")
        return status

    def check(self) -> None:
        """Complains when the daemon crashed."""
        if trouble := self.trouble():
            raise LabError(f"{self.name}:\n{trouble}")
        if self.child and self.child.returncode not in (None, 0) and not self.was_killed:
            raise LabError(f"{self.name} ended with status {self.child.returncode}\n"
                           f"{self.explain()}")


_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')


def fields(text: str) -> dict[str, str]:
    """key=value pairs of a logged event; quoted values unquoted."""
    found = {}
    for key, value in _FIELD.findall(text):
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found[key] = value
    return found


class Gateway(Daemon):
    program = "cmg-gateway"


class ConnectionPoint(Daemon):
    program = "cmg-connection-point"


def build_folder() -> Path:
    """Where the daemons under test are: CMG_BUILD, or the newest of the usual builds."""
    if named := os.environ.get("CMG_BUILD"):
        return Path(named).resolve()
    root = Path(__file__).resolve().parents[2]
    builds = [root / "build" / preset for preset in ("asan", "dev", "release")]
    present = [build for build in builds if (build / Gateway.program).exists()]
    if not present:
        raise LabError("no build found: run scripts/test, or set CMG_BUILD")
    return max(present, key=lambda build: (build / Gateway.program).stat().st_mtime)
