"""Tests of galleries as files over HTTP."""
