"""Data folders and PostgreSQL dumps of every state of the schema; synthetic vectors, no people."""
