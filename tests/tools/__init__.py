"""Tests of what sets up, runs and checks a clone."""
