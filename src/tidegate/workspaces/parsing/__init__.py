"""Makes text of files: each kind has a module that reads it, in a process that may come to harm."""

from tidegate.workspaces.parsing.formats import accepted_types
from tidegate.workspaces.parsing.limits import Limits
from tidegate.workspaces.parsing.parser import Parser

__all__ = ["Limits", "Parser", "accepted_types"]
