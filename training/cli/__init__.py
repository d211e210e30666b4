"""The commands behind ``python -m training``."""
