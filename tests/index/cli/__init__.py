"""Tests of `facegallery-index`."""
