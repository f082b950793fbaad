"""How a conversation looks and feels in a terminal. It knows nothing of servers and requests."""
