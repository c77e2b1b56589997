"""scripts/demo: the tunnel at work, one line a step."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import shapes
from .bits import BitsUpload
from .client import Http1, Load, Response
from .daemons import build_folder
from .http1 import Headers, pattern_bytes
from .nginx import CAB_BYTES, cab_sha256
from .show import Show, expect
from .site import ECHO, MP, MP_HTTPS, SERVER, SUP, Lab, Site, on
from .waiting import tail, wait_for

CLIENT = "3f2c8d5e-7a41-4c0b-9e66-0d5b1a2c3e4f"  # GUID of a client that has registered


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.show = Show()
        self.first_site = folder / "first-site"
        self.blocked = self.first_site / "gateway/blocked"
        self.site: Site | None = None
        self.lab: Lab | None = None

    def run(self, keep: bool) -> bool:
        print("A client on the internet asks; the management point, which nobody on the internet "
              "can\nreach, answers: through a tunnel that was dialed from the inside.")
        if self.set_up():
            self.client_requests()
            self.tokens()
            self.refusals()
            self.firewall()
        if not keep:
            self.stop()
        self.show.title(f"{self.show.passed} steps passed, {self.show.failed} failed"
                        if self.show.failed else f"All {self.show.passed} steps passed.")
        return self.show.failed == 0

    # --- set-up ---------------------------------------------------------------------------

    def set_up(self) -> bool:
        show = self.show
        show.title("Set-up, in " + os.path.relpath(self.folder))
        show.done("build of the daemons and cmgctl", "release",
                  float(os.environ.get("CMG_BUILD_MS", "0")))

        def make_site() -> str:
            self.site = Site(self.folder)
            return "every party its own CA"

        def make_token_keys() -> str:
            self.cmgctl("pki", "init", "--service=localhost", str(self.first_site))
            return "a 3072-bit key that signs tokens"

        def start_site() -> str:
            assert self.site
            self.site.start()
            return "real nginx, BITS upload server"

        def start_lab() -> str:
            assert self.site
            self.lab = Lab(self.site, build_folder(), self.folder, instances=2, gateway={
                "site-tokens": {
                    "hierarchy": (self.first_site / "site/hierarchy").read_text().strip(),
                    "certificates": self.first_site / "gateway/site-token.pem",
                    "block-list": self.blocked}})
            self.lab.start(wait=False)
            return "channels dialed"

        def wait_lab() -> str:
            assert self.lab
            self.lab.wait_up()
            for instance in (1, 2):
                self.lab.wait_road("tcp-tls", instance=instance)
            return "TCP-TLS"

        return (show.step("throw-away certificates", make_site)
                and show.step("cmgctl pki init", make_token_keys)
                and show.step("management point, software update point", start_site)
                and show.step("two gateways, one connection point", start_lab)
                and show.step("one channel to each gateway", wait_lab, self.logs))

    def logs(self) -> str:
        assert self.lab
        daemons = [*self.lab.gateways.values(), *self.lab.points.values()]
        return "\n".join(f"    {daemon.log}:\n{tail(daemon.log, 6)}" for daemon in daemons)

    # --- what clients send ----------------------------------------------------------------

    def client_requests(self) -> None:
        assert self.lab and self.site
        lab, site = self.lab, self.site
        self.show.title("What ConfigMgr clients send")
        with lab.http1(1) as one, lab.http1(2) as two:
            def ask(http: Http1, method: str, target: str, headers: Headers = (),
                    body: bytes | None = None, status: int = 200) -> Response:
                answer = http.request(method, target, headers, body)
                expect(answer.status == status, f"{method} {target}: {answer}")
                return answer

            def locations() -> str:
                for http in (one, two):
                    for target in shapes.LOCATION_TARGETS:
                        answer = ask(http, "GET", on(MP, target))
                        query = target.partition("?")[2]
                        expect(f'query="{query}"'.encode() in answer.body, answer)
                return "200 OK, on both gateways"

            def policy() -> str:
                for target in shapes.POLICY_TARGETS:
                    answer = ask(one, "GET", on(MP, target))
                    query = target.partition("?")[2]
                    expect(answer.body == shapes.utf16(f"<Policy id='{query}'/>"), answer)
                return "200 OK, braces kept as sent"

            def register(endpoint: str) -> str:
                message = shapes.registration()
                answer = ask(two, "CCM_POST", on(endpoint, "/ccm_system/request"),
                             shapes.MESSAGE_HEADERS, message.encode())
                expect(answer.body == shapes.reply_to(message).encode(), answer)
                return f"200 OK, {len(message.encode())} bytes there, {len(answer.body)} back"

            def upload() -> str:
                return self._upload(one, site)

            def download() -> str:
                size = int(ask(two, "HEAD", on(MP, "/CCM_Client/ccmsetup.cab"))
                           .get("Content-Length") or 0)
                expect(size == CAB_BYTES, f"{size} bytes instead of {CAB_BYTES}")
                digest = hashlib.sha256()
                for first in range(0, size, 1_000_000):
                    last = min(first + 1_000_000, size) - 1
                    part = ask(two, "GET", on(MP, "/CCM_Client/ccmsetup.cab"),
                               [("Range", f"bytes={first}-{last}")], status=206)
                    digest.update(part.body)
                expect(digest.hexdigest() == cab_sha256(), "the pieces do not make the file")
                return f"206, {size:,} bytes in 3 ranges"

            def packages() -> str:
                answer = ask(one, "PROPFIND", on(MP, "/CCM_Client/"), [("Depth", "1")],
                             status=207)
                expect(answer.body == shapes.DAV_LISTING, answer)
                return f"{answer.status} {answer.reason}"

            def updates() -> str:
                for path, (operation, action) in shapes.WSUS_CALLS.items():
                    body = shapes.soap_call(operation, 2000)
                    answer = ask(one, "POST", on(SUP, path), shapes.soap_headers(action), body)
                    expect(answer.body == shapes.soap_answer(operation, len(body)), answer)
                return "200 OK, 3 services"

            def notification() -> str:
                answer = ask(two, "GET",
                             on(ECHO, "/BGB/handler.ashx?RequestType=LogIn&silent=1.5"))
                expect(answer.body == b"<BgbMessage/>", answer)
                return "200 OK, after 1.5 s of silence"

            def http2() -> str:
                message = shapes.registration()
                with lab.http2(1) as h2:
                    answer = h2.request("CCM_POST", on(MP, "/ccm_system/request"),
                                        shapes.MESSAGE_HEADERS, message.encode())
                expect(answer.status == 200 and
                       answer.body == shapes.reply_to(message).encode(), answer)
                return "200"

            for what, work in (
                    ("GET       .sms_aut?MPLIST and siblings", locations),
                    ("GET       .sms_pol?{...}", policy),
                    ("CCM_POST  registration", lambda: register(MP)),
                    ("CCM_POST  to an HTTPS management point", lambda: register(MP_HTTPS)),
                    ("CCM_POST  over HTTP/2", http2),
                    ("BITS_POST inventory upload", upload),
                    ("GET       ccmsetup.cab, ranged", download),
                    ("PROPFIND  package listing", packages),
                    ("POST      WSUS SOAP calls", updates),
                    ("GET       client notification", notification)):
                self.show.step(what, work, self.logs)

    @staticmethod
    def _upload(http: Http1, site: Site) -> str:
        data, piece = pattern_bytes(700_000), 300_000

        def send(headers: Headers, body: bytes) -> tuple[int, str, Headers]:
            answer = http.request("BITS_POST", on(MP, "/CCM_Incoming/{demo}"), headers, body)
            return answer.status, answer.reason, answer.headers

        job = BitsUpload(send, "inventory.xml")
        for packet in (job.ping, job.create):
            expect(packet()[0] == 200, f"BITS {packet.__name__} refused")
        refused = job.fragment(2 * piece, data[2 * piece:], len(data))
        expect(refused[0] == 416, f"fragment out of order: {refused}")
        for first in range(0, len(data), piece):
            answer = job.fragment(first, data[first:first + piece], len(data))
            expect(answer[0] == 200, f"fragment at {first}: {answer}")
        expect(job.close()[0] == 200, "BITS close refused")
        expect((site.uploads / "inventory.xml").read_bytes() == data, "the file differs")
        return "whole session; out of order: 416"

    # --- tokens -----------------------------------------------------------------------------

    def cmgctl(self, *args: str) -> str:
        """What it prints."""
        done = subprocess.run([build_folder() / "cmgctl", *args], capture_output=True, text=True)
        expect(done.returncode == 0, f"cmgctl {' '.join(args)}: {done.stderr}")
        return done.stdout.strip()

    def tokens(self) -> None:
        assert self.lab
        lab = self.lab
        self.show.title("Clients without a certificate: tokens that the site issues")
        tokens: dict[str, Headers] = {}

        def token(*kind: str) -> Headers:
            made = self.cmgctl("token", "new", f"--site={self.first_site / 'site'}", *kind)
            return [("Authorization", f"Bearer {made}")]

        def ask(http: Http1, whose: str, path: str, status: int, method: str = "GET",
                headers: Headers = (), body: bytes | None = None) -> str:
            answer = http.request(method, on(MP, path, SERVER), [*headers, *tokens[whose]], body)
            expect(answer.status == status, answer)
            return f"{answer.status} {answer.reason}"

        with lab.http1(1, None) as one, lab.http1(2, None) as two:
            def bulk_registers() -> str:
                tokens["bulk"] = token("--bulk", "--lifetime=60")
                return ask(two, "bulk", "/ccm_system_tokenauth/request", 200, "CCM_POST",
                           shapes.MESSAGE_HEADERS, shapes.registration().encode())

            def bulk_elsewhere() -> str:
                return ask(two, "bulk", "/CCM_Incoming/x", 403)

            def client_token() -> str:
                tokens["client"] = token(f"--client={CLIENT}")
                return ask(one, "client", "/SMS_MP/.sms_aut?MPLIST", 200)

            def block() -> str:
                self.cmgctl("token", "block", f"--list={self.blocked}", "--comment=demo", CLIENT)
                began = time.monotonic()

                def is_refused() -> str | None:
                    answer = one.request("GET", on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER),
                                         tokens["client"])
                    return f"{answer.status} {answer.reason}" if answer.status != 200 else None
                said = wait_for(is_refused, "the client to be refused", 10, explain=lab.explain)
                expect(said == "401 CMGService_Invalid_Token", said)
                return f"{said}, after {time.monotonic() - began:.1f} s"

            def other_goes_on() -> str:
                return ask(two, "bulk", "/ccm_system_tokenauth/request", 200, "CCM_POST",
                           shapes.MESSAGE_HEADERS, shapes.registration().encode())

            for what, work in (("bulk token: a new machine registers", bulk_registers),
                               ("bulk token: it opens nothing else", bulk_elsewhere),
                               ("client token: 90 days", client_token),
                               ("cmgctl token block: while it is connected", block),
                               ("the other client notices nothing", other_goes_on)):
                if not self.show.step(what, work, self.logs):
                    return

    # --- what the gateway refuses ---------------------------------------------------------

    def refusals(self) -> None:
        assert self.lab
        lab = self.lab
        self.show.title("What never enters the tunnel")

        def refused(target: str, status: int, with_certificate: bool = True) -> str:
            with lab.http1(1, "client" if with_certificate else None) as http:
                answer = http.request("GET", target)
            expect(answer.status == status, answer)
            return f"{answer.status} {answer.reason}"

        for what, target, status, certificate in (
                ("a path that is not published", on(MP, "/AdminService/v1.0/"), 404, True),
                ("an endpoint that nobody has", on("4711", "/SMS_MP/.sms_aut?MPLIST"), 404, True),
                ("a path with a trick in it", on(MP, "/SMS_MP/%2e%2e/AdminService/"), 400, True),
                ("no client certificate", on(MP, "/SMS_MP/.sms_aut?MPLIST"), 403, False),
                ("no token", on(MP, "/SMS_MP/.sms_aut?MPLIST", SERVER), 401, False)):
            self.show.step(what, lambda t=target, s=status, c=certificate: refused(t, s, c),
                           self.logs)

    # --- the firewall ---------------------------------------------------------------------

    def firewall(self) -> None:
        assert self.lab
        lab = self.lab
        self.show.title("A firewall closes the TCP-TLS ports, and opens them again")

        def falls_back() -> str:
            for gate in lab.tcp_gates:
                gate.block()
            for instance in (1, 2):
                lab.wait_road("https", instance=instance)
            lab.wait_up()
            return "channels on HTTPS now"

        def still_works() -> str:
            for instance in (1, 2):
                answer = lab.get(on(MP, "/SMS_MP/.sms_aut?MPLIST"), instance)
                expect(answer.status == 200, answer)
            return "200 OK, on both gateways"

        def climbs_back() -> str:
            target = on(ECHO, "/lab/slow?ms=200")
            with Load(lab.port(1), lab.tls(), 40, target) as load:
                wait_for(lambda: load.tally.done > 80, "requests to flow", explain=lab.explain)
                for gate in lab.tcp_gates:
                    gate.open()
                for instance in (1, 2):
                    lab.wait_road("tcp-tls", instance=instance)
                enough = load.tally.done + 80
                wait_for(lambda: load.tally.done > enough, "requests to flow",
                         explain=lab.explain)
                tally = load.stop()
            tally.assert_none_lost()
            return f"{tally.done} requests meanwhile, 0 lost"

        for what, work in (("closed: falls back to HTTPS", falls_back),
                           ("requests go on", still_works),
                           ("open again: back up, 40 clients busy", climbs_back)):
            if not self.show.step(what, work, self.logs):
                return

    # --- afterwards -----------------------------------------------------------------------

    def stop(self) -> None:
        lab, site, self.lab, self.site = self.lab, self.site, None, None
        if lab and self.show.failed:
            lab.kill()
        elif lab:
            self.show.step("all drained and stopped", lab.stop)
        if site:
            site.stop()

    def invite(self) -> None:
        assert self.lab
        pki = os.path.relpath(self.lab.pki.folder)
        target = f"https://localhost:{self.lab.port(1)}{on(MP, '/SMS_MP/.sms_aut?MPLIST')}"
        print(f"""
