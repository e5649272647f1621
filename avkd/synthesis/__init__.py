"""Corpora made here: generated talking faces, and labelled forgeries of real clips."""
