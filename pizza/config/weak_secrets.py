"""Find secrets that can be guessed: too short, repetitive, or made of common words."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MIN_LENGTH = 16
# Bits of entropy, by character frequency. 16 random hexadecimal digits have about 50.
_MIN_ENTROPY = 36.0
# The least number of characters apart from common words and punctuation.
_MIN_REST = 8
_WORDS = _words(
    """
    administrator changeme change default development dummy example guest hello kitchen letmein
    manager master monkey network order password passwort pass pizza placeholder please postgres
    production qwertyuiop qwerty qwertz rabbitmq replace restaurant root sample secret service
    staff super system test token user welcome admin key with this the my our me
    """
)
_COMMON = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))
_NO_LETTER = re.compile(r"[\W_]+")
_PLACEHOLDERS = _words(
    "change changeme changethis placeholder replaceme todo fixme yourpassword xxx xxxx"
)
_KNOWN_PASSWORDS = _words(
    """
    guest pizza password passwort pass secret admin administrator root postgres rabbitmq rabbit
    restaurant test user default letmein qwerty welcome example dev 12345 123456 12345678 1234 123
    """
)


def weakness(secret: str) -> str | None:
    """Why a key can be guessed, as the rest of "it …"; None when it cannot."""
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
    """Whether a password is still an example's, such as CHANGE."""
    return _fold(password) in _PLACEHOLDERS


def is_well_known(password: str, user: str) -> bool:
    """Whether a password is a common one, or the name of the user."""
    plain = _fold(password)
    return is_placeholder(password) or plain in _KNOWN_PASSWORDS or plain == _fold(user)


def _fold(text: str) -> str:
    return _NO_LETTER.sub("", text.casefold())


def _repeats(text: str) -> bool:
    """Whether a text repeats one part; the last repetition may be cut."""
    return any(
        (text[:size] * (len(text) // size + 1))[: len(text)] == text
        for size in range(1, len(text) // 2 + 1)
    )


def _runs(text: str) -> bool:
    """Whether most characters follow their predecessor in the alphabet: abcdefgh, 87654321."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return bool(steps) and sum(-1 <= step <= 1 for step in steps) >= 0.7 * len(steps)


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -len(text) * sum(share * math.log2(share) for share in shares)
