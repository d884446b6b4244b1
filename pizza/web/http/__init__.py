"""HTTP: bodies, problems, ETags, pages of lists, headers."""
