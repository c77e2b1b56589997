"""scripts/boot-test: the packages on a system that boots, one line a step."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .container import Container, make_base
from .show import Show, expect
from .waiting import wait_for

GATEWAY, POINT = "cmg-gateway", "cmg-connection-point"
DAEMONS = (GATEWAY, POINT)
UNITS = [f"{GATEWAY}.service", f"{POINT}.service"]
SOCKETS = [f"{GATEWAY}.socket", f"{GATEWAY}-https.socket", f"{GATEWAY}-tcp-tls.socket"]
PKI = "/root/first-site"
URL = ("https://cmg.example.com/CCM_Proxy_MutualAuth/72057594037927941/SMS_MP/.sms_aut?MPLIST")
CURL = ("curl", "--silent", "--show-error", "--max-time", "30",
        "--cacert", f"{PKI}/ca/gateway-ca.pem", "--cert", f"{PKI}/clients/client-1.pem",
        "--key", f"{PKI}/clients/client-1.key")
ANSWER = "the management point"
NGINX = f"""server {{
    listen 127.0.0.1:8080;
    location / {{ return 200 "{ANSWER}"; }}
}}
"""
# Clients one after the other, each on a connection of its own, until /root/enough is there.
LOAD = f"""
: >/root/answers
for client in 1 2 3 4; do
    while [ ! -e /root/enough ]; do
        {" ".join(CURL)} --output /dev/null --write-out '%{{http_code}} %{{errormsg}}\\n' \
            '{URL}' >>/root/answers 2>/dev/null || true
    done &
