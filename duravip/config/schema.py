"""Every option of ours, once: `check`, the daemon, `--help` and the reference page read it from here.

The scopes are those of the original; options that only this software has stand among them. Names are lower
case.
"""

from __future__ import annotations

from duravip.config.options import Kind, Option

PROFILES: dict[str, tuple[float, float]] = {"lan": (0.1, 0.35), "fast": (0.01, 0.03), "wan": (1.0, 5.0)}
"""Profile -> heartbeat_interval and failure_timeout, both in seconds."""

TIMEOUT_PER_INTERVAL = 3.5  # the default failure_timeout, in heartbeat intervals
LEAST_TIMEOUT_PER_INTERVAL = 2.5  # below it one lost datagram looks like a death

DEFAULT_TRANSPORT = "multicast"
DEFAULT_BACKEND = "netlink"
AUTO = "auto"

CLUSTER: tuple[Option, ...] = (
    Option(
        name="nodename",
        kind=Kind.TEXT,
        doc="This node's name, compared whole and case-sensitively. Without it: EC_NODE_NAME, a plugin's "
        "answer, or the host name up to the first dot.",
    ),
    Option(
        name="nodeaddr",
        kind=Kind.ADDRESS,
        doc="This node's own main address. It can never be a VIP. Without it: the node's name's address, "
        "or where that is loopback, the first transport's source address.",
    ),
    Option(
        name="cluster_group",
        kind=Kind.TEXT,
        default="ec_cluster",
        doc="The group's name: clusters with different names ignore each other.",
    ),
    Option(
        name="control_group",
        kind=Kind.TEXT,
        default="ec_console",
        doc="The original's group for its consoles.",
        in_force=False,
        instead="leave it out: commands reach a node by its control socket (control)",
    ),
    Option(
        name="profile",
        kind=Kind.CHOICE,
        default="lan",
        choices=tuple(PROFILES),
        doc="Sets heartbeat_interval and failure_timeout together; explicit values beat it. An explicit interval alone "
        "brings a failure_timeout of 3.5 intervals along, not the profile's.",
        trade_off="fast notices a failure sooner and mistakes a hiccup for one sooner; wan does neither.",
    ),
    Option(
        name="heartbeat_interval",
        kind=Kind.DURATION,
        default=0.1,
        unit="s",
        low=0.001,
        high=60,
        doc="Time between two heartbeats of a node. Written without failure_timeout it makes that 3.5 intervals, even "
        "where it is the profile's own: wan with 1 s has 3.5 s, not 5 s.",
        trade_off="Shorter: failures are noticed sooner, at the price of packets and CPU time.",
    ),
    Option(
        name="heartbeats_per_sec",
        kind=Kind.NUMBER,
        unit="1/s",
        low=1 / 60,
        high=1000,
        doc="The original's word for 1 / heartbeat_interval; may be used instead of it, with the same effect on "
        "failure_timeout.",
        trade_off="More: failures are noticed sooner, at the price of packets and CPU time.",
    ),
    Option(
        name="heartbeat_start_delay",
        kind=Kind.DURATION,
        default=15.0,
        unit="s",
        low=0,
        doc="The original waited so long before its first heartbeat. Heartbeats begin at once here.",
        in_force=False,
        instead="leave it out; what has nodes wait for each other at a start is view_mature_time",
    ),
    Option(
        name="failure_timeout",
        kind=Kind.DURATION,
        unit="s",
        low=0.0025,
        high=600,
        doc="A node that is silent for so long counts as failed. Without it: the profile's, which is 3.5 heartbeat "
        "intervals under lan, 3 under fast and 5 under wan; 3.5 under each where an interval is written.",
        trade_off="Shorter: a shorter outage when a node dies, more false alarms when the network stutters.",
    ),
    Option(
        name="view_mature_time",
        kind=Kind.DURATION,
        default=5.0,
        unit="s",
        low=0,
        high=3600,
        doc="How long a view must be unchanged before it is mature.",
        trade_off="Longer: fewer moves while nodes come up, a longer wait until they take part.",
    ),
    Option(
        name="view_balance_interval",
        kind=Kind.DURATION,
        default=10.0,
        unit="s",
        low=0.1,
        high=86_400,
        doc="How often a mature view is balanced.",
        trade_off="Shorter: an even load sooner, more moves at a time.",
    ),
    Option(
        name="duravip_balance_set_size",
        kind=Kind.INTEGER,
        default=AUTO,
        words=(AUTO,),
        unit="VIPs",
        low=1,
        high=1_000_000,
        doc="VIPs moved in one balancing round; auto is a 32nd of all VIPs, at least 1.",
        trade_off="Larger: an even load sooner, more clients interrupted at once.",
    ),
    Option(
        name="view_broadcast_interval",
        kind=Kind.DURATION,
        default=0.0,
        unit="s",
        low=0,
        doc="How often the original repeated its view unasked; 0 is never. Heartbeats do this here.",
        in_force=False,
        instead="leave it out: every heartbeat tells the view",
    ),
    Option(
        name="if_check_interval",
        kind=Kind.DURATION,
        default=30.0,
        unit="s",
        low=0,
        high=86_400,
        doc="How often the interfaces are compared with what should be on them, whatever the kernel has told; "
        "0 is never.",
        trade_off="Shorter: what was not told is found sooner, at the price of listing all addresses each time.",
    ),
    Option(
        name="if_down_limit",
        kind=Kind.DURATION,
        default=4.0,
        unit="s",
        low=0,
        high=3600,
        doc="How long to wait before a lost address is put back, from the fourth loss within 60 s on.",
        trade_off="Longer: calmer beside a program that takes addresses off again and again, and a longer outage each "
        "time.",
    ),
    Option(
        name="if_flap_limit",
        kind=Kind.INTEGER,
        default=5,
        low=1,
        high=1000,
        doc="After so many losses within 60 s a VIP may not be owned here for 60 s.",
        trade_off="Lower: an address moves away from a quarrel sooner, and sooner for no good reason.",
    ),
    Option(
        name="arp_all_hosts",
        kind=Kind.BOOLEAN,
        default=True,
        doc="Announce addresses to everybody; false: only to the gateways and the neighbours that this node or another "
        "member knows, and to everybody where nobody is known.",
        trade_off="false: no broadcasts, but a host that nobody has heard of keeps what it remembers.",
    ),
    Option(
        name="announce_refresh",
        kind=Kind.DURATION,
        default=60.0,
        unit="s",
        low=0,
        high=86_400,
        doc="How often an owner announces its addresses again; 0 is never.",
        trade_off="Shorter: switches that forget are reminded sooner, more broadcast packets.",
    ),
    Option(
        name="announce_rate",
        kind=Kind.INTEGER,
        default=10_000,
        unit="packets/s",
        low=10,
        high=1_000_000,
        doc="How fast announcements may leave: two packets for an IPv4 address, one for an IPv6 address, to each that "
        "is told. New addresses go before repetitions.",
        trade_off="Lower: kinder to switches that drop what comes too fast; the last of many addresses is announced "
        "later when they are taken over together.",
    ),
    Option(
        name="on_duplicate",
        kind=Kind.CHOICE,
        default="defend",
        choices=("defend", "yield"),
        doc="When a stranger on the network says that it has a VIP: announce it again, at most every 10 s; or leave it "
        "to the stranger, on all nodes, until that has gone.",
        trade_off="yield ends the quarrel for the clients, and lets whoever can send ARP take a VIP off the cluster.",
    ),
    Option(
        name="probe_before_taking",
        kind=Kind.BOOLEAN,
        default=False,
        doc="Ask the network for an address that no member was known to have, and take it only if nobody answers.",
        trade_off="On: no stranger is disturbed, and such an address comes 0.3 s later.",
    ),
    Option(
        name="ownership",
        kind=Kind.CHOICE,
        default="available",
        choices=("available", "strict"),
        doc="available: every part of a divided network serves its VIPs; strict: only a majority of `members` does, "
        "and two nodes never have one VIP at once.",
        trade_off="strict needs three nodes or a tie_breaker, and takes over a VIP from a node that has gone without a "
        "word only when that must have lost it: `address_lifetime` x 1.6 + 3.1 s later.",
    ),
    Option(
        name="members",
        kind=Kind.TEXTS,
        default=(),
        doc="The names of all nodes; `strict` ownership counts its majority over them. To be changed by `reload`, not "
        "by restarting with another list.",
    ),
    Option(
        name="tie_breaker",
        kind=Kind.TEXT,
        doc="The member whose half wins when a network is divided evenly, with `strict` ownership. Without it nobody "
        "owns anything then.",
    ),
    Option(
        name="address_lifetime",
        kind=Kind.DURATION,
        default=10.0,
        unit="s",
        low=0,
        high=86_400,
        doc="After so long without renewal the kernel drops an address by itself (in whole seconds, up to 2.5 s late); "
        "0 is for ever. With `strict` ownership at least 5 x failure_timeout: a node that hears of no majority for "
        "half of it lets go.",
        trade_off="Shorter: a frozen node lets go sooner; longer: fewer renewals.",
    ),
    Option(
        name="on_isolation",
        kind=Kind.CHOICE,
        default="hold",
        choices=("hold", "release", "hold-if-gateway"),
        doc="What a node does that hears nobody: own all of its table; own nothing; or own what belongs on interfaces "
        "where a default gateway answers it.",
        trade_off="hold: a node whose network is cut answers whoever still reaches it; release: the last node that is "
        "left serves nobody.",
    ),
    Option(
        name="fail_back",
        kind=Kind.CHOICE,
        default="when-mature",
        choices=("when-mature", "never", "manual"),
        doc="When a VIP that is held elsewhere goes back to its preferred node: by itself, once the view is mature; "
        "never; or when an operator says `duravip move ADDRESS auto`.",
        trade_off="never and manual spare clients an interruption, and leave a VIP where the last failure put it.",
    ),
    Option(
        name="weight",
        kind=Kind.NUMBER,
        default=1.0,
        low=0.01,
        high=1000,
        doc="This node's share of the VIPs, beside the other nodes' weights.",
        trade_off="Larger: more VIPs here. Twice the weight, twice the share.",
    ),
    Option(
        name="seal",
        kind=Kind.CHOICE,
        default="enforce",
        choices=("enforce", "receive-only"),
        doc="enforce: only sealed datagrams count; receive-only is for rolling out a first key: plain ones are said "
        "and heard beside the sealed ones, so that nodes with and without the key understand each other.",
        trade_off="receive-only protects nothing: it is for the minutes in which the nodes get their key one by one.",
    ),
    Option(
        name="key_file",
        kind=Kind.TEXT,
        doc="A file with one base64 key a line: the first seals, all open. `duravip keygen` makes one.",
    ),
    Option(
        name="insecure",
        kind=Kind.BOOLEAN,
        default=False,
        doc="Start without a key: anyone on the network can then move addresses.",
    ),
    Option(
        name="state_dir",
        kind=Kind.TEXT,
        default="/var/lib/duravip/NODE",
        doc="Where the daemon keeps its incarnation, drains and lock.",
    ),
    Option(
        name="control",
        kind=Kind.TEXT,
        default="/run/duravip/NODE.sock",
        doc="The control socket; readable by its group, acting for root only.",
    ),
    Option(
        name="transports",
        kind=Kind.TEXTS,
        doc="How to reach the other nodes; several are several paths. Without it: every transport that has a "
        "stanza, else multicast.",
    ),
    Option(name="backend", kind=Kind.TEXT, default=DEFAULT_BACKEND, doc="How addresses are put on interfaces."),
    Option(name="disable_plugins", kind=Kind.TEXTS, default=(), doc="Installed plugins that shall not be loaded."),
)

