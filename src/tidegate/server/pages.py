"""placeholder"""

from tidegate.routing.table import Routes


def docs() -> str:
    return ""


def landing(routes: Routes, url: str) -> str:
    return ""
