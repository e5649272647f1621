"""From score files to numbers, tables, figures and pages; needs no torch, no model and no media."""
