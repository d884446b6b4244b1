"""How root runs a program that refuses to run as root."""

import contextlib
import os
import pwd
import shutil
from pathlib import Path


def unprivileged_commands() -> list[tuple[list[str], int, int]]:
    """Ways for root, the best first: (command prefix, owner, group of the program's files).

    An unmapped user namespace shows the program a user id other than 0 while its files stay root's.
    Containers often forbid namespaces; then another account, which keeps root's right to pass
    through folders that are closed to it, and last the account alone.
    """
    ways = [(["unshare", "-U"], 0, 0)] if shutil.which("unshare") else []
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            break
    else:
        return ways
    if shutil.which("setpriv"):
        become = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        for extra in (passing, []):
            prefix = ["setpriv", *become, *extra, "--pdeathsig=KILL", "--"]
            ways.append((prefix, account.pw_uid, account.pw_gid))
    return ways


def change_owner(path: Path, owner: int, group: int) -> None:
    """Give a file or tree to an account, as root; a no-op when it is that account's already."""
    if os.geteuid() != 0 or (path.stat().st_uid, path.stat().st_gid) == (owner, group):
        return
    os.chown(path, owner, group)
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, owner, group, follow_symlinks=False)
