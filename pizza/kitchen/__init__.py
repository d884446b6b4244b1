"""The kitchen: cooks, stations, their workers, and estimates."""

from pizza.kitchen.worker_storage import expire_workers, list_workers

__all__ = ["expire_workers", "list_workers"]
