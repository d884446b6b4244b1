"""What scripts/quality/audit.py makes of the answers of a vulnerability service."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from devservices import free_port

AUDIT = Path(__file__).resolve().parents[2] / "scripts" / "quality" / "audit.py"
FINDING = {
    "id": "GHSA-0000-0000-0000",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "flask"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}

Answer = Callable[[str], dict[str, Any]]


@pytest.fixture
def osv() -> Iterator[Callable[[Answer], str]]:
    """Starts a service that answers as it is told; gives its URL."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Service(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(answer(asked["package"]["name"].lower())).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Service))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}/query"

    yield start
    for each in running:
        each.shutdown()


def audit(url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, AUDIT, url],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_known_vulnerability_fails(osv: Callable[[Answer], str]) -> None:
    code, said = audit(osv(lambda name: {"vulns": [FINDING]} if name == "flask" else {}))

    assert code == 1, said
    assert "GHSA-0000-0000-0000, fixed in 99.1" in said
    assert "1 known vulnerabilities" in said


def test_a_service_that_is_away_is_said_and_passes() -> None:
    code, said = audit(f"http://127.0.0.1:{free_port()}/query")

    assert (code, said.startswith("Could not ask for known vulnerabilities: ")) == (0, True), said
