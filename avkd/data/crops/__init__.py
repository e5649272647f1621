"""Stored crops: their files, the journal of a preparation, where each crop comes from."""
