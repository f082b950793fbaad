"""Whatever answers: one file for each kind of answerer."""
