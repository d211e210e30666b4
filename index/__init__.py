"""From embeddings to a person: galleries, exact search, decisions, and SQL as the truth."""
