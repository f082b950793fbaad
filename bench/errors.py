"""The one error that ends a bench: a sentence that says what to change."""


class BenchError(Exception):
    """Something that a measurement needs is missing or went wrong; the text says what to do."""
