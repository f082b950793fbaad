"""Files that callers keep here (https://platform.openai.com/docs/api-reference/files), and their passages."""

from tidegate.server.files.endpoints import FileEndpoints

__all__ = ["FileEndpoints"]
