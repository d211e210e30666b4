"""Tests of index/batch."""
