// SPDX-License-Identifier: Apache-2.0
#include "conf/configuration.h"

#include <cppunit/extensions/HelperMacros.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace postern;
using namespace std::chrono_literals;

// libconfig 1.5 loses the buffer of a string when a syntax error follows it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libconfig"; }

namespace {

// A mistake that a text must give: line, setting, and a part of its words.
struct Expected {
  int line;
  std::string setting, part;
};

std::string all_mistakes(const conf::Loaded& loaded) {
  std::string out;
  for (const auto& mistake : loaded.mistakes) out += mistake.to_string() + "\n";
  return out;
}

void has(const conf::Loaded& loaded, const Expected& expected) {
  for (const auto& mistake : loaded.mistakes)
    if (mistake.place.line == expected.line && mistake.setting == expected.setting && mistake.text.find(expected.part) != std::string::npos) return;
  CPPUNIT_FAIL("no mistake in line " + std::to_string(expected.line) + " of " + expected.setting + " with \"" + expected.part + "\" among:\n" + all_mistakes(loaded));
}

const std::string kSmtp = "listeners : { smtp : { sockets = ( { port = 25; } ); }; };\n";

class LoadTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LoadTest);
  CPPUNIT_TEST(an_empty_text_gives_the_defaults);
  CPPUNIT_TEST(every_kind_of_value_is_read);
  CPPUNIT_TEST(all_mistakes_come_in_one_go_with_their_lines);
  CPPUNIT_TEST(wrong_settings_of_logins_are_named);
  CPPUNIT_TEST(wrong_settings_of_tokens_and_quotas_are_named);
  CPPUNIT_TEST(wrong_settings_of_filters_are_named);
  CPPUNIT_TEST(a_row_with_tls_wants_a_certificate_for_its_address);
  CPPUNIT_TEST(wrong_values_of_rehearsal_and_resolver_are_named);
  CPPUNIT_TEST(wrong_values_of_authentication_are_named);
  CPPUNIT_TEST(limits_of_defragmentation);
  CPPUNIT_TEST(the_file_of_conversions_is_handed_on);
  CPPUNIT_TEST(wrong_values_of_ldap_are_named);
  CPPUNIT_TEST(what_ldap_settings_say_together_is_checked);
  CPPUNIT_TEST(mistakes_in_lists_name_the_line_that_holds_them);
  CPPUNIT_TEST(broken_lists_are_each_reported_in_full);
  CPPUNIT_TEST(large_numbers_are_not_cut);
  CPPUNIT_TEST(ports_are_numbers);
  CPPUNIT_TEST(a_row_with_port_0_does_not_exist);
  CPPUNIT_TEST(overlapping_sockets_are_refused_over_all_modules);
  CPPUNIT_TEST(a_listener_with_a_maximum_of_0_stands_in_nobodys_way);
  CPPUNIT_TEST(what_may_stand_side_by_side_does);
  CPPUNIT_TEST(udp_rows_are_checked_apart_from_tcp);
  CPPUNIT_TEST(a_udp_service_has_no_settings_of_connections);
  CPPUNIT_TEST(a_udp_row_starts_with_the_client_list);
  CPPUNIT_TEST(name_servers_and_dns_lists_are_checked);
  CPPUNIT_TEST(a_community_must_be_there_and_is_never_shown);
  CPPUNIT_TEST(warnings_do_not_spoil_a_configuration);
  CPPUNIT_TEST(the_table_must_hold_the_sum_of_all_maxima);
  CPPUNIT_TEST(services_for_clients_only_have_a_login);
  CPPUNIT_TEST(tls_needs_a_certificate);
  CPPUNIT_TEST(domains_and_certificates);
  CPPUNIT_TEST(mistakes_in_domains_are_named);
  CPPUNIT_TEST(ext_within_reach_of_everybody_is_a_warning);
  CPPUNIT_TEST(a_socket_with_proxy_must_name_its_proxies);
  CPPUNIT_TEST(named_lists_are_put_in);
  CPPUNIT_TEST(a_named_list_may_be_a_file_that_children_get_with_the_rest);
  CPPUNIT_TEST(rows_of_limits_are_checked);
  CPPUNIT_TEST(rules_that_are_only_tried_are_named);
  CPPUNIT_TEST(tables_of_counters_are_groups_by_name);
  CPPUNIT_TEST(milters);
  CPPUNIT_TEST(addresses_of_milters);
  CPPUNIT_TEST(limits_of_submission_are_tables_of_counters);
  CPPUNIT_TEST(managesieve_has_its_limits);
  CPPUNIT_TEST(places_of_settings_are_kept);
  CPPUNIT_TEST(syntax_mistakes_have_a_line);
  CPPUNIT_TEST(settings_that_stand_twice_hide_nothing);
  CPPUNIT_TEST(included_files_keep_their_own_places);
  CPPUNIT_TEST(the_first_syntax_mistake_of_each_file_is_reported);
  CPPUNIT_TEST(files_that_can_not_be_read_are_mistakes);
  CPPUNIT_TEST(flattened_text_gives_the_same_again);
  CPPUNIT_TEST(text_alone_includes_nothing);
  CPPUNIT_TEST_SUITE_END();

  std::filesystem::path directory_;

 public:
  void setUp() override {
    char name[] = "/tmp/postern-conf-test-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name) != nullptr);
    directory_ = name;
  }
  void tearDown() override { std::filesystem::remove_all(directory_); }

 private:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }

  void an_empty_text_gives_the_defaults() {
    const auto loaded = conf::load_text("", "empty");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), loaded.usable());
    const auto& c = loaded.configuration;
    CPPUNIT_ASSERT(c.listeners.empty());
    CPPUNIT_ASSERT(!c.host_name.empty());
    CPPUNIT_ASSERT(c.client_addresses.contains(*net::Address::parse("127.0.0.5")));
    CPPUNIT_ASSERT(c.client_addresses.contains(*net::Address::parse("::1")));
    CPPUNIT_ASSERT(!c.client_addresses.contains(*net::Address::parse("192.0.2.1")));
    CPPUNIT_ASSERT(c.secure_login.required);
    CPPUNIT_ASSERT(c.secure_login.except_from.contains(*net::Address::parse("127.0.0.1")));
    CPPUNIT_ASSERT(c.secure_login.except_from.contains(*net::Address::parse("::1")));
    CPPUNIT_ASSERT(!c.secure_login.except_from.contains(*net::Address::parse("127.0.0.2")));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{50} * 1024 * 1024, c.smtp.message_bytes);
    const auto three = conf::load_text("listeners = { smtp = {}; lmtp = {}; pop3 = {}; };", "three");
    CPPUNIT_ASSERT(three.usable());
    const auto& listeners = three.configuration.listeners;
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, listeners.size());
    CPPUNIT_ASSERT_EQUAL(200U, listeners[0].maximum_connections);
    CPPUNIT_ASSERT_EQUAL(20U, listeners[0].connections_per_address);
    CPPUNIT_ASSERT_EQUAL(20U, listeners[0].reserve_for_clients);
    CPPUNIT_ASSERT(listeners[0].idle_time == 300s);
    CPPUNIT_ASSERT_EQUAL(100U, listeners[1].maximum_connections);
    CPPUNIT_ASSERT_EQUAL(0U, listeners[1].connections_per_address);
    CPPUNIT_ASSERT_EQUAL(0U, listeners[1].reserve_for_clients);
    CPPUNIT_ASSERT_EQUAL(10U, listeners[2].connections_per_address);
    CPPUNIT_ASSERT(listeners[2].idle_time == 600s);
  }

  void every_kind_of_value_is_read() {
    const auto loaded = conf::load_text(R"(
      format = 1;
      host_name = "mail.example.com";
      base_directory = "/srv/postern"; tables_directory = "/srv/tables";
      client_addresses = "192.0.2.0/24
        !192.0.2.66   ; the printer
        2001:db8::/32";
      cluster_members = [ "198.51.100.1", "198.51.100.2-198.51.100.9" ];
      grace_time = "2 min";
      probe_bar_char = "%";
      access_orcpt = true;
      channels = ( "defaults noswitchchannel",
                   "tcp_local smtp mx" );
      smtp : { message_bytes = "10 MiB"; command_bytes = 4096; data_time = "1 h"; };
      delivery : { sync = "each_file"; script_time = "1 s"; verdict_time = 0; };
      log : { destination = "standard_error"; least = "debug"; file = "/var/log/postern.log"; admissions = true; };
      listeners : {
        pop3 : {
          maximum_connections = 10; connections_per_address = 5; connections_per_client_address = 7; reserve_for_clients = 3;
          ipv4_prefix = 24; ipv6_prefix = 48; refusal_reply = false; idle_time = "5min";
          sockets = ( { port = 110; address = "127.0.0.1"; restriction = "grant"; list = "127.0.0.0/8"; },
                      { port = 1110; address = "::"; channel = "tcp_internal"; } );
        };
      };)", "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(loaded));
    const auto& c = loaded.configuration;
    CPPUNIT_ASSERT_EQUAL(std::string("mail.example.com"), c.host_name);
    CPPUNIT_ASSERT_EQUAL(std::string("/srv/tables"), c.tables_directory);
    CPPUNIT_ASSERT(c.client_addresses.contains(*net::Address::parse("192.0.2.65")));
    CPPUNIT_ASSERT(!c.client_addresses.contains(*net::Address::parse("192.0.2.66")));
    CPPUNIT_ASSERT(c.cluster_members.contains(*net::Address::parse("198.51.100.5")));
    CPPUNIT_ASSERT(c.grace_time == 120s);
    CPPUNIT_ASSERT_EQUAL('%', c.access.probe_bar_char);
    CPPUNIT_ASSERT(c.access.access_orcpt);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, c.channels.size());
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local smtp mx"), c.channels[1].text);
    CPPUNIT_ASSERT_EQUAL(13, c.channels[1].place.line);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{10} * 1024 * 1024, c.smtp.message_bytes);
    CPPUNIT_ASSERT(c.smtp.data_time == 3600s);
    CPPUNIT_ASSERT(c.delivery.sync == conf::Delivery::Sync::each_file);
    CPPUNIT_ASSERT(c.delivery.script_time == 1000ms);
    CPPUNIT_ASSERT(c.delivery.verdict_time == 0ms);
    CPPUNIT_ASSERT(c.log.destination == base::Destination::standard_error);
    CPPUNIT_ASSERT(c.log.least == base::Severity::debug);
    const auto* const pop3 = conf::find_listener(c, conf::Module::pop3);
    CPPUNIT_ASSERT(pop3 != nullptr && conf::find_listener(c, conf::Module::smtp) == nullptr);
    CPPUNIT_ASSERT(pop3->connections_per_client_address == 7U && pop3->ipv4_prefix == 24 && !pop3->refusal_reply && pop3->idle_time == 300s);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, pop3->sockets.size());
    CPPUNIT_ASSERT(pop3->sockets[0].restriction == conf::Restriction::grant);
    CPPUNIT_ASSERT_EQUAL(std::string("127.0.0.0/8"), pop3->sockets[0].addresses.text());
    CPPUNIT_ASSERT_EQUAL(21, pop3->sockets[0].place.line);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_internal"), pop3->sockets[1].channel);
  }

  void all_mistakes_come_in_one_go_with_their_lines() {
    const auto loaded = conf::load_text(
        "format = 2;\n"
        "grace_tine = 5;\n"
        "grace_time = \"5 parsecs\";\n"
        "smtp : { recipients = \"many\"; errors = 0; message_bytes = 1.5; size = 3; future_release = \"2 y\"; etrn_clients = 7; etrn_time = 0; };\n"
        "host_name = \"-bad-\";\n"
        "base_directory = \"relative\";\n"
        "access_orcpt = 1;\n"
        "delivery : { sync = \"often\"; retry_first = \"2 d\"; };\n"
        "probe_bar_char = \"ab\";\n"
        "spool = 7;\n"
        "listeners : {\n"
        "  smpt : { };\n"
        "  imap : { };\n"
        "  smtp : { maximum_connections = -1; sockets = ( { address = \"here\"; }, 7 ); };\n"
        "};\n"
        "channels = \"x\";\n"
        "users : { mail = \"a b\"; };\n"
        "queue : { retry_first = \"5 h\"; retry_factor = 0; retry_most = \"8 d\"; expire_time = 0; expire_time_high = \"2 y\"; expire_time_low = true;\n"
        "  delay_notice = -1; messages_at_once = 0; messages_per_destination = 10001; return_bytes = \"1 GiB\"; notice_recipients = 0;\n"
        "  double_bounces = 1; notices_language = \"../en\"; notices_directory = \"notices\"; };\n"
        "relay : { tls = \"maybe\"; connections = 0; connections_per_destination = 0; connections_unknown = 0; messages_per_connection = 0; waiting_messages = 0;\n"
        "  waiting_bytes = 1; addresses_tried = 0; attempts_alone = 0; idle_time = \"1 d\"; connect_time = 1; greeting_time = 1;\n"
        "  command_time = 1; data_time = 1; write_time = 1; end_of_data_time = 1; dead_time = \"2 h\"; dead_time_most = \"1 h\"; routes = 7; authorities = 1;"
        "  dane = 1; mta_sts = 1; mta_sts_port = 0; mta_sts_time = 1; requiretls = 1; tls_report_days = 366; };\n"
        "children : { relay = 0; };\n"
        "directory : { group_members = 20001; scripts = 0; script_bytes = \"1 MiB\"; };\n",
        "postern.conf");
    const Expected rows[] = {
        {1, "format", "expected 1, found 2"},
        {2, "grace_tine", "did you mean \"grace_time\"?"},
        {3, "grace_time", "expected a time from 0 s to 1 h (seconds, or text such as \"5 min\"), found \"5 parsecs\""},
        {4, "smtp.recipients", "expected a number from 100 to 100000, found \"many\""},
        {4, "smtp.errors", "found 0"},
        {4, "smtp.message_bytes", "expected a size from 64 KiB to 4 GiB (bytes, or text such as \"50 MiB\"), found 1.5"},
        {4, "smtp.size", "there is no such setting"},
        {4, "smtp.future_release", "expected a time from 0 s to 365 d"},
        {4, "smtp.etrn_clients", "found 7"},
        {4, "smtp.etrn_time", "expected a time from 1 s to 1 d"},
        {5, "host_name", "found \"-bad-\""},
        {6, "base_directory", "found \"relative\""},
        {7, "access_orcpt", "expected true or false, found 1"},
        {8, "delivery.sync", "expected one of \"automatic\", \"file_system\", \"each_file\", found \"often\""},
        {8, "delivery.retry_first", "expected a time from 1 s to 1 d"},
        {9, "probe_bar_char", "expected one character"},
        {10, "spool", "expected a group { }, found a value"},
        {12, "listeners.smpt", "did you mean \"smtp\"?"},
        {13, "listeners.imap", "not available yet"},
        {14, "listeners.smtp.maximum_connections", "found -1"},
        {14, "listeners.smtp.sockets[0].port", "found nothing"},
        {14, "listeners.smtp.sockets[0].address", "found \"here\""},
        {14, "listeners.smtp.sockets[1]", "expected a group"},
        {16, "channels", "expected a list of texts, found \"x\""},
        {17, "users.mail", "found \"a b\""},
        {18, "queue.retry_first", "expected at most queue.retry_most, 14400 s, found 18000 s"},
        {18, "queue.retry_factor", "expected a number from 1 to 10, found 0"},
        {18, "queue.retry_most", "expected a time from 1 s to 7 d"},
        {18, "queue.expire_time", "expected a time from 1 s to 365 d"},
        {18, "queue.expire_time_high", "found \"2 y\""},
        {18, "queue.expire_time_low", "found true"},
        {19, "queue.delay_notice", "found -1"},
        {19, "queue.messages_at_once", "found 0"},
        {19, "queue.messages_per_destination", "found 10001"},
        {19, "queue.return_bytes", "expected a size from 0"},
        {19, "queue.notice_recipients", "expected a number from 1 to 1000, found 0"},
        {20, "queue.double_bounces", "expected true or false, found 1"},
        {20, "queue.notices_language", "expected the name of a language such as \"en\" or \"pt-BR\", found \"../en\""},
        {20, "queue.notices_directory", "found \"notices\""},
        {21, "relay.tls", "expected one of \"off\", \"opportunistic\", \"required\", \"verified\", found \"maybe\""},
        {21, "relay.connections", "expected a number from 1 to 20000, found 0"},
        {21, "relay.connections_per_destination", "found 0"},
        {21, "relay.connections_unknown", "expected a number from 1 to 20000, found 0"},
        {21, "relay.messages_per_connection", "found 0"},
        {21, "relay.waiting_messages", "found 0"},
        {22, "relay.waiting_bytes", "found 1"},
        {22, "relay.addresses_tried", "found 0"},
        {22, "relay.attempts_alone", "found 0"},
        {22, "relay.idle_time", "found \"1 d\""},
        {22, "relay.connect_time", "found 1"},
        {22, "relay.greeting_time", "found 1"},
        {23, "relay.command_time", "found 1"},
        {23, "relay.data_time", "found 1"},
        {23, "relay.write_time", "found 1"},
        {23, "relay.end_of_data_time", "found 1"},
        {23, "relay.dead_time", "expected at most relay.dead_time_most, 3600 s, found 7200 s"},
        {23, "relay.routes", "expected a list of texts"},
        {23, "relay.authorities", "found 1"},
        {23, "relay.dane", "expected true or false, found 1"},
        {23, "relay.mta_sts", "expected true or false, found 1"},
        {23, "relay.mta_sts_port", "expected a number from 1 to 65535, found 0"},
        {23, "relay.mta_sts_time", "expected a time from 100 ms to 10 min"},
        {23, "relay.requiretls", "expected true or false"},
        {23, "relay.tls_report_days", "expected a number from 0 to 365, found 366"},
        {24, "children.relay", "expected a number from 1 to 64, found 0"},
        {25, "directory.group_members", "expected a number from 1 to 20000, found 20001"},
        {25, "directory.scripts", "expected a number from 1 to 1000, found 0"},
        {25, "directory.script_bytes", "expected a size from 1 KiB to"},
    };
    for (const auto& row : rows) has(loaded, row);
    // A word that is like none is answered with none.
    CPPUNIT_ASSERT(all_mistakes(conf::load_text("listeners : { http : { }; };", "postern.conf")).find("did you mean") == std::string::npos);
    CPPUNIT_ASSERT(!loaded.usable());
    CPPUNIT_ASSERT(loaded.flattened.empty());
    CPPUNIT_ASSERT_EQUAL(std::string("postern.conf:1: format: expected 1, found 2"), loaded.mistakes.front().to_string());
  }

  void wrong_settings_of_logins_are_named() {
    const auto loaded = conf::load_text(
        "sasl : {\n"
        "  disabled_mechanisms = ( \"PLAIN\", \"CRAM-MD5\" ); scram_iterations = 4095; upgrade_passwords = 1; exchanges = 15; exchange_time = 4;\n"
        "};\n"
        "smtp : { login_failures = 0; failure_delay = 61; };\n"
        "directory : { script_changes = 1000001; expansion_steps = 99; };\n",
        "t");
    const Expected rows[] = {
        {2, "sasl.disabled_mechanisms", "expected a list of texts, each one of \"SCRAM-SHA-256-PLUS\""},
        {2, "sasl.disabled_mechanisms", "found \"CRAM-MD5\""},
        {2, "sasl.scram_iterations", "expected a number from 4096 to 1000000, found 4095"},
        {2, "sasl.upgrade_passwords", "found 1"},
        {2, "sasl.exchanges", "expected a number from 16 to 1000000, found 15"},
        {2, "sasl.exchange_time", "found 4"},
        {5, "directory.script_changes", "found 1000001"},
        {5, "directory.expansion_steps", "expected a number from 100 to 10000000, found 99"},
        {4, "smtp.login_failures", "expected a number from 1 to 1000, found 0"},
        {4, "smtp.failure_delay", "found 61"},
    };
    for (const auto& row : rows) has(loaded, row);
    const auto good = conf::load_text("sasl : { disabled_mechanisms = ( \"SCRAM-SHA-1\", \"LOGIN\" ); };", "t");
    CPPUNIT_ASSERT_EQUAL(1U << 3 | 1U << 6, good.configuration.sasl.disabled_mechanisms);
  }

  void wrong_settings_of_tokens_and_quotas_are_named() {
    const auto loaded = conf::load_text(
        "sasl : {\n"
        "  token_keys = ( \"key.pem\" );\n"
        "  token_issuer = \"\"; token_account_claim = \"\"; token_clock_skew = 601;\n"
        "};\n"
        "quota : { full_reply = \"never\"; warning_percent = 101; recheck_time = 0; };\n"
        "relay : { mail_host_protocol = \"uucp\"; mail_host_port = 65536; };\n",
        "t");
    const Expected rows[] = {
        {2, "sasl.token_keys", "expected the absolute path of a file, found \"key.pem\""},
        {3, "sasl.token_issuer", "expected a text, since there are sasl.token_keys"},
        {2, "sasl.token_audience", "expected a text, since there are sasl.token_keys"},
        {3, "sasl.token_account_claim", "expected"},
        {3, "sasl.token_clock_skew", "found 601"},
        {5, "quota.full_reply", "expected one of \"temporary\", \"permanent\", found \"never\""},
        {5, "quota.warning_percent", "expected a number from 0 to 100, found 101"},
        {5, "quota.recheck_time", "found 0"},
        {6, "relay.mail_host_protocol", "expected one of \"lmtp\", \"smtp\", found \"uucp\""},
        {6, "relay.mail_host_port", "expected a number from 1 to 65535, found 65536"},
    };
    for (const auto& row : rows) has(loaded, row);
    std::string keys;
    for (int i = 0; i < 9; ++i) keys += std::string(i == 0 ? "" : ", ") + "\"/k" + std::to_string(i) + "\"";
    const auto many = conf::load_text("sasl : { token_keys = ( " + keys + " ); token_issuer = \"i\"; token_audience = \"a\"; };", "t");
    has(many, {1, "sasl.token_keys", "expected at most 8 files, found 9"});
    CPPUNIT_ASSERT(conf::load_text("sasl : { token_keys = ( \"/k\" ); token_issuer = \"i\"; token_audience = \"a\"; };", "t").usable());
  }

  void wrong_settings_of_filters_are_named() {
    const auto loaded = conf::load_text(
        "filter_discard = 3; filter_jettison = 0;\n"
        "filters : {\n"
        "  script_bytes = 5; program_bytes = 5; commands = 9; nesting = 65; includes = 1001; include_depth = 0; variables = 0; global_directory = \"here\";\n"
        "  steps = 9; memory_bytes = 9; actions = 0; redirects = 1001; notifications = -1; variable_bytes = 9; header_edits = 10001;\n"
        "  header_value_bytes = 9; regex_bytes = 9; regex_text_bytes = 9; body_part_bytes = 9; body_bytes = 9; memory_entries = 9; cache_bytes = -1;\n"
        "  vacation_default = \"61 d\"; vacation_least = \"62 d\"; duplicate_default = \"3 d\"; mistake_notice = \"366 d\";\n"
        "  spam_field = \"A B\"; virus_field = \"A:\"; spam_scale = 0; virus_values = ( \"Clean 1\",\n"
        "    \"Dirty 6\" );\n"
        "  string_bytes = 9; loop_nesting = 17; arguments = 7; list_items = 9; regex_total_bytes = 9; regex_work = 9; mime_depth = 101; mime_parts = 9;\n"
        "  list_lookups = -1; folder_separators = \"\\\\\"; lists = ( \"tag:a,2026:b file\",\n"
        "    \"partners file x\", \"tag:a,2026:b list x\", \"tag:a,2026:b group staff\",\n"
        "    \"tag:a,2026:b table B\", \"tag:a,2026:b table C\" );\n"
        "};\n",
        "postern.conf");
    const Expected rows[] = {
        {1, "filter_discard", "expected a number from 1 to 2, found 3"},
        {1, "filter_jettison", "found 0"},
        {3, "filters.script_bytes", "expected a size from 1 KiB to 16 MiB"},
        {3, "filters.program_bytes", "from 64 KiB to 1 GiB"},
        {3, "filters.commands", "found 9"},
        {3, "filters.nesting", "expected a number from 2 to 64, found 65"},
        {3, "filters.includes", "found 1001"},
        {3, "filters.include_depth", "found 0"},
        {3, "filters.variables", "found 0"},
        {3, "filters.global_directory", "found \"here\""},
        {4, "filters.steps", "found 9"},
        {4, "filters.memory_bytes", "from 64 KiB"},
        {4, "filters.actions", "found 0"},
        {4, "filters.redirects", "found 1001"},
        {4, "filters.notifications", "found -1"},
        {4, "filters.variable_bytes", "from 128 B"},
        {4, "filters.header_edits", "found 10001"},
        {5, "filters.header_value_bytes", "from 998 B"},
        {5, "filters.regex_bytes", "from 1 KiB"},
        {5, "filters.regex_text_bytes", "from 1 KiB"},
        {5, "filters.body_part_bytes", "from 1 KiB"},
        {5, "filters.body_bytes", "from 1 KiB"},
        {5, "filters.memory_entries", "found 9"},
        {5, "filters.cache_bytes", "expected a size from 0 B to 64 GiB"},
        {6, "filters.vacation_default", "expected at most filters.vacation_most (5184000 s), found 5270400 s"},
        {6, "filters.vacation_least", "expected at most filters.vacation_most"},
        {6, "filters.duplicate_default", "expected at most filters.duplicate_most"},
        {6, "filters.mistake_notice", "expected a time from 0 s to 365 d"},
        {7, "filters.spam_field", "expected the name of a header field, found \"A B\""},
        {7, "filters.virus_field", "found \"A:\""},
        {7, "filters.spam_scale", "found 0"},
        {8, "filters.virus_values", "found \"Dirty 6\""},
        {9, "filters.string_bytes", "from 1 KiB to 16 MiB"},
        {9, "filters.loop_nesting", "expected a number from 1 to 16, found 17"},
        {9, "filters.arguments", "expected a number from 8 to 1000, found 7"},
        {9, "filters.list_items", "found 9"},
        {9, "filters.regex_total_bytes", "from 256 KiB"},
        {9, "filters.regex_work", "found 9"},
        {9, "filters.mime_depth", "expected a number from 2 to 100, found 101"},
        {9, "filters.mime_parts", "expected a number from 10 to 100000, found 9"},
        {10, "filters.list_lookups", "expected a number from 0 to 100000, found -1"},
        {10, "filters.folder_separators", "expected \"/\", \".\" or both"},
        {10, "filters.lists", "expected a name, a kind (file, group, table) and a source"},
        {11, "filters.lists", "the name of a list is a URI"},
        {11, "filters.lists", "found \"tag:a,2026:b list x\""},
        {11, "filters.lists", "expected the address of an alias or a group"},
        {12, "filters.lists", "there are two lists of the name \"tag:a,2026:b\""},
    };
    for (const auto& row : rows) has(loaded, row);
    for (const char* field : {"Subject", "content-type", "ARC-Seal"})
      has(conf::load_text("filters : { virus_field = \"" + std::string(field) + "\"; };\n", "postern.conf"), {1, "filters.virus_field", "expected a field that filters alone write"});
    has(conf::load_text("delivery : { verdict_time = \"6 min\"; };\n", "postern.conf"), {1, "delivery.verdict_time", "expected a time from 0 s to 5 min"});
    CPPUNIT_ASSERT(!loaded.usable());
  }

  void a_row_with_tls_wants_a_certificate_for_its_address() {
    const auto mistakes = [](const std::string& rows, const std::string& domains) {
      return all_mistakes(conf::load_text("host_name = \"mail.example.com\"; listeners : { smtp : { sockets = ( " + rows + " ); }; };\ntls : { domains = ( " + domains + " ); };\n", "t"));
    };
    const std::string pair = "certificates = ( { certificate = \"/c\"; key = \"/k\"; } );";
    const std::string with = "{ names = [ \"mail.example.com\" ]; addresses = [ \"192.0.2.1\" ]; " + pair + " }";
    const std::string without = "{ names = [ \"list.example.org\" ]; addresses = [ \"192.0.2.2\" ]; certificates = (); }";
    const auto row = [](const std::string& address) { return "{ port = 465; address = \"" + address + "\"; init_tls = \"on\"; }"; };
    struct {
      std::string address, domains;
      bool warned;
    } rows[] = {
        {"192.0.2.1", with + ", " + without, false}, {"192.0.2.2", with + ", " + without, true},
        {"192.0.2.3", with + ", " + without, false},  // the main domain
        {"192.0.2.3", without, true},                 // the only one
        {"all", without + ", " + with, false},        // by host_name, wherever it stands
    };
    for (const auto& one : rows)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(one.address + mistakes(row(one.address), one.domains), one.warned,
                                   mistakes(row(one.address), one.domains).find("the domain of this address, list.example.org, has no certificate") != std::string::npos);
    CPPUNIT_ASSERT(mistakes(row("192.0.2.1"), "").find("tls.domains has no certificate") != std::string::npos);
  }

  void wrong_values_of_rehearsal_and_resolver_are_named() {
    const auto loaded = conf::load_text(
        "tables_kept = 1;\n"
        "rehearsal : {\n enabled = \"yes\";\n days = 366;\n bytes = \"1 MiB\";\n};\n"
        "resolver : {\n servers = ( \"ns.example\" );\n resolv_conf = 7;\n trust_anchor_file = true;\n time_limit = \"61 s\";\n questions = 0;\n"
        " questions_per_process = 100001;\n answer_bytes = 511;\n cache_bytes = \"5 GiB\";\n dnssec = \"yes\";\n};\n",
        "t");
    const Expected rows[] = {
        {1, "tables_kept", "expected a number from 2 to 1000, found 1"},
        {3, "rehearsal.enabled", "expected true or false, found \"yes\""},
        {4, "rehearsal.days", "expected a number from 1 to 365, found 366"},
        {5, "rehearsal.bytes", "expected a size from 4 MiB to 64 GiB"},
        {8, "resolver.servers", "expected the address of a name server"},
        {9, "resolver.resolv_conf", "expected text of 0 to 4000 characters on one line, found 7"},
        {10, "resolver.trust_anchor_file", "expected text of 0 to 4000 characters on one line, found true"},
        {11, "resolver.time_limit", "expected a time from 100 ms to 1 min"},
        {12, "resolver.questions", "expected a number from 1 to 100000, found 0"},
        {13, "resolver.questions_per_process", "expected a number from 1 to 100000, found 100001"},
        {14, "resolver.answer_bytes", "expected a size from 512 B to 1 MiB"},
        {15, "resolver.cache_bytes", "expected a size from 64 KiB to 4 GiB"},
        {16, "resolver.dnssec", "expected one of \"if-possible\", \"always\", \"off\", found \"yes\""},
    };
    for (const auto& row : rows) has(loaded, row);
    CPPUNIT_ASSERT(!loaded.usable());
  }

  void wrong_values_of_authentication_are_named() {
    const auto loaded = conf::load_text(
        "authentication : {\n spf = 1;\n dkim = \"yes\";\n dmarc = 0;\n arc = \"no\";\n channels = true;\n service = \"a b\";\n signatures = 0;\n"
        " body_bytes = 1;\n time = \"6 min\";\n dmarc_reject = \"drop\";\n dmarc_quarantine = 1;\n sign = \"on\";\n sign_channels = 7;\n"
        " when_unsigned = \"bounce\";\n signature_lifetime = \"366 d\";\n arc_domain = \"a..b\";\n srs_domain = \"x/y\";\n srs_secret_file = 5;\n srs_lifetime = \"1 h\";\n sign_7bit = 7;\n};\n",
        "t");
    const Expected rows[] = {
        {2, "authentication.spf", "expected true or false, found 1"},
        {3, "authentication.dkim", "expected true or false"},
        {4, "authentication.dmarc", "expected true or false, found 0"},
        {5, "authentication.arc", "expected true or false"},
        {6, "authentication.channels", "expected text of 0 to 1000 characters on one line, found true"},
        {7, "authentication.service", "expected a domain such as \"example.com\", found \"a b\""},
        {8, "authentication.signatures", "expected a number from 1 to 50, found 0"},
        {9, "authentication.body_bytes", "expected a size from 64 KiB to 4 GiB"},
        {10, "authentication.time", "expected a time from 1 s to 5 min"},
        {11, "authentication.dmarc_reject", "expected one of \"report\", \"hold\", \"refuse\", found \"drop\""},
        {12, "authentication.dmarc_quarantine", "expected one of \"report\", \"hold\", \"refuse\", found 1"},
        {13, "authentication.sign", "expected true or false"},
        {14, "authentication.sign_channels", "expected text of 0 to 1000 characters on one line, found 7"},
        {15, "authentication.when_unsigned", "expected one of \"defer\", \"send\", found \"bounce\""},
        {16, "authentication.signature_lifetime", "expected a time from 0 s to 365 d"},
        {17, "authentication.arc_domain", "expected a domain such as \"example.com\", found \"a..b\""},
        {18, "authentication.srs_domain", "expected a domain such as \"example.com\", found \"x/y\""},
        {19, "authentication.srs_secret_file", "expected text of 0 to 4000 characters on one line, found 5"},
        {21, "authentication.sign_7bit", "expected true or false, found 7"},
        {20, "authentication.srs_lifetime", "expected a time from 1 d to 500 d"},
    };
    for (const auto& row : rows) has(loaded, row);
    CPPUNIT_ASSERT(!loaded.usable());
    has(conf::load_text("authentication : {\n srs_domain = \"example.com\"; };", "t"), {2, "authentication.srs_domain", "expected authentication.srs_secret_file beside it"});
  }

  void wrong_values_of_ldap_are_named() {
    const struct {
      const char *setting, *value, *text;
    } rows[] = {
        {"servers", "( \"http://x\" )", "expected a server such as"},
        {"servers", "( \"ldap://\" )", "expected a server such as"},
        {"base", "\"example.com\"", "expected the name of an entry"},
        {"base", "\"dc=example,,dc=com\"", "expected the name of an entry"},
        {"bind_dn", "\"postern\"", "expected the name of an entry"},
        {"nobody_dn", "\"cn=x,dc\"", "expected the name of an entry"},
        {"nobody_dn", "\"cn=\\\"x,dc=y\"", "expected the name of an entry"},
        {"servers", "( \"ldap://x/dc=com\" )", "expected a server such as"},
        {"servers", "( \"ldap://a ldap://b\" )", "expected a server such as"},
        {"tls", "\"on\"", "expected one of \"off\", \"starttls\""},
        {"authorities", "7", "expected text of 0 to 4000 characters"},
        {"bind_dn", "true", "expected text of 0 to 1000 characters"},
        {"password_file", "( )", "expected text of 0 to 4000 characters"},
        {"base", "7", "expected text of 0 to 1000 characters"},
        {"scope", "\"all\"", "expected one of \"base\", \"one\", \"sub\""},
        {"domains", "( \"a b\" )", "expected a domain such as"},
        {"domains", "( \"\" )", "expected a domain such as"},
        {"domain_filter", "\"mail=%a\"", "it begins with ( and ends with )"},
        {"account_filter", "\"(mail=%x)\"", "behind % stands a"},
        {"account_filter", "\"(mail=%)\"", "behind % stands a"},
        {"alias_filter", "\"((mail=%a)\"", "a ( that nothing closes"},
        {"group_filter", "\"(mail=%a))\"", "something stands behind its end"},
        {"group_filter", "\"(mail=%a)(cn=%l)\"", "something stands behind its end"},
        {"passwords", "\"hash\"", "expected one of \"bind\", \"compare\""},
        {"nobody_dn", "1", "expected text of 0 to 1000 characters"},
        {"write_scripts", "1", "expected true or false"},
        {"mail_attribute", "\"\"", "expected text of 1 to 128 characters"},
        {"alternate_attribute", "\"a,b\"", "expected the name of an attribute"},
        {"host_attribute", "\"a b\"", "expected the name of an attribute"},
        {"quota_attribute", "\"a(b\"", "expected the name of an attribute"},
        {"forwarding_attribute", "\"a=b\"", "expected the name of an attribute"},
        {"delivery_attribute", "\"a*\"", "expected the name of an attribute"},
        {"filter_attribute", "\"a b\"", "expected the name of an attribute"},
        {"status_attribute", "\"a b\"", "expected the name of an attribute"},
        {"tag_attribute", "\"a b\"", "expected the name of an attribute"},
        {"description_attribute", "\"a b\"", "expected the name of an attribute"},
        {"password_attribute", "\"a b\"", "expected the name of an attribute"},
        {"password_time_attribute", "\"a b\"", "expected the name of an attribute"},
        {"scram_attribute", "\"a b\"", "expected the name of an attribute"},
        {"member_attribute", "\"a b\"", "expected the name of an attribute"},
        {"member_dn_attribute", "\"a b\"", "expected the name of an attribute"},
        {"owner_attribute", "\"a b\"", "expected the name of an attribute"},
        {"domain_tag_attribute", "\"a b\"", "expected the name of an attribute"},
        {"domain_base_attribute", "\"a b\"", "expected the name of an attribute"},
        {"connections", "0", "expected a number from 1 to 64, found 0"},
        {"login_connections", "65", "expected a number from 1 to 64, found 65"},
        {"questions", "0", "expected a number from 1 to 100000, found 0"},
        {"connect_time", "\"5 s\"", "expected a time from 100 ms to 4500 ms"},
        {"answer_time", "\"5 s\"", "expected a time from 100 ms to 4500 ms"},
        {"idle_time", "0", "expected a time from 1 s to 1 d"},
        {"retry_time", "\"2 h\"", "expected a time from 0 s to 1 h"},
        {"cache_time", "\"2 d\"", "expected a time from 0 s to 1 d"},
        {"negative_cache_time", "\"2 d\"", "expected a time from 0 s to 1 d"},
        {"cache_entries", "1000001", "expected a number from 0 to 1000000, found 1000001"},
        {"answer_bytes", "\"1 KiB\"", "expected a size from 64 KiB to 64 MiB"},
    };
    for (const auto& row : rows) {
      const std::string setting = "ldap." + std::string(row.setting);
      has(conf::load_text("ldap : {\n " + std::string(row.setting) + " = " + row.value + ";\n};\n", "t"), {2, setting.c_str(), row.text});
    }
  }

  void what_ldap_settings_say_together_is_checked() {
    const auto said = [](const std::string& settings) { return conf::load_text("ldap = {\n" + settings + "\n};", "t"); };
    const std::string good = "base = \"ou=Mail + l=a\\\\,b, DC=example,2.5.4.3=#0401\"; servers = ( \"ldaps://a.example\", \"ldap://b.example:3389\", \"ldapi://%2Frun%2Fldapi\" ); domains = ( \"Example.COM.\" ); ";
    CPPUNIT_ASSERT(said(good).usable());
    CPPUNIT_ASSERT_EQUAL(std::string("example.com"), said(good).configuration.ldap.domains.at(0).text);
    has(said(good), {2, "ldap.servers", "SCRAM is offered"});
    has(said("domains = ( \"example.com\" );"), {2, "ldap.domains", "has no effect without ldap.servers"});
    has(said("servers = ( \"ldap://a\" );"), {2, "ldap.servers", "only ldap: URLs"});
    has(said(good + "bind_dn = \"cn=x\";"), {2, "ldap.bind_dn", "expected ldap.password_file too"});
    has(said(good + "password_file = \"/x\";"), {2, "ldap.password_file", "has no effect without ldap.bind_dn"});
    has(said(good + "account_filter = \"\";"), {2, "ldap.account_filter", "expected a search filter"});
    has(said(good + "passwords = \"compare\"; password_attribute = \"\";"), {2, "ldap.password_attribute", "since ldap.passwords is \"compare\""});
    has(said(good + "write_scripts = true; filter_attribute = \"\";"), {2, "ldap.write_scripts", "has no effect without"});
    has(said(good + "tls = \"off\";"), {2, "ldap.servers", "passwords go to ldap://b.example:3389 as they are"});
  }

  void mistakes_in_lists_name_the_line_that_holds_them() {
    const auto loaded = conf::load_text(
        "client_addresses = \"192.0.2.1\n"
        "127.0.0.5/24\n"
        "192.0.2.3\";\n"
        "cluster_members = (\n"
        "  \"192.0.2.1\",\n"
        "  \"192.0.2.256\"\n"
        ");\n"
        "smtp_blacklist = \"192.0.2.1\\n\"\n"
        "                 \"10.1\\n\"\n"
        "              \"::1/129\";\n",
        "t");
    has(loaded, {2, "client_addresses", "line 2 of the list, \"127.0.0.5/24\": bits behind the mask are not 0; did you mean 127.0.0.0/24?"});
    has(loaded, {6, "cluster_members", "192.0.2.256"});
    has(loaded, {9, "smtp_blacklist", "line 2 of the list"});
    has(loaded, {10, "smtp_blacklist", "line 3 of the list"});
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, loaded.mistakes.size());  // with the warning that nothing listens
  }

  // listeners.md 7, case 23
  void broken_lists_are_each_reported_in_full() {
    const auto loaded = conf::load_text(
        "listeners : { smtp : { sockets = ( { port = 25; restriction = \"grant\"; list = [\n\"10.0.0.0/0\",\n\"10.0.0.0/33\",\n\"::1/129\",\n"
        "\"10.0.0.9-10.0.0.1\",\n\"10.0.0.1-::1\",\n\"010.0.0.1\",\n\"10.1\",\n\"mail.example.net\",\n\"#@*.example.net\" ]; } ); }; };",
        "t");
    for (int line = 2; line <= 10; ++line) has(loaded, {line, "listeners.smtp.sockets[0].list", "line " + std::to_string(line - 1) + " of the list"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{9}, loaded.mistakes.size());
    // Case 24: in the client list a name pattern may stand, and helps nobody here.
    const auto client = conf::load_text("client_addresses = \"#@*.example.net\";" + kSmtp, "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(client));
  }

  void large_numbers_are_not_cut() {
    // libconfig 1.5 alone reads 4294967297 as 1.
    const auto loaded = conf::load_text("smtp : { message_bytes = 4294967296; errors = 4294967297; };\nspool : { minimum_free_bytes = 0x1000000000; };\n"
                                        "children : { sessions = 5000000000L; };\nsmtp2 = 99999999999999999999999;\n", "t");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4294967296}, loaded.configuration.smtp.message_bytes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0x1000000000}, loaded.configuration.spool.minimum_free_bytes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000000}, loaded.configuration.children.sessions);
    has(loaded, {1, "smtp.errors", "found 4294967297"});
    has(loaded, {4, "", "more than 63 bits"});
  }

  // listeners.md 7, case 9
  void ports_are_numbers() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = ( { port = 65536; }, { port = -1; }, { port = \"25x\"; }, { port = \" 25 \"; } ); }; };", "t");
    for (const char* const row : {"0", "1", "2"})
      has(loaded, {1, "listeners.smtp.sockets[" + std::string(row) + "].port", "expected a number from 0 to 65535"});
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, loaded.mistakes.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, loaded.configuration.listeners[0].sockets.size());
    CPPUNIT_ASSERT_EQUAL(std::uint16_t{25}, loaded.configuration.listeners[0].sockets[0].port);
  }

  // Case 8
  void a_row_with_port_0_does_not_exist() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = ( { port = 0; restriction = \"deny\"; list = \"rubbish\"; init_tls = \"on\"; }, { port = 25; } ); }; };", "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(loaded));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, loaded.configuration.listeners[0].sockets.size());
  }

  // Cases 1, 2, 5, 6
  void overlapping_sockets_are_refused_over_all_modules() {
    const struct {
      const char *one, *other;
      const char* part;
    } rows[] = {
        {"port = 25;", "port = 25; address = \"192.0.2.1\";", "smtp all:25 takes all addresses"},
        {"port = 25; address = \"::ffff:127.0.0.1\";", "port = 25; address = \"127.0.0.1\";", "the same address"},
        {"port = 25; address = \"2001:db8::1\";", "port = 25; address = \"2001:0DB8:0:0::1\";", "the same address"},
        {"port = 25; address = \"0.0.0.0\";", "port = 25; address = \"192.0.2.1\";", "takes all IPv4 addresses"},
        {"port = 25; address = \"2001:db8::1\";", "port = 25; address = \"::\";", "takes all IPv6 addresses"},
    };
    for (const auto& row : rows)
      for (const bool other_module : {false, true}) {
        const std::string text = "listeners : { smtp : { sockets = (\n{ " + std::string(row.one) + " }" + (other_module ? "); }; pop3 : { sockets = (\n" : ",\n") + "{ " + row.other + " } ); }; };";
        const auto loaded = conf::load_text(text, "t");
        has(loaded, {3, other_module ? "listeners.pop3.sockets" : "listeners.smtp.sockets", row.part});
        has(loaded, {3, other_module ? "listeners.pop3.sockets" : "listeners.smtp.sockets", "(t:2)"});
        has(loaded, {3, other_module ? "listeners.pop3.sockets" : "listeners.smtp.sockets", other_module ? "socket pop3 " : "socket smtp "});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{1}, loaded.mistakes.size());
      }
  }

  // L-8: of a listener that is switched off nothing is open.
  void a_listener_with_a_maximum_of_0_stands_in_nobodys_way() {
    for (const char* const order : {"smtp", "pop3"}) {
      const auto maximum = [&](const std::string& module, unsigned of_first) { return "maximum_connections = " + std::to_string(module == order ? of_first : 10) + "; reserve_for_clients = 0;"; };
      for (const unsigned of_first : {0U, 10U}) {
        const auto loaded = conf::load_text("listeners : { smtp : { " + maximum("smtp", of_first) + " sockets = ( { port = 110; } ); }; pop3 : { " + maximum("pop3", of_first) +
                                            " sockets = ( { port = 110; address = \"127.0.0.1\"; } ); }; };", "t");
        CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), of_first == 0, loaded.usable());
      }
    }
  }

  // Cases 3, 7
  void what_may_stand_side_by_side_does() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = ( { port = 25; address = \"127.0.0.1\"; }, { port = 25; address = \"127.0.0.2\"; }, "
                                        "{ port = 26; address = \"0.0.0.0\"; }, { port = 26; address = \"::\"; } ); }; };", "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(loaded));
  }

  // case 4, case 73
  void udp_rows_are_checked_apart_from_tcp() {
    const std::string community = "snmp : { community = \"c\"; };";
    const auto apart = conf::load_text("listeners : { smtp : { sockets = ( { port = 5060; } ); }; snmp : { sockets = ( { port = 5060; } ); }; };" + community, "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(apart));
    const auto same = conf::load_text("listeners : { snmp : { sockets = ( { port = 161; },\n{ port = 161; address = \"127.0.0.1\"; } ); }; };" + community, "t");
    has(same, {2, "listeners.snmp.sockets", "socket snmp 127.0.0.1:161/udp collides with snmp all:161/udp (t:1): snmp all:161/udp takes all addresses"});
    CPPUNIT_ASSERT(!same.usable());
  }

  void a_udp_service_has_no_settings_of_connections() {
    for (const char* const setting : {"maximum_connections = 1", "connections_per_address = 1", "reserve_for_clients = 0", "refusal_reply = true", "idle_time = 5",
                                   "dry_run = ( \"blocked\", \"restricted\" )"}) {
      const auto loaded = conf::load_text("snmp : { community = \"c\"; }; listeners : { snmp : {\n" + std::string(setting) + "; sockets = ( { port = 161; } ); }; };", "t");
      has(loaded, {2, "listeners.snmp." + std::string(setting).substr(0, std::string_view(setting).find(' ')), "a service over UDP"});
    }
    for (const char* const setting : {"init_tls = \"off\"", "channel = \"tcp_local\""}) {
      const auto loaded = conf::load_text("snmp : { community = \"c\"; }; listeners : { snmp : { sockets = ( { port = 161;\n" + std::string(setting) + "; } ); }; };", "t");
      has(loaded, {2, "listeners.snmp.sockets[0]." + std::string(setting).substr(0, std::string_view(setting).find(' ')), "a service over UDP"});
    }
    has(conf::load_text("listeners : { snmp : {\nports = 1; }; };", "t"), {2, "listeners.snmp.ports", "there is no such setting"});
    const auto tries = conf::load_text("snmp : { community = \"c\"; }; listeners : { snmp : { dry_run = ( \"blocked\", \"restriction\" ); sockets = ( { port = 161; } ); }; };", "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(tries));
  }

  // listeners.md U-7, wherever in the text the client list stands.
  void a_udp_row_starts_with_the_client_list() {
    const auto loaded = conf::load_text(R"(listeners : { snmp : { sockets = ( { port = 161; }, { port = 162; restriction = "grant"; }, { port = 163; restriction = "none"; },
      { port = 164; list = "198.51.100.0/24"; }, { port = 165; restriction = "deny"; list = "192.0.2.1"; } ); }; };
      snmp : { community = "c"; };
      client_addresses = "192.0.2.0/24";)", "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(loaded));
    const auto& rows = loaded.configuration.listeners[0].sockets;
    const auto ours = *net::Address::parse("192.0.2.1");
    for (const std::size_t i : {0, 1}) {
      CPPUNIT_ASSERT(rows[i].restriction == conf::Restriction::grant && rows[i].client_list);
      CPPUNIT_ASSERT(rows[i].addresses.contains(ours) && !rows[i].addresses.contains(*net::Address::parse("127.0.0.1")));
    }
    CPPUNIT_ASSERT(rows[2].restriction == conf::Restriction::none && !rows[2].client_list);
    CPPUNIT_ASSERT(rows[3].restriction == conf::Restriction::grant && !rows[3].addresses.contains(ours));
    CPPUNIT_ASSERT(rows[4].restriction == conf::Restriction::deny && rows[4].addresses.contains(ours));
    // A change of the client list is a change of these rows.
    auto other = conf::load_text("listeners : { snmp : { sockets = ( { port = 161; } ); }; }; snmp : { community = \"c\"; };", "t").configuration;
    auto changed = other;
    changed.client_addresses = changed.listeners[0].sockets[0].addresses = loaded.configuration.client_addresses;
    CPPUNIT_ASSERT_EQUAL(std::string("listeners.snmp.sockets"), conf::reload_difference(other, changed).running.back());
  }

  void name_servers_and_dns_lists_are_checked() {
    const auto good = conf::load_text("resolver : { servers = ( \"192.0.2.53\", \" 192.0.2.53:5353 \", \"2001:db8::53\", \"[2001:db8::53]:53\", \"[2001:db8::53]\" ); };\n"
                                      "listeners : { smtp : { dns_verify_domain = ( \" List.Example. \" ); sockets = ( { port = 25; } ); }; };", "t");
    CPPUNIT_ASSERT(good.usable());
    CPPUNIT_ASSERT_EQUAL(std::string("list.example"), good.configuration.listeners[0].dns_verify_domain.at(0).text);
    const char* const want[] = {"192.0.2.53:53", "192.0.2.53:5353", "[2001:db8::53]:53", "[2001:db8::53]:53", "[2001:db8::53]:53"};
    for (std::size_t i = 0; i < std::size(want); ++i)
      CPPUNIT_ASSERT_EQUAL(std::string(want[i]), conf::name_server(good.configuration.resolver.servers.at(i).text).value().to_string());
    for (const char* const server : {"", "localhost", "192.0.2", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:53:53", "[2001:db8::53]53", "192.0.2.53@53"})
      has(conf::load_text("resolver : {\n servers = ( \"" + std::string(server) + "\" ); };", "t"), {2, "resolver.servers", "expected the address of a name server"});
    for (const char* const list : {"", ".", "two words", "a..b"})
      has(conf::load_text("listeners : { smtp : {\n dns_verify_domain = ( \"" + std::string(list) + "\" ); }; };", "t"),
          {2, "listeners.smtp.dns_verify_domain", "expected the name of a DNS list"});
    std::string many;
    for (int i = 0; i < 17; ++i) many += std::string(i == 0 ? "" : ", ") + "\"192.0.2.53\"";
    has(conf::load_text("resolver : {\n servers = ( " + many + " ); };", "t"), {2, "resolver.servers", "at most 16"});
    has(conf::load_text("listeners : { smtp : {\n dns_verify_domain = ( " + many + " ); }; };", "t"), {2, "listeners.smtp.dns_verify_domain", "at most 16"});
    // Over UDP there is no such thing.
    has(conf::load_text("listeners : { snmp : {\n dns_verify_domain = ( \"list.example\" ); }; };", "t"), {2, "listeners.snmp.dns_verify_domain", "UDP"});
  }

  void a_community_must_be_there_and_is_never_shown() {
    const std::string listener = "listeners : {\nsnmp : { sockets = ( { port = 161; } ); }; };\n";
    has(conf::load_text(listener, "t"), {2, "snmp.community", "expected a community"});
    // Off until a port is set (U-4).
    CPPUNIT_ASSERT(conf::load_text("listeners : { smtp : {}; snmp : { sockets = ( { port = 0; } ); }; };", "t").usable());
    const std::string secret(200, 'x');
    for (const std::string& text : {"snmp : { community = \"" + secret + "\"; };", "snmp : { community = [ \"" + secret + "\" ]; };", "snmp : { community = \"" + secret + "; };\"",
                                    "snmp : { community = \"" + secret + "\"\n contact = 1 };"}) {
      const auto loaded = conf::load_text(listener + text, "t");
      CPPUNIT_ASSERT(!loaded.usable());
      CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), all_mistakes(loaded).find("xxx") == std::string::npos);
    }
  }

  // Cases 21 and 51, and the list that is ignored
  void warnings_do_not_spoil_a_configuration() {
    const auto loaded = conf::load_text("listeners : { smtp : { maximum_connections = 10; reserve_for_clients = 10; sockets = (\n"
                                        "{ port = 25; restriction = \"deny\"; list = \"; nobody\"; },\n{ port = 26; restriction = \"grant\"; },\n{ port = 27; list = \"10.1\"; } ); }; };", "t");
    has(loaded, {1, "listeners.smtp.reserve_for_clients", "only client addresses"});
    has(loaded, {2, "listeners.smtp.sockets[0].list", "nobody is kept out"});
    has(loaded, {3, "listeners.smtp.sockets[1].list", "nobody will get in"});
    has(loaded, {4, "listeners.smtp.sockets[2].list", "four parts"});
    CPPUNIT_ASSERT(loaded.usable());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, loaded.configuration.listeners[0].sockets.size());
    CPPUNIT_ASSERT(loaded.mistakes[0].to_string().find("t:1: warning: ") == 0);
  }

  void the_table_must_hold_the_sum_of_all_maxima() {
    const auto loaded = conf::load_text("listeners : { smtp : { maximum_connections = 100; }; pop3 : { maximum_connections = 100; }; };\nconnection_table_sessions = 199;", "t");
    has(loaded, {2, "connection_table_sessions", "expected room for the sum of all maximum_connections, 200, found 199"});
  }

  void services_for_clients_only_have_a_login() {
    has(conf::load_text("listeners = {\n smtp = {\n  clients_only = true; };\n};", "text"), {3, "listeners.smtp.clients_only", "pop3"});
    CPPUNIT_ASSERT(conf::load_text("listeners = { pop3 = { clients_only = true; }; };", "text").usable());
  }

  void tls_needs_a_certificate() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = ( { port = 25; }, { port = 465;\n init_tls = \"on\"; } ); }; };", "t");
    has(loaded, {1, "listeners.smtp.sockets", "every connection will be closed"});
    CPPUNIT_ASSERT(loaded.usable());
  }

  void domains_and_certificates() {
    const auto loaded = conf::load_text("tls = { least_version = \"1.3\"; client_authorities = \"ca.pem\"; domains = (\n"
                                        "{ names = ( \"Mail.Example.com.\", \"example.com\" ); addresses = ( \"192.0.2.1\", \"2001:DB8::1\" );\n"
                                        "  certificates = ( { certificate = \"/c.pem\"; key = \"sub/k.pem\"; }, { certificate = \"r.pem\"; } ); } ); };\n"
                                        "listeners : { smtp : { client_certificates = true; sockets = ( { port = 25; } ); }; };", "/etc/postern/t");
    for (const auto& mistake : loaded.mistakes) CPPUNIT_FAIL(mistake.to_string());
    const auto& tls = loaded.configuration.tls;
    CPPUNIT_ASSERT(tls.least_version == conf::Tls::Version::tls13);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, tls.domains.size());
    CPPUNIT_ASSERT_EQUAL(std::string("mail.example.com"), tls.domains[0].names[0].text);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, tls.domains[0].addresses.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, tls.domains[0].certificates.size());
    CPPUNIT_ASSERT_EQUAL(std::string("/c.pem"), tls.domains[0].certificates[0].certificate);
    CPPUNIT_ASSERT(tls.domains[0].certificates[0].key.starts_with("/") && tls.domains[0].certificates[0].key.ends_with("/sub/k.pem"));
    CPPUNIT_ASSERT(tls.client_authorities.starts_with("/") && tls.client_authorities.ends_with("/ca.pem"));
    // Children get the same.
    const auto again = conf::load_text(loaded.flattened, "postern.conf");
    CPPUNIT_ASSERT(conf::reload_difference(loaded.configuration, again.configuration).running.empty());
    // A reload sees a change in a row.
    std::string changed = loaded.flattened;
    changed.replace(changed.find("/c.pem"), 6, "/d.pem");
    const auto difference = conf::reload_difference(loaded.configuration, conf::load_text(changed, "postern.conf").configuration);
    CPPUNIT_ASSERT(difference.running == std::vector<std::string>{"tls.domains"});
  }

  void mistakes_in_domains_are_named() {
    const auto loaded = conf::load_text("tls = { domains = (\n"
                                        "{ names = ( \"a.example\", \"no name\" ); addresses = ( \"192.0.2.1\", \"0.0.0.0\", \"x\" );\n"
                                        "  certificates = ( { key = \"k\"; } ); },\n"
                                        "{ names = ( \"b.example\",\n \"A.example.\" ); addresses = (\"192.0.2.1\"); certificate = \"x\"; },\n"
                                        "{ certificates = \"x\"; }, 7 ); least_version = \"1.1\"; };", "t");
    has(loaded, {2, "tls.domains[0].names", "expected a host name"});
    has(loaded, {2, "tls.domains[0].addresses", "found \"0.0.0.0\""});
    has(loaded, {2, "tls.domains[0].addresses", "found \"x\""});
    has(loaded, {3, "tls.domains[0].certificates[0].certificate", "expected the path of a file"});
    has(loaded, {5, "tls.domains[1].names", "\"a.example\" stands already at t:2"});
    has(loaded, {5, "tls.domains[1].addresses", "\"192.0.2.1\" stands already at t:2"});
    has(loaded, {5, "tls.domains[1].certificate", "did you mean \"certificates\"?"});
    has(loaded, {4, "tls.domains[1].certificates", "no certificate"});
    has(loaded, {6, "tls.domains[2].certificates", "expected a list"});
    has(loaded, {6, "tls.domains[2].names", "expected the domain's name"});
    has(loaded, {6, "tls.domains[3]", "expected a group"});
    has(loaded, {6, "tls.least_version", "expected one of \"1.2\", \"1.3\""});
    CPPUNIT_ASSERT(!loaded.usable());
  }

  // listeners.md T-11, W-11
  void ext_within_reach_of_everybody_is_a_warning() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = (\n{ port = 1; init_tls = \"ext\"; },\n"
                                        "{ port = 2; init_tls = \"ext\"; restriction = \"deny\"; list = \"10.0.0.1\"; },\n"
                                        "{ port = 3; init_tls = \"ext\"; restriction = \"grant\"; list = \"10.0.0.1\"; },\n"
                                        "{ port = 4; init_tls = \"ext\"; proxy = true; trusted_proxies = \"10.0.0.1\"; } ); }; };", "t");
    has(loaded, {2, "listeners.smtp.sockets[0].init_tls", "without restriction"});
    has(loaded, {3, "listeners.smtp.sockets[1].init_tls", "without restriction"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{2}, loaded.mistakes.size());
    CPPUNIT_ASSERT(loaded.usable());
  }

  // listeners.md T-20
  void a_socket_with_proxy_must_name_its_proxies() {
    const auto loaded = conf::load_text("listeners : { smtp : { sockets = (\n{ port = 1; proxy = true; },\n{ port = 2; proxy = true; trusted_proxies = \"; none\"; },\n"
                                        "{ port = 3; proxy = true; trusted_proxies = \"10.1\"; },\n{ port = 4; trusted_proxies = \"10.1\"; },\n"
                                        "{ port = 5; proxy = true; trusted_proxies = \"10.0.0.1\"; dscp = 46; } ); }; };", "t");
    has(loaded, {2, "listeners.smtp.sockets[0].trusted_proxies", "empty list"});
    has(loaded, {3, "listeners.smtp.sockets[1].trusted_proxies", "empty list"});
    has(loaded, {4, "listeners.smtp.sockets[2].trusted_proxies", "four parts"});
    has(loaded, {5, "listeners.smtp.sockets[3].trusted_proxies", "four parts"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{4}, loaded.mistakes.size());
    CPPUNIT_ASSERT(!loaded.usable() && !loaded.mistakes[2].warning && loaded.mistakes[3].warning);
    const auto& row = loaded.configuration.listeners[0].sockets.back();
    CPPUNIT_ASSERT(row.proxy && row.trusted_proxies.contains(*net::Address::parse("10.0.0.1")) && row.dscp == 46U);
    CPPUNIT_ASSERT(!loaded.configuration.listeners[0].sockets[3].dscp);
    has(conf::load_text("listeners : { smtp : { sockets = ( { port = 1; dscp = 64; } ); }; };", "t"), {1, "listeners.smtp.sockets[0].dscp", "0 to 63"});
    // Less than 3 s would close connections whose first segment was lost (0.1).
    has(conf::load_text("gate : { proxy_time = 2999; };", "t"), {1, "gate.proxy_time", "from 3 s to 1 min"});
  }

  // listeners.md A-11
  void a_named_list_may_be_a_file_that_children_get_with_the_rest() {
    const auto directory = std::filesystem::temp_directory_path() / ("postern-lists-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
    const auto path = (directory / "postern.conf").string();
    const auto write = [&](const char* name, const std::string& text) { std::ofstream(directory / name) << text; };
    write("unwanted.list", "; \"unwanted\" \\ 100%\r\n192.0.2.0/24\r\n!192.0.2.9\n");
    write("postern.conf", "lists = { Unwanted = { file = \"unwanted.list\"; }; };\nclient_addresses = \"#unwanted\";\n" + kSmtp);
    auto loaded = conf::load(path);
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), loaded.usable());
    CPPUNIT_ASSERT(loaded.configuration.client_addresses.contains(*net::Address::parse("192.0.2.1")));
    // A child has no way to the file.
    write("unwanted.list", "");
    const auto child = conf::load_text(loaded.flattened, "postern.conf");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(child), child.usable());
    CPPUNIT_ASSERT(child.configuration.client_addresses == loaded.configuration.client_addresses);
    CPPUNIT_ASSERT(child.configuration.client_addresses.contains(*net::Address::parse("192.0.2.1")) && !child.configuration.client_addresses.contains(*net::Address::parse("192.0.2.9")));
    // Mistakes have the file and line of the list; what the server makes for itself nobody else may.
    write("unwanted.list", "192.0.2.1\n192.0.2.1/24\n");
    loaded = conf::load(path);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, loaded.mistakes.size());
    for (const auto& mistake : loaded.mistakes)
      CPPUNIT_ASSERT_MESSAGE(mistake.to_string(), mistake.setting == "client_addresses" ? mistake.place.line == 2 : mistake.place.file == (directory / "unwanted.list").string() && mistake.place.line == 2);
    std::filesystem::remove(directory / "unwanted.list");
    has(conf::load(path), {1, "lists.Unwanted.file", "can't be read"});
    has(conf::load_text("lists = { a = { file = 5; };\n b = { path = \"x\"; };\n c = 7; };\nlist_texts = ( \"/etc/passwd x\" );", "t"), {1, "lists.a.file", "expected the path of a file"});
    has(conf::load_text("lists = { a = { file = 5; };\n b = { path = \"x\"; };\n c = 7; };\nlist_texts = ( \"/etc/passwd x\" );", "t"), {2, "lists.b.path", "did you mean \"file\"?"});
    has(conf::load_text("lists = { a = { file = 5; };\n b = { path = \"x\"; };\n c = 7; };\nlist_texts = ( \"/etc/passwd x\" );", "t"), {3, "lists.c", "found 7"});
    has(conf::load_text("list_texts = ( \"/etc/passwd x\" );", "t"), {1, "list_texts", "has no place in a configuration"});
    std::filesystem::remove_all(directory);
  }

  void rows_of_limits_are_checked() {
    const auto loaded = conf::load_text(
        "listeners : { smtp : { sockets = ( { port = 25; } );\n"
        "limits = ( { list = \"192.0.2.1\"; connections_per_address = 400; },\n"
        "{ connections_per_address = 1; },\n"
        "{ list = \"192.0.2.1\"; },\n"
        "{ list = \"\"; connections_per_site = 5; },\n"
        "{ list = \"192.0.2.1\"; connection_per_address = 1; }, 7 ); };\n"
        "snmp : { limits = ( { list = \"192.0.2.1\"; } ); sockets = (); }; };",
        "t");
    has(loaded, {3, "listeners.smtp.limits[1].list", "found nothing"});
    has(loaded, {4, "listeners.smtp.limits[2]", "found none of them"});
    has(loaded, {5, "listeners.smtp.limits[3].list", "holds for nobody"});
    has(loaded, {6, "listeners.smtp.limits[4].connection_per_address", "did you mean \"connections_per_address\"?"});
    has(loaded, {6, "listeners.smtp.limits[5]", "expected a group"});
    has(loaded, {7, "listeners.snmp.limits", ""});
    CPPUNIT_ASSERT(loaded.configuration.listeners[0].limits[0].connections_per_address == 400U && !loaded.configuration.listeners[0].limits[0].connections_per_site);
  }

  void rules_that_are_only_tried_are_named() {
    const auto loaded = conf::load_text("listeners : { smtp : { dry_run = [ \"connections_per_site\", \"blocked\" ]; sockets = ( { port = 25; dry_run = true; } ); }; };", "t");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), loaded.usable());
    const auto& listener = loaded.configuration.listeners[0];
    CPPUNIT_ASSERT(listener.tries(conf::GateRule::connections_per_site) && listener.tries(conf::GateRule::blocked) && !listener.tries(conf::GateRule::restriction));
    CPPUNIT_ASSERT(listener.sockets[0].dry_run);
    has(conf::load_text("listeners : { smtp : { dry_run = [ \"blocked\",\n \"all\" ]; }; };", "t"), {2, "listeners.smtp.dry_run", "found \"all\""});
    has(conf::load_text("listeners : { smtp : { dry_run = true; }; };", "t"), {1, "listeners.smtp.dry_run", "a list of texts, each one of \"restriction\""});
  }

  void milters() {
    const std::string kGroup = "milters = { rspamd = { address = \"unix:/run/rspamd/milter.sock\"; when_down = \"accept\"; };\n opendkim = { address = \"inet:8891@localhost\"; command_time = \"5 s\"; }; };\n";
    const auto text = [&](const std::string& listener, const std::string& row) {
      return "listeners = { smtp = { " + listener + "\n sockets = ( { port = 25; }, { port = 587; " + row + " } ); }; };\n";
    };
    const auto good = conf::load_text(text("milters = ( \"rspamd\", \"OpenDKIM\" );", "milters = ( \"none\" );") + kGroup, "t.conf");
    CPPUNIT_ASSERT(good.usable());
    const conf::Configuration& configuration = good.configuration;
    const conf::Listener& smtp = configuration.listeners[0];
    const auto first = conf::milters_of(configuration, smtp, smtp.sockets[0]);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, first.size());
    CPPUNIT_ASSERT_EQUAL(std::string("opendkim"), first[1]->name);
    CPPUNIT_ASSERT(first[0]->when_down == conf::Milter::WhenDown::accept && first[1]->when_down == conf::Milter::WhenDown::tempfail);
    CPPUNIT_ASSERT(first[1]->command_time == std::chrono::seconds(5) && first[1]->end_of_message_time == std::chrono::minutes(5));
    CPPUNIT_ASSERT(conf::milters_of(configuration, smtp, smtp.sockets[1]).empty());
    const auto other = conf::load_text(text("", "milters = ( \"opendkim\" );") + kGroup, "t.conf");
    CPPUNIT_ASSERT(other.usable());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, conf::milters_of(other.configuration, other.configuration.listeners[0], other.configuration.listeners[0].sockets[1]).size());
    const auto difference = conf::reload_difference(configuration, other.configuration);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, difference.running.size());
    has(conf::load_text(text("milters = ( \"none\", \"rspamd\" );", "milters = ( \"opendkim\",\n \"opendkim\" );") + kGroup, "t.conf"), {1, "listeners.smtp.milters", "found \"none\""});
    has(conf::load_text(text("", "milters = ( \"opendkim\",\n \"opendkim\" );") + kGroup, "t.conf"), {3, "listeners.smtp.sockets[1].milters", "stands twice"});
    has(conf::load_text("listeners = { pop3 = { milters = ( \"rspamd\" ); sockets = ( { port = 110; } ); }; };\n" + kGroup, "t.conf"), {1, "listeners.pop3.milters", "smtp and lmtp"});
    const auto bad = conf::load_text(kSmtp + "milters = { a = { };\n A = { address = \"/run/a\"; };\n b = 5;\n none = { address = \"unix:/a\"; };\n c = { address = \"unix:/a\"; when_down = \"defer\"; command_time = 5; }; };\n", "t.conf");
    const int line = static_cast<int>(std::count(kSmtp.begin(), kSmtp.end(), '\n'));
    has(bad, {line + 1, "milters.a.address", "found nothing"});
    has(bad, {line + 2, "milters.A", "stands already at t.conf"});
    has(bad, {line + 2, "milters.A.address", "it begins with \"unix:\" or \"inet:\""});
    has(bad, {line + 3, "milters.b", "expected a group"});
    has(bad, {line + 4, "milters.none", "other than \"none\""});
    has(bad, {line + 5, "milters.c.when_down", "\"tempfail\", \"accept\", \"reject\""});
    has(bad, {line + 5, "milters.c.command_time", "found 5"});
  }

  void addresses_of_milters() {
    struct { const char* text; const char* path; const char* endpoint; } rows[] = {{"unix:/run/a.sock", "/run/a.sock", ""}, {"local:/a", "/a", ""}, {"inet:127.0.0.1:8891", "", "127.0.0.1:8891"},
        {"inet:8891@localhost", "", "127.0.0.1:8891"}, {"INET:[::1]:8891", "", "[::1]:8891"}, {"inet6:8891@localhost", "", "[::1]:8891"}};
    for (const auto& row : rows) {
      const auto address = conf::milter_address(row.text);
      CPPUNIT_ASSERT_MESSAGE(row.text, address.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.path), address->path);
      if (address->path.empty()) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.endpoint), address->endpoint.to_string());
    }
    for (const std::string& text : {std::string(), std::string("unix:run/a"), std::string("inet:127.0.0.1"), std::string("inet:0@127.0.0.1"), std::string("inet:65536@127.0.0.1"), std::string("inet:8891@host.example"), "unix:/" + std::string(107, 'a')})
      CPPUNIT_ASSERT_MESSAGE(text, !conf::milter_address(text));
  }

  void tables_of_counters_are_groups_by_name() {
    const auto good = conf::load_text(kSmtp + "throttle = { smtp25 = { quota = 30; }; by-user = { quota = 5; period = \"1 h\"; max_entries = 20; penalize = true; count = \"periods\"; }; };\n", "t.conf");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(good), good.mistakes.empty());
    const auto& tables = good.configuration.throttle;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, tables.size());
    CPPUNIT_ASSERT(tables[0].name == "smtp25" && tables[0].quota == 30 && tables[0].period == 60s && tables[0].max_entries == 1000 && !tables[0].penalize &&
                   tables[0].count == conf::ThrottleTable::Count::average);
    CPPUNIT_ASSERT(tables[1].name == "by-user" && tables[1].quota == 5 && tables[1].period == 1h && tables[1].max_entries == 20 && tables[1].penalize &&
                   tables[1].count == conf::ThrottleTable::Count::periods && tables[1].place.line == 2);
    // What children get is the same.
    CPPUNIT_ASSERT(conf::reload_difference(good.configuration, conf::load_text(good.flattened, "t.conf").configuration).running.empty());
    const auto other = conf::load_text(kSmtp + "throttle = { smtp25 = { quota = 31; }; };\n", "t.conf");
    CPPUNIT_ASSERT(conf::reload_difference(good.configuration, other.configuration).running == std::vector<std::string>{"throttle"});
    const auto bad = conf::load_text("throttle = { a = { period = 5; };\n A = { quota = 0; };\n b = 5;\n c = { quota = 1; quotta = 2; };\n" + ("d = { quota = 1; max_entries = 500000; };\n" +
                                     std::string(33, 'e')) + " = { quota = 1; max_entries = 500001; };\n f = { quota = 1; count = \"often\"; }; };\n" + kSmtp, "t.conf");
    has(bad, {1, "throttle.a.quota", "expected a number from 1 to 1000000, found nothing"});
    has(bad, {2, "throttle.A.quota", "found 0"});
    has(bad, {2, "throttle.A", "stands already at t.conf:1"});
    has(bad, {3, "throttle.b", "expected a group"});
    has(bad, {4, "throttle.c.quotta", "did you mean \"quota\"?"});
    has(bad, {6, "throttle." + std::string(33, 'e'), "at most 32 characters"});
    has(bad, {6, "throttle." + std::string(33, 'e') + ".max_entries", "found 500001"});
    has(bad, {7, "throttle.f.count", "\"average\", \"periods\""});
    has(bad, {1, "throttle", "at most 500000 max_entries in all tables together"});
    has(conf::load_text("throttle = 5;\n" + kSmtp, "t.conf"), {1, "throttle", "expected a group"});
  }

  void limits_of_submission_are_tables_of_counters() {
    const auto loaded = conf::load_text(kSmtp + "throttle = { mine = { quota = 1; }; };\nsubmission = { messages_per_hour = 3; recipients_per_hour = 0; };\n", "t.conf");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), loaded.mistakes.empty());
    const auto tables = conf::throttle_tables(loaded.configuration);
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, tables.size());
    CPPUNIT_ASSERT(tables[0].name == "mine");
    CPPUNIT_ASSERT(tables[1].name == conf::kMessagesPerHour && tables[1].quota == 3 && tables[1].period == 1h);
    CPPUNIT_ASSERT(tables[2].name == conf::kRecipientsPerDay && tables[2].quota == 10000 && tables[2].period == 24h);
    CPPUNIT_ASSERT(tables[3].name == conf::kExcessNotices);
    for (const auto& table : tables) CPPUNIT_ASSERT(table.name.size() <= conf::kMaxThrottleNameBytes);
    const auto bad = conf::load_text("submission = { messages_per_hour = 1000001;\n recipients_per_hour = -1;\n recipients_per_day = \"many\";\n complete_header = 1;\n"
                                     " add_sender = \"yes\";\n hide_client = 0; };\n" + kSmtp, "t.conf");
    has(bad, {1, "submission.messages_per_hour", "expected a number from 0 to 1000000, found 1000001"});
    has(bad, {2, "submission.recipients_per_hour", "found -1"});
    has(bad, {3, "submission.recipients_per_day", "many"});
    has(bad, {4, "submission.complete_header", "expected true or false"});
    has(bad, {5, "submission.add_sender", "expected true or false"});
    has(bad, {6, "submission.hide_client", "expected true or false"});
  }

  void limits_of_defragmentation() {
    const auto bad = conf::load_text("defragment = { wait_time = 0;\n messages = 0;\n pieces = 1;\n message_bytes = 1; };\n" + kSmtp, "t");
    has(bad, {1, "defragment.wait_time", "expected a time from 1 s to 30 d"});
    has(bad, {2, "defragment.messages", "expected a number from 1 to 10000, found 0"});
    has(bad, {3, "defragment.pieces", "expected a number from 2 to 10000, found 1"});
    has(bad, {4, "defragment.message_bytes", "found 1"});
  }

  void the_file_of_conversions_is_handed_on() {
    const auto bad = conf::load_text("conversion = { file = 7;\n programs = 0;\n program_time = 0;\n program_memory = \"1 MiB\";\n output_bytes = 1;\n network = 1;\n writable = 7;\n writable_bytes = -1; };\n"
                                     "children = { conversion = 0; };\n" + kSmtp, "t");
    has(bad, {1, "conversion.file", "expected text"});
    has(bad, {2, "conversion.programs", "expected a number from 1 to 1000, found 0"});
    has(bad, {3, "conversion.program_time", "expected a time from 1 s to 1 d"});
    has(bad, {4, "conversion.program_memory", "1 MiB"});
    has(bad, {5, "conversion.output_bytes", "found 1"});
    has(bad, {6, "conversion.network", "expected true or false"});
    has(bad, {7, "conversion.writable", "expected a list of texts"});
    has(bad, {8, "conversion.writable_bytes", "found -1"});
    has(bad, {9, "children.conversion", "expected a number from 1 to 64, found 0"});
    char name[] = "/tmp/postern-conf-XXXXXX";
    const std::filesystem::path directory = ::mkdtemp(name);
    const std::string path = directory / "postern.conf";
    std::ofstream(path) << kSmtp;
    CPPUNIT_ASSERT(!conf::conversions(conf::load(path).configuration));
    std::ofstream(directory / "conversions") << "in-type=*; \"x\\\";\n";
    const auto usual = conf::load(path);
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(usual), usual.usable());
    const auto handed = conf::conversions(conf::load_text(usual.flattened, "t").configuration);
    CPPUNIT_ASSERT(handed);
    CPPUNIT_ASSERT_EQUAL((directory / "conversions").string(), handed->first);
    CPPUNIT_ASSERT_EQUAL(std::string("in-type=*; \"x\\\";\n"), handed->second);
    std::ofstream(path) << "conversion = { file = \"others\"; };\n" << kSmtp;
    has(conf::load(path), {1, "conversion.file", "others can't be read"});
    std::ofstream(path) << "conversion_texts = ( \"/etc/passwd x\" );\n" << kSmtp;
    has(conf::load(path), {1, "conversion_texts", "has no place in a configuration"});
    std::filesystem::remove_all(directory);
  }

  void managesieve_has_its_limits() {
    const auto loaded = conf::load_text("listeners = { managesieve = { clients_only = true; sockets = ( { port = 4190; } ); }; };", "t");
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), loaded.usable());
    const auto* const listener = conf::find_listener(loaded.configuration, conf::Module::managesieve);
    CPPUNIT_ASSERT(listener != nullptr);
    CPPUNIT_ASSERT(listener->maximum_connections == 50 && listener->connections_per_address == 10 && listener->reserve_for_clients == 5 && listener->idle_time == 1800s);
    const auto bad = conf::load_text("managesieve = { command_bytes = 1000;\n errors = 0;\n login_failures = 0;\n commands = 9;\n failure_delay = \"2 min\"; };\n" 
                                     "children = { managesieve = 65; };\n" + kSmtp, "t");
    has(bad, {1, "managesieve.command_bytes", "found 1000"});
    has(bad, {2, "managesieve.errors", "found 0"});
    has(bad, {3, "managesieve.login_failures", "found 0"});
    has(bad, {4, "managesieve.commands", "found 9"});
    has(bad, {5, "managesieve.failure_delay", "2 min"});
    has(bad, {6, "children.managesieve", "found 65"});
  }

  void places_of_settings_are_kept() {
    const auto loaded = conf::load_text("listeners : { smtp : {\n connections_per_address = 7; sockets = ( { port = 25; } ); }; };\ngate = {\n failed_logins = 5; };", "t");
    CPPUNIT_ASSERT_EQUAL(2, loaded.configuration.place_of("listeners.smtp.connections_per_address").line);
    CPPUNIT_ASSERT_EQUAL(4, loaded.configuration.place_of("gate.failed_logins").line);
    CPPUNIT_ASSERT(loaded.configuration.place_of("gate.block_time").file.empty());
  }

  void named_lists_are_put_in() {
    auto loaded = conf::load_text("lists : { office = \"192.0.2.0/24\\n!192.0.2.9\"; all_ours = [ \"#office\", \"198.51.100.1\" ]; };\n"
                                  "client_addresses = \"#All_Ours\";" + kSmtp, "t");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(loaded));
    const auto& list = loaded.configuration.client_addresses;
    CPPUNIT_ASSERT(list.contains(*net::Address::parse("192.0.2.1")) && list.contains(*net::Address::parse("198.51.100.1")));
    CPPUNIT_ASSERT(!list.contains(*net::Address::parse("192.0.2.9")));
    loaded = conf::load_text("lists : { a = \"#b\";\n b = \"#a\";\n c = \"10.1\"; };\nclient_addresses = \"#nobody\";", "t");
    has(loaded, {1, "lists.a", "circle"});
    has(loaded, {2, "lists.b", "circle"});
    has(loaded, {3, "lists.c", "four parts"});
    has(loaded, {4, "client_addresses", "no list of this name"});
  }

  void syntax_mistakes_have_a_line() {
    const struct {
      const char* text;
      int line;
      const char* part;
    } rows[] = {
        {"format = 1;\nhost_name \"x\";\n", 2, "syntax error: \"host_name \"x\";\""},
        {"format = 1;\n\nhost_name = \"x;\n", 3, "a string begins here"},
        {"/* never\nclosed", 1, "a comment begins here"},
        {"a = ((((((((((((((((((((", 1, "nested more than 16 deep"},
    };
    for (const auto& row : rows) has(conf::load_text(row.text, "t"), {row.line, "", row.part});
    has(conf::load_text(std::string_view("format = 1;\n\0", 13), "t"), {2, "", "zero byte"});
  }

  void settings_that_stand_twice_hide_nothing() {
    auto loaded = conf::load_text("format = 1;\ngrace_time = \"1 s\" # one\ngrace_time\n # and\n = \"x\";\nsmtp : { errors = 3; };\nsmtp : { errors = true;\nerrors = 4; }\nlog_levle = 1;\n" + kSmtp, "t");
    has(loaded, {3, "grace_time", "stands twice, first in line 2"});
    has(loaded, {3, "grace_time", "found \"x\""});
    has(loaded, {7, "smtp", "stands twice, first in line 6"});
    has(loaded, {7, "smtp.errors", "found true"});
    has(loaded, {8, "smtp.errors", "stands twice, first in line 7"});
    has(loaded, {9, "log_levle", "no such setting"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{6}, loaded.mistakes.size());
    CPPUNIT_ASSERT(!loaded.usable() && loaded.flattened.empty());

    // Each in its own group, whatever stands between them; and places inside strings are still known.
    loaded = conf::load_text("listeners : {\n smtp : { sockets = ( { port = 25; port = 26; },\n { port : 27, address = \"x\"; address\n= \"all\"; } ); };\n smtp = { reserve_for_clients = -1; };\n};\n"
                             "lists : { a = \"192.0.2.1\n10.1\"; a = \"\"; };\nlists : { b = \"\"; };\nclient_addresses = \"#b\";\n"
                             "tls : { domains = ( { names = \"a.example\"; }, { names = \"b.example\"; names = \"c.example\"; } ); };\n", "t");
    has(loaded, {2, "listeners.smtp.sockets[0].port", "stands twice, first in line 2"});
    has(loaded, {3, "listeners.smtp.sockets[1].address", "stands twice, first in line 3"});
    has(loaded, {3, "listeners.smtp.sockets[1].address", "found \"x\""});
    has(loaded, {5, "listeners.smtp", "stands twice, first in line 2"});
    has(loaded, {5, "listeners.smtp.reserve_for_clients", "found -1"});
    has(loaded, {8, "lists.a", "stands twice, first in line 7"});
    has(loaded, {8, "lists.a", "four parts"});
    has(loaded, {9, "lists", "stands twice, first in line 7"});
    has(loaded, {11, "tls.domains[1].names", "stands twice, first in line 11"});
    CPPUNIT_ASSERT_MESSAGE(all_mistakes(loaded), all_mistakes(loaded).find("no list of this name") == std::string::npos && all_mistakes(loaded).find("stands above") == std::string::npos);

    // Three times, with a name that looks like one of ours, and beside what libconfig says.
    loaded = conf::load_text("a = 1; a = 2; a*2 = 3; a = 4; b = ;", "t");
    has(loaded, {1, "a", "stands twice"});
    has(loaded, {1, "", "syntax error"});

    write("more.conf", "smtp : { errors = 5; };\nhost_name = \"b.example\";\n");
    const auto path = write("postern.conf", "host_name = \"a.example\";\n@include \"more.conf\"\nsmtp : { recipients = 0; };\n" + kSmtp);
    loaded = conf::load(path);
    const auto text = all_mistakes(loaded);
    for (const std::string& part : {std::string(directory_ / "more.conf") + ":2: host_name: stands twice, first in line 1 of " + path,
                                    path + ":3: smtp: stands twice, first in line 1 of " + std::string(directory_ / "more.conf"), path + ":3: smtp.recipients: expected"})
      CPPUNIT_ASSERT_MESSAGE(text + " lacks " + part, text.find(part) != std::string::npos);
  }

  void included_files_keep_their_own_places() {
    write("smtp.conf", "# the listener\nsmtp : {\n  maximum_connections = 7;\n  reserve_for_clients = 1;\n  sockets = (\n@include \"rows.conf\"\n  );\n};\n");
    write("rows.conf", "{ port = 25; },\n{ port = 26; address = \"x\"; }\n");
    const auto path = write("postern.conf", "format = 1;\nlisteners : {\n  @include \"smtp.conf\"   # here\n};\ngrace_time = 99999;\n");
    const auto loaded = conf::load(path);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(all_mistakes(loaded), std::size_t{2}, loaded.mistakes.size());
    CPPUNIT_ASSERT_EQUAL(std::string(directory_ / "rows.conf") + ":2: listeners.smtp.sockets[1].address: expected \"all\", or one of this machine's addresses, "
                         "found \"x\": an IPv4 address has four parts: x", loaded.mistakes[1].to_string());
    CPPUNIT_ASSERT_EQUAL(std::string(path) + ":5", loaded.mistakes[0].place.file + ":" + std::to_string(loaded.mistakes[0].place.line));
    CPPUNIT_ASSERT_EQUAL(7U, loaded.configuration.listeners.at(0).maximum_connections);
    CPPUNIT_ASSERT_EQUAL(directory_.string(), loaded.configuration.tables_directory);
  }

  void the_first_syntax_mistake_of_each_file_is_reported() {
    write("a.conf", "grace_time = ;\nsmtp = ;\n");
    write("b.conf", "\n\naccess_errors 1;\n");
    write("rows.conf", "{ port = 25 },\n{ port : }\n");
    write("good.conf", "access_orcpt = true;\n");
    write("late.conf", "\nlog : {\n");
    const auto path = write("postern.conf", "@include \"a.conf\"\n@include \"good.conf\"\n@include \"b.conf\"\nlisteners : { smtp : { sockets = (\n@include \"rows.conf\"\n); }; };\nformat 1;\n@include \"late.conf\"\n");
    const auto loaded = conf::load(path);
    const auto text = all_mistakes(loaded);
    for (const char* const part : {"/a.conf:1: ", "/b.conf:3: ", "/rows.conf:2: ", "/late.conf:"})
      CPPUNIT_ASSERT_MESSAGE(text + " lacks " + part, text.find(part) != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(text, text.find("good.conf") == std::string::npos && text.find("a.conf:2") == std::string::npos);
  }

  void files_that_can_not_be_read_are_mistakes() {
    CPPUNIT_ASSERT(conf::load(directory_ / "absent.conf").mistakes.at(0).to_string().find("absent.conf: can't read the file: No such file") != std::string::npos);
    auto loaded = conf::load(write("postern.conf", "format = 1;\n@include \"absent.conf\"\n@include absent\n@include \"postern.conf\" x\n"));
    has(loaded, {2, "", "No such file"});
    has(loaded, {3, "", "on a line of its own"});
    has(loaded, {4, "", "on a line of its own"});
    loaded = conf::load(write("postern.conf", "@include \"postern.conf\"\n@include \"postern.conf\"\n"));
    CPPUNIT_ASSERT(!loaded.usable());
    has(loaded, {1, "", "more than 10 deep"});
  }

  void flattened_text_gives_the_same_again() {
    write("more.conf", "# \"more\"\n#@place 7 /etc/passwd\nsmtp : {\n recipients = 123; };\nclient_addresses = \"192.0.2.1\n!192.0.2.1 ; \\\"x\\\"\n\" \"10.0.0.0/8\";");
    const auto path = write("postern.conf", "format = 1; /* a\n@include \"nothing\"\n */ spool : { minimum_free_bytes = 9999999999; };\n@include \"more.conf\"\n"
                                            "listeners : {\n smtp : { sockets = ( { port = 25; } ); }; };\nchannels = ( \"a\",\n\"b\"\n);\n");
    const auto first = conf::load(path);
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(first));
    const auto again = conf::load_text(first.flattened, "from the master");
    CPPUNIT_ASSERT_EQUAL(std::string(), all_mistakes(again));
    const auto difference = conf::reload_difference(first.configuration, again.configuration);
    CPPUNIT_ASSERT(difference.restart.empty() && difference.new_children.empty() && difference.running.empty());
    CPPUNIT_ASSERT_EQUAL(first.flattened, again.flattened);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{9999999999}, again.configuration.spool.minimum_free_bytes);
    for (const auto* const one : {&first, &again}) {
      CPPUNIT_ASSERT_EQUAL(directory_.string(), one->configuration.tables_directory);
      CPPUNIT_ASSERT_EQUAL(path, one->configuration.listeners[0].place.file);
      CPPUNIT_ASSERT_EQUAL(6, one->configuration.listeners[0].place.line);
      CPPUNIT_ASSERT_EQUAL(7, one->configuration.channels[0].place.line);
      CPPUNIT_ASSERT_EQUAL(8, one->configuration.channels[1].place.line);
    }
    // A mistake that only the child could see would still name the administrator's line.
    std::string spoilt = first.flattened;
    spoilt.replace(spoilt.find("123;"), 4, "1;");
    const auto wrong = conf::load_text(spoilt, "from the master");
    CPPUNIT_ASSERT_EQUAL(std::string(directory_ / "more.conf") + ":4", wrong.mistakes.at(0).place.file + ":" + std::to_string(wrong.mistakes.at(0).place.line));
  }

  void text_alone_includes_nothing() {
    has(conf::load_text("@include \"/etc/hostname\"\n", "t"), {1, "", "not possible here"});
    const auto first = conf::load_text("", "/etc/postern/postern.conf");
    CPPUNIT_ASSERT_EQUAL(std::string("/etc/postern"), first.configuration.tables_directory);
    has(conf::load_text(first.flattened + "@include \"/etc/hostname\"\n", "t"), {1, "", "not possible here"});
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LoadTest);

}  // namespace
