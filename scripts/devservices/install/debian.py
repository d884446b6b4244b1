"""Debian packages on Debian and Ubuntu: installed by root, unpacked by other accounts.

Standard library only: the bootstrap uses it before anything is installed.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from devservices.process import last_line, run_command

LISTS = Path("/var/lib/apt/lists")
POLICY = Path("/usr/sbin/policy-rc.d")
SAVED_POLICY = POLICY.with_name("policy-rc.d.before-pizza")
OUR_POLICY = "#!/bin/sh\n# pizza: start no service while its package is being installed\nexit 101\n"
ANY = re.compile(".*")
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
            with suppress(PackageError):  # an interrupted installation, or old lists
                _run(command)
                return
            _run(["dpkg", "--configure", "-a"])
        _run(["apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=300"])
        _run(command)


def unpack(
    packages: Sequence[str], target: Path, wanted: re.Pattern[str] = ANY, source: str = ""
) -> None:
    """Download packages with all they need that is not installed, and unpack them below `target`.

    Nothing outside `target` changes and no right is needed. A target that is there is replaced.
    wanted: matches the names to unpack. source: a line of sources.list for packages of another
    release, of which nothing counts as installed; it is checked with this machine's keys.
    """
    shutil.rmtree(target, ignore_errors=True)
    apt = target / "apt"
    apt.mkdir(parents=True)
    downloaded = not source and _have_lists() and _download(packages, [], target, wanted)
    if not downloaded and not _download(packages, _private_lists(apt, source), target, wanted):
        raise PackageError(f"apt-get could not download {', '.join(packages)}")
    for archive in sorted(target.glob("*.deb")):
        _run(["dpkg", "-x", str(archive), str(target)])
        archive.unlink()
    shutil.rmtree(apt)


def source_of(release: str) -> str:
    """A line of sources.list for a release, at the mirror that this Debian machine uses."""
    form = "$(ORIGIN) $(COMPONENT) $(REPO_URI)"
    lines = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    for line in lines.splitlines():
        words = line.split()
        if words[:2] == ["Debian", "main"]:
            return f"deb {words[2]} {release} main"
    raise PackageError("this machine names no Debian mirror")


def _download(
    packages: Sequence[str], options: Sequence[str], folder: Path, wanted: re.Pattern[str]
) -> bool:
    """Download what would be added; False when apt does not know the packages, or fails."""
    install = ["-s", "install", "--no-install-recommends", *packages]
    try:
        plan = NEW_PACKAGE.findall(_run(["apt-get", *options, *install]))
        added = [f"{name}={version}" for name, version in plan if wanted.fullmatch(name)]
        if added:
            _run(["apt-get", *options, "download", "-q", *added], folder)
    except PackageError:
        return False
    return bool(added)


def _private_lists(folder: Path, source: str) -> list[str]:
    """Make package lists in a folder, without root's rights; the options that select them."""
    settings: dict[str, object] = {"Dir::State::status": "/var/lib/dpkg/status"}
    for name in ("State", "Cache", "Log"):
        settings[f"Dir::{name}"] = path = folder / name.lower()
        path.mkdir()
    if source:
        (folder / "sources.list").write_text(f"{source}\n")
        (folder / "status").touch()
        settings |= {
            "Dir::State::status": folder / "status",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "-",
            "APT::Sandbox::User": "root",  # apt's own user could not reach the folder
        }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *options, "update", "-q"])
    return options


def _have_lists() -> bool:
    return any(LISTS.glob("*_Packages*"))


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run to the end and give the output; PackageError with the program's own last complaint."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = run_command(command, env=environment, cwd=cwd)
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
    ours = POLICY.with_name("policy-rc.d.pizza")
    ours.write_text(OUR_POLICY)
    ours.chmod(0o755)
    ours.rename(POLICY)
    try:
        yield
    finally:
        _restore_policy()


def _restore_policy() -> None:
    if POLICY.exists() and POLICY.read_text(errors="replace") == OUR_POLICY:
        POLICY.unlink()
    if SAVED_POLICY.exists():
        SAVED_POLICY.rename(POLICY)
