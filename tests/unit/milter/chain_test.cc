// SPDX-License-Identifier: Apache-2.0
#include "milter/chain.h"
#include "scripted_milter.h"
#include "small_message.h"

#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::string_literals;
using milter::Chain;
using milter::Verdict;
using milter::packet;
using milter::text;

namespace {

std::string all_of(const mail::TextSource& source, std::uint64_t from) {
  std::string all(static_cast<std::size_t>(source.size_bytes() - from), '\0');
  CPPUNIT_ASSERT(source.read(from, all).has_value());
  return all;
}

// What became of one message, and how far it came.
struct Outcome {
  std::string stage;  // where it ended: "connect" … "message"
  Verdict verdict;
  milter::MessageVerdict message;
  std::string result;  // the text
};

class ChainTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ChainTest);
  CPPUNIT_TEST(everything_is_told_in_order);
  CPPUNIT_TEST(macros_that_a_milter_chooses);
  CPPUNIT_TEST(steps_that_a_milter_does_not_want);
  CPPUNIT_TEST(steps_without_an_answer);
  CPPUNIT_TEST(verdicts_at_each_moment);
  CPPUNIT_TEST(who_has_accepted_is_not_asked_again);
  CPPUNIT_TEST(the_next_one_sees_what_one_has_changed);
  CPPUNIT_TEST(all_changes);
  CPPUNIT_TEST(changes_of_who_refuses_do_not_count);
  CPPUNIT_TEST(bodies_go_in_pieces_and_are_skipped);
  CPPUNIT_TEST(who_is_down);
  CPPUNIT_TEST(who_is_back_is_told_everything);
  CPPUNIT_TEST(who_is_lost_on_the_way_lets_nothing_pass);
  CPPUNIT_TEST(what_breaks_the_protocol);
  CPPUNIT_TEST(messages_that_do_not_come_are_aborted);
  CPPUNIT_TEST(progress_is_not_an_answer);
  CPPUNIT_TEST_SUITE_END();

  static std::unique_ptr<Chain> chain(ScriptedMilters& milters) {
    auto made = std::make_unique<Chain>(milters, milters.settings, "test", Chain::Client{"mail.example.net", {*net::Address::parse("192.0.2.7"), 1234}});
    made->set("j", "mx.example.com");
    made->set("i", "id1");
    made->set("{mail_addr}", "a@example.net");
    return made;
  }

  static net::Awaitable<Outcome> one_message(Chain& chain, const std::string& whole, bool greeted = false) {
    Outcome outcome;
    if (!greeted) {
      outcome.verdict = co_await chain.connect();
      if (outcome.verdict.kind != Verdict::Kind::go_on) { outcome.stage = "connect"; co_return outcome; }
      outcome.verdict = co_await chain.hello("client");
      if (outcome.verdict.kind != Verdict::Kind::go_on) { outcome.stage = "hello"; co_return outcome; }
    }
    std::vector<std::string> parameters{"SIZE=5"}, none;
    outcome.verdict = co_await chain.mail("<a@example.net>", parameters);
    if (outcome.verdict.kind != Verdict::Kind::go_on) { outcome.stage = "mail"; co_return outcome; }
    outcome.verdict = co_await chain.recipient("<u1@example.com>", none);
    if (outcome.verdict.kind != Verdict::Kind::go_on) { outcome.stage = "recipient"; co_return outcome; }
    outcome.verdict = co_await chain.data();
    if (outcome.verdict.kind != Verdict::Kind::go_on) { outcome.stage = "data"; co_return outcome; }
    outcome.stage = "message";
    const mail::TextInMemory source(whole);
    auto message = milter::Message::read(source, true);
    const std::function<std::unique_ptr<milter::NewBody>()> new_body = [] { return std::make_unique<StringBody>(); };
    outcome.message = co_await chain.message(*message, 1000, new_body);
    outcome.verdict = outcome.message.verdict;
    outcome.result = message->header() + all_of(message->body(), message->body_begins());
    co_return outcome;
  }

  static Outcome play(ScriptedMilters& milters, const std::string& whole = kSmallMessage) {
    const auto made = chain(milters);
    Outcome outcome = net::run_coroutine(one_message(*made, whole));
    net::run_coroutine(quit(*made));
    return outcome;
  }
  static net::Awaitable<int> quit(Chain& chain) {
    co_await chain.quit();
    co_return 0;
  }

  void everything_is_told_in_order() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    const Outcome outcome = play(milters);
    CPPUNIT_ASSERT(outcome.verdict.kind == Verdict::Kind::go_on);
    CPPUNIT_ASSERT_EQUAL(kSmallMessage, outcome.result);
    const std::vector<std::string> expected{
        "DCj|mx.example.com|_|mail.example.net [192.0.2.7]|{client_addr}|192.0.2.7|{client_port}|1234|{client_name}|mail.example.net|{client_ptr}|mail.example.net|",
        "Cmail.example.net|4\x04\xd2" + "192.0.2.7|"s, "Hclient|",
        "DMi|id1|{mail_addr}|a@example.net|{client_addr}|192.0.2.7|{client_port}|1234|{client_name}|mail.example.net|{client_ptr}|mail.example.net|",
        "M<a@example.net>|SIZE=5|", "R<u1@example.com>|", "DTi|id1|", "T", "LSubject| a\n b|", "LTo| c|", "DNi|id1|", "N", "Bbody\r\n", "DEi|id1|", "E", "Q"};
    CPPUNIT_ASSERT_EQUAL(expected.size(), script->told.size());
    for (std::size_t i = 0; i < expected.size(); ++i) CPPUNIT_ASSERT_EQUAL(expected[i], script->told[i]);
    // Without the leading space.
    script->told.clear();
    script->steps = 0;
    play(milters);
    CPPUNIT_ASSERT(script->was_told("LSubject|a\n b|"));
  }

  void macros_that_a_milter_chooses() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    script->macros = milter::number(2) + text("j") + milter::number(6) + text("");
    play(milters);
    CPPUNIT_ASSERT(script->was_told("DMj|mx.example.com|"));
    CPPUNIT_ASSERT(script->was_told("DTi|id1|") && !script->was_told("DNi|id1|"));
  }

  void steps_that_a_milter_does_not_want() {
    struct { std::uint32_t step; std::string commands; } rows[] = {
        {milter::step::kNoConnect, "HMRTLLNBEQ"}, {milter::step::kNoHello, "CMRTLLNBEQ"}, {milter::step::kNoMail, "CHRTLLNBEQ"}, {milter::step::kNoRecipient, "CHMTLLNBEQ"},
        {milter::step::kNoData, "CHMRLLNBEQ"}, {milter::step::kNoHeaders, "CHMRTNBEQ"}, {milter::step::kNoEndOfHeader, "CHMRTLLBEQ"}, {milter::step::kNoBody, "CHMRTLLNEQ"}};
    for (const auto& row : rows) {
      ScriptedMilters milters;
      const auto script = milters.add("one");
      script->steps = row.step;
      play(milters);
      CPPUNIT_ASSERT_EQUAL(row.commands, script->commands());
    }
    ScriptedMilters milters;
    const auto old = milters.add("one");
    old->version = 2;
    play(milters);
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRLLNBEQ"), old->commands());
  }

  void steps_without_an_answer() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    script->steps = milter::step::kSilentConnect | milter::step::kSilentHello | milter::step::kSilentMail | milter::step::kSilentRecipient | milter::step::kSilentData |
                    milter::step::kSilentHeader | milter::step::kSilentEndOfHeader | milter::step::kSilentBody;
    CPPUNIT_ASSERT(play(milters).verdict.kind == Verdict::Kind::go_on);
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLLNBEQ"), script->commands());
  }

  void verdicts_at_each_moment() {
    struct { char letter; const char* stage; } moments[] = {{'C', "connect"}, {'H', "hello"}, {'M', "mail"}, {'R', "recipient"}, {'T', "data"},
                                                           {'L', "message"}, {'N', "message"}, {'B', "message"}, {'E', "message"}};
    for (const auto& moment : moments) {
      struct { std::string answer; int code; std::string status; bool close; } rows[] = {
          {packet('r', ""), moment.letter == 'C' ? 554 : 550, "5.7.1", false}, {packet('t', ""), moment.letter == 'C' ? 421 : 451, "4.7.1", moment.letter == 'C'},
          {packet('y', text("571 5.7.8 no")), 571, "5.7.8", false}, {packet('y', text("421 4.3.2 gone")), 421, "4.3.2", true}, {packet('4', ""), 421, "4.7.1", true}};
      for (const auto& row : rows) {
        ScriptedMilters milters;
        const auto script = milters.add("one");
        const auto other = milters.add("two");
        script->answers[moment.letter] = row.answer;
        const Outcome outcome = play(milters);
        const std::string name = moment.letter + row.answer;
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(moment.stage), outcome.stage);
        CPPUNIT_ASSERT_MESSAGE(name, outcome.verdict.refuses());
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.code, outcome.verdict.code);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.status, outcome.verdict.status);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.close, outcome.verdict.close);
        // The second one is not asked behind a refusal, and is told that the message will not come.
        CPPUNIT_ASSERT_MESSAGE(name, other->commands().find(moment.letter) == std::string::npos);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(name, other->commands().find('M') != std::string::npos, other->commands().ends_with("AQ"));
      }
      ScriptedMilters milters;
      milters.add("one")->answers[moment.letter] = packet('d', "");
      const Outcome outcome = play(milters);
      // There is no message yet that could be thrown away.
      const bool early = moment.letter == 'C' || moment.letter == 'H';
      CPPUNIT_ASSERT(outcome.verdict.kind == (early ? Verdict::Kind::refuse : Verdict::Kind::discard));
      CPPUNIT_ASSERT_EQUAL(std::string(early ? "mail" : moment.stage), outcome.stage);
    }
  }

  void who_has_accepted_is_not_asked_again() {
    struct { char letter; std::string commands; } rows[] = {{'C', "CQ"}, {'H', "CHQ"}, {'M', "CHMAQ"}, {'R', "CHMRAQ"}, {'L', "CHMRTLAQ"}, {'E', "CHMRTLLNBEQ"}};
    for (const auto& row : rows) {
      ScriptedMilters milters;
      const auto script = milters.add("one"), other = milters.add("two");
      script->answers[row.letter] = packet('a', "");
      CPPUNIT_ASSERT(play(milters).verdict.kind == Verdict::Kind::go_on);
      CPPUNIT_ASSERT_EQUAL(row.commands, script->commands());
      CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLLNBEQ"), other->commands());
    }
  }

  void the_next_one_sees_what_one_has_changed() {
    ScriptedMilters milters;
    const auto first = milters.add("one"), second = milters.add("two");
    first->answers['E'] = packet('m', milter::number(1) + text("Subject") + text("new")) + packet('h', text("X-One") + text(" 1")) + packet('b', "other ") + packet('b', "body\r\n") + packet('c', "");
    second->answers['E'] = packet('i', milter::number(0) + text("X-Two") + text(" 2")) + packet('a', "");
    const Outcome outcome = play(milters);
    CPPUNIT_ASSERT(outcome.verdict.kind == Verdict::Kind::go_on);
    CPPUNIT_ASSERT(second->was_told("LSubject|new|") && second->was_told("LX-One| 1|") && second->was_told("Bother body\r\n"));
    CPPUNIT_ASSERT(first->was_told("LSubject| a\n b|") && first->was_told("Bbody\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("X-Two: 2\r\nReceived: by us\r\nSubject:new\r\nTo: c\r\nX-One: 1\r\n\r\nother body\r\n"), outcome.result);
  }

  void all_changes() {
    ScriptedMilters milters;
    milters.add("one")->answers['E'] = packet('e', text("<new@example.net>") + text("RET=HDRS")) + packet('+', text("<add@example.com>")) + packet('2', text("<more@example.com>") + text("NOTIFY=NEVER")) +
                                       packet('-', text("<u1@example.com>")) + packet('q', text("looks bad")) + packet('c', "");
    const Outcome outcome = play(milters);
    using Kind = milter::EnvelopeChange::Kind;
    const auto& changes = outcome.message.envelope;
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, changes.size());
    CPPUNIT_ASSERT(changes[0].kind == Kind::from && changes[0].address == "<new@example.net>" && changes[0].parameters == "RET=HDRS");
    CPPUNIT_ASSERT(changes[1].kind == Kind::add_recipient && changes[1].parameters.empty());
    CPPUNIT_ASSERT(changes[2].kind == Kind::add_recipient && changes[2].parameters == "NOTIFY=NEVER");
    CPPUNIT_ASSERT(changes[3].kind == Kind::delete_recipient && changes[3].milter == "one");
    CPPUNIT_ASSERT_EQUAL(std::string("milter one: looks bad"), outcome.message.quarantine);
    CPPUNIT_ASSERT_EQUAL(kSmallMessage, outcome.result);
  }

  void changes_of_who_refuses_do_not_count() {
    ScriptedMilters milters;
    milters.add("one")->answers['E'] = packet('h', text("X") + text("y")) + packet('b', "other") + packet('-', text("<u1@example.com>")) + packet('t', "");
    const Outcome outcome = play(milters);
    CPPUNIT_ASSERT(outcome.verdict.refuses());
    CPPUNIT_ASSERT(outcome.message.envelope.empty());
    CPPUNIT_ASSERT_EQUAL(kSmallMessage, outcome.result);
  }

  void bodies_go_in_pieces_and_are_skipped() {
    const std::string header = "Received: by us\r\nA: b\r\n\r\n", body = std::string(150'000, 'x');
    ScriptedMilters milters;
    const auto script = milters.add("one");
    play(milters, header + body);
    std::string seen;
    for (const std::string& one : script->told)
      if (one[0] == 'B') {
        CPPUNIT_ASSERT(one.size() <= milter::kBodyPieceBytes + 1);
        seen += one.substr(1);
      }
    CPPUNIT_ASSERT_EQUAL(body.size(), seen.size());
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLNBBBEQ"), script->commands());
    script->told.clear();
    script->answers['B'] = packet('s', "");
    play(milters, header + body);
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLNBEQ"), script->commands());
  }

  // Whatever goes wrong, and wherever: the setting decides, from MAIL on.
  void who_is_down() {
    using WhenDown = conf::Milter::WhenDown;
    for (const char letter : {'0', 'O', 'C', 'H', 'M', 'R', 'T', 'L', 'N', 'B', 'E'})
      for (const bool silent : {false, true})
        for (const WhenDown when_down : {WhenDown::tempfail, WhenDown::accept, WhenDown::reject}) {
          ScriptedMilters milters;
          const auto script = milters.add("one"), other = milters.add("two");
          milters.settings[0].when_down = when_down;
          if (letter == '0') script->refuses_connection = true;
          else if (silent && letter != 'O') script->answer = [=](char asked, const std::string&) { return asked == letter ? "\0\0\0\2"s : std::string(); };
          else script->closes_at = letter;
          const Outcome outcome = play(milters);
          const std::string name = std::string(1, letter) + (silent ? " silent" : "");
          if (when_down == WhenDown::accept) {
            CPPUNIT_ASSERT_MESSAGE(name, outcome.verdict.kind == Verdict::Kind::go_on);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("CHMRTLLNBEQ"), other->commands());
            continue;
          }
          CPPUNIT_ASSERT_MESSAGE(name, outcome.verdict.refuses());
          CPPUNIT_ASSERT_EQUAL_MESSAGE(name, when_down == WhenDown::reject ? 550 : 451, outcome.verdict.code);
          CPPUNIT_ASSERT_MESSAGE(name, outcome.stage != "connect" && outcome.stage != "hello");
        }
  }

  void who_is_back_is_told_everything() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    const auto made = chain(milters);
    script->closes_at = 'T';
    CPPUNIT_ASSERT_EQUAL(451, net::run_coroutine(one_message(*made, kSmallMessage)).verdict.code);
    script->closes_at = 0;
    script->told.clear();
    CPPUNIT_ASSERT(net::run_coroutine(one_message(*made, kSmallMessage, true)).verdict.kind == Verdict::Kind::go_on);
    CPPUNIT_ASSERT_EQUAL(std::string("CHMRTLLNBE"), script->commands());
    CPPUNIT_ASSERT_EQUAL(2U, script->connections);
  }

  // A refused recipient does not end a transaction: what comes behind it must not pass unseen.
  void who_is_lost_on_the_way_lets_nothing_pass() {
    using WhenDown = conf::Milter::WhenDown;
    for (const WhenDown when_down : {WhenDown::tempfail, WhenDown::accept, WhenDown::reject})
      for (const bool refused_recipient : {false, true}) {
        ScriptedMilters milters;
        const auto script = milters.add("one");
        milters.settings[0].when_down = when_down;
        script->steps = milter::step::kRefusedRecipients;
        script->closes_at = 'R';
        const auto made = chain(milters);
        const bool passes = when_down == WhenDown::accept;
        std::string seen = net::run_coroutine(lost_on_the_way(*made, refused_recipient));
        if (when_down == WhenDown::reject) std::replace(seen.begin(), seen.end(), '5', '4');
        CPPUNIT_ASSERT_EQUAL(std::string(passes ? "....." : refused_recipient ? ".444." : "4444."), seen);
      }
  }
  // One letter for each moment: '.' if it goes on, else the class of the refusal. The last one is MAIL of the next message: it is back.
  static net::Awaitable<std::string> lost_on_the_way(Chain& chain, bool refused_recipient) {
    std::string seen;
    const auto note = [&seen](const Verdict& verdict) { seen += verdict.refuses() ? static_cast<char>('0' + verdict.code / 100) : '.'; };
    const std::vector<std::string> none;
    Verdict verdict = co_await chain.connect();
    verdict = co_await chain.hello("client");
    verdict = co_await chain.mail("<a@example.net>", none);
    if (refused_recipient) co_await chain.refused_recipient("<u1@example.com>", none);
    else verdict = co_await chain.recipient("<u1@example.com>", none);
    note(verdict);
    verdict = co_await chain.recipient("<u2@example.com>", none);
    note(verdict);
    verdict = co_await chain.data();
    note(verdict);
    const mail::TextInMemory source(kSmallMessage);
    auto message = milter::Message::read(source, true);
    const std::function<std::unique_ptr<milter::NewBody>()> new_body = [] { return std::make_unique<StringBody>(); };
    const auto result = co_await chain.message(*message, 1000, new_body);
    note(result.verdict);
    verdict = co_await chain.mail("<a@example.net>", none);
    note(verdict);
    co_return seen;
  }

  void what_breaks_the_protocol() {
    struct { const char* name; char letter; std::string answer; } rows[] = {
        {"no packet", 'M', "\xff\xff\xff\xff"s}, {"an empty packet", 'M', "\0\0\0\0"s}, {"an answer that there is not", 'M', packet('z', "")},
        {"a change before its time", 'M', packet('h', text("X") + text("y"))}, {"no code", 'R', packet('y', text("abc"))},
        {"a field that is two", 'E', packet('h', text("X") + text("y\nBcc: z")) + packet('c', "")}, {"a body that is too large", 'E', packet('b', std::string(1001, 'x')) + packet('c', "")},
        {"a header that is too large", 'E', [] { std::string all; for (int i = 0; i < 2000; ++i) all += packet('h', text("X") + text("y")); return all + packet('c', ""); }()},
        {"too many changes", 'E', [] { std::string all; for (int i = 0; i < 10'001; ++i) all += packet('-', text("<a@b>")); return all + packet('c', ""); }()},
        {"skip at the end", 'E', packet('h', text("X") + text("y\nBcc: z"))}};
    for (const auto& row : rows) {
      ScriptedMilters milters;
      milters.add("one")->answers[row.letter] = row.answer;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, 451, play(milters).verdict.code);
    }
    ScriptedMilters milters;
    const auto script = milters.add("one");
    script->actions = milter::action::kAddHeaders;
    script->answers['E'] = packet('b', "other") + packet('c', "");
    CPPUNIT_ASSERT_EQUAL_MESSAGE("not announced", 451, play(milters).verdict.code);
    script->actions = 0x1000;
    CPPUNIT_ASSERT_EQUAL_MESSAGE("not offered", 451, play(milters).verdict.code);
  }

  void messages_that_do_not_come_are_aborted() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    const auto made = chain(milters);
    const auto talk = [](Chain& c) -> net::Awaitable<int> {
      std::vector<std::string> none;
      Verdict verdict = co_await c.connect();
      verdict = co_await c.hello("x");
      verdict = co_await c.mail("<a@b>", none);
      co_await c.abort();
      verdict = co_await c.mail("<b@b>", none);
      verdict = co_await c.mail("<c@b>", none);
      verdict = co_await c.hello("y");
      verdict = co_await c.unknown("WORD");
      co_await c.quit();
      co_return 0;
    };
    net::run_coroutine(talk(*made));
    CPPUNIT_ASSERT_EQUAL(std::string("CHMAMAMAHUQ"), script->commands());
  }

  void progress_is_not_an_answer() {
    ScriptedMilters milters;
    const auto script = milters.add("one");
    script->answers['E'] = packet('p', "") + packet('p', "") + packet('r', "");
    script->answers['M'] = packet('p', "") + packet('c', "");
    const Outcome outcome = play(milters);
    CPPUNIT_ASSERT_EQUAL(550, outcome.verdict.code);
    CPPUNIT_ASSERT_EQUAL(std::string("message"), outcome.stage);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ChainTest);

}  // namespace
