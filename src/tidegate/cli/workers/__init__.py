"""``tidegate serve`` with several processes: the one that is typed owns, the others serve."""
