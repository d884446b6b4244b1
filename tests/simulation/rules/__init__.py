"""The rules of sql/taskqueue (functions and queries), as the model has them.

Each takes a transaction of the model and the statement's parameters, and answers its rows.
test_rules.py compares them with the real statements, step by step.
"""

from __future__ import annotations

from .base import Rule
from .claiming import CLAIMING
from .dead import DEAD
from .keeping import KEEPING
from .publishing import PUBLISHING
from .sending import SENDING
from .sessions import SESSIONS
from .tokens import TOKENS

RULES: dict[str, Rule] = {
    **SENDING, **CLAIMING, **TOKENS, **DEAD, **SESSIONS, **PUBLISHING, **KEEPING
}  # fmt: skip
