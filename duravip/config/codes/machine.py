"""DV6xx: this machine, and the cluster that runs now."""

from __future__ import annotations

from duravip.config.codes.code import Code

CODES: tuple[Code, ...] = ()
