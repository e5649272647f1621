"""From a trained model and labelled files to scores, numbers and a report; it trains nothing."""
