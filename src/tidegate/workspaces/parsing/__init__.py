"""Makes text of files: each kind has a module that reads it, in a process that may come to harm."""
