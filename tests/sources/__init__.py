"""Whatever answers: the demo model and remote servers."""
