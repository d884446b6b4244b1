"""Names of 0.2 that still work, with a DeprecationWarning, until 0.4."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(old: str, function: Callable[P, R]) -> Callable[P, R]:
    """An alias of `function` for its old name."""

    @wraps(function)
    def alias(*args: P.args, **kwargs: P.kwargs) -> R:
        _warn(old, function.__qualname__)
        return function(*args, **kwargs)

    return alias


def renamed_arguments(function: Callable[P, R], **new_names: str) -> Callable[P, R]:
    """`function`, which accepts the old names (the keys) of keyword arguments as well."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        values: Any = kwargs
        for old in new_names.keys() & values.keys():
            _warn(f"{function.__qualname__}({old}=)", new_names[old])
            values[new_names[old]] = values.pop(old)
        return function(*args, **kwargs)

    return wrapper


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=3)
