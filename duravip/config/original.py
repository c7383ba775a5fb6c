"""Names of the original's own options in scopes that are ours too: normal there, and nothing to us.

The names only, from the table of options in Momentum's public manual; all in small letters.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


IN_CLUSTER = _names("""
    cluster_listener debug_level enable enabled log_active_interval log_group log_idle_interval logs mbus_daemon
    replicate subcluster tcp_buffer_size unconditional_rebind
""")

IN_SECURITY = _names("chroot privileges supplemental_groups")  # Privileges: Solaris

IN_BINDING = _names("""
    adaptive_adjustment_interval adaptive_alert_email_destination adaptive_alert_email_sender
    adaptive_attempt_threshold adaptive_body_timeout adaptive_default_suspension adaptive_ehlo_timeout adaptive_enabled
    adaptive_fbl_volume_threshold adaptive_idle_timeout adaptive_mailfrom_timeout
    adaptive_max_deliveries_per_connection adaptive_max_outbound_connections adaptive_max_recipients_per_batch
    adaptive_max_recipients_per_connection adaptive_max_resident_active_queue adaptive_max_retries
    adaptive_max_retry_interval adaptive_notification_events adaptive_notification_interval
    adaptive_outbound_throttle_messages adaptive_positive_adjustment_interval adaptive_rcptto_timeout
    adaptive_rejection_rate_suspension_percentage adaptive_retry_fuzz adaptive_retry_interval adaptive_rset_timeout
    adaptive_scope adaptive_sweep_rule_enabled apn_expiry blackhole body_timeout bounces_inline_original
    cluster_max_outbound_connections cluster_outbound_throttle_connections cluster_outbound_throttle_messages
    cluster_scope_max_outbound_connections cluster_server_max_outbound_connections connect_timeout
    connect_timeout_to_delay connection_allocation_aggressiveness delay_dsn_max_retry_interval delay_dsn_retry_interval
    delayed_binding_domain_fuzz delivery_method delivery_response_timeout domainkeys drop_body_after_trans_fail
    ecstream_port ecstream_timeout ehlo_hostname ehlo_timeout enable_dane enable_fbl_header_insertion enable_mta_sts
    exclude_vctx_conn exclude_vctx_mess fully_resolve_before_smtp gateway gcm_application_id gcm_authorization_token_id
    gcm_delay_while_idle gcm_dry_run gcm_ttl generate_bounces generate_delay_dsn http_basic_auth http_host http_method
    http_uri http_version idle_timeout lmtp_port mailerdaemon mailfrom_timeout max_deliveries_per_connection
    max_outbound_connections max_recipients_per_batch max_recipients_per_connection max_resident_active_queue
    max_resident_messages max_retries max_retry_interval mdn_failures_notify message_expiration
    never_attempt_expired_messages never_retry opendkim_sign outbound_throttle_connections outbound_throttle_messages
    rcptto_timeout remote_smtp_port response_transcode_pattern response_transcode_replace retry_interval rset_timeout
    scope_max_outbound_connections send_8bitmime server_max_outbound_connections suspend_delivery tls tls_ca
    tls_certificate tls_ciphers tls_ifavailable_fallback tls_key tls_protocols tls_verify tlsv13_ciphersuites
    transform_8bitmime_content xclient
""")

IN_LISTEN = _names("""
    accept_queue_backlog allow_ip_literal allow_null_envelope_sender allow_trailing_whitespace_in_commands always_allow
    always_deny authcrammd5parameters authdigestmd5parameters authloginparameters authorizationparameters
    authorizedparameters authplainparameters banner_hostname click_tracking_enabled click_tracking_scheme concurrency
    context disable_chunked disable_nagle_algorithm domain_for_unqualified_recipient_addresses
    domain_for_unqualified_sender_address ecstream_idle_time ecstream_max_batch_size enable_authentication
    enable_authorization event_loop events_per_iter file_mode idle_time listen_backlog listener_sessions
    log_requests_to_paniclog max_message_size max_receptions_per_connection max_recipients_per_connection
    max_recipients_per_message max_request_size mcmt_reception open_relay open_tracking_enabled open_tracking_scheme
    pathway pool_name received_hostname relay_for_sending_domains relay_hosts require_ehlo service_sessions
    smtp_extensions starttls_injection_policy static_banner tcp_recv_buffer_size tcp_send_buffer_size timeout
    tls_allow_renegotiation tls_certificate tls_ciphers tls_client_ca tls_key tls_protocols tls_verified_peer_can_relay
    tls_verified_peer_is_authorized tls_verify_mode tlsv13_ciphersuites tracking_domain tracking_link_expiry use_ssl
""")
