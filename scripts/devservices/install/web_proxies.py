"""Where nginx, HAProxy, Caddy and Apache are on this machine, and how to get them.

Raises ProcessFailed with one sentence where none can be had, so that no test skips them silently.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devservices.install import debian
from devservices.install.rabbitmq import one_fetch_at_a_time
from devservices.process import ProcessFailed

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = Path("/")
FETCHED = ROOT / ".pizza" / "web-proxies"
# By program, the Debian package that has it.
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "apache2": "apache2-bin"}


@dataclass(frozen=True)
class WebProxies:
    """The programs by name, the folder of Apache's modules, and the variables that all need."""

    programs: dict[str, Path]
    apache_modules: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_or_fetch() -> WebProxies:
    """The proxies to use; what is missing root installs as packages and others unpack."""
    with one_fetch_at_a_time():
        if found := find():
            return found
        if not debian.available():
            raise ProcessFailed(f"{_missing()} not found, and this machine has no apt-get.")
        try:
            if os.geteuid() == 0:
                debian.install(tuple(PACKAGES.values()))
            else:
                debian.unpack(tuple(PACKAGES.values()), FETCHED)
        except debian.PackageError as error:
            raise ProcessFailed(f"{_missing()} not found, and fetching failed: {error}.") from error
        if found := find():
            return found
        raise ProcessFailed(f"The packages that were fetched lack {_missing()}.")


def find() -> WebProxies | None:
    """What is on the PATH and in /usr/sbin, or what an earlier run unpacked."""
    for root in (SYSTEM, FETCHED):
        programs = {name: path for name in PACKAGES if (path := _program(root, name))}
        modules = root / "usr/lib/apache2/modules"
        if len(programs) == len(PACKAGES) and modules.is_dir():
            return WebProxies(programs, modules, {} if root == SYSTEM else _environment(root))
    return None


def _program(root: Path, name: str) -> Path | None:
    folders = f"{root / 'usr/sbin'}:{root / 'usr/bin'}"
    if root == SYSTEM:
        folders = f"{os.environ.get('PATH', '')}:{folders}"
    found = shutil.which(name, path=folders)
    return Path(found) if found else None


def _missing() -> str:
    return ", ".join(name for name in PACKAGES if not _program(SYSTEM, name)) or "nothing"


def _environment(root: Path) -> dict[str, str]:
    folders = [str(each) for base in ("usr/lib", "lib") for each in (root / base).glob("*-linux-*")]
    return {"LD_LIBRARY_PATH": ":".join(folders)}
