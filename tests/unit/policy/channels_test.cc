// SPDX-License-Identifier: Apache-2.0
#include "mapping/known_names.h"
#include "policy/channels.h"
#include "policy/site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <set>
#include <string>
#include <string_view>

using namespace postern;
using namespace postern::policy;

namespace {

std::vector<conf::TextLine> lines(std::initializer_list<const char*> texts) {
  std::vector<conf::TextLine> list;
  for (const char* text : texts) list.push_back({text, {"postern.conf", static_cast<int>(list.size()) + 10}});
  return list;
}

}  // namespace

class ChannelsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ChannelsTest);
  CPPUNIT_TEST(shipped_channels_are_as_specified);
  CPPUNIT_TEST(lines_redefine_and_add);
  CPPUNIT_TEST(mistakes_have_their_place);
  CPPUNIT_TEST(port_and_module_give_the_first_channel);
  CPPUNIT_TEST(check_covers_socket_rows_and_rules);
  CPPUNIT_TEST_SUITE_END();

  void shipped_channels_are_as_specified() {
    const Channels channels;
    CPPUNIT_ASSERT(channels.find("tcp_local")->switching == Channel::Switching::switches);
    CPPUNIT_ASSERT(channels.find("tcp_local")->authentication == Channel::Authentication::offered);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_auth"), channels.find("tcp_local")->authentication_switch);
    CPPUNIT_ASSERT(channels.find("tcp_internal")->switching == Channel::Switching::allowed);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_internal"), channels.find("tcp_intranet")->name);
    CPPUNIT_ASSERT(channels.find("tcp_submit")->authentication == Channel::Authentication::demanded);
    CPPUNIT_ASSERT(channels.find("l")->alias_local);
    CPPUNIT_ASSERT(channels.find("ims-ms") != nullptr);
    CPPUNIT_ASSERT(channels.find("nothing") == nullptr);
    // The checks of tables know the same.
    const std::set<std::string_view> known(mapping::kShippedChannels.begin(), mapping::kShippedChannels.end());
    for (const auto& [name, channel] : channels.all()) CPPUNIT_ASSERT_MESSAGE(name, known.contains(name));
    CPPUNIT_ASSERT_EQUAL(channels.all().size(), known.size());
  }

  void lines_redefine_and_add() {
    std::vector<conf::Mistake> mistakes;
    const Channels channels = Channels::parse(
        lines({"! friends", "tcp_friends smtp mx", "tcp_submit smtp maysaslserver switchchannel", "defaults allowswitchchannel nosasl", ""}), mistakes);
    CPPUNIT_ASSERT(mistakes.empty());
    CPPUNIT_ASSERT(channels.find("tcp_friends")->switching == Channel::Switching::allowed);
    CPPUNIT_ASSERT(channels.find("tcp_submit")->authentication == Channel::Authentication::offered);
    CPPUNIT_ASSERT(channels.find("tcp_local")->switching == Channel::Switching::switches);
    const Channels more = Channels::parse(lines({"tcp_x smtp authrewrite mailfromdnsverify", "tcp_y smtp", "tcp_z smtp nomailfromdnsverify", "defaults mailfromdnsverify"}), mistakes);
    CPPUNIT_ASSERT(mistakes.empty());
    CPPUNIT_ASSERT(more.find("tcp_x")->rewrites_sender && more.find("tcp_x")->verifies_sender_domain);
    CPPUNIT_ASSERT(!more.find("tcp_y")->rewrites_sender && more.find("tcp_y")->verifies_sender_domain);
    CPPUNIT_ASSERT(!more.find("tcp_z")->verifies_sender_domain);
  }

  void mistakes_have_their_place() {
    struct {
      const char *line, *text;
    } rows[] = {
        {"Tcp_Local smtp", "postern.conf:10: channels[0]: expected a channel's name (at most 32 of a-z, 0-9, '_', '$', '-'), found \"Tcp_Local\""},
        {"tcp_x smpt", "postern.conf:10: channels[0]: unknown keyword \"smpt\""},
        {"tcp_x userswitchchannel",
         "postern.conf:10: channels[0]: userswitchchannel is not available: this version switches channels by client address, TLS and login only"},
        {"tcp_x saslswitchchannel", "postern.conf:10: channels[0]: expected a channel's name behind saslswitchchannel"},
        {"tcp_x saslswitchchannel tcp_y", "postern.conf:10: channels: there is no channel \"tcp_y\" to switch to"},
    };
    for (const auto& row : rows) {
      std::vector<conf::Mistake> mistakes;
      Channels::parse(lines({row.line}), mistakes);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.line, std::size_t{1}, mistakes.size());
      CPPUNIT_ASSERT_EQUAL(std::string(row.text), mistakes[0].to_string());
    }
    std::vector<conf::Mistake> mistakes;
    Channels::parse(lines({"tcp_x smtp", "tcp_x mx", "defaults mx", "defaults mx"}), mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mistakes.size());
    CPPUNIT_ASSERT_EQUAL(11, mistakes[0].place.line);
    CPPUNIT_ASSERT_EQUAL(13, mistakes[1].place.line);
  }

  void port_and_module_give_the_first_channel() {
    conf::SocketRow row;
    struct {
      conf::Module module;
      std::uint16_t port;
      const char *named, *want;
    } rows[] = {
        {conf::Module::smtp, 25, "", "tcp_local"},     {conf::Module::smtp, 2525, "", "tcp_local"}, {conf::Module::smtp, 587, "", "tcp_submit"},
        {conf::Module::smtp, 465, "", "tcp_submit"},   {conf::Module::lmtp, 24, "", "tcp_lmtp"},
        {conf::Module::smtp, 25, "tcp_intranet", "tcp_internal"},
    };
    for (const auto& [module, port, named, want] : rows) {
      row.port = port;
      row.channel = named;
      CPPUNIT_ASSERT_EQUAL(std::string(want), initial_channel(module, row));
    }
  }

  void check_covers_socket_rows_and_rules() {
    conf::Configuration configuration;
    CPPUNIT_ASSERT(check(configuration).empty());
    conf::Listener listener;
    listener.sockets.resize(1);
    listener.sockets[0].port = 25;
    listener.sockets[0].channel = "tcp_nowhere";
    listener.sockets[0].place = {"postern.conf", 7};
    configuration.listeners.push_back(listener);
    configuration.rewrite = lines({".  $U%$H$D@tcp_nobody-daemon"});
    const auto mistakes = check(configuration);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mistakes.size());
    CPPUNIT_ASSERT_EQUAL(std::string("postern.conf:10: rewrite[0]: there is no channel \"tcp_nobody\""), mistakes[0].to_string());
    CPPUNIT_ASSERT_EQUAL(std::string("postern.conf:7: listeners.smtp.sockets[0].channel: there is no channel \"tcp_nowhere\""), mistakes[1].to_string());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ChannelsTest);
