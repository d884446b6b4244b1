"""Where RabbitMQ's programs are on this machine, and how to get them where they are not.

RabbitMQ 4.0, of Debian 13, is unpacked into a folder next to whatever is installed here. Its Erlang
needs a newer C library than Debian 12 has. The library comes along, and each program is started by
the loader that belongs to it, so nothing outside the folder changes, no right is needed, and
programs of this machine that Erlang starts keep their own library.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.data_dir import FOLDER
from devservices.install import debian, packages
from devservices.process import ProcessFailed

FETCHED = FOLDER / "packages"
FETCHED_4 = FOLDER / "rabbitmq-4"
RELEASE_4 = "trixie"
PACKAGE = "rabbitmq-server"
# Of all that the package of that release depends on, only what runs in the end.
_NEEDED_4 = re.compile(
    r"(rabbitmq|erlang|libc6|libcap2|libcrypt1|libgcc-s1|liblzma5|libncursesw6|libssl3|libstdc"
    r"|libsystemd0|libtinfo6|libzstd1|zlib1g)(-.*|\+.*|t64|)"
)
SYSTEM = Path("/usr/lib/rabbitmq/bin")
ADVICE = ": set RABBITMQ to the host:port of one, or RABBITMQ_SBIN to the folder of rabbitmq-server"
ADVICE_4 = "set RABBITMQ_4_SBIN to the folder of a rabbitmq-server 4 that runs here."
_ELF = b"\x7fELF"
_ALWAYS = ("rabbit", "rabbitmq_prelaunch", "cuttlefish")  # plugins
_APPLICATIONS = re.compile(r"\{\s*applications\s*,\s*\[([^\]]*)\]")
_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class Installation:
    """RabbitMQ's script folder, Erlang's port mapper, and the variables that both need."""

    sbin: Path
    epmd: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_or_fetch() -> Installation:
    """The RabbitMQ to use. Its service is not started. Raises ProcessFailed."""
    return packages.find_or_fetch(
        "RabbitMQ", find, [PACKAGE], FETCHED, advice=ADVICE, unpack=_unpack
    )


def find_or_fetch_4() -> Installation:
    """RabbitMQ 4: $RABBITMQ_4_SBIN, what an earlier run has unpacked, or fetched now.

    Raises ProcessFailed when it cannot be had.
    """
    if chosen := os.environ.get("RABBITMQ_4_SBIN"):
        return Installation(Path(chosen), Path(chosen) / "epmd")
    with packages.one_fetch_at_a_time():
        if not _is_complete(FETCHED_4):
            try:
                source = debian.source_of(RELEASE_4)
                debian.unpack([PACKAGE], FETCHED_4, _NEEDED_4, source)
                _relocate_erlang(FETCHED_4)
                _bind_to_own_library(FETCHED_4)
                _mark_complete(FETCHED_4)
            except (debian.PackageError, OSError, StopIteration) as error:
                raise ProcessFailed(f"RabbitMQ 4 cannot be had ({error}): {ADVICE_4}") from error
    return _unpacked(FETCHED_4, {})


def find() -> Installation | None:
    """$RABBITMQ_SBIN, the Debian or Ubuntu package, Homebrew's, or what an earlier run unpacked."""
    chosen = os.environ.get("RABBITMQ_SBIN")
    homebrew = [Path(prefix, "opt/rabbitmq/sbin") for prefix in ("/opt/homebrew", "/usr/local")]
    for sbin in [*([Path(chosen)] if chosen else []), SYSTEM, *homebrew]:
        epmd = _find_epmd(os.environ.get("PATH", ""))
        if os.access(sbin / "rabbitmq-server", os.X_OK) and epmd:
            return Installation(sbin, epmd)
    return _unpacked(FETCHED, packages.library_path(FETCHED)) if _is_complete(FETCHED) else None


