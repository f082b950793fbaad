"""Files that callers keep, and their passages."""
