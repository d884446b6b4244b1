"""Finds programs on this machine, and fetches the Debian packages of those that are missing."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bootstrap.data_dir import FOLDER
from devservices.install import debian
from devservices.process import ProcessFailed
from terminal.progress import step

__all__ = ["FOLDER", "find_or_fetch", "library_folders", "library_path", "one_fetch_at_a_time"]
T = TypeVar("T")


def find_or_fetch(
    name: str,
    find: Callable[[], T | None],
    packages: Sequence[str],
    unpack: Callable[[], object],
    advice: str = "",
) -> T:
    """What `find` returns; if that is None, install the packages as root, or else unpack them.

    unpack: makes `find` succeed without root's rights. advice: what to do if nothing helps.
    Raises ProcessFailed.
    """
    with one_fetch_at_a_time():
        if found := find():
            return found
        if not debian.available():
            raise ProcessFailed(f"No {name} was found and this machine has no apt-get{advice}.")
        try:
            with step(f"Fetching {name}, which this machine does not have"):
                debian.install(packages) if os.geteuid() == 0 else unpack()
        except debian.PackageError as error:
            reason = f"No {name} was found and fetching it failed ({error}){advice}."
            raise ProcessFailed(reason) from error
        if found := find():
            return found
        raise ProcessFailed(f"The packages that were fetched lack {name}{advice}.")


def library_folders(tree: Path) -> list[Path]:
    """The folders of shared libraries in an unpacked tree."""
    return [each for base in ("usr/lib", "lib") for each in (tree / base).glob("*-linux-*")]


def library_path(tree: Path) -> dict[str, str]:
    """The variable by which programs of an unpacked tree find their libraries."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, library_folders(tree)))}


@contextmanager
def one_fetch_at_a_time() -> Iterator[None]:
    """Hold a lock on this file: a demo and a test session may miss the same program."""
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
