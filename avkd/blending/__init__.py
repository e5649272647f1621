"""Faces laid into faces: masks, ways to blend, mismatches, degradations; arrays in, arrays out.

Used by `generation` for forgeries that are stored and by `data` for those made while training.
Knows nothing of files, corpora or torch. S is the side of a square crop in pixels.
"""
