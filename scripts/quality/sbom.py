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
    """The versions of constraints.txt, by normalized name."""
    lines = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {normalized(name): version for name, version in lines}


def bill(versions: dict[str, str]) -> str:
    """The document. Raises WrongVersions."""
    tree = dict(packages())
    wrong = {
        name: metadata.version(name)
        for name in tree
        if name != PROGRAM and metadata.version(name) != versions.get(name)
    }
    if wrong:
        installed = ", ".join(f"{name} {version}" for name, version in sorted(wrong.items()))
        raise WrongVersions(f"constraints.txt has no such versions: {installed}")
    components = {name: component(name) for name in tree}
    bom = Bom()
    bom.metadata.component = components[PROGRAM]
    bom.components.update(each for name, each in components.items() if name != PROGRAM)
    for name, needed in tree.items():
        bom.register_dependency(components[name], [components[each] for each in sorted(needed)])
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def packages() -> Iterator[tuple[str, set[str]]]:
    """The program and each package that it needs, with what that one needs itself."""
    pending: list[tuple[str, frozenset[str]]] = [(PROGRAM, frozenset())]
    seen: dict[str, frozenset[str]] = {}
    needs: dict[str, set[str]] = {}
    while pending:
        name, extras = pending.pop()
        if name in seen and extras <= seen[name]:
            continue
        seen[name] = seen.get(name, frozenset()) | extras
        needed = list(requirements(name, seen[name]))
        needs[name] = {normalized(each.name) for each in needed}
        pending += [(normalized(each.name), frozenset(each.extras)) for each in needed]
    yield from sorted(needs.items())


def requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """What a package needs on this machine, with these extras."""
    for text in metadata.requires(name) or ():
        each = Requirement(text)
        if each.marker is None or any(
            each.marker.evaluate({"extra": extra}) for extra in {"", *extras}
        ):
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


def normalized(name: str) -> str:
    """A name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
