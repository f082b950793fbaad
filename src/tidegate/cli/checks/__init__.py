"""What ``tidegate doctor`` looks at, one file per field. Looking changes nothing."""

from tidegate.cli.checks.finding import Finding, Level, counted

__all__ = ["Finding", "Level", "counted"]
