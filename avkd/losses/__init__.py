"""Loss terms and meters: pure functions, tensors in, numbers out; no module, state or config."""
