"""Where Chromium and its driver are on this machine, and how to get them where they are not."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.data_dir import FOLDER
from devservices.install import packages

FETCHED = FOLDER / "chromium"
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
    return packages.find_or_fetch("Chromium", find, PACKAGES, FETCHED, advice=ADVICE)


def find() -> Chromium | None:
    """$CHROMIUM with $CHROMEDRIVER, what is on the PATH, or what an earlier run unpacked."""
    chosen = os.environ.get("CHROMIUM"), os.environ.get("CHROMEDRIVER")
    on_path = shutil.which("chromium"), shutil.which("chromedriver")
    for browser, driver in (chosen, on_path):
        if browser and driver and os.access(browser, os.X_OK) and os.access(driver, os.X_OK):
            return Chromium(Path(browser), Path(driver))
    unpacked = FETCHED / "usr/lib/chromium/chromium", FETCHED / "usr/bin/chromedriver"
    if all(os.access(each, os.X_OK) for each in unpacked):
        return Chromium(*unpacked, _environment(FETCHED))
    return None


def _environment(tree: Path) -> dict[str, str]:
    """The variables by which an unpacked tree finds its libraries and fonts."""
    folders = packages.library_folders(tree)
    deeper = (library.parent for folder in folders for library in folder.glob("*/*.so*"))
    libraries = dict.fromkeys([tree / "usr/lib/chromium", *folders, *deeper])
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    if not Path("/etc/fonts/fonts.conf").exists():
        fonts = tree / "fonts.conf"
        where = f"<dir>{tree / 'usr/share/fonts'}</dir><cachedir>{tree / 'fontcache'}</cachedir>"
        fonts.write_text(f'<?xml version="1.0"?>\n<fontconfig>{where}</fontconfig>\n')
        environment["FONTCONFIG_FILE"] = str(fonts)
    return environment
