"""Tests of the product, most of them against the real process over real sockets."""
