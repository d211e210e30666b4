"""Vectors in memory or mapped from files, searched by cosine: exact, or by codes first."""
