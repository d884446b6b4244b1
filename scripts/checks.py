"""scripts/test: the environments of tox.ini, one after the other, and a verdict on all of them.

    scripts/test [ENVIRONMENT...] [-- PYTEST-ARGUMENT...]

Without a name all run, and none that fails keeps the next from running. The exit code is 0 only
when all have passed.
"""

import json
import signal
import sys
import tempfile
from pathlib import Path

from datafolder import ROOT
from devservices import GuardedProcess, ProcessFailed, rabbitmq_install
from progress import step
from stopping import Stopped, stop_on_signals

TOX_GRACE_SECONDS = 20.0


def main() -> int:
    """Run them; gives the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:2]):
        print(__doc__)
        return 0
    stop_on_signals()
    try:
        if not rabbitmq_install.find():
            with step("Fetching RabbitMQ, which this machine does not have"):
                rabbitmq_install.find_or_fetch()
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.json"
            status = run_tox(sys.argv[1:], results)
            return report(status, results)
    except Stopped as stop:
        print(f"pizza: stopped by {stop}; nothing is left running.", file=sys.stderr)
        return stop.exit_code
    except (ProcessFailed, OSError) as error:
        print(f"pizza: {error}", file=sys.stderr)
        return 1


def run_tox(arguments: list[str], results: Path) -> int:
    """Run tox on the named environments, or on all; its results go to a JSON file."""
    names, dashes, rest = split(arguments)
    command = [sys.executable, "-m", "tox", "run", "--result-json", str(results)]
    command += ["-e", ",".join(names)] if names else []
    tox = GuardedProcess([*command, *dashes, *rest], cwd=ROOT)
    try:
        return tox.wait()
    finally:
        tox.stop(signal.SIGINT, TOX_GRACE_SECONDS)


def split(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The names of environments, the two dashes if given, and what follows them."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]


def report(status: int, results: Path) -> int:
    """One line for each environment, and the sum of them; gives the exit code."""
    try:
        environments = json.loads(results.read_text())["testenvs"]
    except (OSError, ValueError, KeyError):
        return status or 1  # tox has said why
    failed = 0
    print()
    ran = {name: result["test"] for name, result in environments.items() if result.get("test")}
    for name, tests in ran.items():
        passed = all(test["retcode"] == 0 for test in tests)
        failed += not passed
        seconds = sum(test.get("elapsed", 0.0) for test in tests)
        print(f"{name:12} {'passed' if passed else 'FAILED'} in {seconds:.1f} s")
    print(f"environments: {len(ran) - failed} passed, {failed} failed")
    return status or (1 if failed or not ran else 0)


if __name__ == "__main__":
    sys.exit(main())
