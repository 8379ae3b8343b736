// SPDX-License-Identifier: Apache-2.0
// Which level decides: access-control.md 6.2, hardening.md 2.
#include "sieve/levels.h"
#include "support.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

class LevelsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LevelsTest);
  CPPUNIT_TEST(decisions);
  CPPUNIT_TEST(server_before_may_discard_if_allowed);
  CPPUNIT_TEST(errors_name_their_script);
  CPPUNIT_TEST(limits_hold_over_all_levels);
  CPPUNIT_TEST(marks_are_in_all_that_is_stored);
  CPPUNIT_TEST(a_message_is_refused_or_taken);
  CPPUNIT_TEST_SUITE_END();

  static LevelScript script(Level level, std::string_view text) {
    CompileOptions options;
    options.system_script = level != Level::user;
    const Compiled compiled =
        compile("require [\"fileinto\", \"copy\", \"variables\", \"imap4flags\", \"vnd.postern.jettison\"];" + std::string(text), options);
    return {level, "script of " + std::string(to_string(level)), compiled.program, mistakes_of(compiled)};
  }

  static std::string shown(const Decision& decision) {
    std::string out(decision.decided_by ? to_string(*decision.decided_by) : "nobody");
    out += ":";
    for (const auto& action : decision.actions) out += " " + to_string(action) + ";";
    if (decision.jettisoned) out += " jettisoned";
    if (decision.discarded) out += " discarded";
    if (!decision.errors.empty()) out += " errors " + std::to_string(decision.errors.size());
    return out;
  }

  static Decision decided(const std::vector<LevelScript>& scripts, const LevelSettings& settings = {}, const Limits& limits = {}) {
    static constexpr std::string_view kMessage = "From: a@example.com\r\nSubject: Hello\r\n\r\nbody\r\n";
    TestHost host;
    const postern::mail::MessageView view(kMessage);
    return decide(scripts, view, kEnvelope, host, limits, settings);
  }

  void marks_are_in_all_that_is_stored() {
    const auto system = [](Level level, std::string_view text) {
      CompileOptions options;
      options.system_script = true;
      const Compiled compiled = compile("require [\"fileinto\", \"copy\", \"editheader\", \"vnd.postern.addheader\", \"vnd.postern.addtag\", \"vnd.postern.capture\", \"vnd.postern.addconversiontag\", \"vnd.postern.jettison\"];" + std::string(text), options);
      return LevelScript{level, "x", compiled.program, mistakes_of(compiled)};
    };
    // The user decides first; what the server writes into the message is there all the same, and its edits by RFC 5293 are not.
    const Decision decision = decided({script(Level::user, "fileinto :copy \"A\"; keep;"), system(Level::domain, "addheader \"X-Domain: 1\"; discard;"),
                                       system(Level::server, "addheader \"X-Server\" \"2\"; addtag \"[t]\"; capture \"c@example.com\"; addconversiontag \"x\"; fileinto \"B\";")});
    CPPUNIT_ASSERT_EQUAL(std::string("user: fileinto \"A\" :copy; keep; capture \"c@example.com\";"), shown(decision));
    for (const Action& action : decision.actions) {
      CPPUNIT_ASSERT(action.message != nullptr);
      CPPUNIT_ASSERT_EQUAL(std::string("X-Domain: 1\r\nFrom: a@example.com\r\nSubject: [t] Hello\r\n\r\nbody\r\n"), action.message->text());
    }
    CPPUNIT_ASSERT(decision.conversion_tags == std::vector<std::string>{"x"});
    // A level that fails leaves nothing of its edits.
    const Decision failed = decided({system(Level::server_before, "addheader \"X-A: 1\"; addheader \"X-B\" \"2\"; discard;"), script(Level::user, "keep;")});
    CPPUNIT_ASSERT_EQUAL(std::string("user: keep; errors 1"), shown(failed));
    CPPUNIT_ASSERT(failed.actions.front().message == nullptr);
    // Edits of a level that did not decide hold for the next.
    const Decision edited = decided({system(Level::server_before, "addheader \"X-B\" \"2\";"), script(Level::user, "if true { fileinto \"A\"; }")});
    CPPUNIT_ASSERT(edited.actions.front().message->text().starts_with("X-B: 2\r\n"));
  }

  void a_message_is_refused_or_taken() {
    const auto any = [](Level level, std::string_view text) {
      const Compiled compiled = compile("require [\"fileinto\", \"copy\", \"reject\", \"vacation\"];" + std::string(text));
      return LevelScript{level, "x", compiled.program, mistakes_of(compiled)};
    };
    CPPUNIT_ASSERT_EQUAL(std::string("user: reject \"no\";"), shown(decided({any(Level::user, "reject \"no\";"), any(Level::server, "keep;")})));
    CPPUNIT_ASSERT_EQUAL(std::string("nobody: fileinto \"A\" :copy; keep (implicit); errors 1"), shown(decided({any(Level::user, "fileinto :copy \"A\";"), any(Level::server, "reject \"no\";")})));
    CPPUNIT_ASSERT_EQUAL(std::string("nobody: vacation; keep (implicit); errors 1"), shown(decided({any(Level::user, "vacation \"away\";"), any(Level::server, "reject \"no\";")})));
    CPPUNIT_ASSERT_EQUAL(std::string("user: keep; errors 1"), shown(decided({any(Level::server_before, "reject \"no\";"), any(Level::user, "keep;")})));
  }

  void decisions() {
    constexpr std::string_view kFails = "redirect :copy \"a@b.example\"; set \"m\" \"\"; fileinto \"${m}\";";
    constexpr std::string_view kBroken = "nonsense;";
    using Scripts = std::vector<std::pair<Level, std::string_view>>;
    struct {
      Scripts scripts;
      std::string_view want;
    } rows[] = {
        {{}, "nobody: keep (implicit);"},
        {{{Level::user, ""}}, "nobody: keep (implicit);"},
        {{{Level::user, "stop;"}, {Level::server, "discard;"}}, "server: discarded"},
        {{{Level::user, "keep;"}, {Level::server, "discard;"}}, "user: keep;"},
        {{{Level::server, "discard;"}, {Level::user, "keep;"}}, "user: keep;"},
        {{{Level::user, "fileinto \"A\";"}, {Level::server, "fileinto \"B\";"}}, "user: fileinto \"A\";"},
        {{{Level::user, "discard;"}, {Level::server, "fileinto \"B\";"}}, "user: discarded"},
        {{{Level::user, "redirect \"a@b.example\";"}}, "user: redirect \"a@b.example\";"},
        {{{Level::user, ""}, {Level::domain, "fileinto \"D\";"}, {Level::destination_channel, "discard;"}}, "domain: fileinto \"D\";"},
        {{{Level::destination_channel, "fileinto \"to\";"}, {Level::source_channel, "fileinto \"from\";"}}, "destination channel: fileinto \"to\";"},
        {{{Level::source_channel, "fileinto \"from\";"}, {Level::server, "discard;"}}, "source channel: fileinto \"from\";"},
        // copies of undecided levels stay
        {{{Level::user, "fileinto :copy \"A\";"}}, "nobody: fileinto \"A\" :copy; keep (implicit);"},
        {{{Level::user, "fileinto :copy \"A\";"}, {Level::server, "fileinto \"B\";"}}, "server: fileinto \"A\" :copy; fileinto \"B\";"},
        {{{Level::user, "fileinto :copy \"A\";"}, {Level::server, "discard;"}}, "server: fileinto \"A\" :copy;"},
        {{{Level::user, "fileinto :copy \"INBOX\";"}}, "nobody: fileinto \"INBOX\";"},
        {{{Level::user, "addflag \"\\\\Seen\";"}}, "nobody: keep (implicit) :flags [\"\\\\Seen\"];"},
        {{{Level::user, "addflag \"\\\\Seen\";"}, {Level::domain, ""}, {Level::server, "addflag \"x\";"}}, "nobody: keep (implicit) :flags [\"\\\\Seen\"];"},
        {{{Level::user, "addflag \"\\\\Seen\";"}, {Level::server, "keep;"}}, "server: keep;"},
        // jettison
        {{{Level::user, "keep;"}, {Level::server, "jettison;"}}, "server: jettisoned"},
        {{{Level::user, "fileinto \"A\"; redirect \"a@b.example\";"}, {Level::source_channel, "discard; jettison;"}}, "source channel: jettisoned"},
        {{{Level::user, ""}, {Level::server, "jettison;"}}, "server: jettisoned"},
        {{{Level::user, "keep;"}, {Level::server, "if false { jettison; }"}}, "user: keep;"},
        {{{Level::user, "jettison;"}, {Level::server, "keep;"}}, "user: jettisoned"},
        {{{Level::server_before, "fileinto \"A\";"}, {Level::user, "jettison;"}}, "user: jettisoned"},
        // server-before
        {{{Level::server_before, "fileinto \"Spam\";"}, {Level::user, "keep;"}}, "server-before: fileinto \"Spam\";"},
        {{{Level::server_before, "fileinto :copy \"Copy\";"}, {Level::user, "fileinto \"A\";"}}, "user: fileinto \"Copy\" :copy; fileinto \"A\";"},
        {{{Level::server_before, "discard;"}, {Level::user, "fileinto \"A\";"}}, "user: fileinto \"A\"; errors 1"},
        {{{Level::server_before, "discard;"}}, "nobody: keep (implicit); errors 1"},
        // errors: nothing of the script is done, the next level is asked, but nobody may discard
        {{{Level::user, kFails}}, "nobody: keep (implicit); errors 1"},
        {{{Level::user, kBroken}}, "nobody: keep (implicit); errors 1"},
        {{{Level::user, kFails}, {Level::server, "fileinto \"B\";"}}, "server: fileinto \"B\"; errors 1"},
        {{{Level::user, kFails}, {Level::server, "discard;"}}, "server: keep (implicit); errors 1"},
        {{{Level::user, kBroken}, {Level::server, "discard;"}}, "server: keep (implicit); errors 1"},
        {{{Level::user, kFails}, {Level::server, "jettison;"}}, "server: jettisoned errors 1"},
        {{{Level::user, "discard;"}, {Level::server, kFails}}, "user: discarded errors 1"},
        {{{Level::user, "keep;"}, {Level::server, kBroken}}, "user: keep; errors 1"},
    };
    for (const auto& row : rows) {
      std::vector<LevelScript> scripts;
      std::string name;
      for (const auto& [level, text] : row.scripts) {
        scripts.push_back(script(level, text));
        name += std::string(to_string(level)) + ": " + std::string(text) + " / ";
      }
      std::string want(row.want);
      const std::string got = shown(decided(scripts));
      CPPUNIT_ASSERT_MESSAGE(name + "\n want " + want + "\n got  " + got, got == want);
    }
  }

  void server_before_may_discard_if_allowed() {
    LevelSettings settings;
    settings.server_before_may_discard = true;
    CPPUNIT_ASSERT_EQUAL(std::string("server-before: discarded"), shown(decided({script(Level::server_before, "discard;"), script(Level::user, "keep;")}, settings)));
  }

  void errors_name_their_script() {
    const Decision decision = decided({script(Level::user, "\n  set \"m\" \"\";\n  fileinto \"${m}\";"), script(Level::server, "nonsense;")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, decision.errors.size());
    CPPUNIT_ASSERT_EQUAL(std::string("script of user"), decision.errors[0].script);
    CPPUNIT_ASSERT_EQUAL(3, decision.errors[0].line);
    CPPUNIT_ASSERT_EQUAL(3, decision.errors[0].column);
    CPPUNIT_ASSERT(decision.errors[1].text.find("unknown command") != std::string::npos);
    CPPUNIT_ASSERT(decision.errors[1].level == Level::server);
  }

  void limits_hold_over_all_levels() {
    const std::string copies = "redirect :copy \"a@b.example\"; redirect :copy \"b@b.example\"; redirect :copy \"c@b.example\";";
    const Decision decision = decided({script(Level::user, copies), script(Level::server, "redirect \"d@b.example\"; redirect \"e@b.example\";")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, decision.errors.size());
    CPPUNIT_ASSERT(!decision.decided_by.has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, decision.actions.size());  // three copies and the keep
    Limits limits;
    limits.steps = 0;
    const Decision stopped = decided({script(Level::user, "discard;")}, {}, limits);
    CPPUNIT_ASSERT(stopped.errors.size() == 1 && stopped.errors[0].over_limit);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(LevelsTest);

}  // namespace
