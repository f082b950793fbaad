"""Pure values and rules: what a request, an event and an answer are. No I/O, no clock, no randomness."""
