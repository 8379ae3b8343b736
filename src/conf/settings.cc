// SPDX-License-Identifier: Apache-2.0
#include "conf/settings.h"

#include "base/text.h"
#include "install_directories.h"

#include <algorithm>

namespace postern::conf {
namespace {

template <auto Member, auto... Rest>
auto& follow(auto& object) {
  auto& inner = object.*Member;
  if constexpr (sizeof...(Rest) == 0) return inner;
  else return follow<Rest...>(inner);
}

template <class Value>
Target target_of(Value& value) {
  if constexpr (std::is_enum_v<Value>)
    return Choice{[&value](std::size_t index) { value = static_cast<Value>(index); }, [&value] { return static_cast<std::size_t>(value); }};
  else return &value;
}

// Settings of the whole server, of a listener, of a socket row.
template <auto... Path>
Target server(const Scope& scope) { return target_of(follow<Path...>(*scope.configuration)); }
template <auto... Path>
Target listener(const Scope& scope) { return target_of(follow<Path...>(*scope.listener)); }
template <auto... Path>
Target row(const Scope& scope) { return target_of(follow<Path...>(*scope.row)); }
template <auto... Path>
Target limit(const Scope& scope) { return target_of(follow<Path...>(*scope.limit)); }
template <auto... Path>
Target domain(const Scope& scope) { return target_of(follow<Path...>(*scope.domain)); }
template <auto... Path>
Target certificate(const Scope& scope) { return target_of(follow<Path...>(*scope.certificate)); }
template <auto... Path>
Target throttle(const Scope& scope) { return target_of(follow<Path...>(*scope.throttle)); }
template <auto... Path>
Target milter(const Scope& scope) { return target_of(follow<Path...>(*scope.milter)); }

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
constexpr std::uint64_t kHour = 3600, kDay = 24 * kHour;
constexpr std::string_view kGateRules =
    "restriction|blocked|connections_per_address|connections_per_site|connections_per_address_all|reserve_for_clients|maximum_connections|restricted|"
    "dns_verify_domain";
constexpr std::string_view kMechanisms = "SCRAM-SHA-256-PLUS|SCRAM-SHA-1-PLUS|SCRAM-SHA-256|SCRAM-SHA-1|EXTERNAL|PLAIN|LOGIN|OAUTHBEARER|XOAUTH2";
const std::string kAccountFilter = Ldap().account_filter, kGroupFilter = Ldap().group_filter;
constexpr std::string_view kSeverities = "debug|info|notice|warning|error|critical";
constexpr auto running = Reload::running, new_children = Reload::new_children, restart = Reload::restart;
using C = Configuration;

// clang-format off
const Setting kSettings[] = {
  {"format", Type::number, "1", 1, 1, "", "", running, &server<&C::format>},
  {"host_name", Type::text, "", 1, 253, "", "", running, &server<&C::host_name>},
  {"base_directory", Type::text, POSTERN_STATEDIR, 1, 4000, "", "", restart, &server<&C::base_directory>},
  {"tables_directory", Type::text, "", 1, 4000, "", "", running, &server<&C::tables_directory>},
  {"tables_kept", Type::number, "10", 2, 1000, "files", "", running, &server<&C::tables_kept>},
  {"client_addresses", Type::address_list, "127.0.0.0/8\n::1", 0, 0, "", "", running, &server<&C::client_addresses>, true},
  {"cluster_members", Type::address_list, "", 0, 0, "", "", running, &server<&C::cluster_members>},
  {"smtp_blacklist", Type::address_list, "", 0, 0, "", "", running, &server<&C::smtp_blacklist>, true},
  {"never_block", Type::address_list, "", 0, 0, "", "", running, &server<&C::never_block>},
  {"connection_table_sessions", Type::number, "65536", 16, 4'000'000, "sessions", "", restart, &server<&C::connection_table_sessions>},
  {"grace_time", Type::duration, "30", 0, kHour, "s", "", running, &server<&C::grace_time>},
  {"recipient_delimiter", Type::text, "", 0, 8, "", "", running, &server<&C::recipient_delimiter>},
  {"access_errors", Type::number, "0", 0, 1, "", "", running, &server<&C::access, &AccessOptions::access_errors>},
  {"access_orcpt", Type::boolean, "false", 0, 0, "", "", running, &server<&C::access, &AccessOptions::access_orcpt>},
  {"probe_bar_char", Type::text, "_", 1, 1, "", "", running, &server<&C::access, &AccessOptions::probe_bar_char>},
  {"log_connection", Type::number, "0", 0, 255, "bits", "", running, &server<&C::access, &AccessOptions::log_connection>},
  {"channels", Type::lines, "", 0, 0, "", "", running, &server<&C::channels>},
  {"rewrite", Type::lines, "", 0, 0, "", "", running, &server<&C::rewrite>},

  {"throttle.*.quota", Type::number, "", 1, 1'000'000, "uses", "", running, &throttle<&ThrottleTable::quota>},
  {"throttle.*.period", Type::duration, "60", 1, 7 * kDay, "s", "", running, &throttle<&ThrottleTable::period>},
  {"throttle.*.max_entries", Type::number, "1000", 1, kMaxThrottleEntries, "keys", "", running, &throttle<&ThrottleTable::max_entries>},
  {"throttle.*.penalize", Type::boolean, "false", 0, 0, "", "", running, &throttle<&ThrottleTable::penalize>},
  {"throttle.*.count", Type::word, "average", 0, 0, "", "average|periods", running, &throttle<&ThrottleTable::count>},

  {"milters.*.address", Type::text, "", 1, 300, "", "", running, &milter<&Milter::address>},
  {"milters.*.connect_time", Type::duration, "30000", 100, 600'000, "ms", "", running, &milter<&Milter::connect_time>},
  {"milters.*.command_time", Type::duration, "30000", 100, 600'000, "ms", "", running, &milter<&Milter::command_time>},
  {"milters.*.end_of_message_time", Type::duration, "300000", 100, 3600'000, "ms", "", running, &milter<&Milter::end_of_message_time>},
  {"milters.*.when_down", Type::word, "tempfail", 0, 0, "", "tempfail|accept|reject", running, &milter<&Milter::when_down>},

  {"filter_discard", Type::number, "1", 1, 2, "", "", running, &server<&C::filters, &Filters::discard>},
  {"filter_jettison", Type::number, "1", 1, 2, "", "", running, &server<&C::filters, &Filters::jettison>},
  {"filters.directory", Type::text, "", 1, 4000, "", "", running, &server<&C::filters, &Filters::directory>},
  {"filters.before_may_discard", Type::boolean, "false", 0, 0, "", "", running, &server<&C::filters, &Filters::before_may_discard>},
  {"filters.global_directory", Type::text, "", 1, 4000, "", "", running, &server<&C::filters, &Filters::global_directory>},
  {"filters.script_bytes", Type::size, "1 MiB", 1 * kKiB, 16 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::script_bytes>},
  {"filters.string_bytes", Type::size, "1 MiB", 1 * kKiB, 16 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::string_bytes>},
  {"filters.program_bytes", Type::size, "16 MiB", 64 * kKiB, 1 * kGiB, "bytes", "", running, &server<&C::filters, &Filters::program_bytes>},
  {"filters.commands", Type::number, "20000", 10, 1'000'000, "commands and tests", "", running, &server<&C::filters, &Filters::commands>},
  {"filters.nesting", Type::number, "32", 2, 64, "levels", "", running, &server<&C::filters, &Filters::nesting>},
  {"filters.loop_nesting", Type::number, "4", 1, 16, "loops", "", running, &server<&C::filters, &Filters::loop_nesting>},
  {"filters.arguments", Type::number, "32", 8, 1000, "arguments", "", running, &server<&C::filters, &Filters::arguments>},
  {"filters.list_items", Type::number, "4096", 10, 1'000'000, "strings", "", running, &server<&C::filters, &Filters::list_items>},
  {"filters.includes", Type::number, "255", 0, 1000, "scripts", "", running, &server<&C::filters, &Filters::includes>},
  {"filters.include_depth", Type::number, "10", 1, 20, "scripts", "", running, &server<&C::filters, &Filters::include_depth>},
  {"filters.variables", Type::number, "255", 1, 10'000, "variables", "", running, &server<&C::filters, &Filters::variables>},
  {"filters.regex_total_bytes", Type::size, "32 MiB", 256 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::filters, &Filters::regex_total_bytes>},
  {"filters.cache_bytes", Type::size, "64 MiB", 0, 64 * kGiB, "bytes", "", new_children, &server<&C::filters, &Filters::cache_bytes>},
  {"filters.steps", Type::number, "10000000", 1000, 10'000'000'000, "steps", "", running, &server<&C::filters, &Filters::steps>},
  {"filters.memory_bytes", Type::size, "64 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::filters, &Filters::memory_bytes>},
  {"filters.actions", Type::number, "32", 1, 1000, "actions", "", running, &server<&C::filters, &Filters::actions>},
  {"filters.redirects", Type::number, "4", 0, 1000, "redirects", "", running, &server<&C::filters, &Filters::redirects>},
  {"filters.notifications", Type::number, "10", 0, 1000, "notifications", "", running, &server<&C::filters, &Filters::notifications>},
  {"filters.variable_bytes", Type::size, "4096", 128, 1 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::variable_bytes>},
  {"filters.header_edits", Type::number, "100", 0, 10'000, "changes", "", running, &server<&C::filters, &Filters::header_edits>},
  {"filters.header_value_bytes", Type::size, "2048", 998, 1 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::header_value_bytes>},
  {"filters.regex_bytes", Type::size, "64 KiB", 1 * kKiB, 16 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::regex_bytes>},
  {"filters.regex_text_bytes", Type::size, "1 MiB", 1 * kKiB, 64 * kMiB, "bytes", "", running, &server<&C::filters, &Filters::regex_text_bytes>},
  {"filters.regex_work", Type::number, "536870912", 1'000'000, 1'000'000'000'000, "", "", running, &server<&C::filters, &Filters::regex_work>},
  {"filters.body_part_bytes", Type::size, "8 MiB", 1 * kKiB, 1 * kGiB, "bytes", "", running, &server<&C::filters, &Filters::body_part_bytes>},
  {"filters.body_bytes", Type::size, "32 MiB", 1 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::filters, &Filters::body_bytes>},
  {"filters.mime_depth", Type::number, "50", 2, 100, "levels", "", running, &server<&C::filters, &Filters::mime_depth>},
  {"filters.mime_parts", Type::number, "1000", 10, 100'000, "parts", "", running, &server<&C::filters, &Filters::mime_parts>},
  {"filters.list_lookups", Type::number, "100", 0, 100'000, "questions", "", running, &server<&C::filters, &Filters::list_lookups>},
  {"filters.folder_separators", Type::text, "/", 1, 2, "", "", running, &server<&C::filters, &Filters::folder_separators>},
  {"filters.lists", Type::lines, "", 0, 0, "", "", running, &server<&C::filters, &Filters::lists>},
  {"filters.memory_entries", Type::number, "10000", 10, 1'000'000, "entries", "", running, &server<&C::filters, &Filters::memory_entries>},
  {"filters.vacation_default", Type::duration, "604800", 0, 3650 * kDay, "s", "", running, &server<&C::filters, &Filters::vacation_default>},
  {"filters.vacation_least", Type::duration, "86400", 0, 3650 * kDay, "s", "", running, &server<&C::filters, &Filters::vacation_least>},
  {"filters.vacation_most", Type::duration, "5184000", 1, 3650 * kDay, "s", "", running, &server<&C::filters, &Filters::vacation_most>},
  {"filters.duplicate_default", Type::duration, "43200", 1, 365 * kDay, "s", "", running, &server<&C::filters, &Filters::duplicate_default>},
  {"filters.duplicate_most", Type::duration, "172800", 1, 365 * kDay, "s", "", running, &server<&C::filters, &Filters::duplicate_most>},
  {"filters.mistake_notice", Type::duration, "86400", 0, 365 * kDay, "s", "", running, &server<&C::filters, &Filters::mistake_notice>},
  {"filters.spam_field", Type::text, "", 0, 64, "", "", running, &server<&C::filters, &Filters::spam_field>},
  {"filters.spam_text", Type::text, "", 0, 64, "", "", running, &server<&C::filters, &Filters::spam_text>},
  {"filters.spam_scale", Type::number, "10", 1, 10'000, "", "", running, &server<&C::filters, &Filters::spam_scale>},
  {"filters.virus_field", Type::text, "", 0, 64, "", "", running, &server<&C::filters, &Filters::virus_field>},
  {"filters.virus_values", Type::lines, "", 0, 0, "", "", running, &server<&C::filters, &Filters::virus_values>},
  {"filter_texts", Type::lines, "", 0, 0, "", "", running, &server<&C::filter_texts>},
  {"notice_texts", Type::lines, "", 0, 0, "", "", running, &server<&C::notice_texts>},
  {"list_texts", Type::lines, "", 0, 0, "", "", running, &server<&C::list_texts>},
  {"conversion_texts", Type::lines, "", 0, 0, "", "", running, &server<&C::conversion_texts>},

  {"listeners.*.maximum_connections", Type::number, "200; lmtp: 100; managesieve: 50", 0, 1'000'000, "connections", "", running, &listener<&Listener::maximum_connections>},
  {"listeners.*.connections_per_address", Type::number, "20; lmtp: 0; pop3: 10; managesieve: 10", 0, 1'000'000, "connections", "", running, &listener<&Listener::connections_per_address>},
  {"listeners.*.connections_per_client_address", Type::number, "", 0, 1'000'000, "connections", "", running, &listener<&Listener::connections_per_client_address>},
  {"listeners.*.connections_per_site", Type::number, "0", 0, 1'000'000, "connections", "", running, &listener<&Listener::connections_per_site>},
  {"listeners.*.reserve_for_clients", Type::number, "20; lmtp: 0; managesieve: 5", 0, 1'000'000, "connections", "", running, &listener<&Listener::reserve_for_clients>},
  {"listeners.*.ipv4_prefix", Type::number, "32", 24, 32, "bits", "", running, &listener<&Listener::ipv4_prefix>},
  {"listeners.*.ipv6_prefix", Type::number, "64", 48, 128, "bits", "", running, &listener<&Listener::ipv6_prefix>},
  {"listeners.*.ipv6_site_prefix", Type::number, "48", 16, 64, "bits", "", running, &listener<&Listener::ipv6_site_prefix>},
  {"listeners.*.dry_run", Type::words, "", 0, 0, "", kGateRules, running, &listener<&Listener::dry_run>},
  {"listeners.*.limits[].list", Type::address_list, "", 0, 0, "", "", running, &limit<&LimitRow::addresses>},
  {"listeners.*.limits[].connections_per_address", Type::number, "", 0, 1'000'000, "connections", "", running, &limit<&LimitRow::connections_per_address>},
  {"listeners.*.limits[].connections_per_site", Type::number, "", 0, 1'000'000, "connections", "", running, &limit<&LimitRow::connections_per_site>},
  {"listeners.*.limits[].connections_per_address_all", Type::number, "", 0, 1'000'000, "connections", "", running, &limit<&LimitRow::connections_per_address_all>},
  {"listeners.*.refusal_reply", Type::boolean, "true", 0, 0, "", "", running, &listener<&Listener::refusal_reply>},
  {"listeners.*.client_certificates", Type::boolean, "false", 0, 0, "", "", running, &listener<&Listener::client_certificates>},
  {"listeners.*.idle_time", Type::duration, "300; pop3: 600; managesieve: 1800", 1, kDay, "s", "", running, &listener<&Listener::idle_time>},
  {"listeners.*.login_time", Type::duration, "60", 1, kDay, "s", "", running, &listener<&Listener::login_time>},
  {"listeners.*.clients_only", Type::boolean, "false", 0, 0, "", "", running, &listener<&Listener::clients_only>},
  {"listeners.*.milters", Type::lines, "", 0, 0, "", "", running, &listener<&Listener::milters>},
  {"listeners.*.dns_verify_domain", Type::lines, "", 0, 0, "", "", running, &listener<&Listener::dns_verify_domain>},
  {"listeners.*.sockets[].port", Type::number, "", 0, 65535, "", "", running, &row<&SocketRow::port>},
  {"listeners.*.sockets[].address", Type::local_address, "all", 0, 0, "", "", running, &row<&SocketRow::address>},
  {"listeners.*.sockets[].init_tls", Type::word, "off", 0, 0, "", "off|on|ext", running, &row<&SocketRow::init_tls>},
  {"listeners.*.sockets[].restriction", Type::word, "none", 0, 0, "", "none|grant|deny", running, &row<&SocketRow::restriction>},
  {"listeners.*.sockets[].list", Type::address_list, "", 0, 0, "", "", running, &row<&SocketRow::addresses>},
  {"listeners.*.sockets[].dry_run", Type::boolean, "false", 0, 0, "", "", running, &row<&SocketRow::dry_run>},
  {"listeners.*.sockets[].channel", Type::text, "", 0, 32, "", "", running, &row<&SocketRow::channel>},
  {"listeners.*.sockets[].proxy", Type::boolean, "false", 0, 0, "", "", running, &row<&SocketRow::proxy>},
  {"listeners.*.sockets[].trusted_proxies", Type::address_list, "", 0, 0, "", "", running, &row<&SocketRow::trusted_proxies>},
  {"listeners.*.sockets[].dscp", Type::number, "", 0, 63, "code point", "", running, &row<&SocketRow::dscp>},
  {"listeners.*.sockets[].milters", Type::lines, "", 0, 0, "", "", running, &row<&SocketRow::milters>},

  {"tls.least_version", Type::word, "1.2", 0, 0, "", "1.2|1.3", running, &server<&C::tls, &Tls::least_version>},
  {"tls.ciphers", Type::text, "ECDHE+AESGCM:ECDHE+CHACHA20", 1, 4000, "", "", running, &server<&C::tls, &Tls::ciphers>},
  {"tls.client_authorities", Type::text, "", 0, 4000, "", "", running, &server<&C::tls, &Tls::client_authorities>},
  {"tls.expiry_warning", Type::duration, "1209600", 0, 365 * kDay, "s", "", running, &server<&C::tls, &Tls::expiry_warning>},
  {"tls.watch", Type::duration, "60", 1, 60, "s", "", running, &server<&C::tls, &Tls::watch>},
  {"tls.domains[].names", Type::lines, "", 0, 0, "", "", running, &domain<&TlsDomain::names>},
  {"tls.domains[].addresses", Type::lines, "", 0, 0, "", "", running, &domain<&TlsDomain::addresses>},
  {"tls.domains[].certificates[].certificate", Type::text, "", 1, 4000, "", "", running, &certificate<&TlsCertificate::certificate>},
  {"tls.domains[].certificates[].key", Type::text, "", 0, 4000, "", "", running, &certificate<&TlsCertificate::key>},
  {"tls.domains[].certificates[].ocsp", Type::text, "", 0, 4000, "", "", running, &certificate<&TlsCertificate::ocsp>},

  {"gate.linger_time", Type::duration, "1000", 0, 60'000, "ms", "", running, &server<&C::gate, &Gate::linger_time>},
  {"gate.linger_bytes", Type::size, "64 KiB", 0, 16 * kMiB, "bytes", "", running, &server<&C::gate, &Gate::linger_bytes>},
  {"gate.lingering", Type::number, "256", 0, 65536, "connections", "", running, &server<&C::gate, &Gate::lingering>},
  {"gate.listen_queue", Type::number, "1024", 1, 65535, "connections", "", running, &server<&C::gate, &Gate::listen_queue>},
  {"gate.socket_retry", Type::duration, "30", 1, kHour, "s", "", running, &server<&C::gate, &Gate::socket_retry>},
  {"gate.refusal_sums", Type::duration, "60", 1, kDay, "s", "", running, &server<&C::gate, &Gate::refusal_sums>},
  {"gate.proxy_time", Type::duration, "5000", 3000, 60'000, "ms", "", running, &server<&C::gate, &Gate::proxy_time>},
  {"gate.proxy_waiting", Type::number, "1024", 1, 65536, "connections", "", running, &server<&C::gate, &Gate::proxy_waiting>},
  {"gate.tls_time", Type::duration, "30000", 1000, 600'000, "ms", "", running, &server<&C::gate, &Gate::tls_time>},
  {"gate.datagram_queue_bytes", Type::size, "4 MiB", 4 * kKiB, 256 * kMiB, "bytes", "", running, &server<&C::gate, &Gate::datagram_queue_bytes>},
  {"gate.ipv4_prefix", Type::number, "32", 24, 32, "bits", "", running, &server<&C::gate, &Gate::ipv4_prefix>},
  {"gate.ipv6_prefix", Type::number, "64", 48, 128, "bits", "", running, &server<&C::gate, &Gate::ipv6_prefix>},
  {"gate.connections_per_address_all", Type::number, "0", 0, 1'000'000, "connections", "", running, &server<&C::gate, &Gate::connections_per_address_all>},
  {"gate.failed_logins", Type::number, "10", 0, 60'000, "logins", "", running, &server<&C::gate, &Gate::failed_logins>},
  {"gate.failed_login_time", Type::duration, "300", 10, kDay, "s", "", running, &server<&C::gate, &Gate::failed_login_time>},
  {"gate.protocol_errors", Type::number, "20", 0, 60'000, "errors", "", running, &server<&C::gate, &Gate::protocol_errors>},
  {"gate.protocol_error_time", Type::duration, "300", 10, kDay, "s", "", running, &server<&C::gate, &Gate::protocol_error_time>},
  {"gate.block_time", Type::duration, "900", 1, 365 * kDay, "s", "", running, &server<&C::gate, &Gate::block_time>},
  {"gate.ledger_addresses", Type::number, "32768", 1024, 16'000'000, "addresses", "", restart, &server<&C::gate, &Gate::ledger_addresses>},

  {"smtp.message_bytes", Type::size, "50 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::smtp, &SmtpLimits::message_bytes>},
  {"smtp.command_bytes", Type::size, "2048", 512, 64 * kKiB, "bytes", "", running, &server<&C::smtp, &SmtpLimits::command_bytes>},
  {"smtp.text_line_bytes", Type::size, "100000", 998, 16 * kMiB, "bytes", "", running, &server<&C::smtp, &SmtpLimits::text_line_bytes>},
  {"smtp.recipients", Type::number, "1000", 100, 100'000, "recipients", "", running, &server<&C::smtp, &SmtpLimits::recipients>},
  {"smtp.errors", Type::number, "20", 1, 1'000'000, "commands", "", running, &server<&C::smtp, &SmtpLimits::errors>},
  {"smtp.idle_commands", Type::number, "100", 1, 1'000'000, "commands", "", running, &server<&C::smtp, &SmtpLimits::idle_commands>},
  {"smtp.messages", Type::number, "1000", 1, 1'000'000'000, "messages", "", running, &server<&C::smtp, &SmtpLimits::messages>},
  {"smtp.received_fields", Type::number, "100", 10, 10'000, "fields", "", running, &server<&C::smtp, &SmtpLimits::received_fields>},
  {"smtp.data_time", Type::duration, "3600", 1, kDay, "s", "", running, &server<&C::smtp, &SmtpLimits::data_time>},
  {"smtp.login_failures", Type::number, "3", 1, 1000, "logins", "", running, &server<&C::smtp, &SmtpLimits::login_failures>},
  {"smtp.failure_delay", Type::duration, "2", 0, 60, "s", "", running, &server<&C::smtp, &SmtpLimits::failure_delay>},

  {"smtp.future_release", Type::duration, "604800", 0, 365 * kDay, "s", "", running, &server<&C::smtp, &SmtpLimits::future_release>},
  {"smtp.etrn_clients", Type::address_list, "", 0, 0, "", "", running, &server<&C::smtp, &SmtpLimits::etrn_clients>},
  {"smtp.etrn_time", Type::duration, "60", 1, kDay, "s", "", running, &server<&C::smtp, &SmtpLimits::etrn_time>},

  {"restricted.connections_per_address", Type::number, "2", 0, 1'000'000, "connections", "", running, &server<&C::restricted, &RestrictedLimits::connections_per_address>},
  {"restricted.connections_per_site", Type::number, "0", 0, 1'000'000, "connections", "", running, &server<&C::restricted, &RestrictedLimits::connections_per_site>},
  {"restricted.message_bytes", Type::size, "1 MiB", 1, 4 * kGiB, "bytes", "", running, &server<&C::restricted, &RestrictedLimits::message_bytes>},
  {"restricted.recipients", Type::number, "10", 1, 100'000, "recipients", "", running, &server<&C::restricted, &RestrictedLimits::recipients>},
  {"restricted.idle_time", Type::duration, "60", 1, kDay, "s", "", running, &server<&C::restricted, &RestrictedLimits::idle_time>},
  {"restricted.data_time", Type::duration, "600", 1, kDay, "s", "", running, &server<&C::restricted, &RestrictedLimits::data_time>},

  {"secure_login.required", Type::boolean, "true", 0, 0, "", "", running, &server<&C::secure_login, &SecureLogin::required>},
  {"secure_login.except_from", Type::address_list, "127.0.0.1\n::1", 0, 0, "", "", running, &server<&C::secure_login, &SecureLogin::except_from>},

  {"sasl.disabled_mechanisms", Type::words, "", 0, 0, "", kMechanisms, running, &server<&C::sasl, &Sasl::disabled_mechanisms>},
  {"sasl.scram_iterations", Type::number, "10000", 4096, 1'000'000, "iterations", "", new_children, &server<&C::sasl, &Sasl::scram_iterations>},
  {"sasl.upgrade_passwords", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::sasl, &Sasl::upgrade_passwords>},
  {"sasl.exchanges", Type::number, "10000", 16, 1'000'000, "exchanges", "", new_children, &server<&C::sasl, &Sasl::exchanges>},
  {"sasl.exchange_time", Type::duration, "60", 5, 600, "s", "", new_children, &server<&C::sasl, &Sasl::exchange_time>},
  {"sasl.token_keys", Type::lines, "", 0, 0, "", "", new_children, &server<&C::sasl, &Sasl::token_keys>},
  {"sasl.token_issuer", Type::text, "", 0, 1000, "", "", new_children, &server<&C::sasl, &Sasl::token_issuer>},
  {"sasl.token_audience", Type::text, "", 0, 1000, "", "", new_children, &server<&C::sasl, &Sasl::token_audience>},
  {"sasl.token_account_claim", Type::text, "email", 1, 100, "", "", new_children, &server<&C::sasl, &Sasl::token_account_claim>},
  {"sasl.token_clock_skew", Type::duration, "60", 0, 600, "s", "", new_children, &server<&C::sasl, &Sasl::token_clock_skew>},

  {"pop3.command_bytes", Type::size, "512", 255, 64 * kKiB, "bytes", "", running, &server<&C::pop3, &Pop3Limits::command_bytes>},
  {"pop3.errors", Type::number, "20", 1, 1'000'000, "commands", "", running, &server<&C::pop3, &Pop3Limits::errors>},
  {"pop3.idle_commands", Type::number, "100", 1, 1'000'000, "commands", "", running, &server<&C::pop3, &Pop3Limits::idle_commands>},
  {"pop3.login_failures", Type::number, "3", 1, 1000, "logins", "", running, &server<&C::pop3, &Pop3Limits::login_failures>},
  {"pop3.failure_delay", Type::duration, "2", 0, 60, "s", "", running, &server<&C::pop3, &Pop3Limits::failure_delay>},
  {"pop3.messages", Type::number, "100000", 1, 10'000'000, "messages", "", running, &server<&C::pop3, &Pop3Limits::messages>},

  {"managesieve.command_bytes", Type::size, "4 KiB", 1 * kKiB, 64 * kKiB, "bytes", "", running, &server<&C::managesieve, &ManageSieveLimits::command_bytes>},
  {"managesieve.errors", Type::number, "20", 1, 1'000'000, "commands", "", running, &server<&C::managesieve, &ManageSieveLimits::errors>},
  {"managesieve.login_failures", Type::number, "3", 1, 1000, "logins", "", running, &server<&C::managesieve, &ManageSieveLimits::login_failures>},
  {"managesieve.commands", Type::number, "10000", 10, 1'000'000'000, "commands", "", running, &server<&C::managesieve, &ManageSieveLimits::commands>},
  {"managesieve.failure_delay", Type::duration, "2", 0, 60, "s", "", running, &server<&C::managesieve, &ManageSieveLimits::failure_delay>},

  {"submission.complete_header", Type::boolean, "true", 0, 0, "", "", running, &server<&C::submission, &Submission::complete_header>},
  {"submission.add_sender", Type::boolean, "false", 0, 0, "", "", running, &server<&C::submission, &Submission::add_sender>},
  {"submission.hide_client", Type::boolean, "false", 0, 0, "", "", running, &server<&C::submission, &Submission::hide_client>},
  {"submission.messages_per_hour", Type::number, "500", 0, 1'000'000, "messages", "", running, &server<&C::submission, &Submission::messages_per_hour>},
  {"submission.recipients_per_hour", Type::number, "2000", 0, 1'000'000, "recipients", "", running, &server<&C::submission, &Submission::recipients_per_hour>},
  {"submission.recipients_per_day", Type::number, "10000", 0, 1'000'000, "recipients", "", running, &server<&C::submission, &Submission::recipients_per_day>},

  {"snmp.community", Type::text, "", 1, 128, "", "", running, &server<&C::snmp, &Snmp::community>, false, true},
  {"snmp.contact", Type::text, "", 0, 255, "", "", running, &server<&C::snmp, &Snmp::contact>},
  {"snmp.location", Type::text, "", 0, 255, "", "", running, &server<&C::snmp, &Snmp::location>},
  {"snmp.message_bytes", Type::size, "1400", 484, 65507, "bytes", "", running, &server<&C::snmp, &Snmp::message_bytes>},
  {"snmp.repetitions", Type::number, "50", 1, 1000, "repetitions", "", running, &server<&C::snmp, &Snmp::repetitions>},

  {"rehearsal.enabled", Type::boolean, "false", 0, 0, "", "", running, &server<&C::rehearsal, &Rehearsal::enabled>},
  {"rehearsal.days", Type::number, "7", 1, 365, "days", "", running, &server<&C::rehearsal, &Rehearsal::days>},
  {"rehearsal.bytes", Type::size, "64 MiB", 4 * kMiB, 64 * kGiB, "bytes", "", running, &server<&C::rehearsal, &Rehearsal::bytes>},

  {"spool.segment_bytes", Type::size, "32 MiB", 1 * kMiB, 1 * kGiB, "bytes", "", new_children, &server<&C::spool, &Spool::segment_bytes>},
  {"spool.large_message_bytes", Type::size, "1 MiB", 64 * kKiB, 256 * kMiB, "bytes", "", new_children, &server<&C::spool, &Spool::large_message_bytes>},
  {"spool.minimum_free_bytes", Type::size, "64 MiB", 0, 1024 * kGiB, "bytes", "", new_children, &server<&C::spool, &Spool::minimum_free_bytes>},
  {"spool.backlog_messages", Type::number, "20000", 1, 100'000'000, "messages", "", running, &server<&C::spool, &Spool::backlog_messages>},
  {"spool.slow_down_messages", Type::number, "2000", 0, 100'000'000, "messages", "", running, &server<&C::spool, &Spool::slow_down_messages>},
  {"spool.slow_down_time", Type::duration, "5000", 0, 60'000, "ms", "", running, &server<&C::spool, &Spool::slow_down_time>},
  {"spool.commit_delay", Type::duration, "1", 0, 100, "ms", "", new_children, &server<&C::spool, &Spool::commit_delay>},
  {"spool.commit_delay_messages", Type::number, "4", 2, 100'000, "messages", "", new_children, &server<&C::spool, &Spool::commit_delay_messages>},

  {"delivery.sync", Type::word, "automatic", 0, 0, "", "automatic|file_system|each_file", new_children, &server<&C::delivery, &Delivery::sync>},
  {"delivery.batch_messages", Type::number, "256", 1, 4096, "messages", "", new_children, &server<&C::delivery, &Delivery::batch_messages>},
  {"delivery.batch_bytes", Type::size, "32 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::delivery, &Delivery::batch_bytes>},
  {"delivery.attempts_alone", Type::number, "3", 1, 100, "attempts", "", new_children, &server<&C::delivery, &Delivery::attempts_alone>},
  {"delivery.create_folders", Type::boolean, "true", 0, 0, "", "", running, &server<&C::delivery, &Delivery::create_folders>},
  {"delivery.script_time", Type::duration, "2000", 10, 600'000, "ms", "", new_children, &server<&C::delivery, &Delivery::script_time>},
  {"delivery.verdict_time", Type::duration, "10000", 0, 300'000, "ms", "", running, &server<&C::delivery, &Delivery::verdict_time>},
  {"delivery.retry_first", Type::duration, "60", 1, kDay, "s", "", new_children, &server<&C::delivery, &Delivery::retry_first>},
  {"delivery.retry_most", Type::duration, "3600", 1, 7 * kDay, "s", "", new_children, &server<&C::delivery, &Delivery::retry_most>},

  {"quota.full_reply", Type::word, "temporary", 0, 0, "", "temporary|permanent", running, &server<&C::quota, &Quota::full_reply>},
  {"quota.warning_percent", Type::number, "90", 0, 100, "percent", "", running, &server<&C::quota, &Quota::warning_percent>},
  {"quota.recheck_time", Type::duration, "900", 1, kDay, "s", "", running, &server<&C::quota, &Quota::recheck_time>},

  {"conversion.file", Type::text, "", 0, 4000, "", "", running, &server<&C::conversion, &Conversion::file>},
  {"conversion.programs", Type::number, "2", 1, 1000, "programs", "", running, &server<&C::conversion, &Conversion::programs>},
  {"conversion.program_time", Type::duration, "300", 1, kDay, "s", "", running, &server<&C::conversion, &Conversion::program_time>},
  {"conversion.program_memory", Type::size, "4 GiB", 16 * kMiB, 1024 * kGiB, "bytes", "", running, &server<&C::conversion, &Conversion::program_memory>},
  {"conversion.output_bytes", Type::size, "100 MiB", 4 * kKiB, 2 * kGiB, "bytes", "", running, &server<&C::conversion, &Conversion::output_bytes>},
  {"conversion.writable", Type::lines, "", 0, 0, "", "", running, &server<&C::conversion, &Conversion::writable>},
  {"conversion.writable_bytes", Type::size, "1 GiB", 0, 1024 * kGiB, "bytes", "", running, &server<&C::conversion, &Conversion::writable_bytes>},
  {"conversion.network", Type::boolean, "false", 0, 0, "", "", running, &server<&C::conversion, &Conversion::network>},

  {"defragment.wait_time", Type::duration, "172800", 1, 30 * kDay, "s", "", running, &server<&C::defragment, &Defragment::wait_time>},
  {"defragment.messages", Type::number, "100", 1, 10000, "messages", "", running, &server<&C::defragment, &Defragment::messages>},
  {"defragment.pieces", Type::number, "100", 2, 10000, "pieces", "", running, &server<&C::defragment, &Defragment::pieces>},
  {"defragment.message_bytes", Type::size, "50 MiB", 64 * kKiB, 2 * kGiB - kMiB, "bytes", "", running, &server<&C::defragment, &Defragment::message_bytes>},

  {"queue.retry_first", Type::duration, "300", 1, kDay, "s", "", running, &server<&C::queue, &Queue::retry_first>},
  {"queue.retry_factor", Type::number, "2", 1, 10, "", "", running, &server<&C::queue, &Queue::retry_factor>},
  {"queue.retry_most", Type::duration, "14400", 1, 7 * kDay, "s", "", running, &server<&C::queue, &Queue::retry_most>},
  {"queue.expire_time", Type::duration, "432000", 1, 365 * kDay, "s", "", running, &server<&C::queue, &Queue::expire_time>},
  {"queue.expire_time_high", Type::duration, "172800", 1, 365 * kDay, "s", "", running, &server<&C::queue, &Queue::expire_time_high>},
  {"queue.expire_time_low", Type::duration, "432000", 1, 365 * kDay, "s", "", running, &server<&C::queue, &Queue::expire_time_low>},
  {"queue.delay_notice", Type::duration, "14400", 0, 365 * kDay, "s", "", running, &server<&C::queue, &Queue::delay_notice>},
  {"queue.messages_at_once", Type::number, "200", 1, 100'000, "messages", "", running, &server<&C::queue, &Queue::messages_at_once>},
  {"queue.messages_per_destination", Type::number, "20", 1, 10'000, "messages", "", running, &server<&C::queue, &Queue::messages_per_destination>},
  {"queue.return_bytes", Type::size, "100 KiB", 0, 64 * kMiB, "bytes", "", running, &server<&C::queue, &Queue::return_bytes>},
  {"queue.notice_recipients", Type::number, "100", 1, 1000, "recipients", "", running, &server<&C::queue, &Queue::notice_recipients>},
  {"queue.double_bounces", Type::boolean, "false", 0, 0, "", "", running, &server<&C::queue, &Queue::double_bounces>},
  {"queue.notices_language", Type::text, "en", 1, 32, "", "", running, &server<&C::queue, &Queue::notices_language>},
  {"queue.notices_directory", Type::text, POSTERN_DATADIR "/notices", 1, 4000, "", "", running, &server<&C::queue, &Queue::notices_directory>},

  {"relay.routes", Type::lines, "", 0, 0, "", "", new_children, &server<&C::relay, &Relay::routes>},
  {"relay.tls", Type::word, "opportunistic", 0, 0, "", "off|opportunistic|required|verified", new_children, &server<&C::relay, &Relay::tls>},
  {"relay.authorities", Type::text, "", 0, 4000, "", "", new_children, &server<&C::relay, &Relay::authorities>},
  {"relay.dane", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::relay, &Relay::dane>},
  {"relay.mta_sts", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::relay, &Relay::mta_sts>},
  {"relay.mta_sts_port", Type::number, "443", 1, 65535, "port", "", new_children, &server<&C::relay, &Relay::mta_sts_port>},
  {"relay.mta_sts_time", Type::duration, "60000", 100, 600'000, "ms", "", new_children, &server<&C::relay, &Relay::mta_sts_time>},
  {"relay.requiretls", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::relay, &Relay::requiretls>},
  {"relay.tls_report_days", Type::number, "7", 0, 365, "days", "", new_children, &server<&C::relay, &Relay::tls_report_days>},
  {"relay.connections", Type::number, "500", 1, 20000, "connections", "", new_children, &server<&C::relay, &Relay::connections>},
  {"relay.connections_per_destination", Type::number, "20", 1, 10000, "connections", "", new_children, &server<&C::relay, &Relay::connections_per_destination>},
  {"relay.connections_unknown", Type::number, "250", 1, 20000, "connections", "", new_children, &server<&C::relay, &Relay::connections_unknown>},
  {"relay.messages_per_connection", Type::number, "100", 1, 1'000'000, "messages", "", new_children, &server<&C::relay, &Relay::messages_per_connection>},
  {"relay.waiting_messages", Type::number, "10000", 1, 100'000, "messages", "", new_children, &server<&C::relay, &Relay::waiting_messages>},
  {"relay.waiting_bytes", Type::size, "64 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", new_children, &server<&C::relay, &Relay::waiting_bytes>},
  {"relay.addresses_tried", Type::number, "6", 1, 64, "addresses", "", new_children, &server<&C::relay, &Relay::addresses_tried>},
  {"relay.attempts_alone", Type::number, "3", 1, 100, "attempts", "", new_children, &server<&C::relay, &Relay::attempts_alone>},
  {"relay.idle_time", Type::duration, "2000", 0, 300'000, "ms", "", new_children, &server<&C::relay, &Relay::idle_time>},
  {"relay.connect_time", Type::duration, "30000", 100, 600'000, "ms", "", new_children, &server<&C::relay, &Relay::connect_time>},
  {"relay.greeting_time", Type::duration, "300000", 100, 3600'000, "ms", "", new_children, &server<&C::relay, &Relay::greeting_time>},
  {"relay.command_time", Type::duration, "300000", 100, 3600'000, "ms", "", new_children, &server<&C::relay, &Relay::command_time>},
  {"relay.data_time", Type::duration, "120000", 100, 3600'000, "ms", "", new_children, &server<&C::relay, &Relay::data_time>},
  {"relay.write_time", Type::duration, "180000", 100, 3600'000, "ms", "", new_children, &server<&C::relay, &Relay::write_time>},
  {"relay.end_of_data_time", Type::duration, "600000", 100, 3600'000, "ms", "", new_children, &server<&C::relay, &Relay::end_of_data_time>},
  {"relay.dead_time", Type::duration, "60", 0, kDay, "s", "", new_children, &server<&C::relay, &Relay::dead_time>},
  {"relay.dead_time_most", Type::duration, "1800", 0, kDay, "s", "", new_children, &server<&C::relay, &Relay::dead_time_most>},
  {"relay.mail_host_protocol", Type::word, "lmtp", 0, 0, "", "lmtp|smtp", new_children, &server<&C::relay, &Relay::mail_host_protocol>},
  {"relay.mail_host_port", Type::number, "24", 1, 65535, "", "", new_children, &server<&C::relay, &Relay::mail_host_port>},

  {"directory.verify_threads", Type::number, "0", 0, 256, "threads", "", new_children, &server<&C::directory, &DirectoryLimits::verify_threads>},
  {"directory.verify_queue", Type::number, "256", 1, 1'000'000, "logins", "", new_children, &server<&C::directory, &DirectoryLimits::verify_queue>},
  {"directory.connections", Type::number, "1024", 16, 100'000, "connections", "", new_children, &server<&C::directory, &DirectoryLimits::connections>},
  {"directory.group_members", Type::number, "10000", 1, 20'000, "members", "", new_children, &server<&C::directory, &DirectoryLimits::group_members>},
  {"directory.scripts", Type::number, "100", 1, 1000, "scripts", "", new_children, &server<&C::directory, &DirectoryLimits::scripts>},
  {"directory.script_bytes", Type::size, "256 KiB", 1024, 1'000'000, "bytes", "", new_children, &server<&C::directory, &DirectoryLimits::script_bytes>},
  {"directory.script_changes", Type::number, "300", 0, 1'000'000, "changes", "", new_children, &server<&C::directory, &DirectoryLimits::script_changes>},
  {"directory.expansion_steps", Type::number, "100000", 100, 10'000'000, "steps", "", running, &server<&C::directory, &DirectoryLimits::expansion_steps>},

  {"authentication.spf", Type::boolean, "true", 0, 0, "", "", running, &server<&C::authentication, &Authentication::spf>},
  {"authentication.dkim", Type::boolean, "true", 0, 0, "", "", running, &server<&C::authentication, &Authentication::dkim>},
  {"authentication.dmarc", Type::boolean, "true", 0, 0, "", "", running, &server<&C::authentication, &Authentication::dmarc>},
  {"authentication.arc", Type::boolean, "true", 0, 0, "", "", running, &server<&C::authentication, &Authentication::arc>},
  {"authentication.channels", Type::text, "tcp_local", 0, 1000, "", "", running, &server<&C::authentication, &Authentication::channels>},
  {"authentication.service", Type::text, "", 0, 253, "", "", running, &server<&C::authentication, &Authentication::service>},
  {"authentication.signatures", Type::number, "8", 1, 50, "signatures", "", running, &server<&C::authentication, &Authentication::signatures>},
  {"authentication.body_bytes", Type::size, "100 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", running, &server<&C::authentication, &Authentication::body_bytes>},
  {"authentication.time", Type::duration, "20", 1, 300, "s", "", running, &server<&C::authentication, &Authentication::time>},
  {"authentication.dmarc_reject", Type::word, "report", 0, 0, "", "report|hold|refuse", running, &server<&C::authentication, &Authentication::dmarc_reject>},
  {"authentication.dmarc_quarantine", Type::word, "report", 0, 0, "", "report|hold|refuse", running, &server<&C::authentication, &Authentication::dmarc_quarantine>},
  {"authentication.sign", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::authentication, &Authentication::sign>},
  {"authentication.sign_channels", Type::text, "process l tcp_internal tcp_submit tcp_auth", 0, 1000, "", "", new_children, &server<&C::authentication, &Authentication::sign_channels>},
  {"authentication.sign_7bit", Type::boolean, "true", 0, 0, "", "", new_children, &server<&C::authentication, &Authentication::sign_7bit>},
  {"authentication.when_unsigned", Type::word, "defer", 0, 0, "", "defer|send", new_children, &server<&C::authentication, &Authentication::when_unsigned>},
  {"authentication.signature_lifetime", Type::duration, "0", 0, 365 * kDay, "s", "", new_children, &server<&C::authentication, &Authentication::signature_lifetime>},
  {"authentication.arc_domain", Type::text, "", 0, 253, "", "", new_children, &server<&C::authentication, &Authentication::arc_domain>},
  {"authentication.srs_domain", Type::text, "", 0, 253, "", "", new_children, &server<&C::authentication, &Authentication::srs_domain>},
  {"authentication.srs_secret_file", Type::text, "", 0, 4000, "", "", new_children, &server<&C::authentication, &Authentication::srs_secret_file>},
  {"authentication.srs_lifetime", Type::duration, "1814400", kDay, 500 * kDay, "s", "", new_children, &server<&C::authentication, &Authentication::srs_lifetime>},

  {"ldap.servers", Type::lines, "", 0, 0, "", "", new_children, &server<&C::ldap, &Ldap::servers>},
  {"ldap.tls", Type::word, "starttls", 0, 0, "", "off|starttls", new_children, &server<&C::ldap, &Ldap::tls>},
  {"ldap.authorities", Type::text, "", 0, 4000, "", "", new_children, &server<&C::ldap, &Ldap::authorities>},
  {"ldap.bind_dn", Type::text, "", 0, 1000, "", "", new_children, &server<&C::ldap, &Ldap::bind_dn>},
  {"ldap.password_file", Type::text, "", 0, 4000, "", "", new_children, &server<&C::ldap, &Ldap::password_file>},
  {"ldap.base", Type::text, "", 0, 1000, "", "", new_children, &server<&C::ldap, &Ldap::base>},
  {"ldap.scope", Type::word, "sub", 0, 0, "", "base|one|sub", new_children, &server<&C::ldap, &Ldap::scope>},
  {"ldap.domains", Type::lines, "", 0, 0, "", "", new_children, &server<&C::ldap, &Ldap::domains>},
  {"ldap.domain_filter", Type::text, "", 0, 2000, "", "", new_children, &server<&C::ldap, &Ldap::domain_filter>},
  {"ldap.account_filter", Type::text, kAccountFilter, 0, 2000, "", "", new_children, &server<&C::ldap, &Ldap::account_filter>},
  {"ldap.alias_filter", Type::text, "", 0, 2000, "", "", new_children, &server<&C::ldap, &Ldap::alias_filter>},
  {"ldap.group_filter", Type::text, kGroupFilter, 0, 2000, "", "", new_children, &server<&C::ldap, &Ldap::group_filter>},
  {"ldap.passwords", Type::word, "bind", 0, 0, "", "bind|compare", new_children, &server<&C::ldap, &Ldap::passwords>},
  {"ldap.nobody_dn", Type::text, "", 0, 1000, "", "", new_children, &server<&C::ldap, &Ldap::nobody_dn>},
  {"ldap.write_scripts", Type::boolean, "false", 0, 0, "", "", new_children, &server<&C::ldap, &Ldap::write_scripts>},
  {"ldap.mail_attribute", Type::text, "mail", 1, 128, "", "", new_children, &server<&C::ldap, &Ldap::mail_attribute>},
  {"ldap.alternate_attribute", Type::text, "mailAlternateAddress", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::alternate_attribute>},
  {"ldap.host_attribute", Type::text, "mailHost", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::host_attribute>},
  {"ldap.quota_attribute", Type::text, "mailQuota", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::quota_attribute>},
  {"ldap.forwarding_attribute", Type::text, "mailForwardingAddress", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::forwarding_attribute>},
  {"ldap.delivery_attribute", Type::text, "mailDeliveryOption", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::delivery_attribute>},
  {"ldap.filter_attribute", Type::text, "mailSieveRuleSource", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::filter_attribute>},
  {"ldap.status_attribute", Type::text, "mailUserStatus", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::status_attribute>},
  {"ldap.tag_attribute", Type::text, "mailConversionTag", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::tag_attribute>},
  {"ldap.description_attribute", Type::text, "cn", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::description_attribute>},
  {"ldap.password_attribute", Type::text, "userPassword", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::password_attribute>},
  {"ldap.password_time_attribute", Type::text, "pwdChangedTime", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::password_time_attribute>},
  {"ldap.scram_attribute", Type::text, "", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::scram_attribute>},
  {"ldap.member_attribute", Type::text, "mgrpRFC822MailMember", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::member_attribute>},
  {"ldap.member_dn_attribute", Type::text, "uniqueMember", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::member_dn_attribute>},
  {"ldap.owner_attribute", Type::text, "mgrpErrorsTo", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::owner_attribute>},
  {"ldap.domain_tag_attribute", Type::text, "mailDomainConversionTag", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::domain_tag_attribute>},
  {"ldap.domain_base_attribute", Type::text, "inetDomainBaseDN", 0, 128, "", "", new_children, &server<&C::ldap, &Ldap::domain_base_attribute>},
  {"ldap.connections", Type::number, "4", 1, 64, "connections", "", new_children, &server<&C::ldap, &Ldap::connections>},
  {"ldap.login_connections", Type::number, "4", 1, 64, "connections", "", new_children, &server<&C::ldap, &Ldap::login_connections>},
  {"ldap.questions", Type::number, "1000", 1, 100000, "questions", "", new_children, &server<&C::ldap, &Ldap::questions>},
  {"ldap.connect_time", Type::duration, "2000", 100, 4500, "ms", "", new_children, &server<&C::ldap, &Ldap::connect_time>},
  {"ldap.answer_time", Type::duration, "4000", 100, 4500, "ms", "", new_children, &server<&C::ldap, &Ldap::answer_time>},
  {"ldap.idle_time", Type::duration, "300", 1, kDay, "s", "", new_children, &server<&C::ldap, &Ldap::idle_time>},
  {"ldap.retry_time", Type::duration, "5", 0, kHour, "s", "", new_children, &server<&C::ldap, &Ldap::retry_time>},
  {"ldap.cache_time", Type::duration, "60", 0, kDay, "s", "", new_children, &server<&C::ldap, &Ldap::cache_time>},
  {"ldap.negative_cache_time", Type::duration, "30", 0, kDay, "s", "", new_children, &server<&C::ldap, &Ldap::negative_cache_time>},
  {"ldap.cache_entries", Type::number, "20000", 0, 1'000'000, "names", "", new_children, &server<&C::ldap, &Ldap::cache_entries>},
  {"ldap.answer_bytes", Type::size, "4 MiB", 64 * kKiB, 64 * kMiB, "bytes", "", new_children, &server<&C::ldap, &Ldap::answer_bytes>},

  {"resolver.servers", Type::lines, "", 0, 0, "", "", new_children, &server<&C::resolver, &Resolver::servers>},
  {"resolver.resolv_conf", Type::text, "/etc/resolv.conf", 0, 4000, "", "", new_children, &server<&C::resolver, &Resolver::resolv_conf>},
  {"resolver.trust_anchor_file", Type::text, "/usr/share/dns/root.key", 0, 4000, "", "", new_children, &server<&C::resolver, &Resolver::trust_anchor_file>},
  {"resolver.dnssec", Type::word, "if-possible", 0, 0, "", "if-possible|always|off", new_children, &server<&C::resolver, &Resolver::dnssec>},
  {"resolver.time_limit", Type::duration, "5000", 100, 60'000, "ms", "", new_children, &server<&C::resolver, &Resolver::time_limit>},
  {"resolver.questions", Type::number, "1000", 1, 100'000, "questions", "", new_children, &server<&C::resolver, &Resolver::questions>},
  {"resolver.questions_per_process", Type::number, "500", 1, 100'000, "questions", "", new_children, &server<&C::resolver, &Resolver::questions_per_process>},
  {"resolver.answer_bytes", Type::size, "16 KiB", 512, 1 * kMiB, "bytes", "", new_children, &server<&C::resolver, &Resolver::answer_bytes>},
  {"resolver.cache_bytes", Type::size, "16 MiB", 64 * kKiB, 4 * kGiB, "bytes", "", new_children, &server<&C::resolver, &Resolver::cache_bytes>},

  {"children.smtp", Type::number, "0", 0, 64, "children", "", running, &server<&C::children, &Children::smtp>},
  {"children.pop3", Type::number, "1", 0, 64, "children", "", running, &server<&C::children, &Children::pop3>},
  {"children.managesieve", Type::number, "1", 0, 64, "children", "", running, &server<&C::children, &Children::managesieve>},
  {"children.delivery", Type::number, "0", 0, 64, "children", "", running, &server<&C::children, &Children::delivery>},
  {"children.relay", Type::number, "1", 1, 64, "children", "", running, &server<&C::children, &Children::relay>},
  {"children.conversion", Type::number, "1", 1, 64, "children", "", running, &server<&C::children, &Children::conversion>},
  {"children.age", Type::duration, "86400", 1, 365 * kDay, "s", "", running, &server<&C::children, &Children::age>},
  {"children.sessions", Type::number, "1000000", 1, 1'000'000'000'000, "sessions", "", running, &server<&C::children, &Children::sessions>},

  {"users.network", Type::text, "postern", 1, 64, "", "", restart, &server<&C::users, &Users::network>},
  {"users.mail", Type::text, "postern-mail", 1, 64, "", "", restart, &server<&C::users, &Users::mail>},
  {"users.directory", Type::text, "postern-dir", 1, 64, "", "", restart, &server<&C::users, &Users::directory>},

  {"log.destination", Type::word, "syslog", 0, 0, "", "standard_error|syslog", new_children, &server<&C::log, &Log::destination>},
  {"log.least", Type::word, "info", 0, 0, "", kSeverities, new_children, &server<&C::log, &Log::least>},
  {"log.file", Type::text, "", 0, 4000, "", "", new_children, &server<&C::log, &Log::file>},
  {"log.admissions", Type::boolean, "false", 0, 0, "", "", running, &server<&C::log, &Log::admissions>},
};
// clang-format on

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// Durations in milliseconds, sizes in bytes.
constexpr Unit kDurationUnits[] = {{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizeUnits[] = {{"B", 1}, {"KiB", kKiB}, {"MiB", kMiB}, {"GiB", kGiB}};

// "50 MiB", "30s": a number, blanks or none, a unit. The result in the smallest unit.
std::optional<std::uint64_t> with_unit(std::string_view text, std::span<const Unit> units) {
  text = base::trim(text);
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::number_from<std::uint64_t>(text.substr(0, digits));
  const std::string_view name = base::trim(text.substr(digits));
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& known) { return known.name == name; });
  std::uint64_t product = 0;
  if (!number || unit == units.end() || __builtin_mul_overflow(*number, unit->factor, &product)) return std::nullopt;
  return product;
}

std::uint64_t milliseconds_in(std::string_view unit) {
  return std::find_if(std::begin(kDurationUnits), std::end(kDurationUnits), [&](const Unit& known) { return known.name == unit; })->factor;
}

// The largest unit in which the count is whole: "50 MiB", "10 min".
std::string in_units(std::uint64_t count, std::span<const Unit> units) {
  const Unit* best = &units[0];
  for (const Unit& unit : units)
    if (count >= unit.factor && count % unit.factor == 0) best = &unit;
  if (count == 0 && units[0].name == "ms") best = &units[1];
  return std::to_string(count / best->factor) + " " + std::string(best->name);
}

const std::string& only_text(const Value& value) {
  static const std::string nothing;
  return value.lines.empty() ? nothing : value.lines.front().text;
}

// The number that `value` means for the setting, in the setting's own unit; nothing if it means none.
std::optional<std::uint64_t> number_in(const Setting& setting, const Value& value) {
  if (value.kind == Value::Kind::integer) return value.integer < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(value.integer));
  if (value.kind != Value::Kind::text || value.lines.size() > 1) return std::nullopt;
  const std::string_view text = base::trim(only_text(value));
  if (const auto plain = base::number_from<std::uint64_t>(text)) return plain;
  if (setting.type == Type::size) return with_unit(text, kSizeUnits);
  if (setting.type == Type::duration) {
    const auto count = with_unit(text, kDurationUnits);
    const auto unit = milliseconds_in(setting.unit);
    if (count && *count % unit == 0) return *count / unit;
  }
  return std::nullopt;
}

// The text that the value means, line ends included; nothing if it is no text.
std::optional<std::string> text_in(const Value& value) {
  if (value.kind != Value::Kind::text && value.kind != Value::Kind::texts) return std::nullopt;
  std::string text;
  for (std::size_t i = 0; i < value.lines.size(); ++i) text += (i == 0 ? "" : "\n") + value.lines[i].text;
  return text;
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

bool is_number(Type type) { return type == Type::number || type == Type::size || type == Type::duration; }

// Puts a number where it belongs; its limits are checked, so it fits.
void put_number(const Target& target, std::uint64_t number) {
  std::visit(Overloaded{
                 [&](unsigned* to) { *to = static_cast<unsigned>(number); },
                 [&](std::uint16_t* to) { *to = static_cast<std::uint16_t>(number); },
                 [&](unsigned long* to) { *to = number; },
                 [&](unsigned long long* to) { *to = number; },
                 [&](std::optional<unsigned>* to) { *to = static_cast<unsigned>(number); },
                 [&](std::chrono::seconds* to) { *to = std::chrono::seconds(number); },
                 [&](std::chrono::milliseconds* to) { *to = std::chrono::milliseconds(number); },
                 [](const auto&) { POSTERN_ASSERT(!"a setting of type number has another target"); },
             },
             target);
}

void assign_list(const Setting& setting, const Target& target, const Value& value, const Place& place, const std::string& shown,
                 std::vector<Mistake>& mistakes, const net::AddressList::Resolver& lists) {
  std::vector<net::AddressList::Mistake> wrong;
  const auto text = text_in(value);
  net::AddressList list = net::AddressList::compile(*text, wrong, setting.names_allowed, lists);
  if (wrong.empty()) {
    *std::get<net::AddressList*>(target) = std::move(list);
    return;
  }
  for (const auto& one : wrong) {
    const auto index = static_cast<std::size_t>(one.line) - 1;
    const bool has_line = one.line > 0 && index < value.lines.size();
    mistakes.push_back({has_line ? value.lines[index].place : place, shown,
                        "line " + std::to_string(one.line) + " of the list" + (one.element.empty() ? "" : ", \"" + one.element + "\"") + ": " + one.text});
  }
}

}  // namespace

std::span<const Setting> all_settings() { return kSettings; }

bool is_of_server(const Setting& setting) {
  return setting.name.find('*') == std::string_view::npos && setting.name.find("[]") == std::string_view::npos;
}

bool is_for_udp(std::string_view name) {
  static constexpr std::string_view kNames[] = {"port", "address", "restriction", "list", "dry_run", "sockets", "ipv4_prefix", "ipv6_prefix"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

const Setting* find_setting(std::string_view name) {
  const auto all = all_settings();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Setting& setting) { return setting.name == name; });
  return found == all.end() ? nullptr : &*found;
}

bool is_group(std::string_view group) {
  const auto all = all_settings();
  return std::any_of(all.begin(), all.end(), [&](const Setting& setting) {
    return setting.name.size() > group.size() && setting.name.starts_with(group) && setting.name[group.size()] == '.';
  });
}

std::string_view fallback_for(const Setting& setting, Module module) {
  const auto parts = base::split(setting.fallback, ';');
  for (const std::string_view part : parts) {
    const auto colon = part.find(": ");
    if (colon != std::string_view::npos && base::trim(part.substr(0, colon)) == to_string(module)) return base::trim(part.substr(colon + 2));
  }
  return base::trim(parts.front());
}

Value value_from(const Setting& setting, std::string_view text) {
  Value value;
  if (setting.type == Type::boolean) {
    value.kind = Value::Kind::boolean;
    value.boolean = text == "true";
    return value;
  }
  value.kind = Value::Kind::text;
  for (const std::string_view line : base::split(text, '\n')) value.lines.push_back({std::string(line), {}});
  return value;
}

std::string expected(const Setting& setting) {
  switch (setting.type) {
    case Type::boolean: return "true or false";
    case Type::number:
      if (setting.least == setting.most) return std::to_string(setting.least);
      return "a number from " + std::to_string(setting.least) + " to " + std::to_string(setting.most);
    case Type::size:
      return "a size from " + in_units(setting.least, kSizeUnits) + " to " + in_units(setting.most, kSizeUnits) + " (bytes, or text such as \"50 MiB\")";
    case Type::duration: {
      const auto unit = milliseconds_in(setting.unit);
      return "a time from " + in_units(setting.least * unit, kDurationUnits) + " to " + in_units(setting.most * unit, kDurationUnits) + " (" +
             (setting.unit == "ms" ? "milliseconds, or text such as \"500 ms\")" : "seconds, or text such as \"5 min\")");
    }
    case Type::text:
      if (setting.most == 1) return "one character";
      return "text of " + std::to_string(setting.least) + " to " + std::to_string(setting.most) + " characters on one line";
    case Type::word: {
      std::string words;
      for (const std::string_view word : base::split(setting.words, '|')) words += (words.empty() ? "" : ", ") + ("\"" + std::string(word) + "\"");
      return "one of " + words;
    }
    case Type::words: {
      std::string words;
      for (const std::string_view word : base::split(setting.words, '|')) words += (words.empty() ? "" : ", ") + ("\"" + std::string(word) + "\"");
      return "a list of texts, each one of " + words;
    }
    case Type::address_list: return "addresses: one text with a line for each, or a list of texts";
    case Type::lines: return "a list of texts";
    case Type::local_address: return "\"all\", or one of this machine's addresses";
  }
  return "";
}

std::string found(const Value& value) {
  switch (value.kind) {
    case Value::Kind::boolean: return value.boolean ? "true" : "false";
    case Value::Kind::integer: return std::to_string(value.integer);
    case Value::Kind::real: {
      std::string text = std::to_string(value.real);
      return text;
    }
    case Value::Kind::text:
      return "\"" + base::printable(only_text(value), 64) + (value.lines.size() > 1 || only_text(value).size() > 64 ? "...\"" : "\"");
    case Value::Kind::texts: return "a list";
    case Value::Kind::other: return value.found;
  }
  return "";
}

void assign(const Setting& setting, const Scope& scope, const Value& value, const Place& place, const std::string& shown,
            std::vector<Mistake>& mistakes, const net::AddressList::Resolver& lists) {
  const Target target = setting.target(scope);
  const auto refuse = [&](const std::string& reason = {}) {
    mistakes.push_back({place, shown, "expected " + expected(setting) + ", found " + (setting.secret ? "something else" : found(value)) + (reason.empty() ? "" : ": " + reason), false});
  };
  const bool one_line = value.kind == Value::Kind::text && value.lines.size() <= 1;
  if (is_number(setting.type)) {
    const auto number = number_in(setting, value);
    if (!number || *number < setting.least || *number > setting.most) return refuse();
    return put_number(target, *number);
  }
  switch (setting.type) {
    case Type::boolean:
      if (value.kind != Value::Kind::boolean) return refuse();
      *std::get<bool*>(target) = value.boolean;
      return;
    case Type::text: {
      if (!one_line) return refuse();
      const std::string& text = only_text(value);
      if (text.size() < setting.least || text.size() > setting.most) return refuse();
      if (std::any_of(text.begin(), text.end(), base::is_control)) return refuse("control characters are not allowed");
      if (char* const* character = std::get_if<char*>(&target)) **character = text.front();
      else *std::get<std::string*>(target) = text;
      return;
    }
    case Type::word: {
      if (!one_line) return refuse();
      const auto words = base::split(setting.words, '|');
      const auto word = std::find(words.begin(), words.end(), only_text(value));
      if (word == words.end()) return refuse();
      std::get<Choice>(target).set(static_cast<std::size_t>(word - words.begin()));
      return;
    }
    case Type::words: {
      if (value.kind != Value::Kind::texts) return refuse();
      const auto words = base::split(setting.words, '|');
      unsigned bits = 0;
      for (const TextLine& line : value.lines) {
        const auto word = std::find(words.begin(), words.end(), line.text);
        if (word == words.end()) {
          mistakes.push_back({line.place, shown, "expected " + expected(setting) + ", found \"" + base::printable(line.text, 64) + "\"", false});
          return;
        }
        bits |= 1U << (word - words.begin());
      }
      *std::get<unsigned*>(target) = bits;
      return;
    }
    case Type::address_list:
      if (value.kind != Value::Kind::text && value.kind != Value::Kind::texts) return refuse();
      return assign_list(setting, target, value, place, shown, mistakes, lists);
    case Type::lines: {
      if (value.kind != Value::Kind::texts) return refuse();
      *std::get<std::vector<TextLine>*>(target) = value.lines;
      return;
    }
    case Type::local_address: {
      if (!one_line) return refuse();
      auto address = LocalAddress::parse(only_text(value));
      if (!address) return refuse(address.error().what);
      *std::get<LocalAddress*>(target) = std::move(*address);
      return;
    }
    default: return;
  }
}

std::string text_of(const Setting& setting, const Scope& scope) {
  // Of a text with several lines only how many.
  const auto short_text = [](std::string_view text) {
    text = base::trim(text);
    const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
    return lines > 1 ? std::to_string(lines) + " lines" : base::printable(text, 128);
  };
  const std::string text = std::visit(
      [&](const auto& value) -> std::string {
        using Pointer = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Pointer, Choice>) {
          const auto words = base::split(setting.words, '|');
          return value.get() < words.size() ? std::string(words[value.get()]) : std::string();
        } else if constexpr (std::is_same_v<Pointer, bool*>) {
          return *value ? "true" : "false";
        } else if constexpr (std::is_same_v<Pointer, std::optional<unsigned>*>) {
          return *value ? std::to_string(**value) : std::string();
        } else if constexpr (std::is_same_v<Pointer, char*>) {
          return std::string(1, *value);
        } else if constexpr (std::is_same_v<Pointer, std::string*>) {
          return short_text(*value);
        } else if constexpr (std::is_same_v<Pointer, std::chrono::seconds*>) {
          return in_units(static_cast<std::uint64_t>(value->count()) * 1000, kDurationUnits);
        } else if constexpr (std::is_same_v<Pointer, std::chrono::milliseconds*>) {
          return in_units(static_cast<std::uint64_t>(value->count()), kDurationUnits);
        } else if constexpr (std::is_same_v<Pointer, net::AddressList*>) {
          return short_text(value->text());
        } else if constexpr (std::is_same_v<Pointer, std::vector<TextLine>*>) {
          return value->empty() ? std::string() : std::to_string(value->size()) + (value->size() == 1 ? " line" : " lines");
        } else if constexpr (std::is_same_v<Pointer, LocalAddress*>) {
          return value->to_string();
        } else {
          if (setting.type == Type::words) {
            std::string set;
            unsigned bit = 0;
            for (const std::string_view word : base::split(setting.words, '|'))
              if ((static_cast<std::uint64_t>(*value) >> bit++ & 1) != 0) set += (set.empty() ? "" : " ") + std::string(word);
            return set;
          }
          return setting.type == Type::size ? in_units(*value, kSizeUnits) : std::to_string(*value);
        }
      },
      setting.target(scope));
  return setting.secret && !text.empty() ? "set" : text;
}

bool same(const Setting& setting, const Scope& a, const Scope& b) {
  const Target other_target = setting.target(b);
  return std::visit(
      [&](const auto& one) {
        using Pointer = std::decay_t<decltype(one)>;
        const auto& other = std::get<Pointer>(other_target);
        if constexpr (std::is_same_v<Pointer, Choice>) return one.get() == other.get();
        else if constexpr (std::is_same_v<Pointer, net::AddressList*>) return *one == *other;
        else if constexpr (std::is_same_v<Pointer, std::vector<TextLine>*>)
          return std::equal(one->begin(), one->end(), other->begin(), other->end(), [](const TextLine& x, const TextLine& y) { return x.text == y.text; });
        else return *one == *other;
      },
      setting.target(a));
}

}  // namespace postern::conf
