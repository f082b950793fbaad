"""HTTP on the side of the client, below the level of a request."""
