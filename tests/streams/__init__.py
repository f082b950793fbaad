"""Log, producer, reader and the registry of live streams."""
