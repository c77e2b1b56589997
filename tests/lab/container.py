"""A Debian system that boots, in a container of systemd-nspawn without a network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .waiting import LabError, tail, wait_for

MIRROR = "http://deb.debian.org/debian"
# What the packages depend on, the management point, and the client.
BASE = ("systemd,systemd-sysv,dbus,init-system-helpers,libssl3,libevent-core-2.1-7,libcurl4,"
        "libnghttp2-14,libjansson4,libinih1,libexpat1,nginx-light,curl")


def make_base(folder: Path) -> str:
    """The tree that containers are copies of; made once for each list of packages."""
    base, stamp = folder / "base", folder / "base.packages"
    if base.is_dir() and stamp.exists() and stamp.read_text() == BASE:
        return "as it was made before"
    stamp.unlink(missing_ok=True)
    shutil.rmtree(base, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "debootstrap.log"
    with log.open("w") as out:
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={BASE}", "bookworm", base, MIRROR],
            stdout=out, stderr=subprocess.STDOUT)
    if made.returncode:
        raise LabError(f"debootstrap failed:\n{tail(log)}")
    stamp.write_text(BASE)  # last: what was cut short is made again
    return "debootstrap"


class Container:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "console.log"
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.init = ""  # process id of its init, out here

    def boot(self, base: Path) -> str:
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", base, self.root], check=True)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost cmg.example.com\n")
        (self.root / "etc/hostname").write_text("cmg-boot-test\n")
        # A journal in files, and all of it: the tests ask for what a loaded daemon has said.
        (self.root / "var/log/journal").mkdir(exist_ok=True)
        with self.log.open("wb") as out:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "-D", self.root, "--private-network", "--register=no",
                 "--keep-unit", "--boot"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.init = wait_for(self._find_init, "the container's init", 30, explain=self._console)
        return wait_for(self._is_up, "the container to boot", 90, every=0.2, explain=self._console)

    def _console(self) -> str:
        return tail(self.log, 20)

    def _find_init(self) -> str | None:
        assert self.nspawn
        if self.nspawn.poll() is not None:
            raise LabError(f"systemd-nspawn has ended:\n{self._console()}")
        pid = self.nspawn.pid
        try:
            child = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
            # There are other children, which set things up.
            return child if Path(f"/proc/{child}/comm").read_text() == "systemd\n" else None
        except OSError:
            return None

    def _is_up(self) -> str | None:
        state = self.ask("systemctl", "is-system-running")
        if state == "degraded":
            raise LabError("booted, but:\n" + self.ask("systemctl", "--failed"))
        return self.run("systemctl", "--version").splitlines()[0] if state == "running" else None

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a program inside."""
        inside = ["nsenter", "--target", self.init, "--all", "--root", "--wd", "env", "-i",
                  "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root",
                  "DEBIAN_FRONTEND=noninteractive", *command]
        return subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
        """Waits for the end: exit status, and what it said on both outputs."""
        with process:
            try:
                said = process.communicate(timeout=120)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError(f"{process.args}: has not ended after 120 s") from None
        return process.returncode, said.strip()

    def call(self, *command: str) -> tuple[int, str]:
        """Exit status, and what it says on both outputs."""
        return self.finish(self.start(*command))

    def ask(self, *command: str) -> str:
        """What it says, whatever its exit status."""
        return self.call(*command)[1]

    def run(self, *command: str) -> str:
        """What it says; LabError when it fails."""
        status, said = self.call(*command)
        if status:
            raise LabError(f"{' '.join(command)}: exit status {status}\n{said}")
        return said

    def sh(self, script: str) -> str:
        return self.run("sh", "-ec", script)

    def show(self, unit: str, what: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", what, unit)

    def power_off(self) -> str:
        assert self.nspawn
        self.ask("systemctl", "poweroff")
        try:
            self.nspawn.wait(60)
        except subprocess.TimeoutExpired:
            raise LabError(f"still on after 60 s:\n{self._console()}") from None
        finally:
            self.end()
        return ""

    def end(self) -> None:
        if self.nspawn and self.nspawn.poll() is None:
            self.nspawn.terminate()
            try:
                self.nspawn.wait(10)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
