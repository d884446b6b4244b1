"""Where Chromium and its driver are on this machine, and how to get them where they are not."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devservices.install import debian, packages

FETCHED = packages.FOLDER / "chromium"
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
ADVICE = ": set CHROMIUM and CHROMEDRIVER to the programs, or leave out the environment `browser`"


@dataclass(frozen=True)
class Chromium:
    """The browser, its driver, and the variables that both need."""

    browser: Path
    driver: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_or_fetch() -> Chromium:
    """The Chromium to use. Raises ProcessFailed, as on Ubuntu, whose package only names a snap."""
    unpack = lambda: debian.unpack(PACKAGES, FETCHED)  # noqa: E731
    return packages.find_or_fetch("Chromium", find, PACKAGES, unpack, ADVICE)


def find() -> Chromium | None:
    """$CHROMIUM with $CHROMEDRIVER, what is on the PATH, or what an earlier run unpacked."""
    chosen = os.environ.get("CHROMIUM"), os.environ.get("CHROMEDRIVER")
    on_path = shutil.which("chromium"), shutil.which("chromedriver")
    for browser, driver in (chosen, on_path):
        if browser and driver and os.access(browser, os.X_OK) and os.access(driver, os.X_OK):
            return Chromium(Path(browser), Path(driver))
    return _find_unpacked(FETCHED)


def _find_unpacked(tree: Path) -> Chromium | None:
    """An unpacked tree, with the variables that make it work."""
    browser, driver = tree / "usr/lib/chromium/chromium", tree / "usr/bin/chromedriver"
    if not (os.access(browser, os.X_OK) and os.access(driver, os.X_OK)):
        return None
    folders = packages.library_folders(tree)
    libraries = [tree / "usr/lib/chromium", *folders]
    for folder in folders:
        libraries += [
            each for each in folder.iterdir() if each.is_dir() and any(each.glob("*.so*"))
        ]
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    if not Path("/etc/fonts/fonts.conf").exists():
        environment |= {"FONTCONFIG_FILE": str(_fonts(tree))}
    return Chromium(browser, driver, environment)


def _fonts(tree: Path) -> Path:
    """A description of the unpacked fonts, for programs that search below /usr."""
    description = tree / "fonts.conf"
    folders = f"<dir>{tree / 'usr/share/fonts'}</dir><cachedir>{tree / 'fontcache'}</cachedir>"
    description.write_text(f'<?xml version="1.0"?>\n<fontconfig>{folders}</fontconfig>\n')
    return description
