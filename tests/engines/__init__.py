"""Tests of local engines: real child processes, real llama.cpp, tiny models."""
