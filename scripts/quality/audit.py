"""Known vulnerabilities of the packages in constraints.txt, as OSV knows them (pip-audit asks).

    python scripts/quality/audit.py [OSV_QUERY_URL]

Exit code 0: none, or the service is not reachable; 1: there are some, or pip-audit does not run.
IGNORED has those that may be left alone for now, with the reason.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
OSV = "https://api.osv.dev/v1/query"
SECONDS, CONNECT_SECONDS = 60.0, 3.0
# Each with why it does not concern us: "GHSA-…": "the function is not used".
IGNORED: dict[str, str] = {}
# What pip-audit prints when it has no answer; all other errors are failures.
_UNREACHABLE = ("ConnectionError", "ServiceError", "Timeout", "timed out", "Could not connect")


def main() -> int:
    """Ask, print the answer; gives the exit code."""
    url = sys.argv[1] if sys.argv[1:] else OSV
    if (problem := unreachable(url)) is not None:
        return could_not_ask(problem)
    with tempfile.TemporaryDirectory() as folder:
        return audit(Path(folder) / "audit.json", url)


def unreachable(url: str) -> str | None:
    """Why the service is not reachable; None if it is. (pip-audit itself tries for long.)"""
    if any(name.lower() in ("https_proxy", "all_proxy") for name in os.environ):
        return None
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as problem:
        return f"{host}: {problem.strerror or problem}"
    return None


def audit(report: Path, url: str) -> int:
    """Run pip-audit, and read its report."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)]
    command += ["--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=5"]
    command += ["--vulnerability-service=osv", f"--osv-url={url}"]
    command += ["--format=json", f"--output={report}"]
    command += [f"--ignore-vuln={each}" for each in IGNORED]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return could_not_ask(f"no answer in {SECONDS:g} s")
    if not report.exists() or not report.read_text():
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if any(sign in done.stderr for sign in _UNREACHABLE):
            return could_not_ask(said)
        print(f"pip-audit failed: {done.stderr.strip()}", file=sys.stderr)
        return 1
    packages = json.loads(report.read_text())["dependencies"]
    found = [(package, each) for package in packages for each in package.get("vulns", ())]
    for package, each in found:
        fixed = ", ".join(each["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    print(f"{len(packages)} packages asked for, {len(found)} known vulnerabilities")
    return 1 if found else 0


def could_not_ask(why: str) -> int:
    """Print why; no failure of the project."""
    print(f"Could not ask for known vulnerabilities: {why[:200]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
