"""Tests of index/backup."""
