"""A private RabbitMQ: real, durable, on loopback, gone with the process that started it."""

import os
import secrets
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

from devservices.install.rabbitmq import Installation, find_or_fetch, trimmed_home
from devservices.ports import LOOPBACK, free_port, listens
from devservices.process import GuardedProcess, ProcessFailed, run_command
from devservices.server import PrivateServer, write_private
from devservices.waiting import wait_until

MISLEADING = ("RABBITMQ", "ERL_", "NOTIFY_")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
CONNECTION_START = b"\x01"  # the first octet of the method frame that a broker answers with


class RabbitMQ(PrivateServer):
    """One broker node; its pid is the Erlang machine's."""

    NAME = "RabbitMQ"
    START_SECONDS = 90.0
    ERROR_SIGNS = ("rror", "ailed")

    def __init__(
        self,
        folder: Path | str,
        *,
        installation: Installation | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        """installation: by default found, or fetched, at first use; settings: of rabbitmq.conf.

        Erlang nodes use node_port among themselves, and epmd_port is the port mapper's.
        """
        super().__init__(folder)
        self._settings = tuple(settings)
        self.node_port, self.epmd_port = free_port(), free_port()
        if installation:
            self.installation = installation
        self._sbin = Path()
        self._epmd: GuardedProcess | None = None

    @property
    def url(self) -> str:
        """amqp:// URL of the default virtual host as the guest user."""
        return f"amqp://guest:guest@{self.address}//"

    def launch(self) -> Self:
        """Start without waiting; where no RabbitMQ is installed it is fetched first."""
        self._prepare_folder()
        environment = self._environment()
        if self._epmd is None or not self._epmd.running:
            self._epmd = self._start_epmd(environment)
        self._process = self._run([self._sbin / "rabbitmq-server"], environment)
        return self

    def answers(self) -> bool:
        """Whether a client that connects now is answered within a second."""
        try:
            with socket.create_connection((LOOPBACK, self.port), 1) as client:
                client.settimeout(1)
                client.sendall(PROTOCOL_HEADER)
                return client.recv(1) == CONNECTION_START
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the node regularly, and the port mapper."""
        super().stop()
        if self._epmd:
            self._epmd.kill()

    def ctl(self, *arguments: str) -> str:
        """Output of `rabbitmqctl`, such as `ctl("list_queues", "name", "messages")`."""
        command = [str(self._sbin / "rabbitmqctl"), "-q", *arguments]
        done = run_command(command, env=self._environment(), cwd=self.folder)
        if done.returncode:
            complaint = (done.stderr or done.stdout).strip()[-500:]
            raise ProcessFailed(f"rabbitmqctl {arguments[0]}: {complaint}")
        return done.stdout

    def flush_topology(self) -> None:
        """Write what was declared until now to the disk.

        A broker that is killed within a second or two of a declaration may have forgotten it,
        durable or not, and with a queue all that was confirmed in it.
        """
        self.ctl("eval", "mnesia:sync_log().")

    @cached_property
    def installation(self) -> Installation:
        """Where RabbitMQ's programs are; looked for, or fetched, at the first use."""
        return find_or_fetch()

    def _start_epmd(self, environment: dict[str, str]) -> GuardedProcess:
        """Start Erlang's port mapper, so that the node starts no daemon for it."""
        options = ["-address", LOOPBACK, "-port", str(self.epmd_port)]
        epmd = self._run([self.installation.epmd, *options], environment)
        wait_until(lambda: listens(self.epmd_port) or not epmd.running, 10, 0.01)
        return epmd

    def _prepare_folder(self) -> None:
        """Make the folders, the cookie and the configuration that the node reads."""
        for name in ("home", "data", "log", "generated"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        cookie = self.folder / "home" / ".erlang.cookie"
        if not cookie.exists() or not cookie.stat().st_size:
            cookie.unlink(missing_ok=True)
            write_private(cookie, secrets.token_hex(20))
            cookie.chmod(0o400)
        self._sbin = trimmed_home(self.installation.sbin, self.folder / "program")
        (self.folder / "enabled_plugins").write_text("[].\n")
        settings = [
            f"listeners.tcp.1 = {self.address}",
            "log.console = false",
            "log.file.level = info",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.absolute = 1GB",
            *self._settings,
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")

    def _environment(self) -> dict[str, str]:
        """Ours without what could mislead the node, with its own paths and ports."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(MISLEADING)}
        paths = {
            "RABBITMQ_MNESIA_BASE": "data",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_GENERATED_CONFIG_DIR": "generated",
            "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config",
            "RABBITMQ_CONF_ENV_FILE": "rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_PID_FILE": "rabbitmq.pid",
            "HOME": "home",
        }
        return (
            ours
            | {name: str(self.folder / path) for name, path in paths.items()}
            | {
                "LANG": "C.UTF-8",
                "RABBITMQ_NODENAME": "pizza@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(self.node_port),
                "ERL_EPMD_PORT": str(self.epmd_port),
                "ERL_EPMD_ADDRESS": LOOPBACK,
                "ERL_CRASH_DUMP_SECONDS": "0",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ON_LOOPBACK,
                # The start script replaces itself by the Erlang machine only where input is
                # allowed; -noinput then says that there is no input, +B i to ignore SIGINT.
                "RABBITMQ_ALLOW_INPUT": "1",
                "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
            }
            | self.installation.environment
        )
