"""Measures speed, memory and accuracy; each module prints a table and one line of JSON."""
