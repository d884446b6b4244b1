"""Where nginx, HAProxy, Caddy and Apache are on this machine, and how to get them."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devservices.install import debian, packages

SYSTEM = Path("/")
FETCHED = packages.FOLDER / "web-proxies"
# By program, the Debian package that has it.
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "apache2": "apache2-bin"}


@dataclass(frozen=True)
class WebProxies:
    """The programs by name, the folder of Apache's modules, and the variables that all need."""

    programs: dict[str, Path]
    apache_modules: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_or_fetch() -> WebProxies:
    """The proxies to use. Raises ProcessFailed, which names those that are missing."""
    names = tuple(PACKAGES.values())
    unpack = lambda: debian.unpack(names, FETCHED)  # noqa: E731
    missing = ", ".join(name for name in PACKAGES if not _program(SYSTEM, name))
    return packages.find_or_fetch(missing, find, names, unpack)


def find() -> WebProxies | None:
    """What is on the PATH and in /usr/sbin, or what an earlier run unpacked."""
    for root in (SYSTEM, FETCHED):
        programs = {name: path for name in PACKAGES if (path := _program(root, name))}
        modules = root / "usr/lib/apache2/modules"
        if len(programs) == len(PACKAGES) and modules.is_dir():
            environment = {} if root == SYSTEM else packages.library_path(root)
            return WebProxies(programs, modules, environment)
    return None


def _program(root: Path, name: str) -> Path | None:
    folders = f"{root / 'usr/sbin'}:{root / 'usr/bin'}"
    if root == SYSTEM:
        folders = f"{os.environ.get('PATH', '')}:{folders}"
    found = shutil.which(name, path=folders)
    return Path(found) if found else None
