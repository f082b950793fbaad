"""Connections to upstreams, against servers on a real socket."""
