// SPDX-License-Identifier: Apache-2.0
#include "gate/refusals.h"

#include <cppunit/extensions/HelperMacros.h>

#include <unistd.h>

#include <algorithm>

using namespace postern;
using namespace std::chrono_literals;
using gate::Reason;

namespace {

class RefusalsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RefusalsTest);
  CPPUNIT_TEST(replies_are_those_of_the_protocol);
  CPPUNIT_TEST(http_replies_have_the_right_length);
  CPPUNIT_TEST(ldap_gets_a_notice_of_disconnection);
  CPPUNIT_TEST(strangers_are_told_in_the_words_of_the_protocol);
  CPPUNIT_TEST(who_must_be_silent_is_silent);
  CPPUNIT_TEST(the_first_refusal_is_logged_at_once_and_the_rest_as_a_sum);
  CPPUNIT_TEST(what_would_be_refused_is_called_so);
  CPPUNIT_TEST_SUITE_END();

  const net::Address remote_ = *net::Address::parse("2001:db8::7");

  void replies_are_those_of_the_protocol() {
    const struct {
      const char* service;
      Reason reason;
      const char* want;
    } rows[] = {
        {"smtp", Reason::per_address, "421 4.7.0 mail.example.com too many connections from 2001:db8::7\r\n"},
        {"smtp", Reason::full, "421 4.3.2 mail.example.com too many connections, try again later\r\n"},
        {"smtp", Reason::reserved, "421 4.3.2 mail.example.com too many connections, try again later\r\n"},
        {"smtp", Reason::unavailable, "421 4.3.2 mail.example.com too many connections, try again later\r\n"},
        {"lmtp", Reason::full, "421 4.3.2 mail.example.com too many connections, try again later\r\n"},
        {"pop3", Reason::per_address, "-ERR [SYS/TEMP] too many connections from 2001:db8::7\r\n"},
        {"pop3", Reason::reserved, "-ERR [SYS/TEMP] too many connections, try again later\r\n"},
        {"imap", Reason::per_address, "* BYE [ALERT] too many connections from 2001:db8::7 (limit 12)\r\n"},
        {"imap", Reason::full, "* BYE [UNAVAILABLE] too many connections, try again later\r\n"},
        {"managesieve", Reason::full, "BYE (TRYLATER) \"too many connections, try again later\"\r\n"},
        {"sip", Reason::full, ""},
        {"smtp", Reason::restricted, ""},
        {"smtp", Reason::blocked, ""},
        {"smtp", Reason::proxy_untrusted, ""},
        {"smtp", Reason::dns_list, "554 5.7.1 access from 2001:db8::7 is refused: it is on the list list.example\r\n"},
        {"lmtp", Reason::dns_list, "554 5.7.1 access from 2001:db8::7 is refused: it is on the list list.example\r\n"},
        {"pop3", Reason::dns_list, "-ERR [SYS/PERM] access from 2001:db8::7 is refused: it is on the list list.example\r\n"},
        {"sip", Reason::dns_list, ""},
    };
    for (const auto& row : rows)
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), gate::refusal_reply(row.service, row.reason, "mail.example.com", remote_, 12, "list.example"));
  }

  void http_replies_have_the_right_length() {
    for (const Reason reason : {Reason::per_address, Reason::full}) {
      const std::string reply = gate::refusal_reply("http_user", reason, "h", remote_, 1);
      CPPUNIT_ASSERT_EQUAL(std::string(reason == Reason::full ? "HTTP/1.1 503" : "HTTP/1.1 429"), reply.substr(0, 12));
      CPPUNIT_ASSERT(reply.find("\r\nRetry-After: 30\r\n") != std::string::npos && reply.find("\r\nContent-Length: 21\r\n") != std::string::npos);
      CPPUNIT_ASSERT_EQUAL(std::size_t{21}, reply.size() - reply.find("\r\n\r\n") - 4);
    }
  }

  void ldap_gets_a_notice_of_disconnection() {
    for (const Reason reason : {Reason::per_address, Reason::full}) {
      const std::string reply = gate::refusal_reply("ldap", reason, "h", remote_, 1);
      CPPUNIT_ASSERT_EQUAL(std::size_t{38}, reply.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{36}, static_cast<std::size_t>(reply[1]));
      CPPUNIT_ASSERT_EQUAL(reason == Reason::full ? 52 : 51, static_cast<int>(reply[9]));
      CPPUNIT_ASSERT_EQUAL(std::string("1.3.6.1.4.1.1466.20036"), reply.substr(16));
    }
  }

  // listeners.md L-15.
  void strangers_are_told_in_the_words_of_the_protocol() {
    const std::pair<const char*, const char*> rows[] = {
        {"pop3", "-ERR [SYS/PERM] access from your network address is not allowed\r\n"},
        {"imap", "* BYE access from your network address is not allowed\r\n"},
        {"managesieve", "BYE \"access from your network address is not allowed\"\r\n"},
        {"ftp", "421 access from your network address is not allowed\r\n"},
        {"pwd", "500 access from your network address is not allowed\r\n"},
        {"acap", "* BYE \"access from your network address is not allowed\"\r\n"},
        {"sip", "SIP/2.0 403 Forbidden\r\n"},
        {"smtp", ""},
        {"lmtp", ""},
        {"nonsense", ""},
    };
    for (const auto& [service, want] : rows) CPPUNIT_ASSERT_EQUAL(std::string(want), std::string(gate::not_client_reply(service)));
    const std::string http(gate::not_client_reply("http_user"));
    CPPUNIT_ASSERT(http.starts_with("HTTP/1.1 403 ") && http.find("\r\nConnection: close\r\n") != std::string::npos);
    CPPUNIT_ASSERT(http.find("\r\nContent-Length: " + std::to_string(http.size() - http.find("\r\n\r\n") - 4) + "\r\n") != std::string::npos);
    const std::string ldap(gate::not_client_reply("ldap"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("unwillingToPerform", 53, static_cast<int>(ldap.at(9)));
    CPPUNIT_ASSERT(ldap.ends_with("1.3.6.1.4.1.1466.20036"));
  }

  void who_must_be_silent_is_silent() {
    auto c = conf::load_text("host_name = \"h\"; listeners : { smtp : { sockets = ( { port = 25; } ); }; };", "t").configuration;
    gate::Refusal refusal;
    refusal.reason = Reason::full;
    auto& listener = c.listeners[0];
    auto& row = listener.sockets[0];
    CPPUNIT_ASSERT_EQUAL(std::string("421 4.3.2 h too many connections, try again later\r\n"), gate::refusal_reply(c, listener, row, refusal, remote_));
    row.init_tls = conf::InitTls::ext;
    CPPUNIT_ASSERT(!gate::refusal_reply(c, listener, row, refusal, remote_).empty());
    row.init_tls = conf::InitTls::on;
    CPPUNIT_ASSERT(gate::refusal_reply(c, listener, row, refusal, remote_).empty());
    row.init_tls = conf::InitTls::off;
    listener.refusal_reply = false;
    CPPUNIT_ASSERT(gate::refusal_reply(c, listener, row, refusal, remote_).empty());
  }

  // What the log got since the last call.
  base::Descriptor log_;
  std::string logged() {
    const std::string all = *base::read_all(log_.get(), 100'000'000);
    CPPUNIT_ASSERT_EQUAL(0, ::ftruncate(log_.get(), 0));
    ::lseek(log_.get(), 0, SEEK_SET);
    return all;
  }
  static auto lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

 public:
  void setUp() override {
    char name[] = "/tmp/postern-log-test-XXXXXX";
    log_ = base::Descriptor(::mkstemp(name));
    ::unlink(name);
    base::set_log_descriptor(log_.get());
  }
  void tearDown() override { base::set_log_descriptor(STDERR_FILENO); }

 private:
  void the_first_refusal_is_logged_at_once_and_the_rest_as_a_sum() {
    auto ledger = *gate::Ledger::attach(*gate::Ledger::create(1024));
    conf::Listener listener;
    const net::Endpoint from{remote_, 4711}, to{*net::Address::parse("192.0.2.1"), 25};
    gate::Refusal refusal;
    refusal.reason = Reason::per_address;
    refusal.count = refusal.limit = 20;
    refusal.verdict.answer = Verdict::Answer::deny;
    refusal.verdict.table = "listeners.smtp.connections_per_address";
    refusal.verdict.line = 12;
    for (int i = 0; i < 100; ++i) gate::note_refusal(ledger, listener, from, to, refusal);
    std::string text = logged();
    CPPUNIT_ASSERT_EQUAL_MESSAGE(text, 1L, static_cast<long>(lines(text)));
    for (const char* const part : {"connection-refused listener=smtp reason=per-address remote=[2001:db8::7]:4711 local=192.0.2.1:25 count=20 limit=20", "listeners.smtp.connections_per_address", "line=12"})
      CPPUNIT_ASSERT_MESSAGE(text + part, text.find(part) != std::string::npos);
    gate::write_refusal_sums(ledger, 3600s);
    CPPUNIT_ASSERT_EQUAL(std::string(), logged());
    gate::write_refusal_sums(ledger, 3600s, true);
    text = logged();
    CPPUNIT_ASSERT_MESSAGE(text, text.find("connections-refused listener=smtp reason=per-address remote=2001:db8:: count=99 seconds=0 connections=20 limit=20 table=listeners.smtp.connections_per_address\n") != std::string::npos);
    // The sum of failed handshakes says why the last one failed (listeners.md T-5).
    gate::Refusal failed;
    failed.reason = Reason::tls_failed;
    for (const char* const why : {"no shared cipher", "unsupported protocol", "wrong version number"}) {
      failed.error = why;
      gate::note_refusal(ledger, listener, from, to, failed);
    }
    text = logged();
    CPPUNIT_ASSERT_MESSAGE(text, lines(text) == 1 && text.find("error=\"no shared cipher\"") != std::string::npos);
    gate::write_refusal_sums(ledger, 3600s, true);
    text = logged();
    CPPUNIT_ASSERT_MESSAGE(text, text.find("reason=tls-failed remote=2001:db8:: count=2 seconds=0 error=\"wrong version number\"\n") != std::string::npos);
    // Another kind is another line.
    refusal.reason = Reason::full;
    gate::note_refusal(ledger, listener, from, to, refusal);
    CPPUNIT_ASSERT_EQUAL(1L, static_cast<long>(lines(logged())));
  }

  void what_would_be_refused_is_called_so() {
    auto ledger = *gate::Ledger::attach(*gate::Ledger::create(1024));
    gate::Refusal refusal;
    refusal.verdict.dry_run = true;
    for (int i = 0; i < 3; ++i) gate::note_refusal(ledger, conf::Listener{}, {remote_, 1}, {remote_, 25}, refusal);
    gate::write_refusal_sums(ledger, 60s, true);
    const std::string text = logged();
    CPPUNIT_ASSERT_MESSAGE(text, text.find("connection-would-be-refused listener=smtp") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(text, text.find("connections-would-be-refused listener=smtp reason=full remote=2001:db8:: count=2") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(text, text.find("connection-refused") == std::string::npos);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RefusalsTest);

}  // namespace
