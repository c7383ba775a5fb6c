"""Plugins for duravip, as somebody else would write them."""
