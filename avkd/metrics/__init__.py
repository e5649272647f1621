"""Numbers from labels and scores: the one table of metrics, intervals, paired tests, pooling."""
