""".venv, made with or without the parts of Python that Debian packs separately."""

import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bootstrap.data_dir import ROOT
from devservices.install import debian
from devservices.process import GuardedProcess, ProcessFailed, last_line, run_command
from terminal.progress import step

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "bootstrap.log"
DEBIAN_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
REDIRECTING = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "VIRTUAL_ENV"}


def is_usable() -> bool:
    """Whether it was made by this Python, in this place, and has pip."""
    probe = "import sys, pip; print(sys.version, sys.base_prefix, sys.prefix, sep='\\0')"
    try:
        done = run_command([PYTHON, "-I", "-c", probe])
    except OSError:
        return False
    return done.stdout.strip() == f"{sys.version}\0{sys.base_prefix}\0{VENV}"


def make() -> None:
    """Remove and make it, with the pip of Python or of Debian."""
    shutil.rmtree(VENV, ignore_errors=True)
    if not os.access(ROOT, os.W_OK):
        raise ProcessFailed(f"This account may not write to {ROOT}, where .venv belongs.")
    command = [sys.executable, "-m", "venv", str(VENV)]
    if _has_ensurepip():
        with step("Making .venv"):
            _run(command)
    elif debian.available():
        with step("Making .venv, with pip from its Debian package"):
            _run([*command, "--without-pip"])
            _unpack_pip()
    else:
        raise ProcessFailed("This Python has no ensurepip: install its venv package.")


def install(extras: Iterable[str]) -> None:
    """Install the project editable with extras, in the versions of constraints.txt."""
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    with step("Installing Python packages into .venv"):
        _run([*pip, "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[{','.join(extras)}]"])


def _has_ensurepip() -> bool:
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


def _unpack_pip() -> None:
    """Put pip in out of the wheel in Debian's package, without any right on the system.

    Debian's pip looks for certificate authorities where a Debian package puts them. Without
    that package it is pointed to the list that it carries like any other pip.
    """
    packages = next(VENV.glob("lib/python3*/site-packages"))
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


def _run(command: Sequence[str | Path]) -> None:
    """Run to the end, output to the log; ProcessFailed with the program's complaint."""
    VENV.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in REDIRECTING}
    with LOG.open("ab+") as log:
        start = log.seek(0, os.SEEK_END)
        process = GuardedProcess(command, env=kept, cwd=VENV, output=log)
        try:
            status = process.wait()
        finally:
            process.kill()
        log.seek(start)
        output = log.read().decode(errors="replace")
    if status:
        reason = last_line(output, "Could not fetch", "ERROR:", "rror")
        raise ProcessFailed(f"pip or venv failed ({reason}); see {LOG}.")
