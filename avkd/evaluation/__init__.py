"""From a trained model and labelled files to scores and a decision rule; it trains nothing."""
