"""The programs behind scripts/test and scripts/sbom, and the audit of dependencies."""
