"""Every setting as a field of a frozen dataclass, and how YAML files and flags become them.

No module of settings defers its annotations: the parser could not read those of inherited groups.
"""
