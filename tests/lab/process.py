"""Child processes with a log file, a way to wait for a line of it, and a sure end."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from .waiting import LabError, tail, wait_for

# What a crash or a sanitizer leaves in a log.
TROUBLE = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|SUMMARY: \w+Sanitizer"
    r"|AddressSanitizer:DEADLYSIGNAL|Assertion .* failed")


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Runs in the child: nobody is left behind when a test run is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child process whose output goes to `log`."""

    def __init__(self, name: str, argv: list[str | Path], log: Path,
                 env: dict[str, str] | None = None, cwd: Path | None = None,
                 cpu: int | None = None) -> None:
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.log = log
        self.env = env
        self.cwd = cwd
        self.cpu = cpu
        self.child: subprocess.Popen[bytes] | None = None
        self.was_killed = False

    def start(self) -> "Process":
        argv = self.argv if self.cpu is None else ["taskset", "-c", str(self.cpu), *self.argv]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd,
                env={**os.environ, **(self.env or {})}, start_new_session=True,
                preexec_fn=_end_with_parent)
        self.was_killed = False
        return self

    @property
    def pid(self) -> int:
        assert self.child, f"{self.name} was not started"
        return self.child.pid

    def is_running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def mark(self) -> int:
        """Where the log ends now; give it to wait_log to see only what comes later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def lines_since(self, mark: int = 0) -> list[str]:
        with open(self.log, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace").splitlines()

    def explain(self) -> str:
        state = "runs" if self.is_running() else \
            f"ended with status {self.child.returncode}" if self.child else "was not started"
        return f"  {self.name} {state}; last of {self.log}:\n{tail(self.log)}"

    def wait_log(self, pattern: str, within: float = 15.0, since: int = 0) -> re.Match[str]:
        """The first match of `pattern` in a line logged after `since`."""
        regex = re.compile(pattern)

        def find() -> re.Match[str] | None:
            for line in self.lines_since(since):
                if match := regex.search(line):
                    return match
            if not self.is_running():
                raise LabError(f"{self.name} ended before it logged /{pattern}/\n{self.explain()}")
            return None

        return wait_for(find, f"{self.name} to log /{pattern}/", within, explain=self.explain)

    def wait_exit(self, within: float = 15.0) -> int:
        assert self.child
        wait_for(lambda: not self.is_running(), f"{self.name} to end", within,
                 explain=self.explain)
        return self.child.returncode

    def signal(self, number: signal.Signals) -> None:
        if self.is_running():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """The end without manners, helpers of the child included."""
        if self.child is None:
            return
        self.was_killed = self.was_killed or self.child.poll() is None
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def stop(self, within: float = 15.0) -> int:
        """SIGTERM, and SIGKILL when that is ignored."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait_exit(within)
        finally:
            self.kill()

    def trouble(self) -> str | None:
        """The sanitizer report or failed assertion in the log, if there is one."""
        text = self.text()
        match = TROUBLE.search(text)
        return text[max(0, match.start() - 200):match.start() + 4000] if match else None

    def rss_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LabError(f"{self.name} has no VmRSS")

    def cpu_ns(self) -> int:
        """CPU time so far of the process and its workers, to the nanosecond."""
        return sum(_cpu_ns(pid) for pid in _group(self.pid))


def _group(leader: int) -> list[int]:
    """The processes of a process group. Each child of ours leads its own."""
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            behind_name = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(behind_name[2]) == leader:
            members.append(int(entry.name))
    return members


def _cpu_ns(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total
