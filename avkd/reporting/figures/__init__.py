"""Figures of a report; the only room for matplotlib. Each is a `Figure` that `canvas` writes."""
