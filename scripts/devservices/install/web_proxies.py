"""nginx, HAProxy, Caddy and Apache: those of this machine, or of Debian's packages."""

from bootstrap.data_dir import FOLDER
from devservices.install import packages

FETCHED = FOLDER / "web-proxies"
# By program, the Debian package that has it.
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "apache2": "apache2-bin"}


def find_or_fetch() -> packages.Programs:
    """The proxies to use. Raises ProcessFailed, which names those that are missing."""
    return packages.find_or_fetch_programs(PACKAGES, FETCHED)