def _find_epmd(path: str) -> Path | None:
    """epmd is on the PATH, or inside an Erlang installation."""
    on_path = shutil.which("epmd", path=f"{path}:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if on_path:
        return Path(on_path)
    return next(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"), None)


def trimmed_home(sbin: Path, target: Path) -> Path:
    """Make a home in `target` with only the plugins that a node needs.

    Gives its script folder, or `sbin` where that cannot be done. Erlang looks for each module that
    it loads in one plugin folder after the other, and an installation has about seventy. With links
    to the twenty that are needed most of 50,000 failed lookups do not happen, which take three of
    the seven seconds of a start.
    """
    home = (sbin / "rabbitmq-server").resolve().parent.parent
    folders = [path for path in (home / "plugins").glob("*-*") if path.is_dir()]
    installed = {path.name.rpartition("-")[0]: path for path in folders}
    needed = _closure(_ALWAYS, installed)
    # RabbitMQ's scripts do not quote their own path, so it may not have a space in it.
    if not needed or not (home / "sbin").is_dir() or re.search(r"\s", str(target)):
        return sbin
    shutil.rmtree(target, ignore_errors=True)
    (target / "plugins").mkdir(parents=True)
    shutil.copytree(home / "sbin", target / "sbin")
    (target / "escript").symlink_to(home / "escript")
    for name in needed:
        (target / "plugins" / installed[name].name).symlink_to(installed[name])
    return target / "sbin"


def _unpack(names: Sequence[str], tree: Path) -> None:
    debian.unpack(names, tree)
    _relocate_erlang(tree)
    _mark_complete(tree)


def _unpacked(tree: Path, environment: dict[str, str]) -> Installation:
    """An unpacked tree that is complete, with the variables that make it work."""
    programs = tree / "usr/bin"
    path = f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return Installation(
        tree / "usr/lib/rabbitmq/bin", programs / "epmd", environment | {"PATH": path}
    )


def _relocate_erlang(tree: Path) -> None:
    """Make the unpacked Erlang find itself: its start scripts name /usr/lib/erlang."""
    erlang = tree / "usr/lib/erlang"
    for script in [*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")]:
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if content.startswith(b"#!"):
                script.write_bytes(content.replace(b"/usr/lib/erlang", str(erlang).encode()))


def _mark_complete(tree: Path) -> None:
    """Record that a fetched tree works where it is: it names its own path and cannot be moved."""
    (tree / "relocated").write_text(str(tree))


def _is_complete(tree: Path) -> bool:
    """Whether a tree was marked complete, at this path."""
    mark = tree / "relocated"
    return mark.exists() and mark.read_text() == str(tree)


def _bind_to_own_library(tree: Path) -> None:
    """Replace each program of Erlang by a script that starts it with the library in `tree`."""
    loader = next((tree / "usr/lib").glob("*-linux-*/ld-linux-*.so.*"))
    erlang = tree / "usr/lib/erlang"
    for program in list(erlang.glob("**/bin/*")):
        if program.is_symlink() or not program.is_file():
            continue
        if not program.read_bytes().startswith(_ELF):
            continue
        real = program.with_name(".bound") / program.name
        real.parent.mkdir(exist_ok=True)
        program.rename(real)
        library = ("--inhibit-cache", "--library-path", loader.parent)
        command = (loader, *library, "--argv0", program, real)
        program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        program.chmod(0o755)


def _closure(names: Iterable[str], installed: dict[str, Path]) -> list[str]:
    """The named plugins and all that they need; empty when one of them cannot be read."""
    needed = list(dict.fromkeys(names))
    for name in needed:  # grows while it is walked
        try:
            description = (installed[name] / "ebin" / f"{name}.app").read_text(errors="replace")
        except (KeyError, OSError):
            return []
        found = _APPLICATIONS.search(description)
        for other in _NAME.findall(found[1]) if found else ():
            if other in installed and other not in needed:
                needed.append(other)
    return needed
