"""The whole lab put together.

    Site   what outlives a test: PKI, nginx, back end. Costs a second, one per run.
    Lab    N gateway instances, gates before their channel ports, M connection points.

            client ---> gateway <=== gate <=== connection point ---> nginx, back end
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

from . import client
from .daemons import ConnectionPoint, Gateway, Settings, merged
from .gate import Gate, gates
from .nginx import Nginx
from .pki import Identity, Pki
from .process import Process
from .waiting import LabError, free_ports, port_answers, wait_for

# Ids of the endpoints, as a site gives them.
MP, MP_HTTPS, SUP, ECHO = ("72057594037937981", "72057594037937982", "72057594037937983", "8")
MUTUAL, SERVER = "/CCM_Proxy_MutualAuth", "/CCM_Proxy_ServerAuth"


def on(endpoint: str, path: str, tree: str = MUTUAL) -> str:
    """The external target of `path` at an endpoint."""
    return f"{tree}/{endpoint}{path}"


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pki = Pki(folder / "pki")
        self.uploads = folder / "uploads"
        first = free_ports(4)
        self.dynamic_port, self.mp_port, self.mp_https_port, self.sup_port = range(first, first + 4)
        self.backend = Process(
            "backend", [sys.executable, "-m", "lab.backend", "--port", str(self.dynamic_port),
                        "--uploads", self.uploads], folder / "backend.log",
            cwd=Path(__file__).resolve().parents[1])
        self.nginx = Nginx(folder / "nginx", self.pki, self.mp_port, self.mp_https_port,
                           self.sup_port, self.dynamic_port)

    def start(self) -> "Site":
        self.backend.start().wait_log(r"backend\.ready")
        self.nginx.start()
        return self

    def stop(self) -> None:
        self.nginx.process.kill()
        self.backend.kill()

    def endpoints(self) -> Settings:
        """[endpoint ...] sections of a connection point."""
        pki = self.pki
        return {
            "endpoint mp": {
                "role": "management-point", "id": MP, "url": f"http://127.0.0.1:{self.mp_port}"},
            "endpoint mp-https": {
                "role": "management-point", "id": MP_HTTPS,
                "url": f"https://localhost:{self.mp_https_port}",
                "ca-file": pki.site_ca.certificate, "certificate": pki.point_at_site.certificate,
                "key": pki.point_at_site.key},
            "endpoint sup": {
                "role": "software-update-point", "id": SUP,
                "url": f"http://127.0.0.1:{self.sup_port}",
                "paths": ["ClientWebService", "SimpleAuthWebService", "ReportingWebService",
                          "SelfUpdate", "Content"]},
            # The back end without nginx before it: shows what really arrives.
            "endpoint echo": {
                "role": "management-point", "id": ECHO,
                "url": f"http://127.0.0.1:{self.dynamic_port}",
                "paths": ["lab", "bad", "CCM_Incoming", "BGB"], "max-request": "8G"},
        }

    def seen(self, tag: str) -> dict[str, int]:
        """How often the back end saw requests with that tag."""
        with client.Http1(self.dynamic_port, None) as direct:
            return json.loads(direct.request("GET", f"/lab/seen?tag={tag}").body)


class Lab:
    """Gateways and connection points on a site. `gateway` and `point` change single options of
    all of them; per-instance ports are free ones."""

    def __init__(self, site: Site, build: Path, folder: Path, instances: int = 1,
                 points: tuple[str, ...] = ("cp1",), gateway: Settings | None = None,
                 point: Settings | None = None, with_gates: bool = True,
                 env: dict[str, str] | None = None, cpu: int | None = None) -> None:
        self.site, self.build, self.folder, self.instances = site, build, folder, instances
        self.pki = site.pki
        self.with_gates, self.env, self.cpu = with_gates, env or {}, cpu
        self._gateway_changes, self._point_changes = gateway, point
        first = free_ports(5 * instances)
        self.client_port = first
        self.tcp_port = first + instances            # the gateways' own
        self.https_port = first + 2 * instances
        self.gate_tcp_port = first + 3 * instances   # what connection points dial
        self.gate_https_port = first + 4 * instances
        self.gateways: dict[int, Gateway] = {}
        self.points: dict[str, ConnectionPoint] = {}
        self.tcp_gates: list[Gate] = []
        self.https_gates: list[Gate] = []
        self._names = points
        for i in range(1, instances + 1):
            self.gateways[i] = Gateway(build, folder, f"gw{i}", self._gateway_settings(i),
                                       cpu=cpu)
        for name in points:
            self.add_point(name)

    # --- configuration -------------------------------------------------------------------

    def _gateway_settings(self, instance: int) -> Settings:
        pki = self.pki
        base: Settings = {
            "gateway": {
                "name": "localhost", "instance": instance, "instances": self.instances,
                "certificate": pki.gateway.certificate, "key": pki.gateway.key,
                "listen": "127.0.0.1", "client-port": self.client_port + instance - 1,
                "tcp-tls-port": self.tcp_port, "https-port": self.https_port, "drain": "10s"},
            "clients": {"ca-file": pki.client_trust, "rate-per-address": 0,
                        "max-per-address": 4000},
            "revocation": {"check": "off"},
            "throttle": {"requests-per-address": 0, "requests-per-identity": 0,
                         "failures-per-address": 0, "failures-per-credential": 0},
            "channel": {"ca-file": pki.point_ca.certificate, "keepalive": "1s",
                        "deadline": "2s", "rate-per-address": 0},
            **{f"connection-point {name}": {"site": "LAB"} for name in pki.points},
            "admin": {"socket": (self.folder / f"gw{instance}.sock").absolute()},
            "log": {"target": "stderr", "format": "text", "level": "info"},
        }
        return merged(base, self._gateway_changes)

    def _point_settings(self, name: str) -> Settings:
        identity = self.pki.points[name]
        single = self.client_port
        if self.with_gates:
            tcp, https = self.gate_tcp_port, self.gate_https_port
            if self.instances == 1:
                single = self.gate_https_port
        else:
            tcp, https = self.tcp_port, self.https_port
        base: Settings = {
            "connection-point": {"name": name, "site": "LAB", "certificate": identity.certificate,
                                 "key": identity.key, "drain": "10s"},
            "channel": {"connect-timeout": "5s", "keepalive": "1s", "deadline": "2s",
                        "backoff-min": "100ms", "backoff-max": "1s", "probe": "1s"},
            "cmg lab": {"service": "localhost", "address": "127.0.0.1",
                        "instances": self.instances, "ca-file": self.pki.server_ca.certificate,
                        "tcp-tls-port": tcp, "https-port": https, "https-port-single": single},
            **self.site.endpoints(),
            "admin": {"socket": (self.folder / f"{name}.sock").absolute()},
            "log": {"target": "stderr", "format": "text", "level": "info"},
        }
        return merged(base, self._point_changes)

    def add_point(self, name: str, changes: Settings | None = None) -> ConnectionPoint:
        self.points[name] = ConnectionPoint(self.build, self.folder, name,
                                            merged(self._point_settings(name), changes),
                                            self.env, self.cpu)
        return self.points[name]

    # --- life ----------------------------------------------------------------------------

    def start(self, wait: bool = True) -> "Lab":
        """Gates, gateways, connection points; with `wait`, until every instance serves."""
        try:
            if self.with_gates:
                self.make_gates()
            for gateway in self.gateways.values():
                gateway.start()
            self.wait_gateways()
            for point in self.points.values():
                point.start()
            if wait:
                self.wait_up()
        except BaseException:
            self.kill()
            raise
        return self

    def wait_gateways(self, within: float = 20) -> None:
        """Until all listen: else the first road that a connection point takes is chance."""
        for i, gateway in self.gateways.items():
            def listens(i: int = i, gateway: Gateway = gateway) -> bool:
                if not gateway.is_running():
                    raise LabError(f"gateway {i} ended\n{gateway.explain()}")
                return port_answers(self.port(i)) and port_answers(self.tcp_port + i - 1)
            wait_for(listens, f"gateway {i} to listen", within, explain=gateway.explain)

    def make_gates(self) -> None:
        self.tcp_gates = gates(self.gate_tcp_port, self.tcp_port, self.instances)
        # With one instance the HTTPS road is the clients' port, through the load balancer.
        target = self.client_port if self.instances == 1 else self.https_port
        self.https_gates = gates(self.gate_https_port, target, self.instances)

    def stop(self) -> None:
        """Ends everything, and complains about crashes and sanitizer reports."""
        daemons = [*self.points.values(), *self.gateways.values()]
        try:
            for daemon in daemons:
                if daemon.is_running():
                    daemon.stop()
                else:
                    daemon.check()
        finally:
            self.kill()

    def kill(self) -> None:
        for daemon in (*self.points.values(), *self.gateways.values()):
            daemon.kill()
        for gate in (*self.tcp_gates, *self.https_gates):
            gate.close()

    def __enter__(self) -> "Lab":
        return self.start()

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind:
            self.kill()
        else:
            self.stop()

    def explain(self) -> str:
        """The last log lines of all daemons."""
        daemons = [*self.gateways.values(), *self.points.values()]
        return "\n".join(daemon.explain() for daemon in daemons[:6])

    # --- looking and asking ----------------------------------------------------------------

    def port(self, instance: int = 1) -> int:
        """Where clients reach a gateway instance."""
        return self.client_port + instance - 1

    def tls(self, identity: Identity | None | str = "client", alpn: tuple[str, ...] = ("http/1.1",),
            **more: object) -> ssl.SSLContext:
        """TLS of a client; with a certificate unless `identity` is None."""
        if identity == "client":
            identity = self.pki.client
        return client.context(str(self.pki.server_ca.certificate), identity, alpn, **more)

    def http1(self, instance: int = 1, identity: Identity | None | str = "client",
              **more: object) -> client.Http1:
        return client.Http1(self.port(instance), self.tls(identity), **more)

    def http2(self, instance: int = 1, identity: Identity | None | str = "client",
              **more: object) -> client.Http2:
        return client.Http2.dial(self.port(instance), self.tls(identity, ("h2",)), **more)

    def get(self, target: str, instance: int = 1, headers: client.Headers = ()) -> client.Response:
        """One request on a connection of its own."""
        with self.http1(instance) as http:
            return http.request("GET", target, headers)

    def is_up(self, instance: int = 1, endpoint: str = MP) -> bool:
        """True when a request through that instance reaches the management point."""
        if not self.gateways[instance].is_running():
            raise LabError(f"gateway {instance} ended\n{self.explain()}")
        try:
            return self.get(on(endpoint, "/SMS_MP/.sms_aut?MPLIST"), instance).status == 200
        except OSError:
            return False

    def wait_up(self, within: float = 20, instances: range | None = None) -> None:
        for point in self.points.values():
            if point.child and not point.is_running():
                raise LabError(f"{point.name} ended\n{point.explain()}")
        for i in instances or range(1, self.instances + 1):
            wait_for(lambda i=i: self.is_up(i), f"instance {i} to serve", within, every=0.05,
                     explain=self.explain)

    def wait_road(self, road: str, within: float = 20, instance: int = 1, count: int = 1) -> None:
        """Until all channels of an instance run on `road`, "tcp-tls" or "https", as the gates see
        it: `count` connections on that road, none on the other."""
        up, down = self.tcp_gates[instance - 1], self.https_gates[instance - 1]
        if road == "https":
            up, down = down, up
        wait_for(lambda: up.live() == count and down.live() == 0,
                 f"{count} channels of instance {instance} on the {road} road", within,
                 explain=lambda: f"  tcp-tls: {self.tcp_gates[instance - 1].live()}, https: "
                                 f"{self.https_gates[instance - 1].live()}\n{self.explain()}")
