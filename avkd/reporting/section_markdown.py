"""Goes away: import from `page`."""

from avkd.reporting.page import to_markdown

__all__ = ["to_markdown"]
