"""DV4xx: rules within one node's configuration."""

from __future__ import annotations

from duravip.config.codes.code import error, info, warning

_VIP = "Binding mail { bind_address = 10.1.1.51  enable_duravip = true }\n"

CODES = (
    warning(
        "DV401",
        "An option is not known and has no effect.",
        why="Somebody counts on what it says.",
        mend="Take it out, or look it up in [the options](options.md). In TOML the same is an error (DV402).",
        example="cluster { colour = blue }\n",
    ),
    error(
        "DV402",
        "An option is not known; it looks misspelt, or the language allows known ones only.",
        why="A misspelt option is silently at its default, which may be the opposite.",
        mend="Write it as the hint says.",
        example="cluster { view_mature_tiem = 10 }\n",
    ),
    warning(
        "DV403",
        "A stanza is not known and looks misspelt.",
        why="Momentum has hundreds of stanzas that are none of our business, so an unknown one is normal; but a "
        "misspelt `webhook` would switch alerting off unnoticed.",
        mend="Write it as the hint says. If it really is called so, nothing need be done.",
        example='webhok "pager" { url = "https://alerts.example.com" }\n',
    ),
    info(
        "DV404",
        "An option is read and has no effect in this version.",
        why="It may be written, for the sake of configurations that are there already; nobody should count on it.",
        mend="The hint says what to write in place of it, where there is something.",
        example="cluster { heartbeat_start_delay = 15 }\n",
    ),
    error(
        "DV407",
        "An option is given twice with different values.",
        why="Repeated stanzas count as one, and which value was meant cannot be told.",
        mend="Keep one of them.",
        example="cluster { nodename = node1 }\ncluster { nodename = node2 }\n",
    ),
    error(
        "DV408",
        "An option stands in a scope where it would have no effect.",
        why="Somebody believes that addresses are managed, and they are not.",
        mend="Put it where the hint says.",
        example='ESMTP_Listener {\n  enable_duravip = true\n  Listen "10.1.1.51:25" { }\n}\n',
    ),
    warning(
        "DV409",
        "A stanza belongs to no installed plugin.",
        why="In TOML there are no foreign stanzas: it was meant for us, and does nothing.",
        mend="Install the plugin (`duravip plugins` lists what is there), or take the table out.",
        example='--- node1.toml\n[carrier_pigeon]\nname = "Paul"\n',
    ),
    warning(
        "DV410",
        "No Topology names the interface for a VIP.",
        why="The daemon then takes the interface whose connected subnet contains the address; if there is none it "
        "refuses to start.",
        mend='Write a Topology: `cluster { Topology "10.1.1.0/24" { interface = "eth0" } }`.',
        example=_VIP,
    ),
    error(
        "DV411",
        "Two Topologies describe the same network.",
        why="The longest prefix decides, and here two are equally long.",
        mend="Keep one of them. A network and a part of it are fine.",
        example='Topology "10.1.1.0/24" { interface = eth0 }\nTopology "10.1.1.7/24" { interface = eth1 }\n',
    ),
    error(
        "DV412",
        "One address is given two different preferences.",
        why="An address has one owner: of two names one would silently count for nothing.",
        mend="Keep one of them.",
        example="Binding a { bind_address = 10.1.1.51  enable_duravip = true  duravip_preference = node1 }\n"
        "Binding b { bind_address = 10.1.1.51  duravip_preference = node2 }\n",
    ),
    error(
        "DV413",
        "One address is told to follow two different things.",
        why="It can only be in one place.",
        mend="Keep one of them.",
        example="Binding a { bind_address = 10.1.1.51  enable_duravip = true }\n"
        "Binding b { bind_address = 10.1.1.52  enable_duravip = true }\n"
        'ESMTP_Listener { Listen "10.1.1.60:25" { duravip_follow = a } }\n'
        'HTTP_Listener { Listen "10.1.1.60:80" { duravip_follow = b } }\n',
    ),
    error(
        "DV414",
        "An address both follows another and is enabled itself.",
        why="What follows goes where the other goes; what is enabled is elected by itself.",
        mend="Leave enable_duravip out: what follows is managed too.",
        example=_VIP + 'ESMTP_Listener { Listen "10.1.1.60:25" { duravip_follow = mail  enable_duravip = true } }\n',
    ),
    error(
        "DV415",
        "Addresses follow each other in a loop.",
        why="None of them would ever be elected, so nobody would own any.",
        mend="Enable one of them instead of letting it follow.",
        example='ESMTP_Listener {\n  Listen "10.1.1.60:25" { duravip_follow = 10.1.1.61 }\n'
        '  Listen "10.1.1.61:25" { duravip_follow = 10.1.1.60 }\n}\n',
    ),
    error(
        "DV416",
        "What an address follows does not exist, or is no VIP.",
        why="There is no owner to follow.",
        mend="Name a Binding with an address, or a VIP; enable it if it is not one yet.",
        example=_VIP + 'ESMTP_Listener { Listen "10.1.1.60:25" { duravip_follow = mial } }\n',
    ),
    error(
        "DV417",
        "An address follows itself.",
        why="There is no owner to follow.",
        mend="Let it follow another address, or enable it.",
        example=_VIP.replace("enable_duravip = true", "")
        + 'ESMTP_Listener { Listen "10.1.1.51:25" { duravip_follow = mail } }\n',
    ),
    error(
        "DV418",
        "Only a Listen may follow.",
        why="A Binding says which address mail leaves from, and its name must mean the same address on all nodes; "
        "listeners come after.",
        mend="Let the listener follow the Binding.",
        example="Binding mail { bind_address = 10.1.1.51  duravip_follow = 10.1.1.60 }\n",
    ),
    error(
        "DV419",
        "A Listen that follows also has a preference of its own.",
        why="It goes where the other goes, so its preference could never be honoured.",
        mend="Give the preference to what it follows.",
        example=_VIP
        + 'ESMTP_Listener { Listen "10.1.1.60:25" { duravip_follow = mail  duravip_preference = node2 } }\n',
    ),
    warning(
        "DV420",
        "Neither key_file nor insecure is set; the daemon will refuse to start.",
        why="Without a key anyone on the network could join and take addresses away.",
        mend="`duravip keygen /etc/duravip/cluster.key` makes one: copy it to all nodes and name it in key_file.",
        example="cluster { nodename = node1 }\n",
    ),
    error(
        "DV421",
        "The failure timeout is too short for the heartbeat interval.",
        why="Below 2.5 intervals one lost datagram looks like a death, and addresses move for nothing.",
        mend="Make failure_timeout longer or heartbeat_interval shorter; without failure_timeout it is long enough.",
        example="cluster { heartbeat_interval = 1  failure_timeout = 2 }\n",
    ),
    error(
        "DV422",
        "Something is enabled that has no single IP address.",
        why="Only an address can move between nodes; a wildcard is every address of a machine.",
        mend="Give it an address, or take enable_duravip out.",
        example='ESMTP_Listener { Listen "*:25" { enable_duravip = true } }\n',
    ),
    error(
        "DV423",
        "A VIP is a node's own address.",
        why="The daemon takes every VIP off at its start: the node would cut itself off. And when the address moved, "
        "the node could not be reached any more.",
        mend="A VIP is an address that no node has by itself: take another one.",
        example="cluster { nodeaddr = 10.1.1.51 }\n" + _VIP,
    ),
    error(
        "DV425",
        "A stanza needs a name and has none.",
        why="Binding names, networks and addresses are what such stanzas are about.",
        mend='Write the name between the keyword and the bracket: `Binding "mail" { ... }`.',
        example="Binding { bind_address = 10.1.1.51 }\n",
    ),
    error(
        "DV426",
        "A plugin is named that is not installed, could not be loaded, is disabled, or is of another kind.",
        why="What the configuration relies on would not be there.",
        mend="`duravip plugins` lists what is installed, and what is wrong with it.",
        example="cluster { transports = ( carrier_pigeon ) }\n",
    ),
    error(
        "DV427",
        "An option is missing, or empty, without which a plugin cannot be used.",
        why="There is no default that could be right.",
        mend="Write the option; the hint says what it is.",
        example='webhook "pager" { events = ( "conflict.*" ) }\n',
    ),
    error(
        "DV429",
        "One Binding stands in two groups.",
        why="Each group is its fallback, and which one counts cannot be told.",
        mend="Keep it in one of them.",
        example='binding_group "a" { Binding mail { } }\nbinding_group "b" { Binding mail { } }\n',
    ),
    error(
        "DV430",
        "An address of this kind can never be a VIP.",
        why="Loopback, multicast and broadcast addresses cannot move between machines.",
        mend="Take an address of the subnet that the nodes share.",
        example="Binding mail { bind_address = 127.0.0.1  enable_duravip = true }\n",
    ),
    warning(
        "DV431",
        "A preference is given for an address that is not enabled.",
        why="Nothing manages the address, so nothing can honour the preference.",
        mend="Write `enable_duravip = true` beside it, or take the preference out.",
        example="Binding mail { bind_address = 10.1.1.51  duravip_preference = node1 }\n",
    ),
    error(
        "DV433",
        "heartbeat_interval and heartbeats_per_sec contradict each other.",
        why="They are two words for one thing.",
        mend="Keep one of them.",
        example="cluster { heartbeat_interval = 0.1  heartbeats_per_sec = 1 }\n",
    ),
    warning(
        "DV434",
        "Both key_file and insecure are set; the key is used.",
        why="One of them is a left-over; the safe one counts.",
        mend="Leave insecure out.",
        example="cluster { key_file = /etc/duravip/cluster.key  insecure = true }\n",
    ),
    error(
        "DV435",
        "One address is given two different weights.",
        why="An address counts once when load is evened out.",
        mend="Keep one of them.",
        example="Binding a { bind_address = 10.1.1.51  enable_duravip = true  weight = 1 }\n"
        "Binding b { bind_address = 10.1.1.51  weight = 2 }\n",
    ),
    error(
        "DV436",
        "Virtual hardware addresses are asked for where they cannot be.",
        why="Each such VIP is an interface of its own (a macvlan) on the one that is named, with the whole address.",
        mend="Name the interface and leave cidrmask out, or write `mac = real`.",
        example='Topology "10.1.1.0/24" { mac = virtual }\n',
    ),
    warning(
        "DV437",
        "An option is written under a name that it had in an earlier version.",
        why="It still counts; a later version may not know it any more.",
        mend="Write the name that the hint gives.",
    ),
    error(
        "DV438",
        "One address is given two different groups.",
        why="It can be kept on one node with the others of one group only, or apart from them.",
        mend="Keep one of them.",
        example="Binding a { bind_address = 10.1.1.51  enable_duravip = true  together = x }\n"
        "Binding b { bind_address = 10.1.1.51  together = y }\n",
    ),
    error(
        "DV441",
        "Strict ownership is asked for without saying who the members are.",
        why="A majority is counted over a list, and all nodes must count over the same.",
        mend="Write members with the names of all nodes, the same in every file.",
        example="cluster { nodename = a  ownership = strict }\n",
    ),
    error(
        "DV442",
        "The tie-breaker is none of the members.",
        why="It decides which half of them wins.",
        mend="Name one of the members.",
        example="cluster { nodename = a  ownership = strict  members = ( a b )  tie_breaker = c }\n",
    ),
    warning(
        "DV443",
        "This node is none of the members: it owns nothing, and has no voice.",
        why="A node that is to be added starts like that; otherwise a name is misspelt.",
        mend="Put it into the list of every node, then `duravip reload --cluster`.",
        example="cluster { nodename = d  ownership = strict  members = ( a b c ) }\n",
    ),
    warning(
        "DV444",
        "An even number of members without a tie-breaker: when they are divided evenly, nobody owns anything.",
        why="Half of them is no majority.",
        mend="Name a tie_breaker, or have an odd number of members.",
        example="cluster { nodename = a  ownership = strict  members = ( a b ) }\n",
    ),
    warning(
        "DV439",
        "No transport uses the interface that a VIP goes on.",
        why="When only the VIPs' network fails (a switch, a VLAN), nodes still hear each other over the other one, so "
        "nobody takes over. A cable that is pulled is noticed all the same.",
        mend="Let a transport send on that interface too: several stanzas of one transport, or several transports, are "
        "several paths, and a node is alive as long as one of them works.",
        example='multicast { interface = eth0 }\nTopology "10.1.1.0/24" { interface = eth1 }\n' + _VIP,
    ),
    warning(
        "DV440",
        "A stanza that enables DuraVIP stands where it is not read.",
        why="Bindings are read at the top and in binding groups, Listens in listeners. Anywhere else they are another "
        "module's, or in the wrong place by a brace too few: somebody believes that an address is managed.",
        mend="Put it where it is read, or take enable_duravip out.",
        example='syslog "ops" {\n  Binding "mail" { Bind_Address = 10.1.1.51 Enable_Duravip = true }\n}\n',
    ),
    warning(
        "DV445",
        "seal = receive-only is for rolling out a first key, and protects nothing.",
        why="Datagrams without a seal count too, so that nodes with and without the key understand each other.",
        mend="Write `seal = enforce`, or leave seal out, as soon as every node has the key.",
        example="cluster { key_file = /etc/duravip/cluster.key  seal = receive-only }\n",
    ),
    error(
        "DV446",
        "The lifetime of addresses is too short for strict ownership, or endless.",
        why="What a node has ends by itself when no majority hears it for half of that time; that must not happen for "
        "want of patience, and it must happen.",
        mend="Make address_lifetime at least five failure_timeouts.",
        example="cluster { nodename = a  ownership = strict  members = ( a b c )  address_lifetime = 0 }\n",
    ),
    error(
        "DV447",
        "There are more VIPs than a node can have, or they have more services and Bindings.",
        why="What members tell each other is bounded, so that none can keep the others busy; none would accept this "
        "node's table.",
        mend="Divide them among several clusters, each with a `cluster_group` of its own.",
    ),
)
