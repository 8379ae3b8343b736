// SPDX-License-Identifier: Apache-2.0
#include "fake_site.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using test::FakeSite;

// PLAIN of other accounts and passwords.
const std::string kWrong = "AHVzZXJAZXhhbXBsZS5jb20AcGFzcw==";         // user@example.com, pass
const std::string kUnknown = "AG5vYm9keUBleGFtcGxlLmNvbQBwYXNzIHdvcmQ=";  // nobody@example.com, pass word
const std::string kDisabled = "AG9mZkBleGFtcGxlLmNvbQBwYXNzIHdvcmQ=";     // off@example.com, pass word
const std::string kLogin = "AUTHENTICATE \"PLAIN\" \"" + std::string(FakeSite::kPlain) + "\"\r\n";
const std::string kWelcome = "OK \"welcome\"\r\n";

class SessionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SessionTest);
  CPPUNIT_TEST(a_whole_session);
  CPPUNIT_TEST(the_greeting_says_what_can_be_done);
  CPPUNIT_TEST(capabilities_change_with_tls_and_login);
  CPPUNIT_TEST(every_command_in_every_state);
  CPPUNIT_TEST(logins);
  CPPUNIT_TEST(answers_come_in_every_form);
  CPPUNIT_TEST(passwords_need_protection);
  CPPUNIT_TEST(login_failures_end_the_session);
  CPPUNIT_TEST(a_login_that_the_table_refuses_looks_like_a_wrong_password);
  CPPUNIT_TEST(nobody_logs_in_to_a_restricted_session);
  CPPUNIT_TEST(a_broken_script_is_refused_with_its_lines);
  CPPUNIT_TEST(warnings_come_with_the_script_stored);
  CPPUNIT_TEST(own_scripts_are_included);
  CPPUNIT_TEST(names_are_checked);
  CPPUNIT_TEST(limits_of_scripts);
  CPPUNIT_TEST(what_is_too_large_is_refused_before_it_is_read);
  CPPUNIT_TEST(active_scripts);
  CPPUNIT_TEST(renaming);
  CPPUNIT_TEST(scripts_come_back_as_they_were);
  CPPUNIT_TEST(tags_of_noop_come_back);
  CPPUNIT_TEST(unauthenticate_forgets_who_it_was);
  CPPUNIT_TEST(a_directory_that_is_away);
  CPPUNIT_TEST(pieces_do_not_matter);
  CPPUNIT_TEST(lines_are_strict);
  CPPUNIT_TEST(too_many_errors);
  CPPUNIT_TEST(commands_are_limited);
  CPPUNIT_TEST(starttls_protects_the_session);
  CPPUNIT_TEST(starttls_is_refused);
  CPPUNIT_TEST(clear_text_behind_starttls_is_never_executed);
  CPPUNIT_TEST(a_failed_handshake_ends_the_session_without_a_word);
  CPPUNIT_TEST(tls_outside_counts_as_tls);
  CPPUNIT_TEST(goodbye_when_the_process_finishes);
  CPPUNIT_TEST_SUITE_END();

  static std::string put(std::string_view name, std::string_view script) {
    return "PUTSCRIPT \"" + std::string(name) + "\" {" + std::to_string(script.size()) + "+}\r\n" + std::string(script) + "\r\n";
  }
  static void contains(const std::string& text, std::string_view part) { CPPUNIT_ASSERT_MESSAGE(text, text.find(part) != std::string::npos); }
  static void lacks(const std::string& text, std::string_view part) { CPPUNIT_ASSERT_MESSAGE(text, text.find(part) == std::string::npos); }

  void a_whole_session() {
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"stored\"\r\n"
                         "OK \"stored\"\r\n"
                         "OK \"the script is active\"\r\n"
                         "\"holiday\"\r\n\"main\" ACTIVE\r\nOK\r\n"
                         "{16}\r\nkeep;\r\n# lists\r\n\r\nOK\r\n"
                         "OK \"deleted\"\r\n"
                         "OK \"goodbye\"\r\n"),
                         site.answers_in({put("main", "keep;\r\n# lists\r\n"), put("holiday", "discard;"), "SETACTIVE \"main\"\r\n", "LISTSCRIPTS\r\n",
                                          "GETSCRIPT \"main\"\r\n", "DELETESCRIPT \"holiday\"\r\n", "LOGOUT\r\n", "NEVER READ\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("logout"), site.watch.end_reason);
    CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), site.watch.described);
    CPPUNIT_ASSERT_EQUAL(0U, site.watch.protocol_errors);
  }

  void the_greeting_says_what_can_be_done() {
    FakeSite site;
    const std::string greeting = site.talk({"LOGOUT\r\n"});
    CPPUNIT_ASSERT_MESSAGE(greeting, greeting.starts_with("\"IMPLEMENTATION\" \"Postern\"\r\n\"SASL\" \"SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\"\r\n\"SIEVE\" \""));
    contains(greeting, "\"VERSION\" \"1.0\"\r\nOK \"Postern ManageSieve at sieve.example.com\"\r\n");
    contains(greeting, "\"MAXREDIRECTS\" \"4\"\r\n");
    lacks(greeting, "NOTIFY");
    lacks(greeting, "EXTLISTS");
    lacks(greeting, "OWNER");
    lacks(greeting, "STARTTLS");
    site.can = sieve::kAllAbilities;
    contains(site.talk({"LOGOUT\r\n"}), "\"NOTIFY\" \"mailto\"\r\n\"EXTLISTS\" \"urn\"\r\n");
  }

  void capabilities_change_with_tls_and_login() {
    FakeSite site;
    site.watch.tls = true;
    const std::string got = site.talk({"STARTTLS\r\n"}, "192.0.2.1", {"AUTHENTICATE \"PLAIN\" \"" + std::string(FakeSite::kPlain) + "\"\r\nCAPABILITY\r\n"});
    const auto first = got.find("OK \"Postern"), second = got.find("OK \"TLS is in force\""), third = got.find("OK \"welcome\"");
    CPPUNIT_ASSERT_MESSAGE(got, first < second && second < third && third != std::string::npos);
    const std::string before = got.substr(0, first), between = got.substr(first, second - first), after = got.substr(third);
    contains(before, "\"SASL\" \"SCRAM-SHA-256 SCRAM-SHA-1\"\r\n");
    contains(before, "\"STARTTLS\"\r\n");
    contains(between, "\"SASL\" \"SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\"\r\n");
    lacks(between, "\"STARTTLS\"\r\n");
    contains(after, "\"OWNER\" \"user@example.com\"\r\n");
    contains(after, "\"VERSION\" \"1.0\"\r\nOK\r\n");
  }

  void every_command_in_every_state() {
    const struct { const char *command, *before, *after; } rows[] = {
        {"CAPABILITY", "\"IMPL", "\"IMPL"}, {"capability", "\"IMPL", "\"IMPL"}, {"CAPABILITY \"x\"", "NO", "NO"},
        {"NOOP", "OK", "OK"}, {"NOOP \"a\"", "OK (T", "OK (T"}, {"NOOP 5", "NO", "NO"}, {"NOOP \"a\" \"b\"", "NO", "NO"},
        {"LOGOUT", "OK", "OK"}, {"LOGOUT \"x\"", "NO", "NO"},
        {"STARTTLS", "NO", "NO"}, {"AUTHENTICATE", "NO", "NO"}, {"AUTHENTICATE PLAIN", "NO", "NO"}, {"AUTHENTICATE \"KERBEROS_V4\"", "NO", "NO"},
        {"UNAUTHENTICATE", "NO", "OK"}, {"LISTSCRIPTS", "NO", "OK"}, {"LISTSCRIPTS \"x\"", "NO", "NO"},
        {"SETACTIVE \"\"", "NO", "OK"}, {"SETACTIVE \"x\"", "NO", "NO (N"}, {"SETACTIVE", "NO", "NO"}, {"SETACTIVE x", "NO", "NO"},
        {"GETSCRIPT \"x\"", "NO", "NO (N"}, {"GETSCRIPT", "NO", "NO"}, {"DELETESCRIPT \"x\"", "NO", "NO (N"},
        {"RENAMESCRIPT \"x\" \"y\"", "NO", "NO (N"}, {"RENAMESCRIPT \"x\"", "NO", "NO"},
        {"HAVESPACE \"x\" 10", "NO", "OK"}, {"HAVESPACE \"x\" \"10\"", "NO", "NO"}, {"HAVESPACE \"x\"", "NO", "NO"},
        {"HAVESPACE \"x\" 99999999999", "NO", "NO"}, {"HAVESPACE \"x\" 4294967295", "NO", "NO (Q"},
        {"PUTSCRIPT \"x\" \"keep;\"", "NO", "OK"}, {"PUTSCRIPT \"x\"", "NO", "NO"}, {"PUTSCRIPT \"x\" \"kepp;\"", "NO", "NO"},
        {"CHECKSCRIPT \"keep;\"", "NO", "OK"}, {"CHECKSCRIPT \"kepp;\"", "NO", "NO"}, {"CHECKSCRIPT", "NO", "NO"},
        {"SELECT", "NO", "NO"}, {"", "NO", "NO"}, {" NOOP", "NO", "NO"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      const std::string line = std::string(row.command) + "\r\n";
      const std::string before = site.answers({line}), after = site.answers_in({line});
      CPPUNIT_ASSERT_MESSAGE(std::string(row.command) + " before: " + before, before.starts_with(row.before));
      CPPUNIT_ASSERT_MESSAGE(std::string(row.command) + " after: " + after, after.starts_with(row.after));
    }
  }

  void logins() {
    const struct { std::string credentials, answer; } rows[] = {
        {std::string(FakeSite::kPlain), kWelcome},
        {kWrong, "NO \"name or password is wrong\"\r\n"},
        {kUnknown, "NO \"name or password is wrong\"\r\n"},
        {kDisabled, "NO \"name or password is wrong\"\r\n"},
        {"AHVzZXI", "NO \"expected base64\"\r\n"},
        {"AHV*ZXI=", "NO \"expected base64\"\r\n"},
        {"bm8gbnVs", "NO \"this is not PLAIN\"\r\n"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.credentials, row.answer, site.answers({"AUTHENTICATE \"PLAIN\" \"" + row.credentials + "\"\r\n"}));
      CPPUNIT_ASSERT_EQUAL(row.answer.find("wrong") != std::string::npos ? 1U : 0U, site.watch.failed_logins);
    }
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(kWelcome + "NO \"not after login\"\r\n", site.answers({kLogin, kLogin}));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.logins.size());
    CPPUNIT_ASSERT(site.logins[0].service == "sieve" && site.logins[0].mechanism == "PLAIN" && site.logins[0].account == "user@example.com" && site.logins[0].tls.empty());
    site.accounts.set_down(true);
    CPPUNIT_ASSERT(site.answers({kLogin}).starts_with("NO (TRYLATER) "));
  }

  // Thunderbird sends the response along, KMail waits for the challenge, some send literals.
  void answers_come_in_every_form() {
    const std::string plain(FakeSite::kPlain), literal = "{" + std::to_string(plain.size()) + "+}\r\n" + plain + "\r\n";
    for (const std::string& login : {"authenticate \"plain\" " + literal, "AUTHENTICATE \"PLAIN\"\r\n\"" + plain + "\"\r\n", "AUTHENTICATE {5+}\r\nPLAIN\r\n" + literal}) {
      FakeSite site;
      const std::string got = site.answers({login});
      CPPUNIT_ASSERT_MESSAGE(login + got, got.ends_with(kWelcome));
    }
    FakeSite site;
    // LOGIN asks twice: "User Name" and "Password", or the like.
    const std::string asked = site.answers({"AUTHENTICATE \"LOGIN\"\r\n\"dXNlckBleGFtcGxlLmNvbQ==\"\r\n\"cGFzcyB3b3Jk\"\r\n"});
    CPPUNIT_ASSERT_MESSAGE(asked, asked.ends_with("\"\r\n" + kWelcome));
    CPPUNIT_ASSERT_EQUAL(std::string("\"\"\r\nNO \"cancelled\"\r\nOK \"done\"\r\n"), site.answers({"AUTHENTICATE \"PLAIN\"\r\n\"*\"\r\nNOOP\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("\"\"\r\nNO \"expected a string\"\r\nOK \"done\"\r\n"), site.answers({"AUTHENTICATE \"PLAIN\"\r\n*\r\nNOOP\r\n"}));
  }

  void passwords_need_protection() {
    FakeSite site;
    for (const char* client : {"192.0.2.1", "2001:db8::1"}) {
      contains(site.talk({"LOGOUT\r\n"}, client), "\"SASL\" \"SCRAM-SHA-256 SCRAM-SHA-1\"\r\n");
      CPPUNIT_ASSERT(site.answers({kLogin}, client).starts_with("NO (ENCRYPT-NEEDED) \"passwords are not accepted from your network address without TLS\""));
    }
    site.settings().secure_login.required = false;
    CPPUNIT_ASSERT_EQUAL(kWelcome, site.answers({kLogin}, "192.0.2.1"));
  }

  void login_failures_end_the_session() {
    FakeSite site;
    const std::string wrong = "AUTHENTICATE \"PLAIN\" \"" + kWrong + "\"\r\n";
    const std::string got = site.answers({wrong, wrong, wrong, wrong});
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("BYE \"too many failed logins\"\r\n"));
    CPPUNIT_ASSERT_EQUAL(3U, site.watch.failed_logins);
    CPPUNIT_ASSERT_EQUAL(std::string("login failures"), site.watch.end_reason);
  }

  void a_login_that_the_table_refuses_looks_like_a_wrong_password() {
    FakeSite site;
    site.login_decision.accepted = false;
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"name or password is wrong\"\r\nNO \"log in first\"\r\n"), site.answers({kLogin, "LISTSCRIPTS\r\n"}));
    CPPUNIT_ASSERT_EQUAL(1U, site.watch.failed_logins);
    site.login_decision.temporary = true;
    CPPUNIT_ASSERT(site.answers({kLogin}).starts_with("NO (TRYLATER) "));
    CPPUNIT_ASSERT_EQUAL(1U, site.watch.failed_logins);
  }

  void nobody_logs_in_to_a_restricted_session() {
    FakeSite site;
    site.info.restricted = true;
    contains(site.talk({"LOGOUT\r\n"}), "\"SASL\" \"\"\r\n");
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"login is not allowed from your network address\"\r\n"), site.answers({kLogin}));
  }

  void a_broken_script_is_refused_with_its_lines() {
    FakeSite site;
    const std::string got = site.answers_in({put("main", "require \"fileinto\";\r\nkepp;\r\nfileinto;\r\n"), "LISTSCRIPTS\r\n"});
    // Over several lines: a literal.
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("NO {"));
    contains(got, "}\r\nline 2, column 1: unknown command \"kepp\"");
    contains(got, "\r\nline 3, column 1: ");
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("\r\nOK\r\n"));
    lacks(got, "\"main\"");
    // What delivery can't do is not there.
    contains(site.answers_in({put("main", "require \"vacation\";\r\n")}), "vacation");
    // The old one stays.
    const std::string replaced = site.answers_in({put("main", "keep;"), put("main", "kepp;"), "GETSCRIPT \"main\"\r\n"});
    CPPUNIT_ASSERT_MESSAGE(replaced, replaced.ends_with("{5}\r\nkeep;\r\nOK\r\n"));
  }

  void warnings_come_with_the_script_stored() {
    FakeSite site;
    const std::string got = site.answers_in({put("main", "stop;\r\nkeep;"), "LISTSCRIPTS\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("OK (WARNINGS) \"line 2, column 1: "));
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("\"main\"\r\nOK\r\n"));
    CPPUNIT_ASSERT(site.answers_in({"CHECKSCRIPT \"stop; keep;\"\r\n"}).starts_with("OK (WARNINGS) "));
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"the script is correct\"\r\n"), site.answers_in({"CHECKSCRIPT \"keep;\"\r\n"}));
    site.busy = true;
    CPPUNIT_ASSERT(site.answers_in({put("main", "keep;")}).starts_with("NO (TRYLATER) "));
  }

  void own_scripts_are_included() {
    FakeSite site;
    site.can = sieve::kIncludes;
    const std::string outer = "require \"include\"; include \"inner\";", inner = "require \"include\"; include \"innermost\";";
    const std::string got = site.answers_in({put("outer", outer), put("innermost", "keep;"), put("inner", inner), put("outer", outer), put("inner", "require \"include\"; include \"outer\";")});
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("OK (WARNINGS) \"there is no script \\\"inner\\\" to be included yet\"\r\nOK \"stored\"\r\nOK \"stored\"\r\nOK \"stored\"\r\nNO "));
  }

  void names_are_checked() {
    const struct { std::string name; bool good; } rows[] = {
        {"a", true}, {"my script.sieve", true}, {"\xc3\xbcrlaub", true}, {std::string(128, 'x'), true}, {"", false}, {std::string(129, 'x'), false},
        {"a\tb", false}, {"\x7f", false}, {"a\xc2\x85z", false}, {"a\xe2\x80\xa8z", false}, {"a\xe2\x80\xa9z", false},
    };
    for (const auto& row : rows) {
      FakeSite site;
      const std::string got = site.answers_in({put(row.name, "keep;")});
      CPPUNIT_ASSERT_MESSAGE(row.name + ": " + got, got.starts_with(row.good ? "OK" : "NO"));
    }
    FakeSite site;
    // A name that a quoted string can't hold goes as a literal, both ways.
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"stored\"\r\n\"say \\\"hi\\\"\"\r\nOK\r\n"), site.answers_in({"PUTSCRIPT {8+}\r\nsay \"hi\" \"keep;\"\r\n", "LISTSCRIPTS\r\n"}));
  }

  void limits_of_scripts() {
    FakeSite site;
    site.limit_scripts(2, 20);
    const std::string got = site.answers_in({put("a", "keep;"), put("b", "keep;"), put("c", "keep;"), put("b", "stop;"), "HAVESPACE \"d\" 5\r\n", "HAVESPACE \"a\" 20\r\n", "HAVESPACE \"a\" 21\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"stored\"\r\nOK \"stored\"\r\nNO (QUOTA/MAXSCRIPTS) \"there are 2 scripts, and no more are allowed\"\r\nOK \"stored\"\r\n"
                                     "NO (QUOTA/MAXSCRIPTS) \"there are 2 scripts, and no more are allowed\"\r\nOK\r\nNO (QUOTA/MAXSIZE) \"a script has at most 20 bytes\"\r\n"),
                         got);
    // Nothing is checked that can't be stored.
    CPPUNIT_ASSERT_EQUAL(3U, site.checks);
  }

  void what_is_too_large_is_refused_before_it_is_read() {
    FakeSite site;
    site.limit_scripts(10, 20);
    // A little too large: read and thrown away, and the session goes on.
    CPPUNIT_ASSERT_EQUAL(std::string("NO (QUOTA/MAXSIZE) \"an argument is too large: a script has at most 20 bytes\"\r\nOK \"done\"\r\n"),
                         site.answers_in({put("a", std::string(21, '#')), "NOOP\r\n"}));
    CPPUNIT_ASSERT(site.answers_in({"CHECKSCRIPT {21+}\r\n" + std::string(21, '#') + "\r\n"}).starts_with("NO (QUOTA/MAXSIZE) "));
    CPPUNIT_ASSERT(site.answers_in({"CHECKSCRIPT \"" + std::string(21, '#') + "\"\r\n"}).starts_with("NO (QUOTA/MAXSIZE) "));
    // Far too large, or before login: the session ends.
    CPPUNIT_ASSERT_EQUAL(std::string("BYE (QUOTA/MAXSIZE) \"a literal of 4294967295 bytes is far too large\"\r\n"), site.answers_in({"PUTSCRIPT \"a\" {4294967295+}\r\nkeep;"}));
    CPPUNIT_ASSERT(site.answers({"AUTHENTICATE \"PLAIN\" {100000+}\r\n"}).starts_with("BYE (QUOTA/MAXSIZE) "));
    CPPUNIT_ASSERT(site.answers({"PUTSCRIPT \"a\" {100000+}\r\n"}).starts_with("BYE (QUOTA/MAXSIZE) "));
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"log in first\"\r\nOK \"done\"\r\n"), site.answers({"PUTSCRIPT \"a\" {3000+}\r\n" + std::string(3000, '#') + "\r\nNOOP\r\n"}));
    CPPUNIT_ASSERT(site.answers({"AUTHENTICATE \"PLAIN\" {16385+}\r\n" + std::string(16385, 'A') + "\r\n"}).starts_with("NO (QUOTA/MAXSIZE) "));
    const auto errors = site.watch.protocol_errors;
    CPPUNIT_ASSERT_EQUAL(std::string("BYE \"expected a literal of the form {bytes+} at the end of the line\"\r\n"), site.answers_in({"PUTSCRIPT \"a\" {5}\r\nkeep;\r\n"}));
    CPPUNIT_ASSERT_EQUAL(errors + 1, site.watch.protocol_errors);
    // The connection ends in the middle of one.
    CPPUNIT_ASSERT_EQUAL(std::string(), site.answers_in({"PUTSCRIPT \"a\" {5+}\r\nkee"}));
    CPPUNIT_ASSERT_EQUAL(std::string("closed"), site.watch.end_reason);
  }

  void active_scripts() {
    FakeSite site;
    const std::string got = site.answers_in({put("a", "keep;"), "SETACTIVE \"a\"\r\n", "DELETESCRIPT \"a\"\r\n", "SETACTIVE \"\"\r\n", "LISTSCRIPTS\r\n", "DELETESCRIPT \"a\"\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"stored\"\r\nOK \"the script is active\"\r\nNO (ACTIVE) \"the active script can't be deleted\"\r\nOK \"no script is active\"\r\n"
                                     "\"a\"\r\nOK\r\nOK \"deleted\"\r\n"),
                         got);
  }

  void renaming() {
    FakeSite site;
    const std::string got = site.answers_in({put("a", "keep;"), put("b", "stop;"), "SETACTIVE \"a\"\r\n", "RENAMESCRIPT \"a\" \"b\"\r\n", "RENAMESCRIPT \"a\" \"c\"\r\n",
                                             "RENAMESCRIPT \"a\" \"d\"\r\n", "RENAMESCRIPT \"b\" \"\"\r\n", "LISTSCRIPTS\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("NO (ALREADYEXISTS) \"there is a script of this name already\"\r\nOK \"renamed\"\r\nNO (NONEXISTENT) \"there is no script of this name\"\r\n"
                                              "NO \"a script's name has 1 to 128 characters, none of them a control character or a slash\"\r\n\"b\"\r\n\"c\" ACTIVE\r\nOK\r\n"));
  }

  void scripts_come_back_as_they_were() {
    for (const std::string& script : {std::string(), std::string("# \"\\ {5}\r\n"), std::string("keep;\n\n# bare LF\n"), "# " + std::string(100000, 'x') + "\r\nkeep;"}) {
      FakeSite site;
      CPPUNIT_ASSERT_EQUAL("OK \"stored\"\r\n{" + std::to_string(script.size()) + "}\r\n" + script + "\r\nOK\r\n", site.answers_in({put("a", script), "GETSCRIPT \"a\"\r\n"}));
    }
    FakeSite site;
    CPPUNIT_ASSERT(site.answers_in({put("a", std::string("# \0\r\n", 5))}).starts_with("NO"));
    CPPUNIT_ASSERT(site.answers_in({put("a", "# \xff\r\n")}).starts_with("NO"));
  }

  void tags_of_noop_come_back() {
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("OK (TAG \"a \\\"b\") \"done\"\r\nOK (TAG {4}\r\na\r\nb) \"done\"\r\nOK \"done\"\r\n"),
                         site.answers({"NOOP \"a \\\"b\"\r\nNOOP {4+}\r\na\r\nb\r\nNOOP\r\n"}));
  }

  void unauthenticate_forgets_who_it_was() {
    FakeSite site;
    const std::string got = site.answers_in({"UNAUTHENTICATE\r\n", "LISTSCRIPTS\r\n", "CAPABILITY\r\n", kLogin, "LISTSCRIPTS\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("OK \"logged out\"\r\nNO \"log in first\"\r\n\"IMPLEMENTATION\""));
    lacks(got, "OWNER");
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with(kWelcome + "OK\r\n"));
  }

  void a_directory_that_is_away() {
    for (const char* command : {"LISTSCRIPTS\r\n", "GETSCRIPT \"a\"\r\n", "SETACTIVE \"a\"\r\n", "DELETESCRIPT \"a\"\r\n", "RENAMESCRIPT \"a\" \"b\"\r\n", "HAVESPACE \"a\" 5\r\n", "PUTSCRIPT \"a\" \"keep;\"\r\n"}) {
      // Away from the login on: its own answer comes from LOGIN_ACCESS.
      struct Away final : managesieve::Services {
        explicit Away(FakeSite& site) : site_(site) {}
        std::shared_ptr<const conf::Configuration> configuration() override { return site_.configuration(); }
        directory::Lookups& directory() override { return site_.directory(); }
        net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts) override {
          site_.accounts.set_down(true);
          co_return policy::LoginDecision();
        }
        net::Awaitable<Result<managesieve::ScriptReport>> check(std::string source, managesieve::OwnScripts own) override { return site_.check(std::move(source), std::move(own)); }
        std::uint32_t abilities() override { return 0; }
        std::size_t redirects() override { return 4; }
        FakeSite& site_;
      };
      FakeSite site;
      Away away(site);
      net::asio::io_context io(1);
      net::ScriptedStream stream({kLogin, command, "NOOP\r\n"});
      managesieve::SessionInfo info;
      info.remote = {net::Address::parse("127.0.0.1").value(), 40000};
      net::asio::co_spawn(io, managesieve::run_session(stream, away, info, site.watch), net::asio::detached);
      io.run();
      CPPUNIT_ASSERT_MESSAGE(command + stream.written(), stream.written().ends_with("NO (TRYLATER) \"the scripts can't be reached now, try again later\"\r\nOK \"done\"\r\n"));
    }
  }

  void pieces_do_not_matter() {
    const std::string dialogue = kLogin + put("a", "keep;\r\n") + "SETACTIVE \"a\"\r\nCHECKSCRIPT {5+}\r\nkeep;\r\nLISTSCRIPTS\r\nLOGOUT\r\n";
    FakeSite whole;
    const std::string expected = whole.answers({dialogue});
    CPPUNIT_ASSERT_MESSAGE(expected, expected.ends_with("\"a\" ACTIVE\r\nOK\r\nOK \"goodbye\"\r\n"));
    for (std::size_t piece = 1; piece < 40; ++piece) {
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < dialogue.size(); at += piece) pieces.push_back(dialogue.substr(at, piece));
      FakeSite site;
      CPPUNIT_ASSERT_EQUAL(expected, site.answers(pieces));
    }
  }

  void lines_are_strict() {
    for (const std::string& bytes : {std::string("NOOP\nNOOP\r\n"), std::string("NOOP\rX\r\n"), std::string("NO\0OP\r\n", 7)}) {
      FakeSite site;
      CPPUNIT_ASSERT_EQUAL(std::string("BYE \"bare CR, bare LF or NUL\"\r\n"), site.answers({bytes, "NOOP\r\n"}));
      CPPUNIT_ASSERT_EQUAL(1U, site.watch.protocol_errors);
    }
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("BYE \"line too long\"\r\n"), site.answers({"NOOP \"" + std::string(5000, 'x') + "\"\r\n", "NOOP\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string(), site.answers({"NOOP"}));
  }

  void too_many_errors() {
    FakeSite site;
    site.settings().managesieve.errors = 3;
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"there is no such command\"\r\nNO \"log in first\"\r\nBYE \"too many bad commands\"\r\n"), site.answers({"X\r\nLISTSCRIPTS\r\nNOOP 5\r\nNOOP\r\n"}));
    CPPUNIT_ASSERT_EQUAL(1U, site.watch.protocol_errors);
    CPPUNIT_ASSERT_EQUAL(std::string("too many errors"), site.watch.end_reason);
  }

  void commands_are_limited() {
    FakeSite site;
    site.settings().managesieve.commands = 12;
    std::string many;
    for (int i = 0; i < 12; ++i) many += "NOOP\r\n";
    CPPUNIT_ASSERT(site.answers_in({many}).ends_with("OK \"done\"\r\nBYE (TRYLATER) \"too many commands in one session\"\r\n"));
    site.settings().managesieve.commands = 1000;
    for (int i = 0; i < 20; ++i) many += "NOOP\r\n";
    CPPUNIT_ASSERT(site.answers({many}).ends_with("OK \"done\"\r\nBYE \"log in\"\r\n"));
    CPPUNIT_ASSERT(site.answers_in({many}).ends_with("OK \"done\"\r\n"));
  }

  void starttls_protects_the_session() {
    FakeSite site;
    site.watch.tls = true;
    const std::string got = site.talk({"STARTTLS\r\n"}, "192.0.2.1", {kLogin, "STARTTLS\r\n"});
    contains(got, "OK \"begin TLS\"\r\n\"IMPLEMENTATION\" \"Postern\"\r\n");
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with(kWelcome + "NO \"the session is protected by TLS already\"\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("TLSv1.3"), site.logins.at(0).tls);
  }

  void starttls_is_refused() {
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"TLS is not available\"\r\n"), site.answers({"STARTTLS\r\n"}));
    site.watch.tls = true;
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"TLS is not available\"\r\n"), site.answers_in({"STARTTLS\r\n"}));
  }

  void clear_text_behind_starttls_is_never_executed() {
    FakeSite site;
    site.watch.tls = true;
    const std::string got = site.talk({"STARTTLS\r\n" + kLogin + "NOOP \"smuggled\"\r\n"}, "127.0.0.1", {"LISTSCRIPTS\r\n"});
    lacks(got, "smuggled");
    lacks(got, "welcome");
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("NO \"log in first\"\r\n"));
    CPPUNIT_ASSERT_EQUAL(1U, site.watch.protocol_errors);
  }

  void a_failed_handshake_ends_the_session_without_a_word() {
    FakeSite site;
    site.watch.tls = true;
    site.handshake_failure = Error{Kind::permanent, "handshake"};
    CPPUNIT_ASSERT_EQUAL(std::string("OK \"begin TLS\"\r\n"), site.answers({"STARTTLS\r\n", "NOOP\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("tls-failed"), site.watch.end_reason);
  }

  void tls_outside_counts_as_tls() {
    FakeSite site;
    site.watch.tls = true;
    site.info.tls_outside = true;
    lacks(site.talk({"LOGOUT\r\n"}, "192.0.2.1"), "\"STARTTLS\"");
    CPPUNIT_ASSERT_EQUAL(std::string("NO \"the session is protected by TLS already\"\r\n") + kWelcome, site.answers({"STARTTLS\r\n" + kLogin}, "192.0.2.1"));
    CPPUNIT_ASSERT_EQUAL(std::string("ext"), site.logins.at(0).tls);
    site.info.clear_text_outside = true;
    CPPUNIT_ASSERT(site.answers({kLogin}, "192.0.2.1").starts_with("NO (ENCRYPT-NEEDED)"));
  }

  void goodbye_when_the_process_finishes() {
    FakeSite site;
    site.watch.finish = true;
    CPPUNIT_ASSERT_EQUAL(std::string("BYE (TRYLATER) \"the server is shutting down\"\r\n"), site.answers({"NOOP\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("shutdown"), site.watch.end_reason);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SessionTest);

}  // namespace
