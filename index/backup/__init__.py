"""Backups of a data folder, and their way back."""
