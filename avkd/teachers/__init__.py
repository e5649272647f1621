"""Frozen models asked for soft targets: at every step, or once and for all. Trains nothing."""
