"""A document becomes a node's configuration: its table, its own settings, and everything that is wrong with
it.

Theory of operation: each scope is read by its options (`scope`), services are gathered (`services`) and
turned into VIPs (`vips`). Nothing stops at a mistake; what was wrong is left out or at its default, so that
later rules still find theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from duravip.config import original, schema
from duravip.config.cluster_settings import key, node_name, rhythm, shared_settings, strict_rules
from duravip.config.diagnostics import Findings, Severity, shown
from duravip.config.document import Document, Stanza
from duravip.config.endpoints import Resolve
from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.config.plugin_stanzas import PluginOptions, choose_plugins
from duravip.config.reach import report_reach
from duravip.config.scope import Reader, Scope
from duravip.config.services import read_services
from duravip.config.stanza_names import report_odd_stanzas, report_vain_stanzas
from duravip.config.topology import Topologies
from duravip.config.vips import make_vips
from duravip.model import MAX_ENTRY_BYTES, MAX_TABLE_BYTES, MAX_USES, MAX_VIPS, NodeName, Table, VipEntry, make_table

_CAPABILITY = re.compile(r"(?:(?:cap_[a-z_]+(?:,cap_[a-z_]+)*|all)?(?:[=+-][eip]*)+)", re.IGNORECASE)


def build(
    document: Document,
    *,
    plugin_options: PluginOptions,
    plugin_kinds: Mapping[str, str],
    name: str | None,
    environ: Mapping[str, str],
    host_name: str,
    resolve: Resolve,
    failed_plugins: Mapping[str, str] | None = None,
) -> NodeConfig:
    """Arguments as `load.load_file` has them. Raises nothing for whatever stands in the document."""
    findings = Findings()
    findings.extend(document.diagnostics)
    reader = Reader(document, findings)
    root = document.root
    clusters = list(reader.stanzas(root, "cluster"))
    cluster = reader.scope("cluster", clusters, schema.CLUSTER, ignored=original.IN_CLUSTER)
    report_odd_stanzas(document, reader, {*plugin_options, *(failed_plugins or {}), *cluster.get("disable_plugins")})
    security = reader.scope(
        "Security",
        reader.stanzas(root, "security"),
        schema.SECURITY,
        ignored=original.IN_SECURITY,
        others_are_normal=True,
    )
    _question_capabilities(security, findings)
    global_scope = reader.scope("the global scope", [root], schema.GLOBAL, others_are_normal=True)
    topologies = Topologies(
        reader,
        [
            *(stanza for one in clusters for stanza in reader.stanzas(one, "topology")),
            *reader.stanzas(root, "topology"),
        ],
    )
    services = read_services(reader, root, global_scope, resolve)
    vips, mentioned = make_vips(services, topologies, findings)
    node = node_name(cluster, given=name, environ=environ, host_name=host_name, findings=findings)
    _refuse_own_address(cluster, vips, findings)
    local = _local(reader, root, cluster, node, document.file, plugin_options, plugin_kinds, failed_plugins or {})
    local = replace(local, macs=topologies.macs())
    report_reach(vips, local, findings)
    if not any(found.severity is Severity.ERROR for found in document.diagnostics):
        report_vain_stanzas(reader, plugin_options.keys())
    settings = shared_settings(cluster)
    strict_rules(cluster, node, settings, failure_timeout=local.failure_timeout, findings=findings)
    table = make_table(vips, settings)
    _refuse_too_much(table, findings)
    return NodeConfig(
        name=node,
        file=document.file,
        table=table,
        local=local,
        mentioned=tuple(mentioned),
        diagnostics=findings.in_text_order(document.file),
        written={option: value.origin for option, value in cluster.written.items()},
    )


def _refuse_too_much(table: Table, findings: Findings) -> None:
    """What no other member would accept."""
    vips, size = table.vips, table.size()
    if len(vips) > MAX_VIPS:
        what, place = f"{len(vips)} VIPs: a node can have {MAX_VIPS} at the most", vips[MAX_VIPS].origin
    elif size > MAX_TABLE_BYTES:
        what, place = f"{len(vips)} VIPs with {size} bytes of names: {MAX_TABLE_BYTES} are the most", vips[-1].origin
    elif sum(vip.uses() for vip in vips) > MAX_USES:
        what = f"more than {MAX_USES} services, Bindings and preferences: no node can have more"
        place = vips[-1].origin
    else:
        sizes = {vip.address: len(msgspec.msgpack.encode(vip)) for vip in vips} if size > MAX_ENTRY_BYTES else {}
        large = next((vip for vip in vips if sizes.get(vip.address, 0) > MAX_ENTRY_BYTES), None)
        if large is None:
            return
        what, place = f"{large.address} has more services and Bindings than members accept", large.origin
    findings.error("DV447", what, place, "give some to another cluster_group")


def _local(
    reader: Reader,
    root: Stanza,
    cluster: Scope,
    node: NodeName,
    file: str,
    plugin_options: PluginOptions,
    plugin_kinds: Mapping[str, str],
    failed_plugins: Mapping[str, str],
) -> LocalSettings:
    beat = rhythm(cluster, reader.findings)
    key_file, insecure = key(cluster, reader.findings, file=file)
    plugins = choose_plugins(reader, root, cluster, plugin_options, plugin_kinds, failed_plugins)
    return LocalSettings(
        cluster_group=cluster.get("cluster_group"),
        nodeaddr=cluster.get("nodeaddr"),
        heartbeat_interval=beat.heartbeat_interval,
        failure_timeout=beat.failure_timeout,
        weight=cluster.get("weight"),
        on_isolation=cluster.get("on_isolation"),
        key_file=key_file,
        insecure=insecure,
        seal=cluster.get("seal"),
        transports=plugins.transports,
        backend=plugins.backend,
        notifiers=plugins.notifiers,
        control=_path(cluster, "control", node),
        state_dir=_path(cluster, "state_dir", node),
        arp_all_hosts=cluster.get("arp_all_hosts"),
        announce_refresh=cluster.get("announce_refresh"),
        announce_rate=cluster.get("announce_rate"),
        on_duplicate=cluster.get("on_duplicate"),
        probe_before_taking=cluster.get("probe_before_taking"),
        if_check_interval=cluster.get("if_check_interval"),
        if_down_limit=cluster.get("if_down_limit"),
        if_flap_limit=cluster.get("if_flap_limit"),
        disable_plugins=cluster.get("disable_plugins"),
    )


def _path(cluster: Scope, option: str, node: NodeName) -> str:
    """As written, else the default with the node's name in it."""
    written = cluster.written.get(option)
    if written is not None and written.content:
        return str(written.content)
    return str(cluster.options[option].default).replace("NODE", node)


def _question_capabilities(security: Scope, findings: Findings) -> None:
    """They are written as libcap has them, one text for all or one for each."""
    for text in security.get("capabilities") or ():
        for word in text.split():
            if not _CAPABILITY.fullmatch(word):
                findings.warning(
                    "DV310",
                    f"{shown(word)} is no capability",
                    security.where("capabilities"),
                    'write "cap_net_admin+ep cap_net_raw+ep"',
                )


def _refuse_own_address(cluster: Scope, vips: list[VipEntry], findings: Findings) -> None:
    own = cluster.get("nodeaddr")
    for vip in vips:
        if vip.address == own:
            findings.error(
                "DV423",
                f"{own} is this node's own address (nodeaddr) and cannot be a VIP",
                vip.origin,
                "a VIP is an address that no node has by itself",
            )
