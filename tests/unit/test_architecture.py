"""docs/architecture.md answers the twenty questions; its paths and layers are the real ones."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
QUESTIONS = (
    "authentication",
    "the login page",
    "the kitchen page",
    "`GET /orders`",
    "the schema of an order",
    "the OpenAPI document",
    "rescue of stuck jobs",
    "periodic tasks",
    "registration of workers",
    "cancelling a task",
    "the framework's tables",
    "where everything is put together",
    "how a process starts",
    "rate limits",
    "dead letters",
    "what a status may become",
    "the price rules",
    "Prometheus' metrics",
    "the private test servers",
    "a test helper that waits",
)
PATHS = sorted(set(re.findall(r"`((?:pizza|sql|scripts|tests|docs|deploy)(?:/[\w./]+)?)`", PAGE)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_of_the_twenty_questions_has_an_answer(question):
    (answer,) = re.findall(rf"^\| {re.escape(question)} \| (.*) \|$", PAGE, re.MULTILINE)
    assert re.search(r"`(pizza|sql|scripts|tests)/[\w./]+`", answer)


@pytest.mark.parametrize("path", PATHS)
def test_each_named_path_exists(path):
    assert (ROOT / path).exists()


def test_the_layers_are_those_of_the_import_contract():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    layers = config["importlinter:contract:layers"]["layers"].split()
    (block,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert block.split() == layers
