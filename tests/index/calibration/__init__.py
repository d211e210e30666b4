"""Tests of index/calibration."""
