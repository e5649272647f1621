"""What a dataset tree is and whether training on it is sound; it changes nothing."""
