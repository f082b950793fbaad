"""HTTP in, generation, HTTP out."""
