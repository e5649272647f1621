"""Perturbations of pictures, clips and sound, at five severities."""
