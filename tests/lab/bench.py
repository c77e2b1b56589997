"""scripts/bench: our tunnel beside a one-hop nginx, two nghttpx, and HAProxy's reverse HTTP
where a HAProxy that has it is on PATH.

All set-ups stay up the whole time and get their load in turn, round after round, so that a
noisy minute hits all of them; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .client import Http1, context
from .daemons import build_folder
from .pki import Pki
from .process import Process
from .site import MP, MUTUAL, SERVER, Lab
from .waiting import LabError, free_ports, port_answers, wait_for

LOAD_CPU, MEASURED_CPU = 0, 1
BULK_BYTES = 100 << 20
CLIENT = "0f3a1b52-5a0e-4a6f-9c1d-7e2b8d4c6a90"  # a client's GUID, for its token
ECHO_MODULE = "/usr/lib/nginx/modules/ngx_http_echo_module.so"


@dataclass(frozen=True)
class Kind:
    """A kind of load."""
    title: str
    path: str
    connections: int = 64
    body: int = 0
    is_bulk: bool = False
    is_auth: bool = False  # our tunnel by certificate beside our tunnel by token


KINDS = {
    "k1": Kind("1 KiB GET, 64 connections", "/CCM_Client/1k"),
    "k64": Kind("64 KiB GET, 32 connections", "/CCM_Client/64k", connections=32),
    "post1k": Kind("1 KiB POST, 64 connections", "/CCM_Client/up", body=1024),
    "bulk": Kind("100 MiB GET, 1 connection", "/CCM_Client/bulk", connections=1, is_bulk=True),
    "c1": Kind("1 KiB GET, 1 connection", "/CCM_Client/1k", connections=1),
    "auth": Kind("1 KiB GET, 64 connections, by certificate and by token", "/CCM_Client/1k",
                 is_auth=True),
}


@dataclass
class Round:
    rate: float  # requests a second; bulk: MB a second
    p50_us: int
    p99_us: int
    cpu_us: list[float]  # by part, per request; bulk: per MiB


@dataclass
class SetUp:
    """Something to measure: where it listens, and the processes that make it up."""
    name: str
    port: int
    prefix: str
    parts: list[Process]
    token: str = ""  # of a client, sent with every request
    has_certificate: bool = True
    rounds: list[Round] = field(default_factory=list)
    stop: Callable[[], None] | None = None


class Bench:
    def __init__(self, folder: Path, seconds: float, with_tokens: bool = False) -> None:
        self.folder = folder
        self.with_tokens = with_tokens
        self.seconds = seconds
        self.loader = folder / "loader"
        work = folder / "run"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        self.work = work
        self.pki = Pki(work / "pki", connection_points=1)
        self.back_port = free_ports()
        self.processes: list[Process] = []
        self.set_ups: list[SetUp] = []
        self._backend()

    # --- processes ------------------------------------------------------------------------

    def _start(self, name: str, argv: list[str | Path], port: int, cpu: int) -> Process:
        process = Process(name, argv, self.work / f"{name}.log", cpu=cpu, cwd=self.work).start()
        self.processes.append(process)
        wait_for(lambda: port_answers(port), f"{name} on port {port}", explain=process.explain)
        return process

    def _nginx(self, name: str, port: int, body: str, cpu: int, main: str = "") -> Process:
        config = self.work / f"{name}.conf"
        config.write_text(f"""
{main}
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
daemon off;
pid {name}.pid;
error_log {name}.err warn;
worker_rlimit_nofile 16000;
events {{ worker_connections 7000; }}
http {{
    access_log off;
    sendfile on; tcp_nodelay on; tcp_nopush on;
    keepalive_timeout 300s; keepalive_requests 100000000;
    client_max_body_size 0; client_body_temp_path {name}.body; proxy_temp_path {name}.proxy;
    fastcgi_temp_path {name}.f; uwsgi_temp_path {name}.u; scgi_temp_path {name}.s;
    {body}
}}
""")
        return self._start(name, ["/usr/sbin/nginx", "-p", self.work, "-c", config,
                                  "-e", self.work / f"{name}.err"], port, cpu)

    def _backend(self) -> None:
        content = self.work / "www" / "CCM_Client"
        content.mkdir(parents=True)
        (content / "64k").write_bytes(b"k" * 65536)
        (content / "bulk").write_bytes(b"b" * BULK_BYTES)
        self._nginx("backend", self.back_port, f"""
    open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
    server {{
        listen 127.0.0.1:{self.back_port} backlog=4096 reuseport;
        default_type text/plain;
        location = /CCM_Client/1k {{ return 200 "{'a' * 1024}"; }}
        # Reads the body before it answers, as IIS does.
        location = /CCM_Client/up {{
            client_body_buffer_size 1m; echo_read_request_body; echo "ok"; }}
        location / {{ root www; }}
    }}""", LOAD_CPU, f"load_module {ECHO_MODULE};")

    def add(self, name: str) -> None:
        set_up = {"ours": self._ours, "nginx": self._one_hop, "nghttpx": self._nghttpx,
                  "haproxy": self._haproxy}[name]()
        self._check(set_up)
        self.set_ups.append(set_up)

    def by_proofs(self) -> list[SetUp]:
        """Our tunnel, the same processes: asked by a client with a certificate; by one that sends
        a token as well, which nobody looks at then; by one that has only the token."""
        ours = next(set_up for set_up in self.set_ups if set_up.name == "ours")
        made = subprocess.run([build_folder() / "cmgctl", "token", "new", "--client", CLIENT,
                               "--site", self.tokens / "site"], check=True, capture_output=True,
                              text=True)
        token = made.stdout.strip()
        made_up = [SetUp("carried", ours.port, ours.prefix, ours.parts, token),
                   SetUp("token", ours.port, f"{SERVER}/{MP}", ours.parts, token, False)]
        for set_up in made_up:
            self._check(set_up)
        return [ours, *made_up]

    def _check(self, set_up: SetUp) -> None:
        """The right answer before the fast one."""
        tls = self._context(set_up)
        headers = [("Authorization", f"Bearer {set_up.token}")] if set_up.token else []

        def answers() -> bool:
            try:
                with Http1(set_up.port, tls) as http:
                    answer = http.request("GET", set_up.prefix + "/CCM_Client/1k", headers)
            except OSError:
                return False
            return answer.status == 200 and answer.body == b"a" * 1024
        wait_for(answers, f"the right answer from {set_up.name}", 20, every=0.1,
                 explain=lambda: "\n".join(part.explain() for part in set_up.parts))

    def _context(self, set_up: SetUp) -> ssl.SSLContext:
        return context(str(self.pki.server_ca.certificate),
                       self.pki.client if set_up.has_certificate else None)

    def _site_tokens(self) -> dict[str, dict[str, str | Path]]:
        """The gateway's settings for tokens of a site that cmgctl has made."""
        self.tokens = self.work / "tokens"
        subprocess.run([build_folder() / "cmgctl", "pki", "init", self.tokens], check=True,
                       capture_output=True)
        site = self.tokens / "site"
        return {"site-tokens": {"hierarchy": (site / "hierarchy").read_text().strip(),
                                "certificates": site / "site-token.pem"}}

    def _ours(self) -> SetUp:
        site = _BenchSite(self.pki, self.back_port)
        quiet = {"log": {"access": False, "level": "notice"}}
        gateway = {**quiet, **(self._site_tokens() if self.with_tokens else {})}
        lab = Lab(site, build_folder(), self.work, with_gates=False, gateway=gateway, point=quiet,
                  cpu=MEASURED_CPU)
        lab.start(wait=False)
        parts: list[Process] = [lab.gateways[1], lab.points["cp1"]]
        return SetUp("ours", lab.port(), f"{MUTUAL}/{MP}", parts, stop=lab.stop)

    def _one_hop(self) -> SetUp:
        port, pki = free_ports(), self.pki
        process = self._nginx("nginx-1", port, f"""
    upstream be {{ server 127.0.0.1:{self.back_port}; keepalive 1100;
                  keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096 reuseport;
        ssl_certificate {pki.gateway.certificate}; ssl_certificate_key {pki.gateway.key};
        ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
        location / {{ proxy_pass http://be; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_max_temp_file_size 0;
            proxy_request_buffering off; }}
    }}""", MEASURED_CPU)
        return SetUp("nginx", port, "", [process])

    def _nghttpx(self) -> SetUp:
        near, far, pki = free_ports(), free_ports(), self.pki
        point = pki.points["cp1"]
        inner = self._start("nghttpx-inner", [
            "nghttpx", "--conf=/dev/null", f"-f127.0.0.1,{far}", f"-b127.0.0.1,{self.back_port}",
            "--workers=1", "--backend-connections-per-host=2000", "--no-ocsp", "--verify-client",
            f"--verify-client-cacert={pki.point_ca.certificate}",
            "--frontend-http2-max-concurrent-streams=2000", "-LERROR", pki.gateway.key,
            pki.gateway.certificate], far, MEASURED_CPU)
        outer = self._start("nghttpx-outer", [
            "nghttpx", "--conf=/dev/null", f"-f127.0.0.1,{near}",
            f"-b127.0.0.1,{far};;tls;proto=h2;sni=localhost", "--workers=1",
            f"--cacert={pki.server_ca.certificate}", f"--client-private-key-file={point.key}",
            f"--client-cert-file={point.certificate}", "--no-ocsp", "-LERROR", pki.gateway.key,
            pki.gateway.certificate], near, MEASURED_CPU)
        return SetUp("nghttpx", near, "", [outer, inner])

    def _haproxy(self) -> SetUp:
        near, channel, pki = free_ports(), free_ports(), self.pki
        server, point = self.work / "server.pem", self.work / "point.pem"
        for bundle, identity in ((server, pki.gateway), (point, pki.points["cp1"])):
            bundle.write_text(identity.certificate.read_text() + identity.key.read_text())
        common = """
global
    nbthread 1
    maxconn 4000
    expose-experimental-directives
    tune.ssl.cachesize 0
    tune.h2.max-concurrent-streams 2000
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
"""
        gateway = self.work / "haproxy-gateway.cfg"
        gateway.write_text(common + f"""
frontend pub
    bind 127.0.0.1:{near} ssl crt {server} ssl-min-ver TLSv1.3 no-tls-tickets
    use_backend be-reverse
frontend channel
    bind 127.0.0.1:{channel} ssl crt {server} verify required ca-file {pki.point_ca.certificate} alpn h2
    tcp-request session attach-srv be-reverse/dev
backend be-reverse
    http-reuse always
    server dev rhttp@
""")
        connector = self.work / "haproxy-connector.cfg"
        connector.write_text(common + f"""
frontend fe
    bind rhttp@be-pre/srv
    use_backend be
backend be-pre
    server srv 127.0.0.1:{channel} ssl verify required ca-file {pki.server_ca.certificate} crt {point} sni str(localhost) alpn h2
backend be
    http-reuse always
    server s1 127.0.0.1:{self.back_port}
""")
        outer = self._start("haproxy-gateway", ["haproxy", "-db", "-f", gateway], near,
                            MEASURED_CPU)
        inner = Process("haproxy-connector", ["haproxy", "-db", "-f", connector],
                        self.work / "haproxy-connector.log", cpu=MEASURED_CPU).start()
        self.processes.append(inner)
        return SetUp("haproxy", near, "", [outer, inner])

    # --- measuring ------------------------------------------------------------------------

    def measure(self, set_up: SetUp, kind: Kind) -> Round:
        pki = self.pki
        proof = []
        if set_up.token:
            proof += ["--field", f"Authorization: Bearer {set_up.token}"]
        if set_up.has_certificate:
            proof += ["--certificate", str(pki.client.certificate), "--key", str(pki.client.key)]
        argv = ["taskset", "-c", str(LOAD_CPU), str(self.loader), "--tls",
                "--ca", str(pki.server_ca.certificate), *proof,
                "--connections", str(kind.connections), "--seconds", str(self.seconds),
                "--method", "POST" if kind.body else "GET", "--body", str(kind.body),
                str(set_up.port), set_up.prefix + kind.path]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as load:
            assert load.stdout and load.stderr
            if load.stdout.readline() != "start\n":
                raise LabError(f"{set_up.name}: {load.stderr.read()}\n" +
                               "\n".join(part.explain() for part in set_up.parts))
            before = [part.cpu_ns() for part in set_up.parts]
            result = json.loads(load.stdout.readline() or "{}")
            after = [part.cpu_ns() for part in set_up.parts]
            complaints = load.stderr.read()
        if not result.get("requests") or result["failures"]:
            raise LabError(f"{set_up.name}: {result} {complaints}\n" +
                           "\n".join(part.explain() for part in set_up.parts))
        units = result["bytes"] / (1 << 20) if kind.is_bulk else result["requests"]
        rate = result["bytes"] / 1e6 if kind.is_bulk else result["requests"]
        return Round(rate / result["seconds"], result["p50_us"], result["p99_us"],
                     [(b - a) / 1e3 / units for a, b in zip(before, after)])

    def run(self, kind: Kind, rounds: int) -> list[SetUp]:
        set_ups = self.set_ups
        if kind.is_auth:
            set_ups = self.by_proofs()
        for set_up in set_ups:
            set_up.rounds.clear()
        for number in range(rounds):
            for set_up in set_ups:
                set_up.rounds.append(self.measure(set_up, kind))
            if sys.stderr.isatty():
                print(f"\r  round {number + 1} of {rounds} ", end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
        return set_ups

    def stop(self) -> None:
        for set_up in self.set_ups:
            if set_up.stop:
                set_up.stop()
        for process in self.processes:
            process.kill()


class _BenchSite:
    """As much of lab.site.Site as Lab needs: one endpoint, no Python behind it."""

    def __init__(self, pki: Pki, back_port: int) -> None:
        self.pki = pki
        self._url = f"http://127.0.0.1:{back_port}"

    def endpoints(self) -> dict[str, dict[str, str]]:
        return {"endpoint mp": {"role": "management-point", "id": MP, "url": self._url,
                                "paths": "CCM_Client"}}


# --- the table -------------------------------------------------------------------------------

TITLES = {"ours": "cmg-gateway + cmg-connection-point", "nginx": "nginx, one hop only",
          "nghttpx": "nghttpx + nghttpx", "haproxy": "HAProxy rhttp pair"}
BY_PROOF = {"ours": "by certificate", "carried": "by certificate, a token beside it",
            "token": "by token"}


def _spread(values: list[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def table(kind: Kind, set_ups: list[SetUp]) -> str:
    titles = BY_PROOF if kind.is_auth else TITLES
    per, rate = ("MiB", "MB/s") if kind.is_bulk else ("request", "requests/s")
    head = (f"{'':36}{rate + ', median (min–max)':>28}{'p50 µs':>9}{'p99 µs':>9}"
            f"{'gateway':>10}{'point':>8}{'sum':>8}")
    lines = [f"{kind.title}   (last three columns: CPU µs per {per})", "", head]
    for set_up in set_ups:
        rounds = set_up.rounds
        parts = [median(r.cpu_us[i] for r in rounds) for i in range(len(set_up.parts))]
        point = f"{parts[1]:8.1f}" if len(parts) > 1 else f"{'–':>8}"
        lines.append(f"{titles[set_up.name]:36}{_spread([r.rate for r in rounds], ',.0f'):>28}"
                     f"{median(r.p50_us for r in rounds):9,.0f}"
                     f"{median(r.p99_us for r in rounds):9,.0f}"
                     f"{parts[0]:10.1f}{point}{sum(parts):8.1f}")
    ours = next((s for s in set_ups if s.name == "ours"), None)
    if kind.is_auth:
        lines += _by_token(*set_ups)
    elif ours and len(set_ups) > 1:
        lines += ["", f"{'ours as a multiple of':36}{'rate, paired by round':>28}"
                      f"{'CPU':>26}"]
        for other in set_ups:
            if other is ours:
                continue
            rates = [a.rate / b.rate for a, b in zip(ours.rounds, other.rounds)]
            cpu = [sum(a.cpu_us) / sum(b.cpu_us) for a, b in zip(ours.rounds, other.rounds)]
            lines.append(f"{TITLES[other.name]:36}{_spread(rates, '.2f'):>28}"
                         f"{_spread(cpu, '.2f'):>26}")
    return "\n".join(lines)


def _by_token(certificate: SetUp, carried: SetUp, token: SetUp) -> list[str]:
    """What a token costs the gateway, paired by round: to be carried, and to be judged."""
    lines = ["", f"{'as a multiple of':36}{'rate, paired by round':>28}{'CPU of the gateway':>26}"]
    for a, b, title in ((carried, certificate, "carried / no token"),
                        (token, carried, "judged / carried")):
        pairs = list(zip(a.rounds, b.rounds))
        lines.append(f"{title:36}{_spread([x.rate / y.rate for x, y in pairs], '.2f'):>28}"
                     f"{_spread([x.cpu_us[0] / y.cpu_us[0] for x, y in pairs], '.2f'):>26}")
    return lines


def has_reverse_http(program: str = "haproxy") -> bool:
    """True when HAProxy 2.9 or newer is on PATH."""
    path = shutil.which(program)
    if not path:
        return False
    text = subprocess.run([path, "-v"], capture_output=True, text=True).stdout
    match = re.search(r"version (\d+)\.(\d+)", text)
    return bool(match) and (int(match[1]), int(match[2])) >= (2, 9)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--folder", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--command", default="scripts/bench", help=argparse.SUPPRESS)
    parser.add_argument("--load", default="k1",
                        help=f"{', '.join(KINDS)}, several with commas, or all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="ours,nghttpx,nginx,haproxy")
    args = parser.parse_args()
    kinds = list(KINDS) if args.load == "all" else args.load.split(",")
    names = args.only.split(",")
    if unknown := [k for k in kinds if k not in KINDS] + [n for n in names if n not in TITLES]:
        parser.error(f"unknown: {', '.join(unknown)}")
    if "haproxy" in names and not has_reverse_http():
        names.remove("haproxy")

    if "auth" in kinds and "ours" not in names:
        parser.error("auth measures ours")

    bench = Bench(args.folder.resolve(), args.seconds, "auth" in kinds)
    try:
        for name in names:
            bench.add(name)
        print(f"{args.command.strip()}      {args.rounds} rounds of {args.seconds:g} s, in turn")
        for name in kinds:
            measured = bench.run(KINDS[name], args.rounds)
            print("\n" + table(KINDS[name], measured), flush=True)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
