"""Where what takes long lets other threads have the interpreter.

Rules of this file: it is not compiled. Machine code that mypyc makes keeps the interpreter's lock until it calls a
function that is interpreted, or waits; a question that is answered in a thread of its own (`deliberation`) would keep
the event loop from its turns as if it were answered within one.
"""


def breathe() -> None:
    """To be called every few dozen microseconds; costs a tenth of one."""
