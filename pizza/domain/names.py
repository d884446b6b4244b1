"""Names, addresses and reasons: which texts are valid, and how names are compared.

The lengths are those of the specification's tables.
"""

from __future__ import annotations

import unicodedata

NAME_LENGTH = 100
ADDRESS_MIN, ADDRESS_MAX = 5, 200
_CONTROL = ("Cc", "Zl", "Zp")
# Bidirectional embeddings, overrides and isolates (UAX #9). Right-to-left scripts need none.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def fold_name(name: str) -> str:
    """The key of a name: two names with one key are the same dish, or the same customer.

    NFC, no space around, one space between words, case folded as Unicode says, NFC again. The
    locale of the machine and of the database has no influence. The key of a key is the same key.
    """
    composed = " ".join(unicodedata.normalize("NFC", name).split())
    return unicodedata.normalize("NFC", composed.casefold())


def text_error(text: str, longest: int) -> str | None:
    """What is wrong with a signature or a reason for the log; None if it is valid."""
    if not 1 <= len(text) <= longest:
        return f"must be 1 to {longest} characters long"
    if not text.isprintable():
        return "must be printable characters in one line"
    return None if text.strip() else "must not be blank"


def name_error(text: str) -> str | None:
    """What is wrong with a name; None if it is valid. Emoji and all scripts are."""
    if not 1 <= len(text) <= NAME_LENGTH:
        return f"must be 1 to {NAME_LENGTH} characters long"
    if text.isprintable():
        return None if text.strip() else "must not be blank"
    return _invisible_error(text)


def _invisible_error(text: str) -> str | None:
    kinds = {unicodedata.category(char) for char in text}
    if "Cs" in kinds:
        return "must be valid Unicode text"
    if not kinds.isdisjoint(_CONTROL):
        return "must not contain control characters"
    if not _DIRECTIONS.isdisjoint(text):
        return "must not change the direction of the text around it"
    return "must not be blank" if kinds <= {"Zs", "Cf"} else None


def is_storable(text: str) -> bool:
    """Whether the database may contain a name; older releases have stored more kinds of names.

    PostgreSQL stores neither NUL nor half a surrogate pair.
    """
    return len(text) <= NAME_LENGTH and not any(
        char == "\0" or unicodedata.category(char) == "Cs" for char in text
    )


def address_error(text: str) -> str | None:
    """What is wrong with an address, or None (docs/decisions.md, "valid address format")."""
    if not ADDRESS_MIN <= len(text) <= ADDRESS_MAX:
        return f"must be {ADDRESS_MIN} to {ADDRESS_MAX} characters long"
    if not _DIRECTIONS.isdisjoint(text):
        return "must not change the direction of the text around it"
    kinds = [unicodedata.category(char) for char in text]
    if not {"Cc", "Cs", "Zl", "Zp"}.isdisjoint(kinds):
        return "must be printable characters in one line"
    if not any(char.isalpha() for char in text) or not any(char.isdecimal() for char in text):
        return "must have at least one letter and one digit"
    return None
