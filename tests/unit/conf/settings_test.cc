// SPDX-License-Identifier: Apache-2.0
#include "conf/settings.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <set>
#include <sstream>

using namespace postern;

namespace {

class SettingsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SettingsTest);
  CPPUNIT_TEST(every_name_stands_once);
  CPPUNIT_TEST(values_are_shown_as_one_would_write_them);
  CPPUNIT_TEST(defaults_are_those_of_the_structs);
  CPPUNIT_TEST(defaults_are_within_their_limits);
  CPPUNIT_TEST(the_example_is_right_and_shows_the_defaults);
  CPPUNIT_TEST(the_example_names_every_setting);
  CPPUNIT_TEST(the_manual_names_every_setting);
  CPPUNIT_TEST_SUITE_END();

  void values_are_shown_as_one_would_write_them() {
    const conf::Loaded loaded = conf::load_text(
        "format = 1; client_addresses = \"10.0.0.0/8\\n192.0.2.0/24\"; smtp = { message_bytes = \"20 MiB\"; };\n"
        "listeners = { smtp = { idle_time = 90; refusal_reply = false; dry_run = ( \"restriction\", \"blocked\" );\n"
        "  sockets = ( { port = 0; }, { port = 2525; address = \"127.0.0.1\"; restriction = \"deny\"; list = \"10.0.0.1\"; } ); }; };\n",
        "test.conf");
    conf::Configuration configuration = loaded.configuration;
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, configuration.listeners.size());
    conf::Listener& listener = configuration.listeners[0];
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, listener.sockets.size());
    CPPUNIT_ASSERT_EQUAL(1U, listener.sockets[0].number);
    const conf::Scope scope{&configuration, &listener, &listener.sockets[0]};
    const struct {
      std::string_view name, value;
    } rows[] = {{"client_addresses", "2 lines"}, {"smtp.message_bytes", "20 MiB"}, {"listeners.*.refusal_reply", "false"},
                {"listeners.*.dry_run", "restriction blocked"}, {"listeners.*.connections_per_client_address", ""}, {"listeners.*.sockets[].port", "2525"},
                {"listeners.*.sockets[].address", "127.0.0.1"}, {"listeners.*.sockets[].restriction", "deny"}, {"listeners.*.sockets[].list", "10.0.0.1"},
                {"listeners.*.ipv6_prefix", "64"}};
    for (const auto& row : rows)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.name), std::string(row.value), conf::text_of(*conf::find_setting(row.name), scope));
  }

  void every_name_stands_once() {
    std::set<std::string_view> names;
    for (const auto& setting : conf::all_settings()) CPPUNIT_ASSERT_MESSAGE(std::string(setting.name), names.insert(setting.name).second);
  }

  static conf::Scope scope_of(conf::Configuration& configuration, conf::SocketRow& row, conf::ThrottleTable& throttle, conf::Milter& milter) {
    conf::Scope scope;
    scope.configuration = &configuration;
    scope.row = &row;
    scope.throttle = &throttle;
    scope.milter = &milter;
    return scope;
  }

  // What the manual says is what a program gets that never read a file. Lists have their defaults in the table only.
  void defaults_are_those_of_the_structs() {
    conf::Configuration from_structs, from_table;
    conf::SocketRow row_from_structs, row_from_table;
    conf::ThrottleTable throttle_from_structs, throttle_from_table;
    conf::Milter milter_from_structs, milter_from_table;
    for (const auto& setting : conf::all_settings()) {
      if (setting.fallback.empty() || setting.name == "base_directory" || setting.type == conf::Type::address_list) continue;
      if (setting.name.starts_with("listeners.") && setting.name.find("[]") == std::string_view::npos) continue;
      std::vector<conf::Mistake> mistakes;
      conf::assign(setting, scope_of(from_table, row_from_table, throttle_from_table, milter_from_table), conf::value_from(setting, setting.fallback), {}, std::string(setting.name), mistakes, {});
      CPPUNIT_ASSERT_MESSAGE(std::string(setting.name), mistakes.empty());
      CPPUNIT_ASSERT_MESSAGE(std::string(setting.name),
                             conf::same(setting, scope_of(from_structs, row_from_structs, throttle_from_structs, milter_from_structs), scope_of(from_table, row_from_table, throttle_from_table, milter_from_table)));
    }
  }

  void defaults_are_within_their_limits() {
    for (const auto& setting : conf::all_settings())
      for (std::size_t module = 0; module < conf::kModules; ++module) {
        conf::Configuration configuration;
        conf::Listener listener;
        conf::SocketRow row;
        conf::ThrottleTable throttle;
        conf::Milter milter;
        conf::Scope scope = scope_of(configuration, row, throttle, milter);
        scope.listener = &listener;
        const auto text = conf::fallback_for(setting, static_cast<conf::Module>(module));
        if (text.empty()) continue;
        std::vector<conf::Mistake> mistakes;
        conf::assign(setting, scope, conf::value_from(setting, text), {}, std::string(setting.name), mistakes, {});
        CPPUNIT_ASSERT_MESSAGE(mistakes.empty() ? "" : mistakes[0].to_string(), mistakes.empty());
      }
  }

  static std::string read(const std::string& name) {
    std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/" + name);
    CPPUNIT_ASSERT_MESSAGE(name, file.good());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // The last word of a setting's name, as it stands in the file: "port" of "listeners.*.sockets[].port".
  static std::string last_word(const conf::Setting& setting) { return std::string(setting.name.substr(setting.name.rfind('.') + 1)); }
  // Made by the server itself, and refused in a file.
  static bool is_internal(const conf::Setting& setting) { return setting.name == "filter_texts" || setting.name == "list_texts" || setting.name == "notice_texts" || setting.name == "conversion_texts"; }

  static constexpr const char* kExample = "conf/postern.conf";
  // The example with every default that it shows put in force: a "#" directly in front of a word or brace.
  static std::string uncommented(const std::string& example) {
    std::stringstream lines(example);
    std::string out;
    for (std::string line; std::getline(lines, line);) {
      const auto sign = line.find_first_not_of(' ');
      const bool shown = sign != std::string::npos && line[sign] == '#' && sign + 1 < line.size() && line[sign + 1] != ' ';
      const bool in_group = sign != std::string::npos && line.compare(sign, 3, "#  ") == 0 && line.compare(sign, 4, "#   ") != 0 && line.back() == ';';
      if (shown || in_group) line[sign] = ' ';
      out += line + "\n";
    }
    return out;
  }

  static std::string with_community(std::string text) {
    const auto at = text.find("snmp = {\n  # The password");
    CPPUNIT_ASSERT(at != std::string::npos);
    return text.insert(text.find('\n', at) + 1, "community = \"public\";\n");
  }

  void the_example_is_right_and_shows_the_defaults() {
    const std::string text = read(kExample);
    const auto example = conf::load_text(text, kExample);
    for (const auto& mistake : example.mistakes) CPPUNIT_FAIL(mistake.to_string());
    auto shown = conf::load_text(with_community(uncommented(text)), kExample);
    for (const auto& mistake : shown.mistakes) CPPUNIT_FAIL(mistake.to_string());
    // All services, with their defaults.
    CPPUNIT_ASSERT_EQUAL(conf::kModules, shown.configuration.listeners.size());
    auto defaults = conf::load_text("listeners = { smtp = { sockets = ( { port = 25; } ); }; pop3 = { sockets = ( { port = 110; } ); }; "
                                    "lmtp = { sockets = ( { port = 24; address = \"127.0.0.1\"; restriction = \"grant\"; list = \"127.0.0.0/8\"; } ); }; "
                                    "managesieve = { sockets = ( { port = 4190; } ); }; "
                                    "snmp = { sockets = ( { port = 161; } ); }; }; snmp = { community = \"c\"; };",
                                    kExample);
    // The one setting without which a service can't run and that can have no default.
    defaults.configuration.snmp.community = shown.configuration.snmp.community;
    const auto difference = conf::reload_difference(defaults.configuration, shown.configuration);
    for (const auto* const names : {&difference.restart, &difference.new_children, &difference.running})
      for (const std::string& name : *names) CPPUNIT_FAIL("the example shows another default than the true one: " + name);
  }

  void the_example_names_every_setting() {
    const std::string text = read(kExample);
    for (const auto& setting : conf::all_settings()) {
      if (is_internal(setting)) continue;
      CPPUNIT_ASSERT_MESSAGE(std::string(setting.name), text.find(last_word(setting) + " = ") != std::string::npos);
      const auto group = setting.name.substr(0, setting.name.find('.'));
      if (group != setting.name) CPPUNIT_ASSERT_MESSAGE(std::string(group), text.find("\n" + std::string(group) + " = {") != std::string::npos);
    }
    CPPUNIT_ASSERT(text.find("lists = {") != std::string::npos);
  }

  // Each setting has an item in the list of its group: ".It Ic message_bytes", in the section or subsection of the group.
  void the_manual_names_every_setting() {
    const std::string text = read("doc/man/postern.conf.5");
    for (const auto& setting : conf::all_settings()) {
      if (is_internal(setting)) continue;
      const auto dot = setting.name.rfind('.');
      const std::string group = dot == std::string_view::npos ? "" : std::string(setting.name.substr(0, dot));
      const std::string title = group.empty() ? "General settings" : "The group " + group;
      const auto from = text.find("\n.Ss " + title + "\n");
      CPPUNIT_ASSERT_MESSAGE("the manual has no part \"" + title + "\"", from != std::string::npos);
      const auto end = text.find("\n.Ss ", from + 1);
      const auto at = text.find("\n.It Ic " + last_word(setting) + "\n", from);
      CPPUNIT_ASSERT_MESSAGE("the manual lacks " + std::string(setting.name), at != std::string::npos && at < end);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SettingsTest);

}  // namespace
