"""Debian packages on Debian and Ubuntu: installed by root, unpacked by other accounts.

Standard library only: the bootstrap uses it before anything is installed.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devservices.process import last_line

LISTS = Path("/var/lib/apt/lists")
POLICY = Path("/usr/sbin/policy-rc.d")
SAVED_POLICY = POLICY.with_name("policy-rc.d.before-pizza")
OUR_POLICY = "#!/bin/sh\n# pizza: start no service while its package is being installed\nexit 101\n"
# "Inst name (version …" is new; an upgrade has "[old version]" before the parenthesis.
NEW_PACKAGE = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)


class PackageError(Exception):
    """apt-get or dpkg could not do what was asked; the message is one sentence."""


def available() -> bool:
    """Whether this is a machine with apt-get and dpkg."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg"))


def install(packages: Sequence[str]) -> None:
    """Install packages as root, without starting any service that they bring."""
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    command += ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    with _no_service_starts():
        if _have_lists():
            try:
                _run(command)
            except PackageError:
                _run(["dpkg", "--configure", "-a"])  # an interrupted installation, or old lists
            else:
                return
        _run(["apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=300"])
        _run(command)


def unpack(packages: Sequence[str], target: Path) -> None:
    """Download packages with all they need that is not installed, and unpack them below `target`.

    Nothing outside `target` changes and no right is needed. A target that is there is replaced.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if not (_have_lists() and _download(_missing(packages, []), [], target)):
        options = _private_lists(target / "apt")
        if not _download(_missing(packages, options), options, target):
            raise PackageError(f"apt-get could not download {', '.join(packages)}")
    _unpack_archives(target)


def unpack_of(source: str, packages: Sequence[str], wanted: re.Pattern[str], target: Path) -> None:
    """Unpack packages of another release below `target`, with what they depend on.

    source: a line of sources.list, checked with this machine's keys. wanted: matches the names to
    unpack, of all that would be installed on a machine that has nothing. A target that is there is
    replaced. Raises PackageError.
    """
    shutil.rmtree(target, ignore_errors=True)
    folder = target / "apt"
    folder.mkdir(parents=True)
    (folder / "sources.list").write_text(f"{source}\n")
    (folder / "status").touch()
    options = _private_lists(
        folder,
        folder / "status",
        f"Dir::Etc::SourceList={folder / 'sources.list'}",
        "Dir::Etc::SourceParts=-",
        "APT::Sandbox::User=root",  # apt's own user could not reach the folder
    )
    found = [x for x in _missing(packages, options) if wanted.fullmatch(x.split("=")[0])]
    if not _download(found, options, target):
        raise PackageError(f"apt-get could not download {', '.join(packages)}")
    _unpack_archives(target)


def _unpack_archives(target: Path) -> None:
    for archive in sorted(target.glob("*.deb")):
        _run(["dpkg", "-x", str(archive), str(target)])
        archive.unlink()
    shutil.rmtree(target / "apt", ignore_errors=True)


def mirrors() -> list[str]:
    """The addresses of the Debian mirrors in apt's configuration, in its order."""
    form = "$(ORIGIN) $(COMPONENT) $(REPO_URI)"
    try:
        lines = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    except PackageError:
        return []
    found = (line.split() for line in lines.splitlines())
    return [words[2] for words in found if words[:2] == ["Debian", "main"]]


def _missing(packages: Sequence[str], options: Sequence[str]) -> list[str]:
    """name=version of every package that would be added; empty when apt does not know them."""
    try:
        plan = _run(["apt-get", *options, "-s", "install", "--no-install-recommends", *packages])
    except PackageError:
        return []
    return [f"{name}={version}" for name, version in NEW_PACKAGE.findall(plan)]


def _download(versions: Sequence[str], options: Sequence[str], folder: Path) -> bool:
    if not versions:
        return False
    try:
        _run(["apt-get", *options, "download", "-q", *versions], folder)
    except PackageError:
        return False
    return True


def _private_lists(
    folder: Path, status: Path = Path("/var/lib/dpkg/status"), *settings: str
) -> list[str]:
    """Make private package lists, without root's rights; the options that select them."""
    options = [word for setting in settings for word in ("-o", setting)]
    for name in ("State", "Cache", "Log"):
        path = folder / name.lower()
        path.mkdir(parents=True, exist_ok=True)
        options += ["-o", f"Dir::{name}={path}"]
    options += ["-o", f"Dir::State::status={status}"]
    _run(["apt-get", *options, "update", "-q"])
    return options


def _have_lists() -> bool:
    return any(LISTS.glob("*_Packages*"))


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run to the end and give the output; PackageError with the program's own last complaint."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise PackageError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        last = last_line(done.stdout + done.stderr, "E: ", "dpkg: ")
        raise PackageError(f"{command[0]} said: {last.removeprefix('E: ')}")
    return done.stdout


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """A policy by which packages are installed and no service starts; undone at the end."""
    _restore_policy()  # heals a run that was killed in here
    if POLICY.exists():
        POLICY.rename(SAVED_POLICY)
    with tempfile.NamedTemporaryFile("w", dir=POLICY.parent, delete=False) as file:
        file.write(OUR_POLICY)
    Path(file.name).chmod(0o755)
    Path(file.name).rename(POLICY)
    try:
        yield
    finally:
        _restore_policy()


def _restore_policy() -> None:
    if POLICY.exists() and POLICY.read_text(errors="replace") == OUR_POLICY:
        POLICY.unlink()
    if SAVED_POLICY.exists():
        SAVED_POLICY.rename(POLICY)
