"""Keeps IP addresses alive on a cluster: one elected owner for each, whatever happens to the machines."""

__version__ = "0.1.0"
