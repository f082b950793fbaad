"""Streams: each answer is appended to a log by one producer and read from it by any number of readers."""
