"""Networks: plain keyword arguments in, tensors out; no dataset, loss, optimiser or config here."""
