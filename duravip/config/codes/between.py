"""DV5xx: between the configurations of several nodes."""

from __future__ import annotations

from duravip.config.codes.code import error, info, warning

_VIP = "Binding mail { bind_address = 10.1.1.51  enable_duravip = true }\n"


def _two(first: str, second: str) -> str:
    return f"--- node1.conf\n{first}--- node2.conf\n{second}"


CODES = (
    warning(
        "DV501",
        "CONFLICT: two nodes are each named as preferred owner of one VIP.",
        why="Both cannot have it. While both are online the preferences are ignored and the ordinary election decides.",
        mend="Name one node in all files.",
        example=_two(
            _VIP.replace("}", " duravip_preference = node1 }"), _VIP.replace("}", " duravip_preference = node2 }")
        ),
    ),
    warning(
        "DV502",
        "UNSAFE: nodes run different services on one VIP, or disagree whom it follows.",
        why="Whoever connects gets an answer or none, depending on which node owns the address. It is managed all the "
        "same.",
        mend="Give the address the same listeners and Bindings on every node.",
        example=_two(_VIP + 'ESMTP_Listener { Listen "10.1.1.51:25" { } }\n', _VIP),
    ),
    warning(
        "DV503",
        "BROKEN: Binding names do not match the address on all nodes; nobody will own it.",
        why="Messages are assigned to Binding names. If a name means another address elsewhere, mail leaves from the "
        "wrong one, so the cluster refuses to manage it.",
        mend="Give the address the same Binding names in all files, and each name the same address.",
        example=_two(_VIP, _VIP.replace("mail", "post")),
    ),
    warning(
        "DV510",
        "A setting that must be the same on all nodes differs.",
        why="The coordinator's is in force, and who that is changes: so does the cluster's behaviour.",
        mend="Write the same value in all files.",
        example=_two("cluster { view_mature_time = 5 }\n", "cluster { view_mature_time = 9 }\n"),
    ),
    info(
        "DV511",
        "The nodes do not manage the same set of VIPs.",
        why="It is allowed; the founding document calls the behaviour of such clusters hard to understand, and "
        "recommends identical sets.",
        mend="Add the VIPs that are missing, unless it is meant so.",
        example=_two(_VIP, "Binding other { bind_address = 10.1.1.52  enable_duravip = true }\n"),
    ),
    warning(
        "DV512",
        "An address is a VIP on one node and an ordinary address on another.",
        why="Enabling is local to one configuration. The other node never owns the address, and never takes it off "
        "either: if it has it, two machines answer.",
        mend="Write `enable_duravip = true` there too, or take the address out there.",
        example=_two(_VIP, "Binding mail { bind_address = 10.1.1.51 }\n"),
    ),
    warning(
        "DV513",
        "Nodes give one VIP different prefix lengths.",
        why="With the address, the route to its subnet comes and goes on one node and not on another.",
        mend="Give its Topology the same cidrmask everywhere.",
        example=_two(
            'Topology "10.1.1.0/24" { interface = eth0  cidrmask = 24 }\n' + _VIP,
            'Topology "10.1.1.0/24" { interface = eth0 }\n' + _VIP,
        ),
    ),
    error(
        "DV514",
        "Two files are for the same node.",
        why="Two nodes of one name shut each other out, and only one of the files could be compared.",
        mend="Give each its own nodename, or name the nodes: `duravip check node1=a.conf node2=b.conf`.",
        example=_two("cluster { nodename = mail }\n", "cluster { nodename = mail }\n"),
    ),
    warning(
        "DV515",
        "Nodes are in different cluster groups and will ignore each other.",
        why="Each would own all addresses, at the same time as the other.",
        mend="Give both the same cluster_group.",
        example=_two("cluster { cluster_group = a }\n", "cluster { cluster_group = b }\n"),
    ),
    error(
        "DV516",
        "One node's own address is a VIP on another node.",
        why="The VIP's owner would answer for that node.",
        mend="A VIP is an address that no node has by itself: take another one.",
        example=_two(_VIP, "cluster { nodeaddr = 10.1.1.51 }\n"),
    ),
    warning(
        "DV517",
        "A preference names a node that is none of those given.",
        why="Such a preference is never honoured: names are compared whole, with case and domain.",
        mend="Correct the name; or give `check` the files of all nodes.",
        example=_two(_VIP.replace("}", " duravip_preference = Node2 }"), _VIP),
    ),
    warning(
        "DV518",
        "Two nodes' names differ only in case or domain.",
        why="Names are compared whole, so they are two nodes; but people, and configurations that were written with "
        "the other name in mind, take them for one.",
        mend="If it is one node, give it one nodename everywhere. If there are two, give them names that can be told "
        "apart.",
        example=_two("cluster { nodename = mail }\n", "cluster { nodename = mail.example.com }\n"),
    ),
)
