"""Names, order, health, attempts and deadlines."""
