"""Clients that are installed for `make test-clients` only, each a real program against the real process."""
