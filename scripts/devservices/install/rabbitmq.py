"""Where RabbitMQ's programs are on this machine, and how to get them where they are not."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devservices.install import debian, packages

FETCHED = packages.FOLDER / "packages"
PACKAGE = "rabbitmq-server"
SYSTEM = Path("/usr/lib/rabbitmq/bin")
ADVICE = ": set RABBITMQ to the host:port of one, or RABBITMQ_SBIN to the folder of rabbitmq-server"


@dataclass(frozen=True)
class Installation:
    """RabbitMQ's script folder, Erlang's port mapper, and the variables that both need."""

    sbin: Path
    epmd: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_or_fetch() -> Installation:
    """The RabbitMQ to use. Its service is not started. Raises ProcessFailed."""
    return packages.find_or_fetch("RabbitMQ", find, [PACKAGE], _unpack, ADVICE)


def _unpack() -> None:
    debian.unpack([PACKAGE], FETCHED)
    relocate_erlang(FETCHED)
    mark_complete(FETCHED)


def find() -> Installation | None:
    """$RABBITMQ_SBIN, the Debian or Ubuntu package, Homebrew's, or what an earlier run unpacked."""
    chosen = os.environ.get("RABBITMQ_SBIN")
    homebrew = [Path(prefix, "opt/rabbitmq/sbin") for prefix in ("/opt/homebrew", "/usr/local")]
    for sbin in [*([Path(chosen)] if chosen else []), SYSTEM, *homebrew]:
        epmd = _find_epmd(os.environ.get("PATH", ""))
        if os.access(sbin / "rabbitmq-server", os.X_OK) and epmd:
            return Installation(sbin, epmd)
    return _find_unpacked(FETCHED)


def _find_epmd(path: str) -> Path | None:
    """epmd is on the PATH, or inside an Erlang installation."""
    on_path = shutil.which("epmd", path=f"{path}:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if on_path:
        return Path(on_path)
    return next(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"), None)


def _find_unpacked(tree: Path) -> Installation | None:
    """An unpacked tree that was relocated, with the variables that make it work."""
    sbin, programs = tree / "usr/lib/rabbitmq/bin", tree / "usr/bin"
    if not is_complete(tree):
        return None
    environment = packages.library_path(tree) | {
        "PATH": f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    }
    return Installation(sbin, programs / "epmd", environment)


def relocate_erlang(tree: Path) -> None:
    """Make the unpacked Erlang find itself: its start scripts name /usr/lib/erlang."""
    erlang = tree / "usr/lib/erlang"
    for script in [*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")]:
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if content.startswith(b"#!"):
                script.write_bytes(content.replace(b"/usr/lib/erlang", str(erlang).encode()))


def mark_complete(tree: Path) -> None:
    """Record that a fetched tree works where it is: it names its own path and cannot be moved."""
    (tree / "relocated").write_text(str(tree))


def is_complete(tree: Path) -> bool:
    """Whether a tree was marked complete, at this path."""
    mark = tree / "relocated"
    return mark.exists() and mark.read_text() == str(tree)
