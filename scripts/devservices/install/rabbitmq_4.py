"""The RabbitMQ of Debian 13 (4.0), unpacked into a folder next to whatever is installed here.

Its Erlang needs a newer C library than Debian 12 has. The library comes along, and each program is
started by the loader that belongs to it, so nothing outside the folder changes, no right is needed,
and programs of this machine that Erlang starts keep their own library.
"""

import os
import re
import shlex
from pathlib import Path

from devservices.install import debian, packages
from devservices.install.rabbitmq import Installation, is_complete, mark_complete, relocate_erlang
from devservices.process import ProcessFailed

RELEASE = "trixie"
FETCHED = packages.FOLDER / "rabbitmq-4"
PACKAGE = "rabbitmq-server"
# Of all that the package depends on, only what runs in the end.
_NEEDED = re.compile(
    r"(rabbitmq|erlang|libc6|libcap2|libcrypt1|libgcc-s1|liblzma5|libncursesw6|libssl3|libstdc"
    r"|libsystemd0|libtinfo6|libzstd1|zlib1g)(-.*|\+.*|t64|)"
)
ADVICE = "set RABBITMQ_4_SBIN to the folder of a rabbitmq-server 4 that runs here."
_ELF = b"\x7fELF"


def find_or_fetch() -> Installation:
    """RabbitMQ 4: $RABBITMQ_4_SBIN, what an earlier run has unpacked, or fetched now.

    Raises ProcessFailed when it cannot be had.
    """
    if chosen := os.environ.get("RABBITMQ_4_SBIN"):
        return Installation(Path(chosen), Path(chosen) / "epmd")
    with packages.one_fetch_at_a_time():
        if not is_complete(FETCHED):
            try:
                debian.unpack_of(_source(), [PACKAGE], _NEEDED, FETCHED)
                relocate_erlang(FETCHED)
                _bind_to_own_library(FETCHED)
                mark_complete(FETCHED)
            except (debian.PackageError, OSError, StopIteration) as error:
                raise ProcessFailed(f"RabbitMQ 4 cannot be had ({error}): {ADVICE}") from error
    programs = FETCHED / "usr/lib/erlang/bin"
    path = f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return Installation(FETCHED / "usr/lib/rabbitmq/bin", programs / "epmd", {"PATH": path})


def _source() -> str:
    """A line of sources.list for RELEASE, at the mirror that this Debian machine uses."""
    mirrors = debian.mirrors()
    if not mirrors:
        raise debian.PackageError("this machine names no Debian mirror")
    return f"deb {mirrors[0]} {RELEASE} main"


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
