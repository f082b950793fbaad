"""Tests of reading documents: real files of each kind, and files that mean harm."""
