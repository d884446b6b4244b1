"""The audit log: who changed what, and who read whose data."""

from pizza.audit.audit_log import Subject, customer_subject, record_change, record_read

__all__ = ["Subject", "customer_subject", "record_change", "record_read"]
