"""The former name of `pizza.taskqueue`, which 0.3 still accepts with a warning."""

import warnings

from pizza.taskqueue import App, Blueprint, FrameworkError, Job, RetryPolicy, Task

__all__ = ["App", "Blueprint", "FrameworkError", "Job", "RetryPolicy", "Task"]

warnings.warn(
    "pizza.framework is pizza.taskqueue now; 0.4 does not accept the former name",
    DeprecationWarning,
    stacklevel=2,
)
