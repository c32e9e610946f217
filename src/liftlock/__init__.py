"""Release and upgrade management for vendors whose product runs on other people's hosts."""

__version__ = "0.1.0"
