"""Check the names and the prose of the project against its vocabulary.

    python scripts/quality/vocabulary.py [--prune]

Reads vocabulary.toml (banned words with a better one, and verbs that need an object) and
vocabulary_allowed.txt (findings that are left for now). An entry of the latter without a finding is
an error, so the list can only become shorter; --prune deletes such entries. Exit code 0: nothing
else was found.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(__file__).with_suffix(".toml")
ALLOWED = Path(__file__).with_name("vocabulary_allowed.txt")
MAX_TERMS = 45
# Old names belong into these.
_HISTORY = (
    "docs/adr/",
    "docs/upgrade-",
    "sql/restaurant/functions/restaurant_release_0_2.sql",
    "sql/restaurant/migrations/",
    "sql/taskqueue/functions/taskqueue_release_0_2.sql",
    "sql/taskqueue/migrations/",
)
_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ACTION = re.compile(r"[a-z]+(_[a-z]+)+")
_CODE = re.compile(r"`([^`]+)`")
_FILE = re.compile(r"(?<![\w./-])((?:pizza|scripts|sql|docs|tests|deploy)/[\w./-]+\.[a-z]+)\b")
_MODULE = re.compile(r"(?<![\w./@-])(pizza(?:\.[a-z_]+){2,})\b(?![(/*…])")
_LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]+)?\)")


@dataclass(frozen=True, order=True)
class Finding:
    """One violation. check, path and what identify it in vocabulary_allowed.txt."""

    check: str
    path: str
    what: str
    line: int = field(default=0, compare=False)
    hint: str = field(default="", compare=False)

    @property
    def entry(self) -> str:
        """The line of vocabulary_allowed.txt that allows it."""
        return f"{self.check} {self.path} {self.what}"

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.check}: {self.what}{f' ({self.hint})' if self.hint else ''}"


class Sources:
    """The texts and syntax trees of a source tree, read once. program: the trees of pizza/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = self._read("pizza", "*.py") | self._read("scripts", "*.py")
        self.sql = self._read("sql", "*.sql")
        self.pages = self._read("docs", "*.md") | {
            name: (root / name).read_text() for name in _PAGES if (root / name).exists()
        }
        self.templates = self._read("pizza", "*.html") | self._read("pizza", "*.js")
        self.texts = self.python | self.sql | self.pages | self.templates
        self.trees = {path: ast.parse(text) for path, text in self.python.items()}
        self.program = {
            path: tree for path, tree in self.trees.items() if path.startswith("pizza/")
        }

    def _read(self, folder: str, pattern: str) -> dict[str, str]:
        files = sorted((self.root / folder).rglob(pattern))
        found = {file.relative_to(self.root).as_posix(): file for file in files}
        return {name: f.read_text() for name, f in found.items() if not name.startswith(_HISTORY)}


def find_words(sources: Sources, banned: dict[str, str]) -> Iterator[Finding]:
    """Banned words, in names and in prose, and banned phrases."""
    words = {word for word in banned if " " not in word}
    phrases = {phrase: _phrase_pattern(phrase) for phrase in banned.keys() - words}
    for path, text in sources.texts.items():
        first: dict[str, int] = {}
        for match in _WORD.finditer(text):
            if (word := match[0].lower()) in words:
                first.setdefault(word, match.start())
        for phrase, pattern in phrases.items():
            if found := pattern.search(text):
                first[phrase] = found.start()
        for what, start in first.items():
            line = text.count("\n", 0, start) + 1
            yield Finding("word", path, what.replace(" ", "-"), line, f"better: {banned[what]}")


def _phrase_pattern(phrase: str) -> re.Pattern[str]:
    """Matches a phrase across line breaks, also at the start of a sentence, but not `is None`."""
    first, rest = phrase[0], r"\s+".join(phrase[1:].split(" "))
    return re.compile(rf"\b[{first}{first.upper()}]{rest}\b")


def find_duplicate_classes(sources: Sources) -> Iterator[Finding]:
    """Class names that pizza/ has more than once."""
    places = defaultdict(list)
    for path, tree in sources.program.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    for name, found in places.items():
        if len(found) > 1:
            yield Finding("class", "pizza", name, hint=", ".join(found))


def find_bare_verbs(sources: Sources, verbs: set[str]) -> Iterator[Finding]:
    """Public functions and methods whose name is a verb without an object."""
    for path, tree in sources.trees.items():
        for scope in ast.walk(tree):
            owner = f"{scope.name}." if isinstance(scope, ast.ClassDef) else ""
            for node in scope.body if isinstance(scope, ast.ClassDef | ast.Module) else ():
                if isinstance(node, ast.FunctionDef) and node.name in verbs:
                    yield Finding("verb", path, owner + node.name, node.lineno, "of what?")


