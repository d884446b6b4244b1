"""The software bill of materials: every package that an installation of the program has.

    scripts/sbom [FILE]

CycloneDX 1.6 in JSON, to dist/sbom.json, FILE, or with `-` to stdout. It is made from what is
installed, which has to have the versions of constraints.txt.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "pizza"
DEFAULT = ROOT / "dist" / "sbom.json"


class WrongVersions(Exception):
    """What is installed is not what was tested."""


def main() -> int:
    """Write the bill to where the command line says; gives the exit code."""
    target = sys.argv[1] if sys.argv[1:] else str(DEFAULT)
    try:
        text = bill(pinned())
    except WrongVersions as problem:
        print(f"sbom: {problem}", file=sys.stderr)
        return 1
    if target == "-":
        print(text)
        return 0
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(text + "\n")
    print(f"{target}: {text.count('pkg:pypi/')} references to packages", file=sys.stderr)
    return 0


def pinned() -> dict[str, str]:
    """The versions of constraints.txt, by canonical name."""
    lines = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def bill(versions: dict[str, str]) -> str:
    """The document. Raises WrongVersions."""
    tree = packages()
    wrong = [
        f"{name} {metadata.version(name)}"
        for name in tree
        if name != PROGRAM and metadata.version(name) != versions.get(name)
    ]
    if wrong:
        raise WrongVersions(f"constraints.txt has no such versions: {', '.join(wrong)}")
    components = {name: component(name) for name in tree}
    bom = Bom()
    bom.metadata.component = components[PROGRAM]
    bom.components.update(each for name, each in components.items() if name != PROGRAM)
    for name, needed in tree.items():
        bom.register_dependency(components[name], [components[each] for each in sorted(needed)])
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def packages() -> dict[str, set[str]]:
    """The program and each package that it needs on this machine, with what that one needs."""
    needs: dict[str, set[str]] = {}
    pending, seen = [(PROGRAM, "")], set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        needed = list(requirements(name, extra))
        needs.setdefault(name, set()).update(canonicalize_name(each.name) for each in needed)
        pending += [
            (canonicalize_name(each.name), extra) for each in needed for extra in ("", *each.extras)
        ]
    return dict(sorted(needs.items()))


def requirements(name: str, extra: str) -> Iterator[Requirement]:
    """What a package needs on this machine, with this extra; none where it is empty."""
    for each in map(Requirement, metadata.requires(name) or ()):
        if each.marker is None or each.marker.evaluate({"extra": extra}):
            yield each


def component(name: str) -> Component:
    """A package as CycloneDX describes it."""
    version = metadata.version(name)
    license = metadata.metadata(name).json.get("license_expression")
    reference = PackageURL("pypi", None, name, version)
    return Component(
        type=ComponentType.APPLICATION if name == PROGRAM else ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=reference,
        bom_ref=str(reference),
        licenses=[LicenseExpression(str(license))] if license else [],
    )


if __name__ == "__main__":
    sys.exit(main())
