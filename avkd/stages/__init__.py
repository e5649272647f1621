"""One file per training stage, and the runner they share."""
