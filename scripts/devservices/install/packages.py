"""Finds programs on this machine, and fetches the Debian packages of those that are missing."""

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from devservices.install import debian
from devservices.process import ProcessFailed
from terminal.progress import step

SYSTEM = Path("/")
T = TypeVar("T")


@dataclass(frozen=True)
class Programs:
    """Programs by name, the tree that has them, and the variables that they need."""

    tree: Path
    paths: Mapping[str, Path]
    environment: Mapping[str, str]


def find_or_fetch(
    name: str,
    find: Callable[[], T | None],
    packages: Sequence[str],
    target: Path,
    *,
    advice: str = "",
    unpack: Callable[[Sequence[str], Path], object] = debian.unpack,
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
                debian.install(packages) if os.geteuid() == 0 else unpack(packages, target)
        except debian.PackageError as error:
            reason = f"No {name} was found and fetching it failed ({error}){advice}."
            raise ProcessFailed(reason) from error
        if found := find():
            return found
        raise ProcessFailed(f"The packages that were fetched lack {name}{advice}.")


def find_or_fetch_programs(packages: Mapping[str, str], target: Path) -> Programs:
    """Programs, given the Debian package of each. ProcessFailed names those that are missing."""
    present = _programs_in(SYSTEM, packages)
    missing = ", ".join(name for name in packages if name not in present)
    find = lambda: find_programs(packages, target)  # noqa: E731
    return find_or_fetch(missing, find, list(packages.values()), target)


def find_programs(names: Collection[str], target: Path) -> Programs | None:
    """Programs that are all on this machine, or all in what an earlier run unpacked."""
    for tree in (SYSTEM, target):
        paths = _programs_in(tree, names)
        if len(paths) == len(names):
            return Programs(tree, paths, {} if tree == SYSTEM else library_path(tree))
    return None


def _programs_in(tree: Path, names: Collection[str]) -> dict[str, Path]:
    """Those of the programs that are there; of the system, also on the PATH."""
    folders = f"{tree / 'usr/sbin'}:{tree / 'usr/bin'}"
    if tree == SYSTEM:
        folders = f"{os.environ.get('PATH', '')}:{folders}"
    found = ((name, shutil.which(name, path=folders)) for name in names)
    return {name: Path(path) for name, path in found if path}


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
