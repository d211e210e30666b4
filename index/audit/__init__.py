"""The audit log without its tables: entries, who acts, the anchor file, verification."""