def find_glossary_errors(sources: Sources) -> Iterator[Finding]:
    """Too many terms in docs/glossary.md, and terms that neither Python nor SQL uses."""
    path = "docs/glossary.md"
    terms = [row[0] for row in _rows(sources.pages.get(path, "")) if row[0] != "Term"]
    if len(terms) > MAX_TERMS:
        yield Finding("glossary", path, "terms", hint=f"{len(terms)}, at most {MAX_TERMS}")
    code = "\n".join([*sources.python.values(), *sources.sql.values()])
    for term in terms:
        pattern = r"[\s_-]*".join(map(re.escape, re.findall(r"\w+", term)))
        if not re.search(pattern, code, re.IGNORECASE):
            yield Finding("glossary", path, term.replace(" ", "-"), hint="not used in the code")


def find_action_errors(sources: Sources) -> Iterator[Finding]:
    """Log actions that docs/operations.md does not list, and listed ones that the code lacks."""
    page = "docs/operations.md"
    _, _, section = sources.pages.get(page, "").partition("\n## Log actions\n")
    listed = {
        name for row in _rows(section.partition("\n## ")[0]) for name in _CODE.findall(row[0])
    }
    strings: set[str] = set()
    suffixes: set[str] = set()
    for path, tree in sources.program.items():
        for node in ast.walk(tree):
            strings.update(_constants(node) if isinstance(node, ast.Constant) else ())
            if isinstance(node, ast.JoinedStr) and node.values:
                suffixes.update(_constants(node.values[-1]))
            if isinstance(node, ast.Call):
                for action in _logged_actions(node) - listed:
                    yield Finding("action", path, action, node.lineno, f"not in {page}")
    for action in listed - strings:
        if not any(action.removesuffix(end) in strings for end in suffixes if action.endswith(end)):
            yield Finding("action", page, action, hint="no code logs it")


def _logged_actions(call: ast.Call) -> set[str]:
    """The actions of a call of a logger (extra={"action": …}), of log_action, or of _log."""
    found: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "action":
                    found |= _constants(value)
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("_log", "log_action") or name.startswith("_log_"):
        texts = set[str]().union(*map(_constants, call.args))
        found |= {text for text in texts if _ACTION.fullmatch(text)}
    return found


def _constants(node: ast.AST | None) -> set[str]:
    """The texts that an expression can have; empty for a computed one."""
    match node:
        case ast.Constant(value=str() as text):
            return {text}
        case ast.IfExp():
            return _constants(node.body) | _constants(node.orelse)
        case ast.BoolOp():
            return set[str]().union(*map(_constants, node.values))
    return set()


def find_broken_references(sources: Sources) -> Iterator[Finding]:
    """Files and modules that pages, comments and texts name, and that do not exist."""
    for path, text in sources.texts.items():
        named = {m[1]: m.start() for m in _FILE.finditer(text) if "NNNN" not in m[1]}
        modules = {match[1]: match.start() for match in _MODULE.finditer(text)}
        broken = {name: at for name, at in named.items() if not (sources.root / name).exists()}
        broken |= {name: at for name, at in modules.items() if not _resolves(sources, name)}
        if path.endswith(".md"):
            folder = (sources.root / path).parent
            links = {match[1]: match.start() for match in _LINK.finditer(text)}
            broken |= {name: at for name, at in links.items() if not (folder / name).exists()}
        for name, start in broken.items():
            line = text.count("\n", 0, start) + 1
            yield Finding("reference", path, name, line, "does not exist")


def _resolves(sources: Sources, dotted: str) -> bool:
    """Whether a dotted name is a module or package, or a name in the text of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        base, rest = "/".join(parts[:length]), parts[length : length + 1]
        for module in (f"{base}.py", f"{base}/__init__.py"):
            if text := sources.python.get(module):
                return not rest or re.search(rf"\b{rest[0]}\b", text) is not None
    return False


def _rows(page: str) -> list[list[str]]:
    """The cells of the table rows of a page."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def find_all(root: Path) -> list[Finding]:
    """The findings of all checks, sorted."""
    lists = tomllib.loads(LISTS.read_text())
    sources = Sources(root)
    return sorted(
        {
            *find_words(sources, lists["words"]),
            *find_duplicate_classes(sources),
            *find_bare_verbs(sources, set(lists["verbs"])),
            *find_glossary_errors(sources),
            *find_action_errors(sources),
            *find_broken_references(sources),
        }
    )


def main(arguments: list[str]) -> int:
    """Print what is wrong; returns the exit code."""
    allowed = ALLOWED.read_text().splitlines()
    found = find_all(ROOT)
    wrong = [finding for finding in found if finding.entry not in allowed]
    stale = sorted(set(allowed) - {finding.entry for finding in found})
    if "--prune" in arguments:
        ALLOWED.write_text("".join(f"{entry}\n" for entry in allowed if entry not in stale))
        stale = []
    for finding in wrong:
        print(finding)
    for entry in stale:
        print(f"{ALLOWED.name}: delete the entry, nothing is found for it: {entry}")
    print(f"vocabulary: {len(wrong)} found, {len(stale)} stale entries, {len(allowed)} allowed")
    return 1 if wrong or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
