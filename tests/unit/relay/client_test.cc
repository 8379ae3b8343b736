// SPDX-License-Identifier: Apache-2.0
// The client against hosts that answer from a script, and end the connection at every point of it.
#include "relay/client.h"

#include "net/run_coroutine.h"
#include "relay/outgoing_text.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using net::ScriptedStream;
using net::run_coroutine;
using relay::Answers;
using relay::Client;

namespace {

const std::string kAll = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250-DSN\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";
const std::string kChunking = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n";
const std::string kNone = "250 sink\r\n";
const std::string kText = "Subject: x\r\n\r\n.body\r\n";

mail::Envelope envelope_for(const std::vector<std::string>& recipients) {
  mail::Envelope envelope;
  envelope.id = "0000000000000000000000000a";
  envelope.reverse_path = "a@example.com";
  for (const auto& address : recipients) {
    mail::Recipient recipient;
    recipient.address = address;
    envelope.recipients.push_back(recipient);
  }
  return envelope;
}

struct Talk {
  std::string written;
  Answers answers;
  std::optional<relay::Failure> not_opened;
  bool usable = false;
};

net::Awaitable<Talk> talk(ScriptedStream& stream, const mail::Envelope& envelope, spool::MessageText text, bool lmtp, std::string fields = {}) {
  relay::ClientSettings settings;
  settings.own_name = "mail.example.com";
  settings.lmtp = lmtp;
  Client client(stream, settings);
  Talk result;
  result.not_opened = co_await client.open();
  if (!result.not_opened) {
    relay::Transaction transaction{envelope, {}, text, fields};
    for (const auto& recipient : envelope.recipients) transaction.recipients.push_back(&recipient);
    result.answers = co_await client.send(transaction);
  }
  result.usable = client.usable();
  result.written = stream.written();
  co_return result;
}

Talk talk(const std::string& script, const mail::Envelope& envelope, const std::string& text = kText, bool lmtp = false) {
  ScriptedStream stream({script});
  return run_coroutine(talk(stream, envelope, text, lmtp));
}

// A text that stands in a file, behind other bytes.
spool::MessageText in_file(const std::string& text) {
  auto file = base::sealed_memory_file("text", "other " + text + " other").value();
  return {std::make_shared<const base::Descriptor>(std::move(file)), 6, text.size()};
}

// "taken", "later 4.2.0", "never 5.1.1" for each recipient.
std::string shown(const Talk& done) {
  std::string text;
  for (const auto& answer : done.answers.recipients)
    text += (text.empty() ? "" : ", ") + (answer.taken ? std::string("taken") : (answer.failure.permanent ? "never " : "later ") + answer.failure.status);
  return text;
}

class ClientTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ClientTest);
  CPPUNIT_TEST(says_what_the_host_understands);
  CPPUNIT_TEST(every_kind_of_answer_at_every_step);
  CPPUNIT_TEST(large_texts_go_out_in_pieces);
  CPPUNIT_TEST(a_text_that_cannot_be_read_is_no_message);
  CPPUNIT_TEST(a_refused_chunk_is_forgotten);
  CPPUNIT_TEST(lost_at_every_byte_is_temporary_and_never_taken);
  CPPUNIT_TEST(what_the_host_cannot_take);
  CPPUNIT_TEST(who_wants_it_back_gets_it_back);
  CPPUNIT_TEST(lmtp_answers_for_each_recipient);
  CPPUNIT_TEST(hostile_replies_end_the_connection);
  CPPUNIT_TEST(tls_forgets_what_was_said_before);
  CPPUNIT_TEST(utf8_of_parts_is_said);
  CPPUNIT_TEST(requiretls_is_passed_on_or_refused);
  CPPUNIT_TEST(password_is_sent_by_plain_or_login);
  CPPUNIT_TEST(parameters_are_passed_on);
  CPPUNIT_TEST_SUITE_END();

  void says_what_the_host_understands() {
    const auto envelope = envelope_for({"x@example.net", "y@example.net"});
    const std::string hello = "EHLO mail.example.com\r\n";
    const auto plain = talk("220 hi\r\n" + kNone + "250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n", envelope);
    CPPUNIT_ASSERT_EQUAL(hello + "MAIL FROM:<a@example.com>\r\nRCPT TO:<x@example.net>\r\nRCPT TO:<y@example.net>\r\nDATA\r\nSubject: x\r\n\r\n..body\r\n.\r\n", plain.written);
    CPPUNIT_ASSERT_EQUAL(std::string("taken, taken"), shown(plain));
    CPPUNIT_ASSERT(plain.usable);
    const auto all = talk("220 hi\r\n" + kAll + "250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n", envelope);
    CPPUNIT_ASSERT_EQUAL(hello + "MAIL FROM:<a@example.com> SIZE=21\r\nRCPT TO:<x@example.net>\r\nRCPT TO:<y@example.net>\r\nDATA\r\nSubject: x\r\n\r\n..body\r\n.\r\n", all.written);
    const auto chunked = talk("220 hi\r\n" + kChunking + "250 a\r\n250 b\r\n250 c\r\n250 e\r\n", envelope);
    CPPUNIT_ASSERT_EQUAL(hello + "MAIL FROM:<a@example.com>\r\nRCPT TO:<x@example.net>\r\nRCPT TO:<y@example.net>\r\nBDAT 21 LAST\r\n" + kText, chunked.written);
    const auto old = talk("220 hi\r\n502 what\r\n250 sink\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n", envelope);
    CPPUNIT_ASSERT(old.written.starts_with(hello + "HELO mail.example.com\r\nMAIL FROM:<a@example.com>\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("taken, taken"), shown(old));
  }

  void every_kind_of_answer_at_every_step() {
    struct {
      const char *what, *script, *want;
      bool usable;
    } rows[] = {
        {"MAIL later", "451 4.3.0 no\r\n503 a\r\n503 b\r\n503 c\r\n", "later 4.3.0, later 4.3.0", true},
        {"MAIL never", "550 5.7.1 no\r\n503 a\r\n503 b\r\n503 c\r\n", "never 5.7.1, never 5.7.1", true},
        {"one each", "250 a\r\n250 b\r\n450 4.2.0 c\r\n354 d\r\n250 e\r\n", "taken, later 4.2.0", true},
        {"one never", "250 a\r\n550 b\r\n250 c\r\n354 d\r\n250 e\r\n", "never 5.0.0, taken", true},
        {"too many recipients", "250 a\r\n250 b\r\n552 5.5.3 c\r\n354 d\r\n250 e\r\n", "taken, later 4.5.3", true},
        {"none left, 354 all the same", "250 a\r\n550 5.1.1 b\r\n550 5.1.1 c\r\n354 d\r\n554 e\r\n", "never 5.1.1, never 5.1.1", true},
        {"none left, no DATA", "250 a\r\n550 5.1.1 b\r\n450 c\r\n503 d\r\n250 reset\r\n", "never 5.1.1, later 4.0.0", true},
        {"DATA later", "250 a\r\n250 b\r\n250 c\r\n452 4.3.1 d\r\n250 reset\r\n", "later 4.3.1, later 4.3.1", true},
        {"text never", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n554 5.6.0 spam\r\n", "never 5.6.0, never 5.6.0", true},
        {"text later", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n451-4.3.0 one\r\n451 4.3.0 two\r\n", "later 4.3.0, later 4.3.0", true},
        {"421 at MAIL", "421 4.3.2 bye\r\n", "later 4.3.2, later 4.3.2", false},
        {"421 at RCPT", "250 a\r\n250 b\r\n421 4.3.2 bye\r\n", "later 4.3.2, later 4.3.2", false},
        {"refused for good, then 421", "250 a\r\n550 5.1.1 b\r\n421 4.3.2 bye\r\n", "never 5.1.1, later 4.3.2", false},
        {"refused for good, then lost", "250 a\r\n550 5.1.1 b\r\n", "never 5.1.1, later 4.5.0", false},
        {"refused for good, then 421 at DATA", "250 a\r\n550 5.1.1 b\r\n250 c\r\n421 4.3.2 bye\r\n", "never 5.1.1, later 4.3.2", false},
        {"421 at the end", "250 a\r\n250 b\r\n250 c\r\n354 d\r\n421 4.3.2 bye\r\n", "later 4.3.2, later 4.3.2", false},
        {"a reply of another kind", "354 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n", "later 4.5.0, later 4.5.0", true},
        {"status of another class", "250 a\r\n250 b\r\n550 4.1.1 c\r\n354 d\r\n250 e\r\n", "taken, never 5.0.0", true},
    };
    for (const auto& row : rows) {
      const auto done = talk("220 hi\r\n" + kAll + row.script, envelope_for({"x@example.net", "y@example.net"}));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::string(row.want), shown(done));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.usable, done.usable);
    }
    // A text to nobody has its own, empty one.
    const auto empty = talk("220 hi\r\n" + kAll + "250 a\r\n550 b\r\n354 d\r\n554 e\r\n", envelope_for({"x@example.net"}));
    CPPUNIT_ASSERT(empty.written.ends_with("DATA\r\n.\r\n"));
    // With CHUNKING it is on its way already.
    const auto chunked = talk("220 hi\r\n" + kChunking + "250 a\r\n550 5.1.1 b\r\n503 c\r\n250 reset\r\n", envelope_for({"x@example.net"}));
    CPPUNIT_ASSERT_EQUAL(std::string("never 5.1.1"), shown(chunked));
    CPPUNIT_ASSERT(chunked.usable);
    for (const char* greeting : {"554 no service\r\n", "421 busy\r\n", "hello\r\n"}) {
      const auto refused = talk(greeting, envelope_for({"x@example.net"}));
      CPPUNIT_ASSERT_MESSAGE(greeting, refused.not_opened.has_value() && !refused.usable);
    }
  }

  void large_texts_go_out_in_pieces() {
    const auto envelope = envelope_for({"x@example.net"});
    std::string text = "Subject: x\r\n\r\n";
    for (int line = 0; line < 4000; ++line) text += (line % 7 == 0 ? ".line " : "line ") + std::to_string(line) + (line % 11 == 0 ? "\n" : "\r\n");
    text += "end";
    const std::string field = "X-Added: 1\r\n", whole = field + text;
    for (const auto& [offer, answers] : {std::pair(kChunking, ""), {"250-sink\r\n250 PIPELINING\r\n", "354 go on\r\n"}, {kNone, "354 go on\r\n"}})
      for (const bool memory : {true, false}) {
        ScriptedStream stream({"220 sink\r\n" + std::string(offer) + "250 sender\r\n250 recipient\r\n" + answers + "250 taken\r\n"});
        const Talk done = run_coroutine(talk(stream, envelope, memory ? spool::MessageText(text) : in_file(text), false, field));
        CPPUNIT_ASSERT_EQUAL(std::string("taken"), shown(done));
        const std::string strict = relay::with_strict_lines(whole);
        const bool chunked = *answers == '\0';
        const std::string expected = chunked ? "BDAT " + std::to_string(strict.size()) + " LAST\r\n" + strict : "DATA\r\n" + relay::dot_stuffed(whole);
        CPPUNIT_ASSERT(done.written.ends_with(expected));
      }
    // Converted for a host that takes 7 bits only.
    text += "\r\n\xc3\xbc\r\n";
    ScriptedStream stream({"220 sink\r\n" + kNone + "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n"});
    const Talk done = run_coroutine(talk(stream, envelope, in_file(text), false, field));
    CPPUNIT_ASSERT_EQUAL(std::string("taken"), shown(done));
    CPPUNIT_ASSERT(done.written.find("=C3=BC\r\n.\r\n") != std::string::npos && done.written.find("X-Added: 1\r\n") != std::string::npos);
  }

  void a_text_that_cannot_be_read_is_no_message() {
    const auto envelope = envelope_for({"x@example.net"});
    const spool::MessageText text(std::make_shared<const base::Descriptor>(base::sealed_memory_file("text", std::string(100000, 'x')).value()), 0, 200000);
    ScriptedStream stream({"220 sink\r\n" + kChunking + "250 sender\r\n250 recipient\r\n250 taken\r\n"});
    const Talk done = run_coroutine(talk(stream, envelope, text, false));
    CPPUNIT_ASSERT_EQUAL(std::string("later 4.3.0"), shown(done));
    CPPUNIT_ASSERT(done.written.find("MAIL") == std::string::npos);
  }

  // RFC 3030 section 2.
  void a_refused_chunk_is_forgotten() {
    const auto envelope = envelope_for({"x@example.net"});
    const Talk refused = talk("220 sink\r\n" + kChunking + "250 sender\r\n250 recipient\r\n554 5.6.0 no\r\n250 reset\r\n", envelope);
    CPPUNIT_ASSERT_EQUAL(std::string("never 5.6.0"), shown(refused));
    CPPUNIT_ASSERT(refused.written.ends_with(kText + "RSET\r\n") && refused.usable);
    const Talk taken = talk("220 sink\r\n" + kChunking + "250 sender\r\n250 recipient\r\n250 taken\r\n", envelope);
    CPPUNIT_ASSERT(taken.written.ends_with(kText) && taken.usable);
  }

  void lost_at_every_byte_is_temporary_and_never_taken() {
    for (const std::string& offers : {kAll, kChunking, kNone}) {
      const bool chunking = offers == kChunking;
      const std::string script = "220 hi\r\n" + offers + "250 a\r\n250 b\r\n250 c\r\n" + (chunking ? "" : "354 d\r\n") + "250 e\r\n";
      for (std::size_t length = 0; length < script.size(); ++length) {
        const auto done = talk(script.substr(0, length), envelope_for({"x@example.net", "y@example.net"}));
        CPPUNIT_ASSERT_MESSAGE(std::to_string(length), !done.usable);
        for (const auto& answer : done.answers.recipients) CPPUNIT_ASSERT_MESSAGE(std::to_string(length), !answer.taken && !answer.failure.permanent && !answer.failure.status.empty());
        // Only where the text is gone and its answer is what is missing.
        const bool whole = length >= script.size() - 7;
        if (!done.not_opened) CPPUNIT_ASSERT_EQUAL_MESSAGE(offers + std::to_string(length), whole, done.answers.unanswered);
      }
    }
  }

  void what_the_host_cannot_take() {
    struct {
      const char *what, *recipient, *text;
      bool smtputf8;
      std::string offers, want;
    } rows[] = {
        {"too large", "x@example.net", nullptr, false, kAll, "never 5.3.4"},
        {"8 bits in a field", "x@example.net", "Subject: \xc3\xbc\r\n\r\nx\r\n", false, kNone, "never 5.6.3"},
        {"8 bits in the body", "x@example.net", "Content-Type: text/plain\r\n\r\n\xc3\xbc\r\n", false, kNone, "taken"},
        {"an address in UTF-8", "\xc3\xbc@example.net", "Subject: x\r\n\r\nx\r\n", true, kNone, "never 5.6.7"},
        {"an address in UTF-8, and the host knows it", "\xc3\xbc@example.net", "Subject: x\r\n\r\nx\r\n", true, kAll, "taken"},
        {"fields in UTF-8", "x@example.net", "Subject: \xc3\xbc\r\n\r\nx\r\n", true, kChunking, "never 5.6.7"},
        {"a line end in an address", "x\r\nDATA@example.net", "Subject: x\r\n\r\nx\r\n", false, kAll, "never 5.1.3"},
    };
    for (const auto& row : rows) {
      auto envelope = envelope_for({row.recipient});
      envelope.smtputf8 = row.smtputf8;
      const auto done = talk("220 hi\r\n" + row.offers + "250 a\r\n250 b\r\n354 d\r\n250 e\r\n", envelope, row.text ? row.text : "Subject: x\r\n\r\n" + std::string(2000, 'x') + "\r\n");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.want, shown(done));
      CPPUNIT_ASSERT_MESSAGE(row.what, done.usable);
    }
    auto envelope = envelope_for({"x@example.net"});
    envelope.require_tls = true;
    CPPUNIT_ASSERT_EQUAL(std::string("never 5.7.10"), shown(talk("220 hi\r\n" + kAll, envelope)));
  }

  // RFC 2852 sections 2 and 4.
  void who_wants_it_back_gets_it_back() {
    auto envelope = envelope_for({"x@example.net"});
    envelope.deliver_by = mail::DeliverBy{base::wall_now() + std::chrono::minutes(10), mail::DeliverBy::Mode::return_message, false};
    const std::string answers = "250 a\r\n250 b\r\n354 d\r\n250 e\r\n";
    const auto done = [&](const std::string& offer, bool lmtp) { return shown(talk("220 hi\r\n250-sink\r\n250 " + offer + "\r\n" + answers, envelope, kText, lmtp)); };
    CPPUNIT_ASSERT_EQUAL(std::string("taken"), done("DELIVERBY", false));
    CPPUNIT_ASSERT_EQUAL(std::string("taken"), done("DELIVERBY 240", false));
    CPPUNIT_ASSERT_EQUAL(std::string("never 5.4.7"), done("DELIVERBY 86400,other", false));
    CPPUNIT_ASSERT_EQUAL(std::string("never 5.3.3"), done("DSN", false));
    CPPUNIT_ASSERT_EQUAL(std::string("taken"), done("DSN", true));
    envelope.deliver_by->mode = mail::DeliverBy::Mode::notify;
    CPPUNIT_ASSERT_EQUAL(std::string("taken"), done("DELIVERBY 86400", false));
  }

  void lmtp_answers_for_each_recipient() {
    const auto envelope = envelope_for({"x@example.net", "y@example.net", "z@example.net"});
    const auto done = talk("220 hi\r\n" + kAll + "250 a\r\n250 b\r\n550 5.1.1 c\r\n250 d\r\n354 e\r\n250 x\r\n452 4.2.2 z\r\n", envelope, kText, true);
    CPPUNIT_ASSERT(done.written.starts_with("LHLO mail.example.com\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("taken, never 5.1.1, later 4.2.2"), shown(done));
    const auto cut = talk("220 hi\r\n" + kAll + "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 x\r\n", envelope, kText, true);
    CPPUNIT_ASSERT_EQUAL(std::string("taken, later 4.5.0, later 4.5.0"), shown(cut));
    CPPUNIT_ASSERT(cut.answers.unanswered);
    // It ends in the middle of its answers: who was taken is not sent again.
    const auto ended = talk("220 hi\r\n" + kAll + "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 x\r\n421 4.3.2 y\r\n250 z\r\n", envelope, kText, true);
    CPPUNIT_ASSERT_EQUAL(std::string("taken, later 4.3.2, later 4.5.0"), shown(ended));
    CPPUNIT_ASSERT(!ended.usable);
  }

  void hostile_replies_end_the_connection() {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "250-x\r\n";
    const std::vector<std::string> scripts{
        "220 hi\n", "220-hi\r\n221 other\r\n", "220" + std::string(5000, 'x') + "\r\n", "2\r\n", "999 x\r\n", "\r\n", many, std::string("220 a\0b\r\n", 9), std::string(100000, '2'), "220_x\r\n"};
    for (const std::string& script : scripts) {
      const auto done = talk(script, envelope_for({"x@example.net"}));
      CPPUNIT_ASSERT_MESSAGE(script.substr(0, 20), done.not_opened && !done.not_opened->permanent && !done.usable);
    }
  }

  void tls_forgets_what_was_said_before() {
    ScriptedStream stream({"220 hi\r\n250-sink\r\n250-STARTTLS\r\n250 DSN\r\n220 go\r\n250 injected\r\n"});
    net::TlsFacts facts;
    facts.protocol = "TLSv1.3";
    stream.script_tls(facts, {"250-sink\r\n250 SIZE 5\r\n"});
    Client client(stream, {});
    bool refused = true;
    const auto start = [](Client& c, bool& r) -> net::Awaitable<bool> {
      auto failed = co_await c.open();
      if (failed || !c.extensions().starttls || !c.extensions().dsn) co_return false;
      net::TlsServer server;
      failed = co_await c.start_tls(nullptr, server, r);
      co_return !failed;
    };
    CPPUNIT_ASSERT(run_coroutine(start(client, refused)));
    CPPUNIT_ASSERT(!refused && client.extensions().size && !client.extensions().dsn && !client.extensions().starttls);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, client.extensions().most_bytes);
  }

  // RFC 6531 section 3.4: also where only a part has fields in UTF-8.
  void utf8_of_parts_is_said() {
    auto envelope = envelope_for({"x@example.net"});
    envelope.smtputf8 = true;
    const std::string text = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: \xc3\xbc\r\n\r\nx\r\n--b--\r\n";
    const auto done = talk("220 hi\r\n" + kAll + "250 a\r\n250 b\r\n354 d\r\n250 e\r\n", envelope, text);
    CPPUNIT_ASSERT_MESSAGE(done.written, done.written.find(" BODY=8BITMIME SMTPUTF8\r\n") != std::string::npos);
  }

  // RFC 8689 sections 4.2.1 and 5.
  void requiretls_is_passed_on_or_refused() {
    struct {
      const char *sender, *offer, *want;
      bool said;
    } rows[] = {{"a@example.com", "REQUIRETLS", "taken", true}, {"a@example.com", "DSN", "never 5.7.30", false}, {"", "REQUIRETLS", "taken", true}, {"", "DSN", "taken", false}};
    for (const auto& row : rows) {
      ScriptedStream stream({"220 hi\r\n250-sink\r\n250 STARTTLS\r\n220 go\r\n"});
      stream.script_tls(net::TlsFacts(), {"250-sink\r\n250 " + std::string(row.offer) + "\r\n250 a\r\n250 b\r\n354 c\r\n250 d\r\n"});
      Client client(stream, {});
      auto envelope = envelope_for({"x@example.net"});
      envelope.require_tls = true;
      envelope.reverse_path = row.sender;
      const auto send = [](Client& c, const mail::Envelope& envelope) -> net::Awaitable<Talk> {
        Talk done;
        done.not_opened = co_await c.open();
        bool refused = false;
        net::TlsServer server;
        if (!done.not_opened) done.not_opened = co_await c.start_tls(nullptr, server, refused);
        relay::Transaction transaction{envelope, {&envelope.recipients.front()}, kText};
        done.answers = co_await c.send(transaction);
        co_return done;
      };
      const Talk done = run_coroutine(send(client, envelope));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.offer, std::string(row.want), shown(done));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.offer, row.said, stream.written().find(" REQUIRETLS\r\n") != std::string::npos);
    }
  }

  void password_is_sent_by_plain_or_login() {
    struct {
      const char *offer, *answers, *want;
      bool taken;
    } rows[] = {{"AUTH PLAIN LOGIN", "235 yes\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", true},
                {"AUTH=LOGIN", "334 a\r\n334 b\r\n235 yes\r\n", "AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n", true},
                {"AUTH LOGIN", "334 a\r\n535 5.7.8 no\r\n", "AUTH LOGIN\r\ndXNlcg==\r\n", false},
                {"AUTH PLAIN", "535 5.7.8 no\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", false},
                {"AUTH CRAM-MD5", "", "", false}};
    for (const auto& row : rows) {
      ScriptedStream stream({"220 hi\r\n250-sink\r\n250 " + std::string(row.offer) + "\r\n" + row.answers});
      Client client(stream, {});
      const auto log_in = [](Client& c) -> net::Awaitable<std::optional<relay::Failure>> {
        auto failed = co_await c.open();
        if (failed) co_return failed;
        co_return co_await c.authenticate("user", "secret");
      };
      const auto failed = run_coroutine(log_in(client));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.offer, row.taken, !failed.has_value());
      if (failed) CPPUNIT_ASSERT_MESSAGE("it waits", !failed->permanent && failed->status.starts_with('4'));
      CPPUNIT_ASSERT_EQUAL(std::string("EHLO localhost\r\n") + row.want, stream.written());
    }
  }

  void parameters_are_passed_on() {
    auto envelope = envelope_for({"x@example.net", "y@example.net"});
    envelope.ret = mail::Return::headers;
    envelope.envelope_id = "a+b c";
    envelope.recipients[0].notify_given = envelope.recipients[0].notify_success = envelope.recipients[0].notify_delay = true;
    envelope.recipients[0].orcpt = "o=x@example.net";
    envelope.recipients[0].orcpt_type = "rfc822";
    envelope.recipients[1].notify_never = true;
    const std::string answers = "250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n";
    const auto done = talk("220 hi\r\n" + kAll + answers, envelope);
    CPPUNIT_ASSERT_MESSAGE(done.written, done.written.find("MAIL FROM:<a@example.com> SIZE=21 RET=HDRS ENVID=a+2Bb+20c\r\n") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(done.written, done.written.find("RCPT TO:<x@example.net> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;o+3Dx@example.net\r\n") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(done.written, done.written.find("RCPT TO:<y@example.net> NOTIFY=NEVER\r\n") != std::string::npos);
    // RFC 6533 section 3: in ASCII, whatever the host knows.
    envelope.recipients[0].orcpt = "b\xc3\xbc+\\@example.net";
    for (const char* const type : {"utf-8", "rfc822"}) {
      envelope.recipients[0].orcpt_type = type;
      const auto other = talk("220 hi\r\n" + kAll + answers, envelope);
      CPPUNIT_ASSERT_MESSAGE(other.written, other.written.find(" ORCPT=utf-8;b\\x{FC}\\x{2B}\\x{5C}@example.net\r\n") != std::string::npos);
    }
    envelope.recipients[0].orcpt = "b\xfc@example.net";
    CPPUNIT_ASSERT(talk("220 hi\r\n" + kAll + answers, envelope).written.find("ORCPT") == std::string::npos);
    CPPUNIT_ASSERT(talk("220 hi\r\n" + kNone + answers, envelope).written.find("NOTIFY") == std::string::npos);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ClientTest);

}  // namespace
