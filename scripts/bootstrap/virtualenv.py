"""A virtual environment, made with or without the parts of Python that Debian packs separately."""

import importlib.util
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from devservices.install import debian
from devservices.process import GuardedProcess, ProcessFailed, last_line, run_command
from terminal.progress import step

DEBIAN_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
REDIRECTING = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"}


class Virtualenv:
    """The environment in one folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.log = folder / "bootstrap.log"

    def usable(self) -> bool:
        """Whether it was made by this Python, in this place, and has pip."""
        probe = "import sys, pip; print(sys.version, sys.base_prefix, sys.prefix, sep='\\0')"
        try:
            done = run_command([self.python, "-I", "-c", probe])
        except OSError:
            return False
        return done.stdout.strip() == f"{sys.version}\0{sys.base_prefix}\0{self.folder}"

    def make(self) -> None:
        """Make it, with the pip of Python or of Debian."""
        parent = self.folder.parent
        if not os.access(parent, os.W_OK):
            raise ProcessFailed(f"This account may not write to {parent}, where .venv belongs.")
        make = [sys.executable, "-m", "venv", str(self.folder)]
        if self._has_ensurepip():
            with step("Making .venv"):
                self._run(make)
        elif debian.available():
            with step("Making .venv, with pip from its Debian package"):
                self._run([*make, "--without-pip"])
                self._unpack_pip()
        else:
            raise ProcessFailed("This Python has no ensurepip: install its venv package.")

    def install(self, project: Path, extras: Iterable[str], constraints: Path) -> None:
        """Install the project editable with extras, in the versions that `constraints` gives."""
        pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
        target = f"{project}[{','.join(extras)}]"
        with step("Installing Python packages into .venv"):
            self._run([*pip, "--no-input", "-c", str(constraints), "-e", target])

    def _has_ensurepip(self) -> bool:
        """Whether Python can put pip into an environment; root gets it the package for that."""
        if importlib.util.find_spec("ensurepip"):
            return True
        if os.geteuid() != 0 or not debian.available():
            return False
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        try:
            with step(f"Installing the Debian package {package}"):
                debian.install([package])
        except debian.PackageError:
            return False  # this Python is not Debian's: there is the other way
        importlib.invalidate_caches()
        return importlib.util.find_spec("ensurepip") is not None

    def _unpack_pip(self) -> None:
        """Put pip in out of the wheel in Debian's package, without any right on the system.

        Debian's pip looks for certificate authorities where a Debian package puts them. Without
        that package it is pointed to the list that it carries like any other pip.
        """
        packages = next(self.folder.glob("lib/python3*/site-packages"))
        with tempfile.TemporaryDirectory() as folder:
            debian.unpack(["python3-pip-whl"], Path(folder))
            wheel = next(Path(folder).rglob("pip-*.whl"), None)
            if wheel is None:
                raise ProcessFailed("Debian's package of pip holds no pip: install python3-venv.")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)
        if not DEBIAN_CERTIFICATES.exists():
            certifi = packages / "pip" / "_vendor" / "certifi"
            source = (certifi / "core.py").read_text()
            own = str(certifi / "cacert.pem")
            (certifi / "core.py").write_text(source.replace(str(DEBIAN_CERTIFICATES), own))

    def _run(self, command: Sequence[str | Path]) -> None:
        """Run to the end, output to the log; ProcessFailed with the program's complaint."""
        self.folder.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if name not in REDIRECTING}
        with self.log.open("ab+") as log:
            start = log.seek(0, os.SEEK_END)
            process = GuardedProcess(command, env=kept, cwd=self.folder, output=log)
            try:
                status = process.wait()
            finally:
                process.kill()
            log.seek(start)
            output = log.read().decode(errors="replace")
        if status:
            reason = last_line(output, "Could not fetch", "ERROR:", "rror")
            raise ProcessFailed(f"pip or venv failed ({reason}); see {self.log}.")
