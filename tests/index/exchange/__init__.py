"""Tests of the open format."""
