"""Goes away: import from `page` and `tables`."""

from avkd.reporting.page import Answer, Headline, Picture, Section
from avkd.reporting.tables import Table

__all__ = ["Answer", "Headline", "Picture", "Section", "Table"]
