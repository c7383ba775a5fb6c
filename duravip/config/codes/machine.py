"""DV6xx: this machine (`check --against-host`), and the cluster that runs now (`check --against-cluster`)."""

from __future__ import annotations

from duravip.config.codes.code import error, info, warning

CODES = (
    error(
        "DV601",
        "This machine does not have an interface that the configuration names.",
        why="The daemon would own nothing there, or not reach the other nodes.",
        mend="The hint lists the interfaces that there are.",
    ),
    warning(
        "DV602",
        "The interface that VIPs go on is down.",
        why="A node may not own what it could not serve, so it would own none of them.",
        mend="Set it up, and look at its cable.",
    ),
    error(
        "DV603",
        "A VIP is an address of this machine's own already.",
        why="Duravip takes off only what it has put on itself: this machine would answer for the address even while "
        "another node owns it.",
        mend="Take it off, and out of the system's own network configuration.",
    ),
    error(
        "DV604",
        "No process on this machine can have a capability that the daemon needs.",
        why="CAP_NET_ADMIN puts addresses on interfaces, CAP_NET_RAW announces them.",
        mend="In a container: `--cap-add NET_ADMIN --cap-add NET_RAW`.",
    ),
    warning(
        "DV605",
        "A setting of the kernel works against moving addresses.",
        why="promote_secondaries = 0: taking one address off may take its siblings off. arp_ignore = 8: nobody gets an "
        "answer. arp_ignore = 0 with two interfaces in one network: the wrong one answers.",
        mend="Set it with sysctl as the hint says, and in /etc/sysctl.d for the next boot.",
    ),
    info(
        "DV606",
        "A listener's address can be bound only while this node owns it.",
        why="A server that is started before, or on a node that does not own it, fails to bind.",
        mend="Set ip_nonlocal_bind, or let the server listen on every address.",
    ),
    info(
        "DV607",
        "The addresses of this machine were not compared.",
        why="The backend would not list them, mostly because that needs privileges.",
        mend="Run it as root; it only looks.",
    ),
    warning(
        "DV608",
        "A network manager runs here and has no drop-in for duravip.",
        why="NetworkManager and systemd-networkd take addresses off that they did not put on, and reconfigure an "
        "interface when its link comes back. The daemon puts them back, after an outage.",
        mend="`contrib/networkmanager` and `contrib/networkd` have what they need; "
        "[how to live with them](../how-to/watching.md).",
    ),
    warning(
        "DV609",
        "Nobody could be asked by a node that hears nobody.",
        why="With `on_isolation = hold-if-gateway` such a node owns what belongs on interfaces where a default gateway "
        "answers, and one without a default gateway has nobody to answer.",
        mend="Add a default route through that interface, or choose another policy: [which](../how-to/isolation.md).",
    ),
    warning(
        "DV610",
        "With this file, an address would become CONFLICT, UNSAFE or BROKEN.",
        why="The other members run with tables that do not agree with it. BROKEN means that nobody will own the "
        "address.",
        mend="Edit the files of all nodes and change them at once: `duravip reload --cluster`.",
    ),
    info(
        "DV611",
        "An address has a flag now, and would have it no longer.",
        why="That is probably what the change is for.",
        mend="Nothing need be done.",
    ),
    warning(
        "DV612",
        "A setting that must be the same on all nodes would differ from what other members run with.",
        why="The coordinator's is in force, and who that is changes: so does the cluster's behaviour.",
        mend="Change it on all nodes.",
    ),
    info(
        "DV613",
        "The node of this file is no member of the view now.",
        why="It may be off, or new; or its name is spelt differently.",
        mend="Names are compared whole: `duravip members` shows those that there are.",
    ),
)