done
wait
"""


class Boot:
    def __init__(self, folder: Path, packages: Path) -> None:
        self.folder = folder
        self.packages = packages
        self.show = Show()
        self.inside = Container(folder)

    def run(self) -> bool:
        parts: tuple[tuple[str, tuple[tuple[str, Callable[[], str | None]], ...]], ...] = (
            ("A system", (
                ("base: Debian 12, minimal", lambda: make_base(self.folder)),
                ("boots", lambda: self.inside.boot(self.folder / "base")))),
            ("Installed", (
                ("apt-get install, three packages", self.install),
                ("enabled; nothing runs, nothing failed", self.is_idle),
                ("user and /etc/cmg", self.has_user),
                ("manual pages, example, changelog", self.has_documents))),
            ("A first site", (
                ("cmgctl pki init, files in their places", self.set_up),
                ("a refused configuration: not tried again", self.refused),
                ("both services start", self.starts),
                ("a request", self.request),
                ("the journal knows it, on both sides", self.journal))),
            ("It goes on", (
                ("reload", self.reload),
                ("reload of a mistake: fails, goes on", self.reload_mistake),
                ("killed: started again", self.killed),
                ("hangs: the watchdog starts it again", self.hangs),
                ("LoadCredential=: a key that root alone reads", self.credential),
                ("upgrade: restarted, configuration kept", self.upgrade))),
            ("Ports that systemd holds", (
                ("enabled; the gateway has no capability", self.sockets),
                ("stopped: the next client starts it", self.on_demand),
                ("upgrade under load", self.upgrade_under_load))),
            ("Gone", (
                ("removed: stopped, files and sockets gone", self.remove),
                ("purged: /etc/cmg and the user stay", self.purge),
                ("power off", self.inside.power_off))))
        try:
            passed = all(self._part(title, steps) for title, steps in parts)
        finally:
            self.inside.end()
        self.show.title(f"All {self.show.passed} steps passed." if passed else
                        f"{self.show.passed} steps passed, then one failed; the system lies in "
                        f"{self.inside.root}")
        return passed

    def _part(self, title: str, steps: tuple[tuple[str, Callable[[], str | None]], ...]) -> bool:
        self.show.title(title)
        return all(self.show.step(what, work, self.logs) for what, work in steps)

    def logs(self) -> str:
        if not self.inside.init:
            return ""
        return self.inside.ask("journalctl", "--no-pager", "-n", "25", "-t", GATEWAY, "-t", POINT,
                               "-t", "systemd")

    # --- what steps share -------------------------------------------------------------------

    def ask_one(self) -> None:
        """A request, once a channel is there (again)."""
        said = ""

        def served() -> bool:
            nonlocal said
            said = self.inside.ask(*CURL, URL)
            return said == ANSWER
        wait_for(served, "the management point's answer", 30, every=0.2, explain=lambda: said)

    def state(self, daemon: str) -> tuple[str, str]:
        return (self.inside.show(f"{daemon}.service", "ActiveState"),
                self.inside.show(f"{daemon}.service", "SubState"))

    def pid(self, daemon: str) -> str:
        return self.inside.show(f"{daemon}.service", "MainPID")

    def wait_other_pid(self, daemon: str, old: str) -> None:
        wait_for(lambda: self.state(daemon)[0] == "active" and self.pid(daemon) not in ("0", old),
                 f"another {daemon}", 40, every=0.1)

    def events(self, *match: str) -> list[dict[str, str]]:
        lines = self.inside.run("journalctl", "--quiet", "-o", "json", *match).splitlines()
        return [json.loads(line) for line in lines]

    def drop_in(self, daemon: str, name: str, text: str) -> None:
        folder = self.inside.root / f"etc/systemd/system/{daemon}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text(text)
        self.inside.run("systemctl", "daemon-reload")

    def ini(self, daemon: str) -> Path:
        return self.inside.root / f"etc/cmg/{daemon}.ini"

    # --- installed --------------------------------------------------------------------------

    def install(self) -> str:
        debs = sorted(self.packages.glob("*.deb"))
        expect(len(debs) == 3, f"{len(debs)} packages in {self.packages}")
        target = self.inside.root / "root/debs"
        target.mkdir()
        for deb in debs:
            shutil.copy(deb, target)
        self.inside.sh("apt-get install -y /root/debs/*.deb")
        return self.version()

    def version(self) -> str:
        versions = self.inside.run("dpkg-query", "-W", "-f", "${Version} ${Status}\n", *DAEMONS,
                                   "cmgctl").splitlines()
        expect(len(set(versions)) == 1 and versions[0].endswith(" install ok installed"), versions)
        return versions[0].split()[0]

    def is_idle(self) -> None:
        for daemon in DAEMONS:
            expect(self.inside.run("systemctl", "is-enabled", daemon) == "enabled", daemon)
            expect(self.state(daemon) == ("inactive", "dead"), self.state(daemon))
            expect(self.inside.show(f"{daemon}.service", "ConditionResult") == "no", daemon)
        expect(self.inside.ask("systemctl", "is-system-running") == "running", "degraded")

    def has_user(self) -> str:
        expect("cmg" in self.inside.run("id", "-un", "cmg"), "no user")
        said = self.inside.run("stat", "-c", "%A %U %G", "/etc/cmg")
        expect(said == "drwxr-x--- root cmg", said)
        return said

    def has_documents(self) -> None:
        for page in ("man8/cmg-gateway.8", "man5/cmg-gateway.ini.5", "man8/cmg-connection-point.8",
                     "man5/cmg-connection-point.ini.5", "man1/cmgctl.1"):
            page_text = self.inside.run("zcat", f"/usr/share/man/{page}.gz")
            expect("@OPTIONS@" not in page_text and ".SH" in page_text, page)
        for daemon in DAEMONS:
            folder = f"/usr/share/doc/{daemon}"
            expect(daemon in self.inside.run("zcat", f"{folder}/changelog.gz"), "changelog")
            example = self.inside.run("cat", f"{folder}/examples/{daemon}.ini")
            expect(example == self.inside.run(daemon, "--print-sample"), "another example")

    # --- a first site -----------------------------------------------------------------------

    def set_up(self) -> None:
        inside = self.inside
        inside.run("cmgctl", "pki", "init", "--service=cmg.example.com", "--connection-point=cp1",
                   "--site=PS1", "--management-point=http://127.0.0.1:8080", PKI)
        inside.sh(f"""
            cp {PKI}/gateway/* {PKI}/connection-points/cp1/* /etc/cmg
            chgrp cmg /etc/cmg/*
            chmod 0640 /etc/cmg/*.key""")
        (inside.root / "etc/nginx/sites-available/default").write_text(NGINX)
        inside.run("systemctl", "restart", "nginx")

    def refused(self) -> str:
        """Neither by --check before the start nor by the daemon itself: it stays down."""
        good = self.ini(GATEWAY).read_text()
        self.ini(GATEWAY).write_text(good + "[throttle]\nno-such-key = 1\n")
        status, _ = self.inside.call("systemctl", "start", GATEWAY)
        expect(status != 0, "it started")
        # At auto-restart it would be tried again.
        expect(self.state(GATEWAY) == ("failed", "failed"), self.state(GATEWAY))
        said = self.inside.run("journalctl", "-t", GATEWAY, "-o", "cat")
        expect("no-such-key" in said, f"the journal does not say why: {said}")

        self.drop_in(GATEWAY, "no-check", "[Service]\nExecStartPre=\n")
        status, _ = self.inside.call("systemctl", "start", GATEWAY)
        expect(status != 0, "it started without a check")
        expect(self.state(GATEWAY) == ("failed", "failed"), self.state(GATEWAY))
        expect(self.inside.show(f"{GATEWAY}.service", "ExecMainStatus") == "78", "another status")
        self.inside.sh(f"rm -r /etc/systemd/system/{GATEWAY}.service.d")
        self.inside.run("systemctl", "daemon-reload")
        self.ini(GATEWAY).write_text(good)
        return "failed, by --check and by status 78"

    def starts(self) -> None:
        self.inside.run("systemctl", "start", *DAEMONS)
        for daemon in DAEMONS:
            expect(self.state(daemon) == ("active", "running"), self.state(daemon))

    def request(self) -> str:
        self.ask_one()
        return "200, from the management point"

    def journal(self) -> str:
        found = self.events("-t", GATEWAY, "CMG_EVENT=access", "CMG_STATUS=200")
        expect(bool(found), "no access event of the gateway")
        request = found[-1]["CMG_REQUEST"]

        def point_told() -> list[dict[str, str]]:
            return self.events("-t", POINT, "CMG_EVENT=access", f"CMG_REQUEST={request}")
        told = wait_for(point_told, "the connection point's access event", 10, every=0.1)
        expect(told[0]["CMG_STATUS"] == "200", told)
        return f"CMG_REQUEST={request}"

    # --- it goes on -------------------------------------------------------------------------

    def reload(self) -> str:
        before = self.pid(GATEWAY), self.pid(POINT)
        for daemon in DAEMONS:
            self.ini(daemon).write_text(self.ini(daemon).read_text() + "\n[log]\nlevel = debug\n")
        self.inside.run("systemctl", "reload", *DAEMONS)
        for daemon in DAEMONS:
            wait_for(lambda d=daemon: self.events("-t", d, "CMG_EVENT=conf.reloaded"),
                     "conf.reloaded", 10, every=0.1)
        expect(before == (self.pid(GATEWAY), self.pid(POINT)), "another process")
        self.ask_one()
        return "conf.reloaded, the same processes"

    def reload_mistake(self) -> None:
        good, before = self.ini(POINT).read_text(), self.pid(POINT)
        self.ini(POINT).write_text(good + "no-such-key = 1\n")
        status, _ = self.inside.call("systemctl", "reload", POINT)
        self.ini(POINT).write_text(good)
        expect(status != 0, "systemctl reload did not fail")
        expect(self.state(POINT) == ("active", "running"), self.state(POINT))
        expect(before == self.pid(POINT), "another process")
        self.ask_one()

    def killed(self) -> None:
        for daemon in DAEMONS:
            old = self.pid(daemon)
            self.inside.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", daemon)
            self.wait_other_pid(daemon, old)
        self.ask_one()

    def hangs(self) -> str:
        """With a watchdog of 2 s in place of 30."""
        for daemon in DAEMONS:
            self.drop_in(daemon, "watchdog", "[Service]\nWatchdogSec=2\n")
        self.inside.run("systemctl", "restart", *DAEMONS)
        for daemon in DAEMONS:
            old = self.pid(daemon)
            self.inside.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", daemon)
            self.wait_other_pid(daemon, old)
            said = self.inside.run("journalctl", "-u", daemon, "-o", "cat", "_PID=1")
            expect("Watchdog timeout" in said, said)
        self.ask_one()
        for daemon in DAEMONS:
            self.inside.sh(f"rm -r /etc/systemd/system/{daemon}.service.d")
        self.inside.run("systemctl", "daemon-reload")
        self.inside.run("systemctl", "restart", *DAEMONS)
        return "both daemons"

    def credential(self) -> str:
        """The gateway's key as the unit's comment says."""
        place = f"/run/credentials/{GATEWAY}.service/key.pem"
        self.inside.sh("""
            mkdir -p /etc/ssl/private && chmod 0700 /etc/ssl/private
            mv /etc/cmg/gateway.key /etc/ssl/private/cmg-gateway.pem
            chown root:root /etc/ssl/private/cmg-gateway.pem
            chmod 0600 /etc/ssl/private/cmg-gateway.pem""")
        status, _ = self.inside.call("setpriv", "--reuid=cmg", "--regid=cmg", "--clear-groups",
                                     "cat", "/etc/ssl/private/cmg-gateway.pem")
        expect(status != 0, "the user cmg can read it")
        self.drop_in(GATEWAY, "key", "[Service]\n"
                     "LoadCredential=key.pem:/etc/ssl/private/cmg-gateway.pem\n")
        text = self.ini(GATEWAY).read_text()
        self.ini(GATEWAY).write_text(text.replace("key = gateway.key", f"key = {place}"))
        self.inside.run("systemctl", "restart", GATEWAY)
        self.ask_one()
        self.inside.run("systemctl", "reload", GATEWAY)
        self.ask_one()
        return "start, reload, requests"

    def raised(self, suffix: str) -> str:
        """The same packages under a higher version, in /root/debs."""
        version = f"{self.version()}+{suffix}"
        for deb in sorted(self.packages.glob("*.deb")):
            tree = self.folder / "repack"
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
            control = tree / "DEBIAN/control"
            lines = [f"Version: {version}" if line.startswith("Version: ") else line
                     for line in control.read_text().splitlines()]
            control.write_text("\n".join(lines) + "\n")
            subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree,
                            self.inside.root / "root/debs" / f"{deb.name.split('_')[0]}.deb"],
                           check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(tree)
        return version

    def upgraded(self, version: str) -> None:
        before = {daemon: self.pid(daemon) for daemon in DAEMONS}
        ini = {daemon: self.ini(daemon).read_text() for daemon in DAEMONS}
        self.inside.sh("cd /root/debs && apt-get install -y "
                       "./cmg-gateway.deb ./cmg-connection-point.deb ./cmgctl.deb")
        expect(self.version() == version, self.version())
        for daemon in DAEMONS:
            expect(self.state(daemon) == ("active", "running"), self.state(daemon))
            expect(self.pid(daemon) != before[daemon], f"{daemon}: still the old process")
            expect(self.ini(daemon).read_text() == ini[daemon], f"{daemon}: another configuration")

    def upgrade(self) -> str:
        version = self.raised("boot1")
        self.upgraded(version)
        self.ask_one()
        return version

    # --- ports that systemd holds -----------------------------------------------------------

    def sockets(self) -> str:
        self.inside.run("systemctl", "stop", GATEWAY)
        folder = f"/etc/systemd/system/{GATEWAY}.service.d"
        self.inside.run("cp", f"/usr/share/doc/{GATEWAY}/examples/socket-activated.conf", folder)
        self.inside.run("systemctl", "daemon-reload")
        self.inside.run("systemctl", "enable", "--now", SOCKETS[0])
        self.inside.run("systemctl", "start", GATEWAY)
        for socket in SOCKETS:
            expect(self.inside.run("systemctl", "is-enabled", socket) == "enabled", socket)
            expect(self.inside.show(socket, "SubState") == "running", socket)
        status = self.inside.run("cat", f"/proc/{self.pid(GATEWAY)}/status")
        for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            expect(f"{kind}:\t0000000000000000" in status, status)
        self.ask_one()
        return "CapBnd 0"

    def on_demand(self) -> None:
        # The connection point would start it again at once; here it is to be a client.
        self.inside.run("systemctl", "stop", POINT, GATEWAY)
        expect(self.state(GATEWAY)[0] == "inactive", self.state(GATEWAY))
        said = self.inside.run(*CURL,
                               "https://cmg.example.com/CCM_Proxy_MutualAuth/ServiceMetadata")
        expect(bool(said), "no answer")
        expect(self.state(GATEWAY) == ("active", "running"), self.state(GATEWAY))
        self.inside.run("systemctl", "start", POINT)
        self.ask_one()

    def upgrade_under_load(self) -> str:
        version = self.raised("boot2")
        answers = self.inside.root / "root/answers"
        load = self.inside.start("sh", "-c", LOAD)

        def wait_more(count: int) -> None:
            enough = count + (len(answers.read_text().splitlines()) if answers.exists() else 0)
            wait_for(lambda: answers.exists() and len(answers.read_text().splitlines()) >= enough,
                     "requests to flow", 60, every=0.1)
        try:
            wait_more(20)
            self.upgraded(version)
            wait_more(20)
        finally:
            (self.inside.root / "root/enough").touch()
            self.inside.finish(load)
        lines = answers.read_text().splitlines()
        lost = [line for line in lines if line.split()[0] == "000"]
        expect(not lost, f"{len(lost)} of {len(lines)} requests without an answer:\n"
               + "\n".join(lost[:5]))
        refused = [line for line in lines if line.split()[0] != "200"]
        expect(not refused, f"{len(refused)} of {len(lines)} refused:\n" + "\n".join(refused[:5]))
        return f"{len(lines)} requests, all answered 200"

    # --- gone -------------------------------------------------------------------------------

    def remove(self) -> None:
        pids = [self.pid(daemon) for daemon in DAEMONS]
        self.inside.run("apt-get", "remove", "-y", *DAEMONS, "cmgctl")
        for pid in pids:
            expect(not (self.inside.root / f"proc/{pid}").exists(), "still running")
            status, _ = self.inside.call("test", "-e", f"/proc/{pid}")
            expect(status != 0, f"process {pid} still runs")
        for unit in (*UNITS, *SOCKETS):
            expect(self.inside.show(unit, "LoadState") == "not-found", unit)
        said = self.inside.call(*CURL, URL)
        expect(said[0] == 7, f"something still listens: {said}")
        expect(self.ini(GATEWAY).exists(), "the configuration is gone")

    def purge(self) -> str:
        self.inside.run("dpkg", "--purge", *DAEMONS, "cmgctl")
        left = self.inside.sh(
            "find / -xdev ! -path '/root/*' ! -path '/var/log/*' ! -path '/var/cache/*' "
            "-name '*cmg*' ! -path '/etc/cmg/*' -print").split()
        # What was made by hand in this test: the drop-ins, and a key.
        mine = {"/etc/cmg", f"/etc/systemd/system/{GATEWAY}.service.d",
                "/etc/ssl/private/cmg-gateway.pem"}
        expect(set(left) == mine, f"left: {' '.join(sorted(set(left) - mine))}")
        expect("cmg-gateway.ini" in self.inside.run("ls", "/etc/cmg"), "the configuration is gone")
        self.inside.run("id", "cmg")
        return "nothing else is left"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/boot-test")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    args = parser.parse_args()
    return 0 if Boot(args.folder.resolve(), args.packages.resolve()).run() else 1


if __name__ == "__main__":
    sys.exit(main())
