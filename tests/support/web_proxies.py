"""Debian's nginx, Caddy, HAProxy and Apache in front of an order service, each with several sites.

A site is a port of its own. All programs run under guard, and end with the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devservices import GuardedProcess, free_port, listens
from devservices.install.web_proxies import find_or_fetch

from .waiting import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ZIPPED = "application/json text/css text/javascript"
Sites = dict[str, int]

# nginx: a location of each site. The first has nothing but `proxy_pass`.
_NGINX_SITES = {
    "nginx": "",
    "nginx-unknown": "proxy_set_header X-Forwarded-For unknown;",
    "nginx-with-port": "proxy_set_header X-Forwarded-For $remote_addr:$remote_port;",
    "nginx-forwarded": 'proxy_set_header Forwarded "for=\\"$remote_addr:$remote_port\\"";',
}
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
{user}
events {{ }}
http {{
    access_log off;
    types {{ }}
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    {servers}
}}
"""
_NGINX_SERVER = """
    server {{
        listen 127.0.0.1:{port};
        gzip on; gzip_proxied any; gzip_min_length 1; gzip_types {zipped};
        location / {{ proxy_pass http://127.0.0.1:{service}; {more} }}
    }}
"""
_HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend all
    bind 127.0.0.1:{port}
    compression algo gzip
    compression type {zipped}
    option forwardfor
    default_backend service
backend service
    server one 127.0.0.1:{service}
"""
_APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
{modules}
{user}
StartServers 1
ThreadsPerChild 32
ServerLimit 1
MaxRequestWorkers 32
AddOutputFilterByType DEFLATE {zipped}
ProxyPass / http://127.0.0.1:{service}/ flushpackets=on
"""
_APACHE_MODULES = ("mpm_event", "authz_core", "filter", "deflate", "proxy", "proxy_http")


@contextmanager
def web_proxies(folder: Path, service: int) -> Iterator[Sites]:
    """Run all of them in front of the order service at a port; gives the ports of the sites."""
    found = find_or_fetch()
    programs = {name: str(path) for name, path in found.paths.items()}
    modules = found.tree / "usr/lib/apache2/modules"
    sites: Sites = {}
    commands = [
        _nginx(programs["nginx"], folder, service, sites),
        _caddy(programs["caddy"], folder, service, sites),
        _haproxy(programs["haproxy"], folder, service, sites),
        _apache(programs["apache2"], folder, service, sites, modules),
    ]
    with _running(commands, folder, found.environment, sites):
        yield sites


@contextmanager
def nginx_sites(folder: Path, service: int, locations: Sequence[str]) -> Iterator[list[int]]:
    """Run an nginx as it comes, with a site for each location; gives the ports of the sites.

    A location has {service}, the port of the order service; its braces are doubled.
    """
    found = find_or_fetch()
    sites = {location: free_port() for location in locations}
    servers = [
        f"server {{ listen 127.0.0.1:{port}; {location.format(service=service)} }}"
        for location, port in sites.items()
    ]
    command = [str(found.paths["nginx"]), *_nginx_flags(folder, servers)]
    with _running([command], folder, found.environment, sites):
        yield list(sites.values())


@contextmanager
def _running(
    commands: list[list[str]], folder: Path, more: Mapping[str, str], sites: Sites
) -> Iterator[None]:
    """Run programs until the block ends; it begins when all sites listen."""
    environment = os.environ | more | {"XDG_DATA_HOME": str(folder), "HOME": str(folder)}
    with ExitStack() as running:
        log = running.enter_context((folder / "output").open("ab"))
        for command in commands:
            process = GuardedProcess(command, env=environment, cwd=folder, output=log)
            running.callback(process.kill)
        for name, port in sites.items():
            what = f"{name} listens; {folder / 'output'}"
            wait_until(lambda port=port: listens(port), 10, what)
        yield


def _nginx(program: str, folder: Path, service: int, sites: Sites) -> list[str]:
    servers = []
    for name, more in _NGINX_SITES.items():
        sites[name] = free_port()
        servers.append(
            _NGINX_SERVER.format(port=sites[name], service=service, more=more, zipped=ZIPPED)
        )
    sites |= {"deploy/nginx.conf": free_port(), "redirect": free_port()}
    servers.append(_deployed_nginx(folder, service, sites))
    sites["deploy/nginx.conf below a path"] = free_port()
    below = _deployed_nginx(folder, service, sites | {
        "redirect": free_port(), "deploy/nginx.conf": sites["deploy/nginx.conf below a path"],
    })  # fmt: skip
    # What stands before the servers is there once.
    below = below[below.index("\nserver {") :]
    # Puts what stands in comments in the place of the location above it.
    commented = re.search(r"    # location /pizza/ \{.*?\n    # \}\n", below, re.DOTALL)
    assert commented is not None
    below = re.sub(r"    location / \{.*?\n    \}\n", "", below, flags=re.DOTALL)
    servers.append(below.replace(commented[0], commented[0].replace("    # ", "    ")))
    return [program, *_nginx_flags(folder, servers)]


def _nginx_flags(folder: Path, servers: list[str]) -> list[str]:
    user = "user root root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, servers="".join(servers), user=user))
    return ["-c", str(config), "-p", str(folder), "-e", str(folder / "nginx.log")]


def _deployed_nginx(folder: Path, service: int, sites: Mapping[str, int]) -> str:
    """deploy/nginx.conf with ports and a certificate of the test's."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if not key.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{sites['redirect']};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{sites['deploy/nginx.conf']} ssl http2;",
        "/etc/ssl/pizza/fullchain.pem": str(certificate),
        "/etc/ssl/pizza/privkey.pem": str(key),
        "127.0.0.1:3000": f"127.0.0.1:{service}",
        "/var/log/nginx/": f"{folder}/deployed-",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _caddy(program: str, folder: Path, service: int, sites: Sites) -> list[str]:
    """deploy/Caddyfile, without TLS: Caddy asks an authority elsewhere for its certificates."""
    text = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:3000", f"127.0.0.1:{service}")
    sites |= {"deploy/Caddyfile": free_port(), "deploy/Caddyfile below a path": free_port()}
    plain = text.replace("pizza.example {", f"http://127.0.0.1:{sites['deploy/Caddyfile']} {{", 1)
    commented = re.search(r"\t# handle_path /pizza/\* \{.*?\n\t# \}\n", text, re.DOTALL)
    assert commented is not None
    below = commented[0].replace("\t# ", "\t")
    address = f"http://127.0.0.1:{sites['deploy/Caddyfile below a path']}"
    config = folder / "Caddyfile"
    config.write_text(f"{{\n\tadmin off\n}}\n{plain}\n{address} {{\n{below}}}\n")
    return [program, "run", "--config", str(config), "--adapter", "caddyfile"]


def _haproxy(program: str, folder: Path, service: int, sites: Sites) -> list[str]:
    sites["haproxy"] = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=sites["haproxy"], service=service, zipped=ZIPPED))
    return [program, "-db", "-f", str(config)]


def _apache(program: str, folder: Path, service: int, sites: Sites, modules: Path) -> list[str]:
    sites["apache"] = free_port()
    loaded = "".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in _APACHE_MODULES
    )
    user = "User nobody\nGroup #65534" if os.geteuid() == 0 else ""
    config = folder / "apache.conf"
    config.write_text(
        _APACHE.format(
            folder=folder,
            port=sites["apache"],
            service=service,
            modules=loaded,
            user=user,
            zipped=ZIPPED,
        )
    )
    return [program, "-D", "FOREGROUND", "-f", str(config)]
