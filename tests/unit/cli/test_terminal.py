"""Commands print text of other programs without control characters."""

import sys

import pytest

from pizza.cli import output, terminal
from pizza.observability.printable import printable

# Clear the screen; set the title; the C1 form of the same; turn the text around; a lone surrogate.
HOSTILE = [
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x9b2J",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ud800",
    "\r",
]
PLAIN = ["Zoë", "李小龍", "مريم", "👩‍🍳", "two\nlines\tand a tab", "a\u00a0b", "נגד\u200f"]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_are_replaced(text, capsys):
    terminal.echo(f"502 {text} Bad")
    shown = capsys.readouterr().out
    assert shown.startswith("502 ")
    assert not any(char in shown for char in "\x1b\x07\x9b\u202e\u2066\u2069\ud800\r")
    assert "\ufffd" in shown


def test_each_replaced_character_becomes_one_character():
    text = "a\x1b[2Jb\u202ec\x00d\ud800e\tf\n<b>ü"
    assert printable(text) == "a\ufffd[2Jb\ufffdc\ufffdd\ufffde\tf\n<b>ü"


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_unchanged(text):
    assert printable(text) == text


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_table_shows_it_too(on_terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal)
    output.print_table(["Answer"], [[output.format_cell(each)] for each in HOSTILE])
    shown = capsys.readouterr().out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not any(char in shown for char in "\x07\x9b\u202e\u2066\u2069\ud800")
    assert "[2J" in shown and "\x1b[2J" not in shown


def test_an_error_and_what_was_done_show_it_too(capsys):
    with pytest.raises(SystemExit):
        output.exit_with_error("There is no dish \x1b[2J")
    output.print_result("Dish \x1b[2J is sold out", {})
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
