"""The folder for data, logs and fetched programs: `.pizza` in the project, ignored by git.

One run at a time has the data that is kept; a parallel run gets its own folder, and removes it at
its end.
"""

import fcntl
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".pizza"
KEPT = FOLDER / "kept"
PARALLEL = "parallel-"


@contextmanager
def data_folder() -> Iterator[Path]:
    """Hold a folder for the time of the block: the kept one, or another where that is in use.

    Raises PermissionError, whose message is a sentence.
    """
    try:
        FOLDER.mkdir(exist_ok=True, mode=0o700)
        _remove_abandoned()
        lock = _lock(KEPT)
        folder = KEPT
        if lock is None:
            folder = Path(tempfile.mkdtemp(prefix=PARALLEL, dir=FOLDER))
            lock = _lock(folder)
    except PermissionError as error:
        raise PermissionError(
            f"{error.filename} belongs to another account: remove {FOLDER} as that account."
        ) from error
    try:
        yield folder
    finally:
        if folder != KEPT:
            shutil.rmtree(folder, ignore_errors=True)
        if lock:
            lock.close()


def move_to_backup(folder: Path) -> Path:
    """Move a folder that cannot be used out of the way, in the place of one set aside before."""
    aside = folder.with_name(f"{folder.name}.unusable")
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(aside)
    return aside


def clean() -> int:
    """scripts/demo --clean: remove `.pizza` unless it is in use, and print that; the exit code."""
    if not FOLDER.exists():
        print(f"There is no {FOLDER}.")
        return 0
    folders = [each for each in (KEPT, *FOLDER.glob(f"{PARALLEL}*")) if each.exists()]
    try:
        locks = [_lock(folder) for folder in folders]
        if all(locks):
            shutil.rmtree(FOLDER)
            print(f"Removed {FOLDER}.")
            return 0
        problem = f"{FOLDER} is in use: end the demo, or scripts/up, first."
    except PermissionError as error:
        problem = f"{error.filename} may not be removed by this account."
    print(f"pizza: {problem}", file=sys.stderr)
    return 1


def _lock(folder: Path) -> IO[bytes] | None:
    """Make the folder and lock it; None if it is locked. The lock goes with this process."""
    folder.mkdir(exist_ok=True, mode=0o700)
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _remove_abandoned() -> None:
    """Remove what a parallel run left when it was killed."""
    for folder in FOLDER.glob(f"{PARALLEL}*"):
        lock = _lock(folder)
        if lock:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()