_ENABLE_DURAVIP = Option(
    name="enable_duravip",
    kind=Kind.BOOLEAN,
    default=False,
    doc="Manage this address. On one service it counts for all services on the address.",
)
_PREFERENCE = Option(
    name="duravip_preference",
    kind=Kind.NODES,
    doc="The name of the node that should own the address; of several, the first that may own it. Never a boolean: "
    "a copied file must not make two nodes prefer it.",
)
_BIND_ADDRESS = Option(
    name="bind_address",
    kind=Kind.TEXT,
    default="*",
    doc="The address that messages leave from: an IP address, or a host name that has exactly one; * is any.",
)
_ENABLE = Option(name="enable", kind=Kind.BOOLEAN, default=True, doc="false: as if the whole stanza were not written.")
_PER_VIP: tuple[Option, ...] = (
    Option(
        name="weight",
        kind=Kind.NUMBER,
        default=1.0,
        low=0.01,
        high=1000,
        doc="How much this VIP counts when load is evened out.",
        trade_off="Larger: fewer others beside it on one node.",
    ),
    Option(
        name="anti_affinity",
        kind=Kind.TEXT,
        doc="VIPs with the same word are kept on different nodes, as far as there are nodes.",
        trade_off="Being apart counts before an even load, and after preferences and pins.",
    ),
    Option(
        name="together",
        kind=Kind.TEXT,
        doc="VIPs with the same word are kept on one node, as long as some node may own all of them.",
        trade_off="A group moves as one, and loads can be less even the larger it is.",
    ),
)

