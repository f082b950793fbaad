"""Owns who may call: keys, callers, and which origins are let in while no key is asked for."""

from tidegate.access.keys import OPEN, Caller, KeyRing, key_in_query, keyless, presented_key, resolve
from tidegate.access.origin import loopback_host, loopback_origin
from tidegate.access.stored_keys import StoredKeys

__all__ = [
    "OPEN",
    "Caller",
    "KeyRing",
    "StoredKeys",
    "key_in_query",
    "keyless",
    "loopback_host",
    "loopback_origin",
    "presented_key",
    "resolve",
]
