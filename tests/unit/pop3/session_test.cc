// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"
#include "fake_site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <numeric>

namespace {

using namespace postern;
using test::FakeSite;

const std::string kOne = "Subject: one\r\n\r\nline 1\r\nline 2\r\nline 3\r\n";
const std::string kTwo = "Subject: two\r\n\r\n.dot\r\n";

std::string first_word(std::string_view line) { return std::string(line.substr(0, line.find_first_of(" \r"))); }

class SessionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SessionTest);
  CPPUNIT_TEST(a_whole_session);
  CPPUNIT_TEST(every_command_in_every_state);
  CPPUNIT_TEST(logins);
  CPPUNIT_TEST(clear_text_logins_are_for_some_addresses);
  CPPUNIT_TEST(passwords_may_have_spaces);
  CPPUNIT_TEST(auth_logs_in);
  CPPUNIT_TEST(login_failures_end_the_session);
  CPPUNIT_TEST(a_login_that_the_table_refuses_looks_like_a_wrong_password);
  CPPUNIT_TEST(a_mailbox_is_for_one_session);
  CPPUNIT_TEST(capabilities);
  CPPUNIT_TEST(listings);
  CPPUNIT_TEST(retrieving);
  CPPUNIT_TEST(top);
  CPPUNIT_TEST(removal_at_quit_only);
  CPPUNIT_TEST(what_fails_at_quit_is_said);
  CPPUNIT_TEST(a_read_error_ends_the_session_without_the_last_line);
  CPPUNIT_TEST(lines_are_strict);
  CPPUNIT_TEST(too_many_errors);
  CPPUNIT_TEST(idle_commands_are_limited);
  CPPUNIT_TEST(what_is_reported);
  CPPUNIT_TEST(nobody_logs_in_to_a_restricted_session);
  CPPUNIT_TEST(stls_protects_the_session);
  CPPUNIT_TEST(stls_is_refused);
  CPPUNIT_TEST(clear_text_behind_stls_is_never_executed);
  CPPUNIT_TEST(a_failed_handshake_ends_the_session_without_a_word);
  CPPUNIT_TEST(tls_outside_counts_as_tls);
  CPPUNIT_TEST(pieces_do_not_matter);
  CPPUNIT_TEST(long_answers_come_whole);
  CPPUNIT_TEST(goodbye_when_the_process_finishes);
  CPPUNIT_TEST_SUITE_END();

  static void fill(FakeSite& site) { site.mailbox().texts = {kOne, kTwo}; }

  void a_whole_session() {
    FakeSite site;
    fill(site);
    CPPUNIT_ASSERT_EQUAL(std::string("+OK Postern POP3 at pop.example.com\r\n"
                                     "+OK now PASS\r\n"
                                     "+OK 2 62\r\n"
                                     "+OK 2 62\r\n"
                                     "+OK 2 62\r\n1 40\r\n2 22\r\n.\r\n"
                                     "+OK 40 octets\r\nSubject: one\r\n\r\nline 1\r\nline 2\r\nline 3\r\n.\r\n"
                                     "+OK message 1 will be removed at QUIT\r\n"
                                     "+OK 22 octets\r\nSubject: two\r\n\r\n..dot\r\n.\r\n"
                                     "+OK goodbye\r\n"),
                         site.talk({"user user@example.com\r\n", "pass pass word\r\n", "stat\r\n", "list\r\n", "retr 1\r\n", "dele 1\r\n",
                                    "retr 2\r\n", "quit\r\n", "never read\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("quit"), site.watch.end_reason);
    CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), site.watch.described);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.mailbox().texts.size());
    CPPUNIT_ASSERT(!site.mailbox().in_use);
  }

  void every_command_in_every_state() {
    const struct { const char *command, *before, *after; } rows[] = {
        {"CAPA", "+OK", "+OK"},           {"capa", "+OK", "+OK"},          {"CAPA x", "-ERR", "-ERR"},
        {"USER user@example.com", "+OK", "-ERR"}, {"USER", "-ERR", "-ERR"},        {"USER ", "-ERR", "-ERR"},
        {"PASS x", "-ERR", "-ERR"},       {"PASS", "-ERR", "-ERR"},        {"QUIT", "+OK", "+OK"},
        {"STAT", "-ERR", "+OK"},          {"STAT 1", "-ERR", "-ERR"},      {"STAT ", "-ERR", "+OK"},
        {"LIST", "-ERR", "+OK"},          {"LIST 1", "-ERR", "+OK"},       {"LIST 2", "-ERR", "+OK"},
        {"LIST 3", "-ERR", "-ERR"},       {"LIST 0", "-ERR", "-ERR"},      {"LIST -1", "-ERR", "-ERR"},
        {"LIST +1", "-ERR", "-ERR"},      {"LIST 1 2", "-ERR", "-ERR"},    {"LIST x", "-ERR", "-ERR"},
        {"LIST 99999999999999999999", "-ERR", "-ERR"},                     {"LIST ", "-ERR", "+OK"},
        {"UIDL", "-ERR", "+OK"},          {"UIDL 1", "-ERR", "+OK"},       {"UIDL 3", "-ERR", "-ERR"},
        {"RETR 1", "-ERR", "+OK"},        {"RETR 3", "-ERR", "-ERR"},      {"RETR", "-ERR", "-ERR"},
        {"DELE 1", "-ERR", "+OK"},        {"DELE 3", "-ERR", "-ERR"},      {"DELE", "-ERR", "-ERR"},
        {"NOOP", "-ERR", "+OK"},          {"RSET", "-ERR", "+OK"},         {"RSET 1", "-ERR", "-ERR"},
        {"TOP 1 0", "-ERR", "+OK"},       {"TOP 1", "-ERR", "-ERR"},       {"TOP", "-ERR", "-ERR"},
        {"TOP 1 -1", "-ERR", "-ERR"},     {"TOP 3 1", "-ERR", "-ERR"},     {"TOP 1 1 1", "-ERR", "-ERR"},
        {"APOP user digest", "-ERR", "-ERR"},                              {"STLS", "-ERR", "-ERR"},
        {"AUTH", "-ERR", "-ERR"},         {"", "-ERR", "-ERR"},            {" ", "-ERR", "-ERR"},
        {" STAT", "-ERR", "-ERR"},        {"STATX", "-ERR", "-ERR"},       {"\tSTAT", "-ERR", "-ERR"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      fill(site);
      const std::string line = std::string(row.command) + "\r\n";
      const std::string greeting_and_answer = site.talk({line});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.command, std::string(row.before), first_word(greeting_and_answer.substr(greeting_and_answer.find('\n') + 1)));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.command, std::string(row.after), first_word(site.talk_in({line})));
    }
  }

  void logins() {
    const struct { const char *name, *password, *answer; } rows[] = {
        {"user@example.com", "pass word", "+OK 0 0"},
        {"USER@Example.COM", "pass word", "+OK 0 0"},
        {"user@example.com", "pass", "-ERR [AUTH] name or password is wrong"},
        {"user@example.com", "", "-ERR [AUTH] name or password is wrong"},
        {"nobody@example.com", "pass word", "-ERR [AUTH] name or password is wrong"},
        {"user", "pass word", "-ERR [AUTH] name or password is wrong"},
        {"off@example.com", "pass word", "-ERR [AUTH] name or password is wrong"},
        {"\xff\xfe", "\xff", "-ERR [AUTH] name or password is wrong"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      const std::string got = site.talk({std::string("USER ") + row.name + "\r\nPASS " + row.password + "\r\n"});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, "+OK Postern POP3 at pop.example.com\r\n+OK now PASS\r\n" + std::string(row.answer) + "\r\n", got);
    }
    FakeSite site;
    site.accounts.set_down(true);
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\n"}).ends_with("-ERR [SYS/TEMP] the account can't be checked now\r\n"));
    site.accounts.set_down(false);
    site.mailbox().unreadable = true;
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\n"}).ends_with("-ERR [SYS/TEMP] the mailbox can't be opened now\r\n"));
    // A second PASS needs a second USER.
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS x\r\nPASS pass word\r\n"}).ends_with("-ERR USER comes first\r\n"));
  }

  void clear_text_logins_are_for_some_addresses() {
    FakeSite site;
    for (const char* client : {"192.0.2.1", "2001:db8::1", "128.0.0.1"}) {
      const std::string got = site.talk({"CAPA\r\nUSER user@example.com\r\nPASS pass word\r\nSTAT\r\n"}, client);
      CPPUNIT_ASSERT_MESSAGE(got, got.find("\r\nUSER\r\n") == std::string::npos);
      CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("-ERR [SYS/PERM] passwords are not accepted from your network address without TLS\r\n"
                                                "-ERR [SYS/PERM] passwords are not accepted from your network address without TLS\r\n"
                                                "-ERR log in first\r\n"));
    }
    site.settings().secure_login.required = false;
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\n"}, "192.0.2.1").ends_with("+OK 0 0\r\n"));
    site.settings().secure_login.required = true;
    for (const char* client : {"127.0.0.1", "127.9.9.9", "::1"})
      CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\n"}, client).ends_with("+OK 0 0\r\n"));
  }

  void passwords_may_have_spaces() {
    FakeSite site;
    site.accounts.add_account("blank@example.com", " two  spaces ");
    CPPUNIT_ASSERT(site.talk({"USER blank@example.com\r\nPASS  two  spaces \r\n"}).ends_with("+OK 0 0\r\n"));
    CPPUNIT_ASSERT(site.talk({"USER blank@example.com\r\nPASS two  spaces\r\n"}).ends_with("name or password is wrong\r\n"));
  }

  // access-control.md 2.9.
  void a_login_that_the_table_refuses_looks_like_a_wrong_password() {
    FakeSite site;
    const std::string wrong = site.talk({"USER user@example.com\r\nPASS wrong\r\nQUIT\r\n"});
    CPPUNIT_ASSERT_MESSAGE("asked after a correct password only", site.logins.empty());
    site.login_decision.accepted = false;
    site.login_decision.text = "not from there";
    const auto failed = site.watch.failed_logins;
    CPPUNIT_ASSERT_EQUAL(wrong, site.talk({"USER user@example.com\r\nPASS pass word\r\nQUIT\r\n"}));
    CPPUNIT_ASSERT_EQUAL(failed + 1, site.watch.failed_logins);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.logins.size());
    CPPUNIT_ASSERT_EQUAL(std::string("pop3 127.0.0.1  USER user@example.com"), site.logins[0].service + " " + site.logins[0].client.to_string() + " " +
                                                                                    site.logins[0].tls + " " + site.logins[0].mechanism + " " + site.logins[0].account);
    site.login_decision.temporary = true;
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\nQUIT\r\n"}).find("-ERR [SYS/TEMP]") != std::string::npos);
    site.login_decision = {};
    site.login_decision.delay = std::chrono::milliseconds(30);
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\nSTAT\r\nQUIT\r\n"}).find("+OK 0 0") != std::string::npos);
  }

  // RFC 5034.
  void auth_logs_in() {
    const std::string plain = base::to_base64(std::string_view("\0user@example.com\0pass word", 27)), wrong = base::to_base64(std::string_view("\0user@example.com\0pass", 22)),
                      nobody = base::to_base64(std::string_view("\0nobody@example.com\0pass word", 29)), empty = base::to_base64("");
    const struct {
      const char* name;
      std::vector<std::string> pieces;
      std::string want;
    } rows[] = {
        {"initial response", {"AUTH PLAIN " + plain + "\r\n"}, "+OK 0 0\r\n"},
        {"small letters", {"auth plain " + plain + "\r\n"}, "+OK 0 0\r\n"},
        {"challenge", {"AUTH PLAIN\r\n", plain + "\r\n"}, "+ \r\n+OK 0 0\r\n"},
        {"LOGIN", {"AUTH LOGIN\r\n", base::to_base64("user@example.com") + "\r\n", base::to_base64("pass word") + "\r\n"},
         "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n+OK 0 0\r\n"},
        {"wrong password", {"AUTH PLAIN " + wrong + "\r\n"}, "-ERR [AUTH] name or password is wrong\r\n"},
        {"nobody", {"AUTH PLAIN " + nobody + "\r\n"}, "-ERR [AUTH] name or password is wrong\r\n"},
        {"cancelled", {"AUTH PLAIN\r\n", "*\r\n"}, "+ \r\n-ERR login cancelled\r\n"},
        {"not base64", {"AUTH PLAIN !\r\n", "AUTH PLAIN\r\n", "x\r\n"}, "-ERR not in base64\r\n+ \r\n-ERR not in base64\r\n"},
        {"an answer to nothing", {"AUTH PLAIN\r\n" + plain + "\r\n"}, "-ERR wait for the answer to AUTH\r\n-ERR unknown command\r\n"},
        {"not this mechanism", {"AUTH PLAIN YQ==\r\n"}, "-ERR this is not how the mechanism works\r\n"},
        {"no such mechanism", {"AUTH GSSAPI\r\nAUTH EXTERNAL\r\nAUTH\r\n"},
         "-ERR mechanism not available\r\n-ERR mechanism not available\r\n-ERR mechanism not available\r\n"},
        {"a line too long", {"AUTH PLAIN\r\n", std::string(13000, 'A') + "\r\n"}, "+ \r\n-ERR line too long\r\n"},
        {"the end of the connection", {"AUTH PLAIN\r\n"}, "+ \r\n"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      const std::string got = site.talk(row.pieces);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want, got.substr(got.find('\n') + 1));
    }
    FakeSite site;
    CPPUNIT_ASSERT(site.talk({"AUTH PLAIN " + plain + "\r\n"}, "192.0.2.1").ends_with("without TLS\r\n"));
    CPPUNIT_ASSERT(site.logins.empty());
    site.talk({"AUTH PLAIN " + plain + "\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::string("PLAIN user@example.com"), site.logins.at(0).mechanism + " " + site.logins.at(0).account);
    CPPUNIT_ASSERT_EQUAL(0U, site.watch.failed_logins);
    site.talk({"AUTH PLAIN " + wrong + "\r\n"});
    CPPUNIT_ASSERT_EQUAL(1U, site.watch.failed_logins);
  }

  void login_failures_end_the_session() {
    FakeSite site;
    site.settings().pop3.login_failures = 2;
    const std::string attempt = "USER user@example.com\r\nPASS x\r\n";
    const std::string got = site.talk({attempt + attempt + attempt});
    CPPUNIT_ASSERT_EQUAL(std::string("login failures"), site.watch.end_reason);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, static_cast<std::size_t>(std::count(got.begin(), got.end(), '[')));
  }

  void a_mailbox_is_for_one_session() {
    FakeSite site;
    site.mailbox().in_use = true;
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\nSTAT\r\n"})
                       .ends_with("-ERR [IN-USE] another session has the mailbox\r\n-ERR log in first\r\n"));
    site.mailbox().in_use = false;
    CPPUNIT_ASSERT(site.talk({"USER user@example.com\r\nPASS pass word\r\n"}).ends_with("+OK 0 0\r\n"));
    CPPUNIT_ASSERT(!site.mailbox().in_use);
  }

  void capabilities() {
    FakeSite site;
    const std::string want = "+OK capabilities follow\r\nTOP\r\nUIDL\r\nUSER\r\nSASL SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
                             "IMPLEMENTATION Postern\r\n.\r\n";
    CPPUNIT_ASSERT(site.talk({"CAPA\r\n"}).ends_with(want));
    CPPUNIT_ASSERT_EQUAL(want, site.talk_in({"CAPA\r\n"}));
  }

  void listings() {
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("+OK 0 0\r\n+OK 0 0\r\n.\r\n+OK 0 0\r\n.\r\n-ERR no such message\r\n"), site.talk_in({"STAT\r\nLIST\r\nUIDL\r\nLIST 1\r\n"}));
    fill(site);
    CPPUNIT_ASSERT_EQUAL(std::string("+OK 2 22\r\n+OK 2 id22-2\r\n+OK 2 62\r\n1 id40-1\r\n2 id22-2\r\n.\r\n"), site.talk_in({"LIST 2\r\nUIDL 2\r\nUIDL\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("+OK message 1 will be removed at QUIT\r\n+OK 1 22\r\n+OK 1 22\r\n2 22\r\n.\r\n+OK 1 22\r\n2 id22-2\r\n.\r\n"
                                     "-ERR message 1 is marked for removal\r\n-ERR message 1 is marked for removal\r\n"),
                         site.talk_in({"DELE 1\r\nSTAT\r\nLIST\r\nUIDL\r\nLIST 1\r\nUIDL 1\r\n"}));
  }

  void retrieving() {
    FakeSite site;
    fill(site);
    site.mailbox().gone = {0};
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR the message was removed by another program\r\n+OK 22 octets\r\nSubject: two\r\n\r\n..dot\r\n.\r\n"
                                     "+OK message 2 will be removed at QUIT\r\n-ERR message 2 is marked for removal\r\n"
                                     "-ERR message 2 is marked for removal\r\n-ERR message 2 is marked for removal\r\n"),
                         site.talk_in({"RETR 1\r\nRETR 2\r\nDELE 2\r\nRETR 2\r\nTOP 2 0\r\nDELE 2\r\n"}));
  }

  void top() {
    FakeSite site;
    fill(site);
    const struct { const char *command; std::string want; } rows[] = {
        {"TOP 1 0", "Subject: one\r\n\r\n"},
        {"TOP 1 1", "Subject: one\r\n\r\nline 1\r\n"},
        {"TOP 1 3", kOne},
        {"TOP 1 4", kOne},
        {"TOP 1 18446744073709551615", kOne},
        {"TOP 1  2 ", "Subject: one\r\n\r\nline 1\r\nline 2\r\n"},
        {"TOP 2 1", "Subject: two\r\n\r\n..dot\r\n"},
    };
    for (const auto& row : rows) {
      const std::string got = site.talk_in({std::string(row.command) + "\r\n"});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.command, row.want + ".\r\n", got.substr(got.find('\n') + 1));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR"), first_word(site.talk_in({"TOP 1 18446744073709551616\r\n"})));
  }

  void removal_at_quit_only() {
    const struct { const char* what; const char* script; std::size_t left; } rows[] = {
        {"QUIT removes", "DELE 1\r\nQUIT\r\n", 1},
        {"both", "DELE 1\r\nDELE 2\r\nQUIT\r\n", 0},
        {"the connection breaks", "DELE 1\r\n", 2},
        {"RSET forgets", "DELE 1\r\nRSET\r\nQUIT\r\n", 2},
        {"RSET, then another", "DELE 1\r\nRSET\r\nDELE 2\r\nQUIT\r\n", 1},
        {"bad line end", "DELE 1\r\nQUIT\n", 2},
        {"cut short", "DELE 1\r\nQUIT", 2},
        {"nothing marked", "QUIT\r\n", 2},
    };
    for (const auto& row : rows) {
      FakeSite site;
      fill(site);
      site.talk_in({row.script});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.left, site.mailbox().texts.size());
      CPPUNIT_ASSERT_MESSAGE(row.what, !site.mailbox().in_use);
    }
  }

  void what_fails_at_quit_is_said() {
    FakeSite site;
    fill(site);
    site.mailbox().sticks = true;
    CPPUNIT_ASSERT(site.talk_in({"DELE 1\r\nQUIT\r\n"}).ends_with("-ERR [SYS/TEMP] some messages were not removed\r\n"));
    CPPUNIT_ASSERT(site.talk_in({"QUIT\r\n"}).ends_with("+OK goodbye\r\n"));
  }

  void a_read_error_ends_the_session_without_the_last_line() {
    FakeSite site;
    fill(site);
    site.mailbox().breaks_at = 20;
    const std::string got = site.talk_in({"RETR 1\r\n", "QUIT\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, !got.ends_with(".\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("mailbox"), site.watch.end_reason);
  }

  void lines_are_strict() {
    for (const std::string& bytes : {std::string("STAT\n"), std::string("ST\rAT\r\n"), std::string("STAT\r\r\n"), std::string("STAT\0\r\n", 7)}) {
      FakeSite site;
      const std::string got = site.talk_in({bytes, "STAT\r\n"});
      CPPUNIT_ASSERT_EQUAL(std::string("-ERR bare CR, bare LF or NUL; goodbye\r\n"), got);
      CPPUNIT_ASSERT_EQUAL(std::string("line ends"), site.watch.end_reason);
    }
    FakeSite site;
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR command line too long\r\n+OK 0 0\r\n"), site.talk_in({"NOOP " + std::string(508, 'x') + "\r\nSTAT\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("+OK \r\n+OK 0 0\r\n"), site.talk_in({"NOOP " + std::string(507, 'x') + "\r\nSTAT\r\n"}));
  }

  void too_many_errors() {
    FakeSite site;
    site.settings().pop3.errors = 3;
    CPPUNIT_ASSERT_EQUAL(std::string("-ERR unknown command\r\n-ERR unknown command\r\n-ERR too many bad commands; goodbye\r\n"),
                         site.talk_in({"A\r\nB\r\nC\r\nSTAT\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("too many errors"), site.watch.end_reason);
  }

  void idle_commands_are_limited() {
    const std::string login = "USER user@example.com\r\nPASS pass word\r\n";
    struct {
      const char* name;
      std::string script;
      const char* last;
    } rows[] = {
        {"capa", login + std::string(), "+OK 2 62"},
        {"stat", login + repeat("STAT\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"capa before login", repeat("CAPA\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"user before login", repeat("USER x\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"dele and rset", login + repeat("DELE 1\r\nRSET\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"no such message", login + repeat("DELE 3\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"listing one message", login + repeat("LIST 1\r\n", 20), "-ERR too many bad commands; goodbye"},
        {"each message may be asked about", login + repeat("UIDL 1\r\nUIDL 2\r\nLIST 1\r\nLIST 2\r\n", 1) + "TOP 1 0\r\nTOP 2 0\r\nNOOP\r\n" , "+OK "},
        {"a message between", login + repeat("STAT\r\nSTAT\r\nSTAT\r\nSTAT\r\nSTAT\r\nRETR 1\r\n", 10) + "STAT\r\n", "+OK 2 62"},
    };
    for (const auto& row : rows) {
      FakeSite site;
      fill(site);
      site.settings().pop3.idle_commands = 3;
      site.settings().pop3.errors = 2;
      std::string got = site.talk({row.script});
      got.resize(got.size() - 2);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.last), got.substr(got.rfind('\n') + 1));
    }
  }
  static std::string repeat(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  }

  // What the set of blocked addresses hears of (listeners.md L-50).
  void what_is_reported() {
    const std::string attempt = "USER user@example.com\r\nPASS x\r\n", right = "USER user@example.com\r\nPASS pass word\r\n";
    struct {
      const char* name;
      std::string script;
      unsigned failed_logins, protocol_errors;
    } rows[] = {
        {"a good session", right + "STAT\r\nRETR 1\r\nRETR 9\r\nQUIT\r\n", 0, 0},
        {"wrong passwords", attempt + attempt, 2, 0},
        {"no such account", "USER x\r\nPASS y\r\n", 1, 0},
        {"disabled", "USER off@example.com\r\nPASS pass word\r\n", 1, 0},
        {"out of order", "PASS x\r\nSTAT\r\n", 0, 0},
        {"unknown commands", "GET / HTTP/1.1\r\nHost: x\r\n", 0, 2},
        {"too long", std::string(600, 'x') + "\r\n", 0, 1},
        {"a bare line feed", "CAPA\n", 0, 1},
    };
    for (const auto& row : rows) {
      FakeSite site;
      fill(site);
      site.talk({row.script});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.failed_logins, site.watch.failed_logins);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.protocol_errors, site.watch.protocol_errors);
    }
    FakeSite trouble;
    trouble.accounts.set_down(true);
    trouble.talk({right});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("the directory is away", 0U, trouble.watch.failed_logins);
    FakeSite used;
    used.mailbox().in_use = true;
    used.talk({right});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("in use", 0U, used.watch.failed_logins);
  }

  void nobody_logs_in_to_a_restricted_session() {
    FakeSite site;
    site.info.restricted = true;
    const std::string got = site.talk({"CAPA\r\nUSER user@example.com\r\nPASS pass word\r\nQUIT\r\n"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(got, std::string::npos, got.find("\r\nUSER\r\n"));
    const auto first = got.find("-ERR [SYS/PERM] login is not allowed from your network address\r\n");
    CPPUNIT_ASSERT_MESSAGE(got, first != std::string::npos && got.find("-ERR [SYS/PERM] login", first + 1) != std::string::npos);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(got, std::string("quit"), site.watch.end_reason);
  }

  static constexpr const char* kStrangerLogin = "USER user@example.com\r\nPASS pass word\r\n";

  void stls_protects_the_session() {
    FakeSite site;
    site.watch.tls = true;
    const std::string got = site.talk({"CAPA\r\nUSER user@example.com\r\nSTLS\r\n"}, "192.0.2.1", {std::string("CAPA\r\nSTLS\r\n") + kStrangerLogin + "CAPA\r\nSTLS\r\nQUIT\r\n"});
    const auto tls = got.find("+OK begin TLS\r\n");
    CPPUNIT_ASSERT_MESSAGE(got, tls != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(got, got.find("\r\nSTLS\r\n") < tls && got.find("\r\nUSER\r\n") > tls);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(got, std::string::npos, got.find("\r\nSTLS\r\n", tls));
    CPPUNIT_ASSERT_MESSAGE(got, got.find("+OK 0 0\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(got, std::string("quit"), site.watch.end_reason);
    // The name from before is forgotten.
    FakeSite forgetful;
    forgetful.watch.tls = true;
    CPPUNIT_ASSERT(forgetful.talk({"USER user@example.com\r\nSTLS\r\n"}, "127.0.0.1", {"PASS pass word\r\n"}).ends_with("+OK begin TLS\r\n-ERR USER comes first\r\n"));
  }

  // Cases 58 and 60 in the words of POP3.
  void stls_is_refused() {
    FakeSite without;
    CPPUNIT_ASSERT(without.talk({"CAPA\r\nSTLS\r\nCAPA\r\n"}).find("STLS") == std::string::npos);
    CPPUNIT_ASSERT(without.talk({"STLS\r\n"}).ends_with("-ERR TLS is not available\r\n"));
    FakeSite argument;
    argument.watch.tls = true;
    CPPUNIT_ASSERT(argument.talk({"STLS now\r\n"}).ends_with("-ERR STLS takes no argument\r\n"));
    CPPUNIT_ASSERT(argument.talk({std::string(kStrangerLogin) + "STLS\r\n"}).ends_with("-ERR not after login\r\n"));
  }

  // Case 59.
  void clear_text_behind_stls_is_never_executed() {
    for (const std::string injected : {"NOOP\r\n", "USER user@example.com\r\nPASS pass word\r\n", "QUIT\r\n", "QU", "\r\n", "\n"}) {
      FakeSite site;
      site.watch.tls = true;
      const std::string got = site.talk({"STLS\r\n" + injected}, "192.0.2.1", {"STAT\r\n", "QUIT\r\n"});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, std::string("+OK Postern POP3 at pop.example.com\r\n+OK begin TLS\r\n-ERR log in first\r\n+OK goodbye\r\n"), got);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(injected, 1U, site.watch.protocol_errors);
    }
  }

  void a_failed_handshake_ends_the_session_without_a_word() {
    const std::pair<Kind, const char*> rows[] = {{Kind::not_found, "tls-no-cert"}, {Kind::permanent, "tls-failed"}, {Kind::temporary, "tls-failed"}};
    for (const auto& [kind, want] : rows) {
      FakeSite site;
      site.watch.tls = true;
      site.handshake_failure = Error{kind, "no"};
      CPPUNIT_ASSERT(site.talk({"STLS\r\n", "CAPA\r\n"}).ends_with("+OK begin TLS\r\n"));
      CPPUNIT_ASSERT_EQUAL(std::string(want), site.watch.end_reason);
    }
  }

  // T-10, T-28: case 60 in the words of POP3.
  void tls_outside_counts_as_tls() {
    for (const bool clear_text : {false, true}) {
      FakeSite site;
      site.watch.tls = true;
      site.info.tls_outside = true;
      site.info.clear_text_outside = clear_text;
      const std::string got = site.talk({std::string("CAPA\r\nSTLS\r\n") + kStrangerLogin}, "192.0.2.1");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(got, !clear_text, got.find("\r\nUSER\r\n") != std::string::npos);
      CPPUNIT_ASSERT_MESSAGE(got, got.find("\r\nSTLS\r\n") == std::string::npos);
      CPPUNIT_ASSERT_MESSAGE(got, got.find("-ERR the session is protected by TLS already\r\n") != std::string::npos);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(got, !clear_text, got.ends_with("+OK 0 0\r\n"));
    }
  }

  void pieces_do_not_matter() {
    const std::string script = "USER user@example.com\r\nPASS pass word\r\nLIST\r\nRETR 1\r\nTOP 2 1\r\nDELE 2\r\nSTAT\r\nQUIT\r\n";
    FakeSite whole;
    fill(whole);
    const std::string want = whole.talk({script});
    for (std::size_t size = 1; size < 40; size += 3) {
      FakeSite site;
      fill(site);
      site.piece = size;
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < script.size(); at += size) pieces.push_back(script.substr(at, size));
      CPPUNIT_ASSERT_EQUAL(want, site.talk(pieces));
    }
  }

  void long_answers_come_whole() {
    FakeSite site;
    site.piece = 65536;
    std::string big = "Subject: big\r\n\r\n";
    for (int i = 0; i < 20000; ++i) big += ".line " + std::to_string(i) + "\r\n";
    site.mailbox().texts.assign(3000, "A: b\r\n\r\n");
    site.mailbox().texts.push_back(big);
    const std::string got = site.talk_in({"RETR 3001\r\nLIST\r\nUIDL\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::ptrdiff_t{3 + 20002 + 3001 + 3001 + 3}, std::count(got.begin(), got.end(), '\n'));
    // Commands without an end do not gather answers without a bound.
    std::string many;
    for (int i = 0; i < 15000; ++i) many += "STAT\r\n";
    site.settings().pop3.idle_commands = 100000;
    const std::string answers = site.talk_in({"S" + many.substr(1)});
    CPPUNIT_ASSERT_EQUAL(std::ptrdiff_t{15000}, std::count(answers.begin(), answers.end(), '\n'));
  }

  void goodbye_when_the_process_finishes() {
    FakeSite site;
    site.watch.finish = true;
    CPPUNIT_ASSERT_EQUAL(std::string("+OK Postern POP3 at pop.example.com\r\n-ERR [SYS/TEMP] the server is shutting down; goodbye\r\n"), site.talk({"STAT\r\n"}));
    CPPUNIT_ASSERT_EQUAL(std::string("shutdown"), site.watch.end_reason);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SessionTest);

}  // namespace
