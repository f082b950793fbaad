"""One file per behaviour in which gateways have failed their users; the rows are those of the bug table."""
