"""How any stage is optimised: loop, optimiser, resuming, logging. Knows a step, not a task."""
