"""From files on disk to batches of tensors; the only room that knows media, faces and datasets."""
