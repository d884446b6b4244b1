"""Text of other programs and people, made safe for a terminal, a log line or a page."""

from __future__ import annotations

import unicodedata

# Controls, lone surrogates, and separators that start another line.
_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
# Embeddings, overrides and isolates: they change the direction of the text around them (UAX #9).
_DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_KEPT = "\n\t"


def printable(text: str) -> str:
    """The text with U+FFFD for each character that a terminal obeys instead of showing it.

    That is what moves the cursor, colours the terminal, or turns the text around, and what cannot
    be written as UTF-8. Line ends and tabs stay. Emoji and all scripts stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each in _KEPT or _is_shown(each) else "\ufffd" for each in text)


def _is_shown(char: str) -> bool:
    return (
        unicodedata.category(char) not in _CATEGORIES
        and unicodedata.bidirectional(char) not in _DIRECTIONS
    )
