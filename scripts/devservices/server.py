"""What private servers share: one process in one folder, on a loopback port; also run by root."""

import contextlib
import os
import pwd
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from devservices.ports import LOOPBACK, free_port
from devservices.process import GuardedProcess, ProcessFailed, last_line, run_command
from devservices.waiting import wait_until


class PrivateServer(ABC):
    """The port stays the same through stops, crashes and wipes. Usable as a context manager.

    START_SECONDS: how long a start may take. STOP_SIGNAL, STOP_SECONDS: of a regular stop.
    ERROR_SIGNS: what the line of the log has that explains a failed start.
    """

    NAME: ClassVar[str]
    START_SECONDS: ClassVar[float]
    STOP_SIGNAL = signal.SIGTERM
    STOP_SECONDS: ClassVar[float] = 30.0
    ERROR_SIGNS: ClassVar[Sequence[str]] = ()

    def __init__(self, folder: Path | str) -> None:
        """Starts nothing. What is in `folder` from an earlier run is used again."""
        self.folder = Path(folder).resolve()
        self.port = free_port()
        self.log = self.folder / f"{self.NAME.lower()}.log"
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """host:port"""
        return f"{LOOPBACK}:{self.port}"

    @property
    def process(self) -> GuardedProcess:
        """The running server; ProcessFailed before the first start."""
        if self._process is None:
            raise ProcessFailed(f"{self.NAME} has not been started.")
        return self._process

    @abstractmethod
    def launch(self) -> Self:
        """Start without waiting, but for what the first start has to prepare."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client that connects now is served."""

    def start(self) -> Self:
        """Start, and wait until clients are served."""
        return self.launch().wait_ready()

    def wait_ready(self) -> Self:
        """Wait until clients are served; ProcessFailed if it ends or takes too long."""
        if wait_until(lambda: self.answers() or not self.process.running, self.START_SECONDS, 0.03):
            if self.process.running:
                return self
            problem = "did not start"
        else:
            problem = f"was not ready after {self.START_SECONDS:.0f} s"
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        reason = last_line(text, *self.ERROR_SIGNS)
        raise ProcessFailed(f"{self.NAME} {problem}, see {self.log}: {reason}")

    def stop(self) -> None:
        """Stop regularly, if it runs; a frozen one goes on first."""
        if self._process and self._process.running:
            self._process.resume()
            self._process.stop(self.STOP_SIGNAL, self.STOP_SECONDS)

    def kill9(self) -> None:
        """Crash: the server and all its children at once."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop if running, then start on the same port."""
        self.stop()
        return self.start()

    def wipe(self) -> Self:
        """Lose the whole disk, and come back empty on the same port."""
        if self._process:
            self._process.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        return self.start()

    def pause(self) -> None:
        """Hang: the kernel accepts connections, and nothing is answered."""
        self.process.pause()

    def resume(self) -> None:
        """End the hang."""
        self.process.resume()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _account(
        self, program: Path, environment: Mapping[str, str] | None = None
    ) -> tuple[list[str], int, int]:
        """How a program runs that refuses root: (command prefix, owner and group of its files).

        For root it is the first way that reaches both the program and the folder, which the account
        owns from then on.
        """
        if os.geteuid() != 0:
            return [], os.geteuid(), os.getegid()
        probe = ["sh", "-c", '"$0" --version && test -w "$1" && cd "$1"']
        for prefix, owner, group in _unprivileged_commands():
            os.chown(self.folder, owner, group)
            command = [*prefix, *probe, str(program), str(self.folder)]
            if run_command(command, env=environment).returncode == 0:
                return prefix, owner, group
        sentence = f"{self.NAME} refuses to run as root, and no other account here can reach"
        raise ProcessFailed(f"{sentence} {self.folder}.")

    def _run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> GuardedProcess:
        """Start a command in the folder, with its output in the log."""
        with self.log.open("ab") as log:
            return GuardedProcess(command, env=environment, cwd=self.folder, output=log)


def _unprivileged_commands() -> list[tuple[list[str], int, int]]:
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


def write_private(path: Path, text: str) -> None:
    """Write a new file that no other account may read."""
    path.touch(mode=0o600)
    path.write_text(text)
