"""A function that is interpreted.

Rules of this file: it is not compiled. Machine code that mypyc makes keeps the interpreter's lock until it calls a
function that is interpreted, or waits (`breathing`).
"""


def pause() -> None:
    """Whoever has waited long enough for the interpreter gets it."""
