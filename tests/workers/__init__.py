"""Several worker processes, and what they tell and hand each other."""
