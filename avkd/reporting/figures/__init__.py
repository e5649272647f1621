"""Figures of a report; only they import matplotlib. Each is a `Figure` that `canvas` writes."""
