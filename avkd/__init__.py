"""avkd: finds face forgeries in video. Importing the package imports nothing heavy."""

__version__ = "0.1.0"
