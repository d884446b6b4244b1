"""scripts/test: the environments of tox.ini, and one summary of them.

    scripts/test [ENVIRONMENT...] [-- PYTEST-ARGUMENT...]

Without a name all run, and none that fails keeps the next from running. The exit code is 0 only
when all have passed.
"""

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from bootstrap.data_dir import ROOT
from devservices import GuardedProcess
from devservices.install import chromium, rabbitmq, web_proxies
from supervisor.program import run_program

TOX_GRACE_SECONDS = 20.0
# They mostly wait for processes, so five run at the same time, each on its own servers.
# `security` is not among them: `audit` and `unit` together have all that is in it.
SHARDS = (
    ("lint", "types", "layers", "audit", "integration", "compatibility"),
    ("acceptance", "unit"),
    ("taskqueue",),
    ("workers",),
    ("outbox", "browser", "faults"),
)
ALL = tuple(name for lane in SHARDS for name in lane)


def main() -> int:
    """Run them; gives the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:2]):
        print(__doc__)
        return 0
    return run_program(lambda: fetch_and_run(sys.argv[1:]), ())


def fetch_and_run(arguments: list[str]) -> int:
    """Fetch the programs that the tests need, and run them; gives the exit code."""
    for module in needed_programs(arguments):
        module.find_or_fetch()
    with tempfile.TemporaryDirectory() as folder:
        return run(arguments, Path(folder))


def needed_programs(arguments: list[str]) -> list[Any]:
    """The modules of devservices.install for the environments that are to run."""
    names = set(split(arguments)[0] or ALL)
    return [
        rabbitmq,
        *([chromium] if "browser" in names else []),
        *([web_proxies] if names & {"acceptance", "browser"} else []),
    ]


def run(arguments: list[str], folder: Path) -> int:
    """Run tox on the named environments, or on all, in their shards; gives the exit code.

    What the first shard prints is seen at once, what the others print at the end.
    """
    names, rest = split(arguments)
    shards = [[name for name in names or ALL if name in shard] for shard in SHARDS]
    shards = [shard for shard in [*shards, [name for name in names if name not in ALL]] if shard]
    runs: list[GuardedProcess] = []
    try:
        for number, shard in enumerate(shards):
            runs.append(tox(shard, rest, folder, number))
        codes = [each.wait() for each in runs]
    finally:
        for each in runs:
            each.stop(signal.SIGINT, TOX_GRACE_SECONDS)
    for number in range(1, len(shards)):
        sys.stdout.write((folder / f"{number}.txt").read_text("utf-8", "replace"))
    return report(max(codes), [folder / f"{number}.json" for number in range(len(shards))])


def tox(names: list[str], rest: list[str], folder: Path, number: int) -> GuardedProcess:
    """Start tox on some environments. Its results go to NUMBER.json, its output to NUMBER.txt."""
    command = [sys.executable, "-m", "tox", "run", "-e", ",".join(names)]
    command += ["--result-json", str(folder / f"{number}.json"), *rest]
    with (folder / f"{number}.txt").open("wb") as output:
        return GuardedProcess(command, cwd=ROOT, output=output if number else None)


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The names of environments; the two dashes, if given, with what follows them."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at:]


def report(status: int, results: list[Path]) -> int:
    """One line for each environment, and the sum of them; gives the exit code."""
    ran: dict[str, list[dict[str, Any]]] = {}
    try:
        for each in results:
            found = json.loads(each.read_text())["testenvs"]
            ran |= {name: result["test"] for name, result in found.items() if "test" in result}
    except (OSError, ValueError, KeyError):
        return status or 1  # tox has said why
    failed = 0
    print()
    for name, tests in ran.items():
        passed = all(test["retcode"] == 0 for test in tests)
        failed += not passed
        seconds = sum(test.get("elapsed", 0.0) for test in tests)
        print(f"{name:12} {'passed' if passed else 'FAILED'} in {seconds:.1f} s")
    print(f"environments: {len(ran) - failed} passed, {failed} failed")
    return status or (1 if failed or not ran else 0)


if __name__ == "__main__":
    sys.exit(main())
