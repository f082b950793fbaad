"""Wire formats: what every dialect promises, and what single vendors really send."""
