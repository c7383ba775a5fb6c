"""The `cluster` scope: what all members should give alike, and this daemon's own rhythm, key and files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from duravip.config import schema
from duravip.config.diagnostics import Findings, shown
from duravip.config.scope import Scope
from duravip.config.values import name_problem, seconds
from duravip.model import NodeName, Origin, Settings

_TOLERANCE = 1e-9  # 0.025 against 2.5 x 0.01
STRICT_TIMEOUTS = 5.0  # failure time-outs in a lifetime, at least: two in which a majority has to be heard


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Both in seconds."""

    heartbeat_interval: float
    failure_timeout: float


def node_name(
    cluster: Scope, *, given: str | None, environ: Mapping[str, str], host_name: str, findings: Findings
) -> NodeName:
    """Who this node is: what the caller demands, `nodename`, EC_NODE_NAME, or the caller's answer."""
    written = cluster.written.get("nodename")
    if given is not None:
        name, source = given, "the name given for this node"
    elif written is not None:
        name, source = written.content, "nodename"
    elif environ.get("EC_NODE_NAME"):
        name, source = environ["EC_NODE_NAME"], "EC_NODE_NAME"
    else:
        name, source = host_name, "the node's name"
    if problem := name_problem(name):
        findings.error(
            "DV308",
            f"{source}: {shown(name)} {problem}",
            cluster.where("nodename"),
            'write nodename = "..." in cluster',
        )
    return NodeName(name)


def shared_settings(cluster: Scope) -> Settings:
    size = cluster.get("duravip_balance_set_size")
    tie_breaker = cluster.get("tie_breaker")
    return Settings(
        balance_set_size=0 if size == schema.AUTO else size,
        view_mature_time=cluster.get("view_mature_time"),
        view_balance_interval=cluster.get("view_balance_interval"),
        ownership=cluster.get("ownership"),
        members=tuple(NodeName(name) for name in sorted(set(cluster.get("members")))),
        tie_breaker=NodeName(tie_breaker) if tie_breaker else None,
        address_lifetime=cluster.get("address_lifetime"),
        fail_back=cluster.get("fail_back"),
    )


def rhythm(cluster: Scope, findings: Findings) -> Rhythm:
    """The profile's, unless written: an interval brings its own timeout along."""
    interval, timeout = schema.PROFILES[cluster.get("profile")]
    beats, written = cluster.written.get("heartbeats_per_sec"), cluster.written.get("heartbeat_interval")
    if beats is not None:
        interval = 1.0 / beats.content
    if written is not None:
        if beats is not None and abs(written.content - interval) > 0.01 * interval:
            findings.error(
                "DV433",
                f"heartbeat_interval is {seconds(written.content)}, "
                f"but heartbeats_per_sec makes it {seconds(interval)}",
                written.origin,
                "keep one of them",
            )
        interval = written.content
    if beats is not None or written is not None:
        timeout = schema.TIMEOUT_PER_INTERVAL * interval
    timeout = cluster.get("failure_timeout") or timeout
    least = schema.LEAST_TIMEOUT_PER_INTERVAL * interval
    if timeout < least - _TOLERANCE:
        findings.error(
            "DV421",
            f"failure_timeout is {seconds(timeout)}, less than {schema.LEAST_TIMEOUT_PER_INTERVAL} heartbeat "
            f"intervals of {seconds(interval)}: one lost datagram would look like a death",
            cluster.where("failure_timeout"),
            f"make it {seconds(least)} or more, or heartbeat_interval shorter",
        )
    return Rhythm(interval, timeout)


def strict_rules(
    cluster: Scope, node: NodeName, settings: Settings, *, failure_timeout: float, findings: Findings
) -> None:
    """What strict ownership needs."""
    if settings.ownership != "strict":
        return
    members, breaker = settings.members, settings.tie_breaker
    if not members:
        findings.error(
            "DV441",
            "ownership is strict, which counts a majority, and there is no list of members",
            cluster.where("ownership"),
            f'write members = ("{node}" ...) with the names of all nodes, the same everywhere',
        )
        return
    if node not in members:
        findings.warning(
            "DV443",
            f"{node} is none of the members {', '.join(members)}: it will own nothing, and has no voice",
            cluster.where("members"),
            "names are compared whole; put it into the list of every node and `duravip reload --cluster`",
        )
    if breaker is not None and breaker not in members:
        findings.error(
            "DV442",
            f"the tie_breaker {breaker} is none of the members {', '.join(members)}",
            cluster.where("tie_breaker"),
            "name one of them",
        )
    if len(members) % 2 == 0 and breaker is None:
        findings.warning(
            "DV444",
            f"there are {len(members)} members and no tie_breaker: when they are divided evenly, nobody owns anything",
            cluster.where("members"),
            f'write tie_breaker = "{members[0]}", or have an odd number of members',
        )
    least = STRICT_TIMEOUTS * failure_timeout
    if settings.address_lifetime < least - _TOLERANCE:
        now = seconds(settings.address_lifetime) if settings.address_lifetime else "0 (for ever)"
        findings.error(
            "DV446",
            f"address_lifetime is {now}; strict ownership needs a lifetime of at least {STRICT_TIMEOUTS:g} "
            f"failure_timeouts of {seconds(failure_timeout)}",
            cluster.where("address_lifetime"),
            f"make it {seconds(math.ceil(least))} or more",
        )


def key(cluster: Scope, findings: Findings, *, file: str) -> tuple[str | None, bool]:
    """`key_file` and `insecure`; at most one of them is set."""
    key_file, insecure = cluster.get("key_file") or None, cluster.get("insecure")
    if key_file and insecure:
        findings.warning(
            "DV434",
            "both key_file and insecure are set: the key is used",
            cluster.where("insecure"),
            "leave insecure out",
        )
        insecure = False
    elif not key_file and not insecure:
        findings.warning(
            "DV420",
            "there is no key_file: `run` will refuse to start",
            cluster.origin if cluster.origin.line else Origin(file),
            "make a key with `duravip keygen`, or write insecure = true in cluster",
        )
    if cluster.get("seal") == "receive-only":
        findings.warning(
            "DV445",
            "seal = receive-only protects nothing: datagrams without a seal count too"
            if key_file
            else "seal = receive-only without a key_file is as good as insecure",
            cluster.where("seal"),
            "write seal = enforce as soon as every node has the key",
        )
    return key_file, insecure
