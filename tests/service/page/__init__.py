"""Tests of the page, in a real browser before a real server."""
