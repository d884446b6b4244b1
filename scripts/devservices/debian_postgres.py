"""Debian's PostgreSQL, which has ICU locales; the wheel's, which the tests use else, has none."""

import os
from pathlib import Path

from . import debian
from .process import ProcessFailed
from .rabbitmq_install import one_fetch_at_a_time

PACKAGE = "postgresql"
SYSTEM = Path("/usr/lib/postgresql")


def find_or_fetch() -> Path:
    """The folder of `postgres` and `initdb`; where there is none, root installs the package.

    Raises ProcessFailed when none can be had.
    """
    with one_fetch_at_a_time():
        if found := find():
            return found
        if not debian.available() or os.geteuid() != 0:
            raise ProcessFailed(f"Debian's PostgreSQL is missing: install {PACKAGE} as root.")
        try:
            debian.install([PACKAGE])
        except debian.PackageError as error:
            raise ProcessFailed(f"Debian's PostgreSQL is missing ({error}).") from error
        if found := find():
            return found
        raise ProcessFailed(f"The package {PACKAGE} that was fetched lacks its programs.")


def find() -> Path | None:
    """The newest that is installed."""
    folders = sorted(SYSTEM.glob("[0-9]*/bin"), key=lambda path: float(path.parent.name))
    return next(
        (
            folder
            for folder in reversed(folders)
            if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))
        ),
        None,
    )
