"""What `contrib` has for other software says what it must; `tests/netns` tries it with that software."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[2] / "contrib"


def settings(file: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((CONTRIB / file).read_text())
    return parser


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("Type", "notify"),  # `run` says READY=1
        ("KillMode", "control-group"),  # the guard blocks SIGTERM, and outlives the daemon by what it needs
        ("WatchdogSec", "10"),  # a daemon that hangs is ended, and the guard acts
        ("Restart", "on-failure"),
        ("ExecStopPost", "-/usr/local/bin/duravip release --all"),
        ("StateDirectory", "duravip"),
        ("RuntimeDirectory", "duravip"),
        ("NoNewPrivileges", "yes"),
    ],
)
def test_the_unit_says_what_the_daemon_and_its_guard_need(option: str, value: str) -> None:
    assert settings("systemd/duravip.service")["Service"][option] == value


def test_the_unit_gives_no_more_than_the_two_capabilities() -> None:
    service = settings("systemd/duravip.service")["Service"]
    assert set(service["CapabilityBoundingSet"].split()) == {"CAP_NET_ADMIN", "CAP_NET_RAW"}
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"]


@pytest.mark.parametrize(
    ("file", "section", "option", "value"),
    [
        ("networkd/90-duravip-keep.conf", "Network", "KeepConfiguration", "yes"),
        ("networkmanager/90-duravip-carrier.conf", "device-duravip", "ignore-carrier", "yes"),
        ("networkmanager/90-duravip-unmanaged.conf", "keyfile", "unmanaged-devices", "interface-name:eth1"),
    ],
)
def test_the_drop_ins_keep_our_addresses(file: str, section: str, option: str, value: str) -> None:
    assert settings(file)[section][option] == value
