"""Customers: VIPs, and personal data."""
