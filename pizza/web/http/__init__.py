"""HTTP: request bodies, problems, ETags, pagination, headers."""
