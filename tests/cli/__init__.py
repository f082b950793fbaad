"""The command line as it is used: real processes, in real terminals and in pipes."""
