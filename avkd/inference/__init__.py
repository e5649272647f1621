"""From one file to a verdict a person can read; no labels, no training."""
