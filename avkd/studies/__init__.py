"""Many models at once: which is better on what, and how fast each is."""
