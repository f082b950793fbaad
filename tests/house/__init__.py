"""Gates: what the house rules forbid fails a test, with a sentence that says what to change."""
