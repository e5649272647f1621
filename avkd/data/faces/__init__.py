"""Faces in frames: detection, tracks over time, crops in standard position."""
