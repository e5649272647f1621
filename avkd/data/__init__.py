"""From files on disk to batches of tensors; only here are media, faces and datasets read."""
