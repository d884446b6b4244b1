"""scripts/quality/vocabulary.py finds each kind of violation in a small source tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quality import vocabulary
from quality.vocabulary import Finding, Sources

BANNED = {"anew": "again", "is none": "is not one", "bury": "dead-letter"}
OPERATIONS = """# Operations

## Log actions

| action | level | meaning |
|---|---|---|
| `order_received`, `order_lost` | INFO | an order |
| `setup_db_failed` | ERROR | a command |

## Upgrade

| `not_an_action` | x | y |
"""

Tree = Callable[[dict[str, str]], Sources]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def make(files: dict[str, str]) -> Sources:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Sources(tmp_path)

    return make


def entries(findings: object) -> set[str]:
    return {finding.entry for finding in findings}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("pizza/a.py", "# Try it\n# Anew.\n", {"anew"}),
        ("pizza/a.py", "class OnBury: ...\n", {"bury"}),
        ("scripts/a.py", "MAX_BURY = 1\n", {"bury"}),
        ("sql/taskqueue/functions/a.sql", "create function message_bury_raw()", {"bury"}),
        ("docs/a.md", "A key that\nis none.", {"is-none"}),
        ("README.md", "Anew", {"anew"}),
        ("pizza/web/templates/a.html", "<p>anew</p>", {"anew"}),
        ("pizza/a.py", "renewed = x is None\n", set()),
        ("docs/adr/0001.md", "anew", set()),
        ("sql/restaurant/migrations/0001_a.sql", "-- anew", set()),
    ],
)
def test_a_banned_word_is_found(tree: Tree, file: str, text: str, found: set[str]) -> None:
    wanted = {f"word {file} {word}" for word in found}
    assert entries(vocabulary.find_words(tree({file: text}), BANNED)) == wanted


def test_a_class_name_used_twice_is_found(tree: Tree) -> None:
    sources = tree(
        {
            "pizza/a.py": "class Job:\n    class Part: ...\n",
            "pizza/b/c.py": "class Part: ...\n",
            "scripts/d.py": "class Job: ...\n",
        }
    )
    assert entries(vocabulary.find_duplicate_classes(sources)) == {"class pizza Part"}


def test_a_public_verb_without_an_object_is_found(tree: Tree) -> None:
    source = """
def mark(): ...
def _mark(): ...
def mark_done():
    def mark(): ...
class Worker:
    def look(self): ...
    def look_up(self): ...
"""
    found = vocabulary.find_bare_verbs(tree({"pizza/a.py": source}), {"mark", "look"})
    assert entries(found) == {"verb pizza/a.py mark", "verb pizza/a.py Worker.look"}


def test_a_term_that_the_code_lacks_and_too_many_terms_are_found(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "| Term | Meaning | From |\n|---|---|---|\n| retry policy | a | b |\n| ghost | a | b |\n"
    sources = tree({"docs/glossary.md": page, "pizza/a.py": "class RetryPolicy: ...\n"})
    assert entries(vocabulary.find_glossary_errors(sources)) == {"glossary docs/glossary.md ghost"}
    monkeypatch.setattr(vocabulary, "MAX_TERMS", 1)
    assert len(list(vocabulary.find_glossary_errors(sources))) == 2


def test_log_actions_and_their_table_are_compared(tree: Tree) -> None:
    source = """
log.info("x", extra={"action": "order_received" if new else "order_repeated"})
log.info("x", extra={"action": f"{name}_failed"})
_log(logging.INFO, "order_left", "a text")
record({"action": "no_log_action"})
names = ("setup_db",)
"""
    sources = tree({"pizza/a.py": source, "docs/operations.md": OPERATIONS})
    assert entries(vocabulary.find_action_errors(sources)) == {
        "action pizza/a.py order_repeated",
        "action pizza/a.py order_left",
        "action docs/operations.md order_lost",
    }


def test_a_reference_to_a_missing_file_or_module_is_found(tree: Tree) -> None:
    text = '''"""See pizza/b.py, pizza/gone.py, pizza.c.d.run, pizza.c.d.gone and pizza.c.e."""\n'''
    page = "[a](a.md) [b](b.md#x) `docs/c.md` `sql/NNNN_x.sql` https://pizza.example.org/x"
    sources = tree({
        "pizza/a.py": text, "pizza/b.py": "", "pizza/c/__init__.py": "\n",
        "pizza/c/d.py": "def run(): ...\n", "docs/a.md": page,
    })  # fmt: skip
    assert entries(vocabulary.find_broken_references(sources)) == {
        "reference pizza/a.py pizza/gone.py",
        "reference pizza/a.py pizza.c.d.gone",
        "reference pizza/a.py pizza.c.e",
        "reference docs/a.md b.md",
        "reference docs/a.md docs/c.md",
    }


def test_the_list_of_allowed_findings_can_only_become_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("word a.py anew\nword b.py anew\n")
    findings = [Finding("word", "a.py", "anew", 3)]
    monkeypatch.setattr(vocabulary, "ALLOWED", allowed)
    monkeypatch.setattr(vocabulary, "find_all", lambda root: findings)
    assert vocabulary.main([]) == 1
    assert "allowed.txt: delete the entry" in capsys.readouterr().out
    assert vocabulary.main(["--prune"]) == 0
    assert allowed.read_text() == "word a.py anew\n"
    findings.append(Finding("word", "c.py", "anew", 7, "better: again"))
    assert vocabulary.main(["--prune"]) == 1
    assert "c.py:7: word: anew (better: again)" in capsys.readouterr().out
    assert allowed.read_text() == "word a.py anew\n"
