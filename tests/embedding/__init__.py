"""Tests of the package embedding."""
