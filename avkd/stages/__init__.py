"""One file per training: what is learnt, from what, how it is judged. No stage knows another."""
