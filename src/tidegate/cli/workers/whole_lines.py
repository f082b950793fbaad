"""Writes the log of a process that shares its standard error with others: each record in one piece."""

from __future__ import annotations

import logging
import os
import sys


class WholeLines(logging.Handler):
    """Writes to a descriptor, without a buffer that would be cut anywhere when it is full."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """One write for one record, however long."""
        try:
            data = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return  # nobody reads the log any more


def log_as(worker: int) -> None:
    """Have everything that this process logs bear the number of its worker."""
    handler = WholeLines(sys.stderr.fileno())
    handler.setFormatter(logging.Formatter(f"%(asctime)s [{worker}] %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
