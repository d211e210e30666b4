"""Tests of index/snapshot."""
