"""The kitchen on Celery and on Dramatiq, to compare with."""
