"""The schema's history; run by `index.store.migrate` alone."""
