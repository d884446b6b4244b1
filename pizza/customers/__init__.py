"""Customers: VIPs, and personal data."""

from pizza.customers.personal_data_storage import is_erased

__all__ = ["is_erased"]
