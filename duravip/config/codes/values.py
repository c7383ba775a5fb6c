"""DV3xx: one value, by itself."""

from __future__ import annotations

from duravip.config.codes.code import error, warning

CODES = (
    error(
        "DV301",
        "A value is of the wrong kind.",
        why="A number that is none, or a list where one word belongs, would have to be guessed at.",
        mend="`duravip check --explain OPTION` says what the option takes.",
        example="cluster { view_mature_time = soon }\n",
    ),
    error(
        "DV302",
        "A number is out of its range.",
        why="Outside its range the option would make the cluster useless or dangerous: a heartbeat once a day finds no "
        "failure.",
        mend="Take a value in the range that the hint names; `duravip check --explain OPTION` says what going up or "
        "down costs.",
        example="cluster { if_flap_limit = 0 }\n",
    ),
    error(
        "DV303",
        "A value is none of the choices.",
        why="The default in its place might be the opposite of what was meant.",
        mend="Take one of the choices that the hint names.",
        example="cluster { profile = slow }\n",
    ),
    error(
        "DV304",
        "A value is not an IP address.",
        why="Only addresses can be put on interfaces.",
        mend="Write the address alone, without port and prefix length.",
        example="Binding mail { bind_address = 10.1.1.51/24 }\n",
    ),
    error(
        "DV305",
        "A host name does not resolve to exactly one address.",
        why="Nodes that get different answers would manage different addresses under one Binding name: BROKEN.",
        mend="Write the address instead of the name, or mend the name in DNS or /etc/hosts on every node.",
        example="Binding mail { bind_address = mail.nowhere.invalid  enable_duravip = true }\n",
    ),
    error(
        "DV306",
        "A preference is a boolean word; it must be the name of a node.",
        why="`true` would mean 'this node', so a file that is copied to a second machine would make both prefer the "
        "address: the founding document made preferences names for that reason.",
        mend="Name the one node that should own the address.",
        example="Binding mail { bind_address = 10.1.1.51  enable_duravip = true  duravip_preference = true }\n",
    ),
    error(
        "DV307",
        "A Listen is not of the form address:port.",
        why="Without the address it is not known which VIP the service is on.",
        mend='Write `"192.0.2.1:25"`, `"[2001:db8::1]:25"`, `"*:25"`, or the path of a UNIX socket.',
        example='ESMTP_Listener { Listen "10.1.1.51" { } }\n',
    ),
    error(
        "DV308",
        "A name is empty or holds a character that names may not hold.",
        why="Names are parts of messages, of console lines (`node:service`) and of file names.",
        mend="A Binding's name has no space and no colon; a node's has no white space and no slash.",
        example='Binding "out:1" { bind_address = 10.1.1.51 }\n',
    ),
    error(
        "DV309",
        "A Topology is not named by a network block.",
        why="The name says which VIPs the Topology is for.",
        mend='Write `Topology "192.0.2.0/24"` or `Topology "2001:db8::/64"`.',
        example="Topology office { interface = eth0 }\n",
    ),
    warning(
        "DV310",
        "A capability is not written as libcap writes them.",
        why="What is asked for would be silently not asked for.",
        mend="Write `cap_net_admin+ep`: one capability, a plus sign, and the sets.",
        example="Security { capabilities = ( net_admin ) }\n",
    ),
    warning(
        "DV311",
        "A value ends with a comma or semicolon that nothing separates.",
        why="Momentum's language has no separators, so the sign is part of the value: `node1;` is not `node1`.",
        mend="Leave the sign out; or, if it really belongs to the value, put the value in quotes.",
        example="Binding mail { bind_address = 10.1.1.51  enable_duravip = true  duravip_preference = node1; }\n",
    ),
)
