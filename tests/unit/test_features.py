"""Features use each other through their packages only; only their storage modules run SQL."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

PIZZA = Path(__file__).resolve().parents[2] / "pizza"
FEATURES = (
    "audit", "auth", "changes", "customers", "kitchen", "menu", "notifications", "operations",
    "orders", "reports", "tracking", "webhooks",
)  # fmt: skip
MODULES = [path for each in FEATURES for path in sorted((PIZZA / each).glob("*.py"))]


def name_of(path):
    return path.relative_to(PIZZA).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_feature_imports_only_what_another_one_exports(path):
    own = f"pizza.{path.parent.name}"
    features = {f"pizza.{each}" for each in FEATURES} - {own}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = {each.name for each in node.names}
            assert not {
                module for module in modules for each in features if module.startswith(each)
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            package = ".".join(node.module.split(".")[:2])
            if package in features:
                assert node.module == package, f"{node.module} is not a package"
                exported = set(import_module(package).__all__)
                assert {each.name for each in node.names} <= exported


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_storage_modules_run_sql(path):
    if path.stem.endswith("storage"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            assert not (isinstance(called, ast.Name) and called.id == "Queries")
            assert not (isinstance(called, ast.Attribute) and called.attr in ("execute", "cursor"))


@pytest.mark.parametrize("path", sorted(PIZZA.rglob("*.py")), ids=name_of)
def test_a_row_is_read_by_column_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            spread = [each.value for each in node.args if isinstance(each, ast.Starred)]
            assert not any(isinstance(each, ast.Name) and each.id == "row" for each in spread)
