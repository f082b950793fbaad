"""Owns the HTML pages: the landing page and the API reference. No script, nothing loaded from elsewhere."""

from tidegate.server.pages.address import base_url
from tidegate.server.pages.landing import landing
from tidegate.server.pages.reference import docs

__all__ = ["CONTENT_SECURITY_POLICY", "base_url", "docs", "landing"]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Goes with every page: even a text that slipped through unescaped could load and run nothing."""
