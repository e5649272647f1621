"""Faces laid into faces: masks, blending methods, mismatches, degradations; arrays in, arrays out.

Used by `synthesis` for forgeries that are stored and by `data` for those made while training.
S is the side of a square crop in pixels.
"""
