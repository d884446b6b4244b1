"""The scenarios of scripts/chaos, by what they injure."""
