"""From one file to a verdict a person can read; it knows no labels and trains nothing."""
