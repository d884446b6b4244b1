"""The one rule by which names are compared: of dishes and of customers."""

from __future__ import annotations

import unicodedata


def fold(name: str) -> str:
    """The key of a name: two names with one key are the same dish, or the same customer.

    NFC, no space around, one space between words, case folded as Unicode says, NFC again. The
    locale of the machine and of the database has no influence. fold(fold(x)) == fold(x).
    """
    composed = " ".join(unicodedata.normalize("NFC", name).split())
    return unicodedata.normalize("NFC", composed.casefold())
