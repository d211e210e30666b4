"""Tests of training/importing/."""
