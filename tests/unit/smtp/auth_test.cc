// SPDX-License-Identifier: Apache-2.0
// AUTH in SMTP sessions (RFC 4954).
#include "base/base64.h"
#include "memory_services.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>

namespace {

using namespace postern;
using namespace postern::test;

std::string plain(std::string_view name, std::string_view password) {
  return base::to_base64(std::string(1, '\0') + std::string(name) + '\0' + std::string(password));
}

const std::string kRight = plain("u1@example.com", "secret"), kWrong = plain("u1@example.com", "Secret");
const std::string kAuth = "AUTH PLAIN " + kRight + "\r\n";

// A client that has begun TLS says these pieces; what it reads from then on.
struct Secure {
  MemoryServices services;
  smtp::SessionInfo info = session_info();
  net::TlsFacts facts = Tls().facts;
  Played played;

  Secure() {
    services.settings.smtp.failure_delay = std::chrono::seconds(0);
    services.directory.add_account("u1@example.com", "secret");
  }
  std::string talk(std::vector<std::string> pieces) {
    Tls tls;
    tls.facts = facts;
    tls.pieces = std::move(pieces);
    played = play(services, {"EHLO before\r\nSTARTTLS\r\n"}, info, tls);
    return played.written.substr(played.written_before_tls.size());
  }
  // The same behind EHLO, whose reply is left out.
  std::string after_hello(std::vector<std::string> pieces) {
    pieces.insert(pieces.begin(), "EHLO client.example.net\r\n");
    const std::string got = talk(std::move(pieces));
    return got.substr(got.find("250 SMTPUTF8\r\n") + 14);
  }
};

std::string line_of(const std::string& written, const std::string& begin) {
  const auto at = written.find(begin);
  return at == std::string::npos ? std::string() : written.substr(at, written.find("\r\n", at) - at);
}

class AuthTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AuthTest);
  CPPUNIT_TEST(is_offered_where_it_may_be_used);
  CPPUNIT_TEST(logins);
  CPPUNIT_TEST(wrong_names_and_wrong_passwords_read_the_same);
  CPPUNIT_TEST(is_refused_out_of_place);
  CPPUNIT_TEST(the_source_channel_changes);
  CPPUNIT_TEST(a_channel_may_demand_it);
  CPPUNIT_TEST(it_is_the_last_command_of_a_group);
  CPPUNIT_TEST(tables_decide_who_gets_in);
  CPPUNIT_TEST(failures_end_the_session);
  CPPUNIT_TEST(messages_carry_who_logged_in);
  CPPUNIT_TEST(a_login_ends_with_its_account);
  CPPUNIT_TEST(a_certificate_logs_in);
  CPPUNIT_TEST_SUITE_END();

  void is_offered_where_it_may_be_used() {
    Secure site;
    const std::string want = "250-AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN";
    CPPUNIT_ASSERT_EQUAL(want, line_of(site.talk({"EHLO x\r\n"}), "250-AUTH"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("in clear text", std::string(), line_of(site.played.written_before_tls, "250-AUTH"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("HELO", std::string(), line_of(site.talk({"HELO x\r\n"}), "250-AUTH"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("once logged in", std::string(), line_of(site.after_hello({kAuth, "EHLO x\r\n"}), "250-AUTH"));
    site.facts.exporter_binding = "x";
    CPPUNIT_ASSERT_EQUAL(std::string("250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"), line_of(site.talk({"EHLO x\r\n"}), "250-AUTH"));
    site.info.restricted = true;
    CPPUNIT_ASSERT_EQUAL_MESSAGE("restricted", std::string(), line_of(site.talk({"EHLO x\r\n"}), "250-AUTH"));

    // listeners.md T-9, T-10, T-28.
    const struct {
      const char* name;
      bool outside, clear_outside, required;
      const char* client;
      bool want;
    } rows[] = {
        {"in clear text", false, false, true, "198.51.100.7", false}, {"which may be allowed", false, false, false, "198.51.100.7", true},
        {"or for an address", false, false, true, "192.0.2.200", true}, {"TLS by a device", true, false, true, "198.51.100.7", true},
        {"that says there is none", true, true, true, "198.51.100.7", false},
    };
    for (const auto& row : rows) {
      MemoryServices services;
      services.settings.secure_login.required = row.required;
      std::vector<net::AddressList::Mistake> mistakes;
      services.settings.secure_login.except_from = net::AddressList::compile("192.0.2.200\n", mistakes);
      auto info = session_info();
      info.remote = endpoint(row.client, 40000);
      info.tls_outside = row.outside;
      info.clear_text_outside = row.clear_outside;
      const auto written = play(services, {"EHLO x\r\n", "AUTH PLAIN " + kWrong + "\r\n"}, info).written;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want ? want : std::string(), line_of(written, "250-AUTH"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.want ? "535 5.7.8" : "538 5.7.11"), line_of(written, "53").substr(0, row.want ? 9 : 10));
    }
    Secure fewer;
    fewer.services.settings.sasl.disabled_mechanisms = 0b1111111 & ~(1U << 5);
    CPPUNIT_ASSERT_EQUAL(std::string("250-AUTH PLAIN"), line_of(fewer.talk({"EHLO x\r\n"}), "250-AUTH"));
    CPPUNIT_ASSERT(fewer.after_hello({"AUTH LOGIN\r\n"}).starts_with("504 5.5.4"));
  }

  void logins() {
    const std::string name = base::to_base64("u1@example.com"), password = base::to_base64("secret");
    const struct {
      const char* name;
      std::vector<std::string> pieces;
      std::string want;
    } rows[] = {
        {"initial response", {kAuth}, "235"},
        {"small letters", {"auth plain " + kRight + "\r\n"}, "235"},
        {"challenge", {"AUTH PLAIN\r\n", kRight + "\r\n"}, "334 235"},
        {"LOGIN", {"AUTH LOGIN\r\n", name + "\r\n", password + "\r\n"}, "334 334 235"},
        {"SCRAM", {"AUTH SCRAM-SHA-256 " + name + "\r\n", password + "\r\n", "\r\n", "NOOP\r\n"}, "334 334 235 250"},
        {"its last message denied", {"AUTH SCRAM-SHA-256 " + name + "\r\n", password + "\r\n", "*\r\n", "MAIL FROM:<>\r\n", kAuth}, "334 334 501 250 503"},
        {"or answered", {"AUTH SCRAM-SHA-256 " + name + "\r\n", password + "\r\n", "YQ==\r\n", kAuth}, "334 334 501 235"},
        {"twice", {kAuth, kAuth}, "235 503"},
        {"wrong password", {"AUTH PLAIN " + kWrong + "\r\n"}, "535"},
        {"then right", {"AUTH PLAIN " + kWrong + "\r\n", kAuth}, "535 235"},
        {"cancelled", {"AUTH PLAIN\r\n", "*\r\n", kAuth}, "334 501 235"},
        {"empty initial response", {"AUTH PLAIN =\r\n"}, "501"},
        {"not base64", {"AUTH PLAIN !\r\n", "AUTH PLAIN\r\n", "!!!!\r\n", "NOOP\r\n"}, "501 334 501 250"},
        {"base64 that nobody would write", {"AUTH PLAIN YQ=\r\n", "AUTH PLAIN YR==\r\n", "AUTH PLAIN Y Q==\r\n"}, "501 501 501"},
        {"no such mechanism", {"AUTH GSSAPI\r\n", "AUTH EXTERNAL\r\n", "AUTH SCRAM-SHA-256-PLUS\r\n", "AUTH\r\n"}, "504 504 504 501"},
        {"a long response", {"AUTH PLAIN\r\n", std::string(12284, 'A') + "\r\n"}, "334 535"},
        {"a line too long", {"AUTH PLAIN\r\n", std::string(12287, 'A') + "\r\n", "NOOP\r\n"}, "334 500 250"},
        {"an initial response too long", {"AUTH PLAIN " + std::string(12300, 'A') + "\r\n", "auth plain " + std::string(40000, 'A') + "\r\n", "NOOP\r\n"}, "500 500 250"},
        {"a long initial response", {"AUTH PLAIN " + std::string(8000, 'A') + "\r\n", "NOOP " + std::string(8000, 'A') + "\r\n"}, "535 500"},
        {"the end of the connection", {"AUTH PLAIN\r\n"}, "334"},
        {"a bare line feed", {"AUTH PLAIN\r\n", kRight + "\n"}, "334 500"},
    };
    for (const auto& row : rows) {
      Secure site;
      std::string replies;
      std::string got = site.after_hello(row.pieces);
      for (std::size_t at = 0; at < got.size(); at = got.find("\n", at) + 1) replies += (replies.empty() ? "" : " ") + got.substr(at, 3);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want, replies);
    }
    // RFC 4954 section 6.
    Secure patient;
    CPPUNIT_ASSERT(patient.after_hello({"AUTH PLAIN " + std::string(12300, 'A') + "\r\n"}).starts_with("500 5.5.6"));
    Secure site;
    site.services.directory.set_down(true);
    CPPUNIT_ASSERT(site.after_hello({kAuth}).starts_with("454 4.7.0"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("nobody's fault", 0U, site.played.failed_logins);
  }

  void wrong_names_and_wrong_passwords_read_the_same() {
    Secure site;
    site.services.directory.add_account("off@example.com", "secret");
    site.services.directory.disable("off@example.com");
    const std::string wrong = site.after_hello({"AUTH PLAIN " + kWrong + "\r\n"});
    CPPUNIT_ASSERT_EQUAL(1U, site.played.failed_logins);
    for (const char* const name : {"nobody@example.com", "off@example.com", "u1@example.org", "u1", "", "\xff"}) {
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, wrong, site.after_hello({"AUTH PLAIN " + plain(name, "secret") + "\r\n"}));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, 1U, site.played.failed_logins);
    }
  }

  void is_refused_out_of_place() {
    Secure site;
    CPPUNIT_ASSERT_MESSAGE("before EHLO", site.talk({kAuth}).starts_with("503 5.5.1"));
    CPPUNIT_ASSERT_MESSAGE("after HELO", site.talk({"HELO x\r\n" + kAuth}).find("\r\n503 5.5.1") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE("in a message", site.after_hello({"MAIL FROM:<a@example.net>\r\n", kAuth}).find("\r\n503 5.5.1") != std::string::npos);
    Secure restricted;
    restricted.info.restricted = true;
    CPPUNIT_ASSERT_EQUAL(std::string("503 5.5.1 AUTH is not available to you\r\n"), restricted.after_hello({kAuth}));
    auto lmtp = session_info(conf::Module::lmtp);
    MemoryServices services;
    CPPUNIT_ASSERT(play(services, {"LHLO x\r\n", kAuth}, lmtp).written.find("\r\n502 5.5.1") != std::string::npos);
  }

  // access-control.md 3.2, SM6: with the shipped tables nobody sends to others but who has logged in.
  void the_source_channel_changes() {
    Secure site;
    site.after_hello({kAuth});
    CPPUNIT_ASSERT_MESSAGE(site.played.state, site.played.state.find(" channel=tcp_auth ") != std::string::npos);
    CPPUNIT_ASSERT(site.after_hello({"RCPT TO:<x@example.net>\r\n"}).starts_with("503"));
    const std::string stranger = site.after_hello({"MAIL FROM:<a@example.net>\r\nRCPT TO:<x@example.net>\r\n"});
    CPPUNIT_ASSERT_MESSAGE(stranger, stranger.find("550 5.7.1 Relaying not permitted") != std::string::npos);
    const std::string user = site.after_hello({kAuth, "MAIL FROM:<u1@example.com>\r\nRCPT TO:<x@example.net>\r\n"});
    CPPUNIT_ASSERT_MESSAGE(user, user.find("550") == std::string::npos);
    // It lasts until TLS begins, and no longer.
    MemoryServices services;
    services.settings.secure_login.required = false;
    services.directory.add_account("u1@example.com", "secret");
    Tls tls;
    tls.pieces = {"EHLO x\r\nMAIL FROM:<u1@example.com>\r\nRCPT TO:<x@example.net>\r\n"};
    const auto played = play(services, {"EHLO x\r\n", kAuth, "STARTTLS\r\n"}, session_info(), tls);
    CPPUNIT_ASSERT(played.written_before_tls.find("235 2.7.0") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(played.written, played.written.find("550 5.7.1 Relaying not permitted") != std::string::npos);
  }

  void a_channel_may_demand_it() {
    Secure site;
    site.info.initial_channel = "tcp_submit";
    const std::string got = site.after_hello({"MAIL FROM:<u1@example.com>\r\n", kAuth, "MAIL FROM:<u1@example.com>\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("530 5.7.0 authentication required\r\n235 2.7.0"));
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("250 2.1.0 Ok\r\n"));
    CPPUNIT_ASSERT_MESSAGE(site.played.state, site.played.state.find(" channel=tcp_submit ") != std::string::npos);
  }

  void it_is_the_last_command_of_a_group() {
    Secure site;
    const std::string got = site.after_hello({kAuth + "NOOP\r\n", "AUTH LOGIN\r\n" + base::to_base64("u1@example.com") + "\r\n", "NOOP\r\n"});
    CPPUNIT_ASSERT_MESSAGE(got, got.starts_with("503 5.5.1") && got.find("\r\n250 2.0.0") != std::string::npos && got.find("235") == std::string::npos &&
                                    got.find("334") == std::string::npos);
    CPPUNIT_ASSERT(site.played.protocol_errors >= 2);
    // AUTH itself may stand behind others.
    CPPUNIT_ASSERT(site.after_hello({"NOOP\r\n" + kAuth}).find("235 2.7.0") != std::string::npos);
  }

  void tables_decide_who_gets_in() {
    const std::string tables = std::string(kShippedTables) +
                               "\nLOGIN_ACCESS\n\n  smtp|198.51.100.7|TLSv1.3|PLAIN|u1@example.com   $Nnot$ from$ there\n"
                               "  smtp|198.51.100.7|TLSv1.3|SCRAM-SHA-256|*   $Nnor$ so\n";
    Secure site;
    const std::string wrong = site.after_hello({"AUTH PLAIN " + kWrong + "\r\n"});
    MemoryServices ruled(tables);
    ruled.settings.smtp.failure_delay = std::chrono::seconds(0);
    ruled.directory.add_account("u1@example.com", "secret");
    Tls tls;
    tls.pieces = {"EHLO x\r\n", kAuth};
    auto played = play(ruled, {"EHLO x\r\nSTARTTLS\r\n"}, session_info(), tls);
    CPPUNIT_ASSERT_MESSAGE(played.written, played.written.ends_with(wrong));
    CPPUNIT_ASSERT_EQUAL(1U, played.failed_logins);
    // The server's proof would say that the password was right.
    const auto scram = [](std::string_view password) {
      return std::vector<std::string>{"EHLO x\r\n", "AUTH SCRAM-SHA-256 " + base::to_base64("u1@example.com") + "\r\n", base::to_base64(password) + "\r\n"};
    };
    tls.pieces = scram("Secret");
    const auto wrong_proof = play(ruled, {"EHLO x\r\nSTARTTLS\r\n"}, session_info(), tls).written;
    CPPUNIT_ASSERT(wrong_proof.ends_with(wrong));
    tls.pieces = scram("secret");
    played = play(ruled, {"EHLO x\r\nSTARTTLS\r\n"}, session_info(), tls);
    CPPUNIT_ASSERT_EQUAL(wrong_proof, played.written);
    CPPUNIT_ASSERT_EQUAL(1U, played.failed_logins);
    // The same on a socket for submission is another service.
    auto info = session_info();
    info.initial_channel = "tcp_submit";
    tls.pieces = {"EHLO x\r\n", kAuth};
    CPPUNIT_ASSERT(play(ruled, {"EHLO x\r\nSTARTTLS\r\n"}, info, tls).written.find("235 2.7.0") != std::string::npos);
  }

  void failures_end_the_session() {
    Secure site;
    site.services.settings.smtp.login_failures = 2;
    const std::string attempt = "AUTH PLAIN " + kWrong + "\r\n";
    const std::string got = site.after_hello({attempt, attempt, attempt});
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("421 4.7.0 too many failed logins, closing connection\r\n"));
    CPPUNIT_ASSERT_EQUAL(2U, site.played.failed_logins);
    CPPUNIT_ASSERT_EQUAL(std::string("login failures"), site.played.end_reason);
  }

  void messages_carry_who_logged_in() {
    Secure site;
    site.after_hello({kAuth, "MAIL FROM:<u1@example.com> AUTH=boss@example.com\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n", "Subject: x\r\n\r\nx\r\n.\r\n"});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.services.accepted.size());
    const Accepted& accepted = site.services.accepted[0];
    CPPUNIT_ASSERT_EQUAL_MESSAGE("AUTH= is nobody's word", std::string("u1@example.com"), accepted.envelope.authenticated);
    CPPUNIT_ASSERT_EQUAL(std::string("ESMTPSA"), accepted.envelope.protocol);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_auth"), accepted.envelope.source_channel);
    CPPUNIT_ASSERT(accepted.message.find("with ESMTPSA") != std::string::npos);
  }

  // Whoever stole a password keeps no open session when the account is disabled.
  void a_login_ends_with_its_account() {
    const std::string mail = "MAIL FROM:<u1@example.com>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n";
    Secure disabled;
    disabled.services.on_commit = [&] { disabled.services.directory.disable("u1@example.com"); };
    CPPUNIT_ASSERT(line_of(disabled.after_hello({kAuth, mail, mail}), "421").starts_with("421 4.7.0 log in again"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, disabled.services.accepted.size());
    CPPUNIT_ASSERT_EQUAL(std::string("login over"), disabled.played.end_reason);
    Secure limited;
    limited.services.on_commit = [&] {
      directory::Account account;
      account.name = "u1@example.com";
      account.services = {"pop3"};
      limited.services.directory.set_account(account);
    };
    CPPUNIT_ASSERT(line_of(limited.after_hello({kAuth, mail, mail}), "421").starts_with("421 4.7.0 log in again"));
    Secure away;
    away.services.on_commit = [&] { away.services.directory.set_down(true); };
    CPPUNIT_ASSERT(line_of(away.after_hello({kAuth, mail, mail}), "451").starts_with("451 4.3.0"));
  }

  void a_certificate_logs_in() {
    Secure site;
    site.facts.peer_subject = "CN=u1";
    CPPUNIT_ASSERT_MESSAGE("without an address", site.after_hello({"AUTH EXTERNAL =\r\n"}).starts_with("504"));
    site.facts.peer_addresses = {"u1@example.com"};
    CPPUNIT_ASSERT(line_of(site.talk({"EHLO x\r\n"}), "250-AUTH").find(" EXTERNAL ") != std::string::npos);
    CPPUNIT_ASSERT(site.after_hello({"AUTH EXTERNAL =\r\n"}).starts_with("235"));
    CPPUNIT_ASSERT(site.after_hello({"AUTH EXTERNAL\r\n", "\r\n"}).starts_with("334 \r\n235"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AuthTest);

}  // namespace
