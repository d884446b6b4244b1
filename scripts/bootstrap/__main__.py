"""Make .venv, install the project into it, then become the program that was asked for.

    python scripts/bootstrap/run_module.py bootstrap MODULE EXTRA [ARGUMENT...]

MODULE is a module or package of scripts/, or pizza; EXTRA is the extra of setup.cfg that it needs.
Only the standard library is used, because this runs on a bare Debian or Ubuntu with nothing but
Python. When nothing has changed since the last run, no installation is made.
"""

import fcntl
import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from bootstrap import virtualenv
from bootstrap.data_dir import ROOT, clean
from bootstrap.virtualenv import PYTHON, VENV
from devservices.install.debian import PackageError
from devservices.process import ProcessFailed
from terminal.progress import step

RUNNER = str(Path(__file__).with_name("run_module.py"))
STAMP = VENV / "pizza.json"  # empty while an installation is not finished
DESCRIBED_BY = ("setup.cfg", "pyproject.toml", "constraints.txt")
ALL = "dev"  # the extra that brings the others


def main() -> int:
    """Set up, then replace this process by the program."""
    leave_environment()
    module, extra, *arguments = sys.argv[1:]
    if module == "demo_tools.demo" and "--clean" in arguments:
        return clean()  # needs no installation
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if missing(extra):
            set_up(extra)
    except (PackageError, ProcessFailed, OSError) as error:
        print(f"pizza: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pizza: interrupted; the next run repairs the installation.", file=sys.stderr)
        return 128 + signal.SIGINT
    return become(module, arguments)


def leave_environment() -> None:
    """Go on with the Python beneath an environment, which may be the .venv that is to be remade."""
    beneath = getattr(sys, "_base_executable", sys.executable)
    if sys.prefix != sys.base_prefix and beneath != sys.executable:
        os.execv(beneath, [beneath, "-B", RUNNER, "bootstrap", *sys.argv[1:]])


def missing(extra: str) -> bool:
    """Whether the installation is unfinished, is not what setup.cfg describes, or lacks `extra`."""
    noted, extras = read_stamp()
    return noted != fingerprint() or not {extra, ALL} & set(extras)


def read_stamp() -> tuple[str, list[str]]:
    """The fingerprint and the extras of the last installation that was finished."""
    try:
        stamp = json.loads(STAMP.read_text())
        return str(stamp["fingerprint"]), list(stamp["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", []


def fingerprint() -> str:
    """What an installation depends on: the description, the Python, and where the project is."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.base_prefix}\0{ROOT}\0".encode())
    for name in DESCRIBED_BY:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def set_up(extra: str) -> None:
    """Make or repair .venv so that it has the project with `extra`, and what it had before."""
    with one_at_a_time():
        if not missing(extra):  # another run did it while this one waited
            return
        extras = sorted({extra, *read_stamp()[1]})
        unfinished = STAMP.exists() and not STAMP.read_text()
        if unfinished or not virtualenv.is_usable():
            virtualenv.make()
        STAMP.write_text("")
        virtualenv.install(extras)
        STAMP.write_text(json.dumps({"fingerprint": fingerprint(), "extras": extras}))


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock on a file that is always there; it goes with this process, however that ends."""
    with (ROOT / "setup.cfg").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another set-up in this folder"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the module's, with the Python and on the PATH of .venv."""
    os.environ["PATH"] = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.execv(PYTHON, [str(PYTHON), RUNNER, module, *arguments])


if __name__ == "__main__":
    sys.exit(main())