It goes on running. Try it:

  curl -i --cacert {pki}/server-ca.pem --cert {pki}/client.pem --key {pki}/client.key \\
    '{target}'

Logs and configuration:  {os.path.relpath(self.folder)}/gw1.log, gw2.log, cp1.log; the .ini files beside them
To end it:               scripts/demo --end""", flush=True)


# --- running in the background ---------------------------------------------------------------

def end_kept(pid_file: Path) -> bool:
    """Ends what an earlier --keep left, and only that."""
    try:
        pid = int(pid_file.read_text())
        if b"lab.demo" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return False
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} to end", 60)
    return True


def run(folder: Path, keep: bool, report: Callable[[int], None]) -> int:
    demo = Demo(folder)
    try:
        passed = demo.run(keep)
        if keep and demo.lab:
            demo.invite()
            (folder / "demo.pid").write_text(str(os.getpid()))
            report(0 if passed else 1)
            signal.sigwait({signal.SIGTERM, signal.SIGINT})
    except KeyboardInterrupt:
        return 130
    finally:
        demo.stop()
    return 1 if demo.show.failed else 0


def run_kept(folder: Path) -> int:
    """The lab lives in a child that outlasts us; we leave with its status when it has shown
    everything."""
    inside, outside = os.pipe()
    child = os.fork()
    if child:
        os.close(outside)
        try:
            told = os.read(inside, 1)
        except KeyboardInterrupt:
            os.kill(child, signal.SIGINT)
            told = b""
        return told[0] if told else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1
    os.setsid()
    os.close(inside)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def report(status: int) -> None:
        os.write(outside, bytes([status]))
        os.close(outside)
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
    status = run(folder, True, report)
    sys.stdout.flush()
    os._exit(status)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--end", action="store_true")
    args = parser.parse_args()
    folder = args.folder.resolve()
    ended = end_kept(folder / "demo.pid")
    if args.end:
        print("ended" if ended else "nothing runs")
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return run_kept(folder) if args.keep else run(folder, False, lambda status: None)


if __name__ == "__main__":
    sys.exit(main())
