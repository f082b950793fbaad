"""Values and rules: events, failures and the fold of a stream."""