BINDING: tuple[Option, ...] = (_BIND_ADDRESS, _ENABLE_DURAVIP, _PREFERENCE, _ENABLE, *_PER_VIP)
BINDING_GROUP: tuple[Option, ...] = (_BIND_ADDRESS, _ENABLE_DURAVIP, _PREFERENCE, _ENABLE)
LISTENER: tuple[Option, ...] = (_ENABLE,)
LISTEN: tuple[Option, ...] = (
    _ENABLE_DURAVIP,
    _PREFERENCE,
    Option(
        name="duravip_follow",
        kind=Kind.TEXT,
        doc="A Binding's name, or a VIP: this address is always owned by the owner of that one.",
    ),
    _ENABLE,
    *_PER_VIP,
)
TOPOLOGY: tuple[Option, ...] = (
    Option(name="interface", kind=Kind.TEXT, doc="The interface for VIPs of this network."),
    Option(
        name="cidrmask",
        kind=Kind.INTEGER,
        unit="bits",
        low=1,
        high=128,
        doc="The prefix length that VIPs are put on the interface with. Without it: 32, or 128 for IPv6.",
        trade_off="Shorter than the whole address: the VIP brings the route to its subnet along, and takes it away.",
    ),
    Option(
        name="mac",
        kind=Kind.CHOICE,
        default="real",
        choices=("real", "virtual"),
        doc="Whose hardware address a VIP answers with: the interface's, or one that moves with the VIP. virtual needs "
        "an interface, the whole address as cidrmask, and the backend netlink.",
        trade_off="virtual: clients relearn nothing and switches only a port; each VIP is an interface of its own (a "
        "macvlan), which is for tens of VIPs, not thousands.",
    ),
)
GLOBAL: tuple[Option, ...] = (
    _BIND_ADDRESS,
    Option(
        name="use_iflist_cache",
        kind=Kind.BOOLEAN,
        default=False,
        doc="The original's cache of the interface list. The kernel tells of changes here, so it is idle.",
    ),
)
_BY_SYSTEMD = "the systemd unit drops privileges: contrib/systemd/duravip.service"
SECURITY: tuple[Option, ...] = (
    Option(name="user", kind=Kind.TEXT, doc="The user to run as.", in_force=False, instead=_BY_SYSTEMD),
    Option(name="group", kind=Kind.TEXT, doc="The group to run as.", in_force=False, instead=_BY_SYSTEMD),
    Option(
        name="capabilities",
        kind=Kind.TEXTS,
        doc="The privileges to keep, written as cap_net_admin+ep.",
        in_force=False,
        instead=_BY_SYSTEMD,
    ),
)

SCOPES: dict[str, tuple[Option, ...]] = {
    "cluster": CLUSTER,
    "binding": BINDING,
    "binding_group": BINDING_GROUP,
    "global": GLOBAL,
    "listen": LISTEN,
    "listener": LISTENER,
    "security": SECURITY,
    "topology": TOPOLOGY,
}
"""Scope -> its options, for the reference page."""

STANZAS = ("binding", "binding_group", "cluster", "listener", "security", "topology")
"""Top-level stanzas of ours; `listener` is TOML's word for what Momentum calls `<kind>_Listener`."""


def of_cluster(name: str) -> Option:
    """Raises KeyError."""
    return {option.name: option for option in CLUSTER}[name]
