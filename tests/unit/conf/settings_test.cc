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
  CPPUNIT_TEST(defaults_are_those_of_the_structs);
  CPPUNIT_TEST(defaults_are_within_their_limits);
  CPPUNIT_TEST_SUITE_END();

  void every_name_stands_once() {
    std::set<std::string_view> names;
    for (const auto& setting : conf::all_settings()) CPPUNIT_ASSERT_MESSAGE(std::string(setting.name), names.insert(setting.name).second);
  }

  // What the manual says is what a program gets that never read a file. Lists have their defaults in the table only.
  void defaults_are_those_of_the_structs() {
    conf::Configuration from_structs, from_table;
    conf::SocketRow row_from_structs, row_from_table;
    for (const auto& setting : conf::all_settings()) {
      if (setting.fallback.empty() || setting.name == "base_directory" || setting.type == conf::Type::address_list) continue;
      if (setting.name.starts_with("listeners.") && setting.name.find("[]") == std::string_view::npos) continue;
      std::vector<conf::Mistake> mistakes;
      conf::assign(setting, {&from_table, nullptr, &row_from_table}, conf::value_from(setting, setting.fallback), {}, std::string(setting.name), mistakes, {});
      CPPUNIT_ASSERT_MESSAGE(std::string(setting.name), mistakes.empty());
      CPPUNIT_ASSERT_MESSAGE(std::string(setting.name),
                             conf::same(setting, {&from_structs, nullptr, &row_from_structs}, {&from_table, nullptr, &row_from_table}));
    }
  }

  void defaults_are_within_their_limits() {
    for (const auto& setting : conf::all_settings())
      for (std::size_t module = 0; module < conf::kModules; ++module) {
        conf::Configuration configuration;
        conf::Listener listener;
        conf::SocketRow row;
        const auto text = conf::fallback_for(setting, static_cast<conf::Module>(module));
        if (text.empty()) continue;
        std::vector<conf::Mistake> mistakes;
        conf::assign(setting, {&configuration, &listener, &row}, conf::value_from(setting, text), {}, std::string(setting.name), mistakes, {});
        CPPUNIT_ASSERT_MESSAGE(mistakes.empty() ? "" : mistakes[0].to_string(), mistakes.empty());
      }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SettingsTest);

}  // namespace
