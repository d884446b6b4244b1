"""Authentication, authorization, rate limits and proxies."""
