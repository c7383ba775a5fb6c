"""The core: who may hold an address. Runs as it stands here, or compiled (contrib/compile_core.py)."""

from importlib.util import find_spec


def is_compiled() -> bool:
    """Whether this installation runs the core as machine code, made from these files when its wheel was built."""
    node = find_spec("duravip.cluster.node")
    return node is not None and not str(node.origin).endswith(".py")
