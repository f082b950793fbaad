"""What Tidegate costs, measured beside nginx in the same run; see README.md."""
