"""How any stage is optimised: loop, optimiser, resuming, logging."""
