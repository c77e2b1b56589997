"""nginx as the site's web servers: a management point over HTTP, one over HTTPS that asks for
a client certificate, and a software update point. Static files are nginx's own (ranges,
HEAD, sendfile); everything dynamic goes to backend.py."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .http1 import pattern_pieces
from .pki import Pki
from .process import Process
from .waiting import port_answers, wait_for

BIG_BYTES = 1 << 30
CAB_BYTES = 3_000_000

_DYNAMIC = "ccm_system|ccm_system_tokenauth|ccm_incoming|ccm_sts|sms_mp|bgb|cmuserservice"
_WSUS = "clientwebservice|simpleauthwebservice|reportingwebservice"

# `underscores_in_headers`: clients' own field names are passed on whatever they look like.
_PROXY = """
            proxy_pass http://dynamic;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_next_upstream off;"""


def _server(listen: str, root: Path, dynamic: str, extra: str = "") -> str:
    return f"""
    server {{
        listen 127.0.0.1:{listen} backlog=4096;
        root {root};
        {extra}
        location / {{
            if ($request_method !~ "^(GET|HEAD)$") {{ rewrite ^ /dynamic$uri last; }}
        }}
        location /dynamic {{
            internal;
            rewrite ^/dynamic(.*)$ $1 break;{_PROXY}
        }}
        location ~* ^/({dynamic})(/|$) {{{_PROXY}
        }}
    }}"""


class Nginx:
    def __init__(self, folder: Path, pki: Pki, http_port: int, https_port: int, sup_port: int,
                 dynamic_port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ports = (http_port, https_port, sup_port)
        mp_root, sup_root = folder / "mp", folder / "sup"
        make_content(mp_root, sup_root)
        ask_certificate = f"""
        ssl_certificate {pki.management_point.certificate};
        ssl_certificate_key {pki.management_point.key};
        ssl_client_certificate {pki.site_ca.certificate};
        ssl_verify_client on;"""
        # Started by root, workers would become another user, who cannot read our folder.
        user = "user root;" if os.geteuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(f"""
{user}
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log warn;
worker_rlimit_nofile 16000;
events {{ worker_connections 7000; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    server_tokens off;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    underscores_in_headers on;
    default_type application/octet-stream;
    upstream dynamic {{ server 127.0.0.1:{dynamic_port}; keepalive 64; }}
    {_server(str(http_port), mp_root, _DYNAMIC)}
    {_server(f"{https_port} ssl", mp_root, _DYNAMIC, ask_certificate)}
    {_server(str(sup_port), sup_root, _WSUS)}
}}
""")
        self.process = Process("nginx", ["/usr/sbin/nginx", "-p", folder, "-c", config,
                                         "-e", folder / "error.log"], folder / "nginx.out")

    def start(self) -> "Nginx":
        self.process.start()
        for port in self.ports:
            wait_for(lambda port=port: port_answers(port), f"nginx on port {port}",
                     explain=self.process.explain)
        return self

    def stop(self) -> None:
        self.process.stop()


def make_content(mp_root: Path, sup_root: Path) -> None:
    """Static files; big.bin is sparse and takes no room."""
    client = mp_root / "CCM_Client"
    client.mkdir(parents=True, exist_ok=True)
    with open(client / "ccmsetup.cab", "wb") as cab:
        for piece in pattern_pieces(CAB_BYTES):
            cab.write(piece)
    (client / "1k.txt").write_bytes(b"a" * 1024)
    (client / "empty.txt").write_bytes(b"")
    with open(client / "big.bin", "wb") as big:
        big.truncate(BIG_BYTES)
    content = sup_root / "Content"
    content.mkdir(parents=True, exist_ok=True)
    (content / "update.cab").write_bytes(b"MSCF" + b"u" * 100_000)
    self_update = sup_root / "SelfUpdate"
    self_update.mkdir(exist_ok=True)
    (self_update / "wuident.cab").write_bytes(b"MSCF" + b"w" * 5_000)


def cab_sha256() -> str:
    digest = hashlib.sha256()
    for piece in pattern_pieces(CAB_BYTES):
        digest.update(piece)
    return digest.hexdigest()
