from duravip.config.diagnostics import Severity
from duravip.testing import Sample, check_parser
from duravip_example.ini import IniParser

SAMPLE = Sample(
    text="""\
# a comment
[cluster]
nodename = node1
heartbeat_interval = 0.3

[binding alpha]
  bind_address = 10.77.0.51
; and another
[topology 10.77.0.0/24]
interface = eth0
""",
    tree=[
        ("cluster", None, [("nodename", "node1"), ("heartbeat_interval", "0.3")]),
        ("binding", "alpha", [("bind_address", "10.77.0.51")]),
        ("topology", "10.77.0.0/24", [("interface", "eth0")]),
    ],
    broken=("[cluster", "nodename", "= node1", "[]", "a = "),
)


def test_it_does_what_every_language_must() -> None:
    check_parser(IniParser(), SAMPLE)


def test_what_it_does_not_understand_is_an_error_at_its_place() -> None:
    (found,) = IniParser().parse("[cluster]\n  what?\n", file="f").diagnostics
    assert (found.severity, found.origin.line, found.origin.column) == (Severity.ERROR, 2, 3)
