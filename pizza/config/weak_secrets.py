"""Secrets that somebody would find by trying: too short, repetitive, or made of common words."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

MIN_LENGTH = 16
# Bits by the frequency of its characters. 16 random hexadecimal digits have about 50.
_MIN_ENTROPY = 36.0
# So many characters have to be left besides common words, digits in a row and punctuation.
_MIN_REST = 8
_WORDS = (
    "administrator", "changeme", "change", "default", "development", "dummy", "example", "guest",
    "hello", "kitchen", "letmein", "manager", "master", "monkey", "network", "order", "password",
    "passwort", "pass", "pizza", "placeholder", "please", "postgres", "production", "qwertyuiop",
    "qwerty", "qwertz", "rabbitmq", "replace", "restaurant", "root", "sample", "secret", "service",
    "staff", "super", "system", "test", "token", "user", "welcome", "admin", "key", "with", "this",
    "the", "my", "our", "me",
)  # fmt: skip
_COMMON = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))
_NO_LETTER = re.compile(r"[\W_]+")
_PLACEHOLDERS = frozenset(
    {"change", "changeme", "changethis", "placeholder", "replaceme", "todo", "fixme",
     "yourpassword", "xxx", "xxxx"}
)  # fmt: skip
_KNOWN_PASSWORDS = frozenset(
    {"guest", "pizza", "password", "passwort", "pass", "secret", "admin", "administrator", "root",
     "postgres", "rabbitmq", "rabbit", "restaurant", "test", "user", "default", "letmein",
     "qwerty", "welcome", "example", "dev", "12345", "123456", "12345678", "1234", "123"}
)  # fmt: skip


def weakness(secret: str) -> str | None:
    """Why a key could be found by trying, as the rest of "it …"; None for a sound one."""
    if len(secret) < MIN_LENGTH:
        return f"has less than {MIN_LENGTH} characters"
    folded = secret.casefold()
    if _repeats(folded):
        return "repeats itself"
    if _runs(folded):
        return "is a row of neighbouring characters"
    if _entropy(folded) < _MIN_ENTROPY:
        return "has too few different characters"
    rest = _NO_LETTER.sub("", _COMMON.sub("", folded))
    if len(rest) < _MIN_REST or _runs(rest):
        return "is made of common words"
    return None


def is_placeholder(password: str) -> bool:
    """Whether a password was left as an example has it, such as CHANGE."""
    return _plain(password) in _PLACEHOLDERS


def is_well_known(password: str, user: str) -> bool:
    """Whether it is among the first passwords that anybody tries; the user's name is one."""
    plain = _plain(password)
    return is_placeholder(password) or plain in _KNOWN_PASSWORDS or plain == _plain(user)


def _plain(text: str) -> str:
    return _NO_LETTER.sub("", text.casefold())


def _repeats(text: str) -> bool:
    """Whether a text is one part again and again, the last time perhaps cut."""
    return any(
        (text[:size] * (len(text) // size + 1))[: len(text)] == text
        for size in range(1, len(text) // 2 + 1)
    )


def _runs(text: str) -> bool:
    """Whether most characters are the neighbours of those before them: abcdefgh, 87654321."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return bool(steps) and sum(-1 <= step <= 1 for step in steps) >= 0.7 * len(steps)


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -len(text) * sum(share * math.log2(share) for share in shares)
