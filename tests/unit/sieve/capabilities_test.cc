// SPDX-License-Identifier: Apache-2.0
// The capabilities beyond the base language, each with what implementations get wrong: rows of script and what comes out.
#include "support.h"

#include "sieve/digest.h"

#include <cppunit/extensions/HelperMacros.h>

#include <map>

using namespace postern;
using namespace postern::sieve;
using namespace postern::sieve::test;

namespace {

constexpr std::string_view kMessage =
    "Received: from a by b; Tue, 15 Jul 2003 10:52:37 +0200\r\n"
    "Received: from c by d; 15 Jul 03 10:52 EST\r\n"
    "From: Ken <ken+sieve@example.org>\r\n"
    "To: user@example.net\r\n"
    "Subject: [lists] Hello World\r\n"
    "Date: Sat, 21 Nov 2026 23:30:00 -0100\r\n"
    "Message-ID: <1@example.org>\r\n"
    "X-Multi: one\r\n"
    "X-Multi: two\r\n"
    "X-Multi: three\r\n"
    "\r\n"
    "The body text\r\n";

constexpr std::string_view kParts =
    "From: a@example.com\r\nSubject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=AA\r\n\r\n"
    "--AA\r\nContent-Type: multipart/alternative; boundary=BB\r\nX-Part: inner\r\n\r\n"
    "--BB\r\nContent-Type: text/plain; charset=utf-8\r\nX-Part: plain\r\n\r\nplain text\r\n"
    "--BB\r\nContent-Type: text/html\r\nX-Part: html\r\n\r\n<b>html</b> text\r\n--BB--\r\n"
    "--AA\r\nContent-Type: application/pdf; name*0=\"re\"; name*1=\"port.pdf\"\r\nContent-Disposition: attachment; filename=report.pdf\r\nX-Part: pdf\r\n\r\nPDF\r\n--AA--\r\n";

class FullHost : public TestHost {
 public:
  std::set<std::string> seen;
  std::optional<Score> spam, virus;
  std::vector<std::string> stored_flags, notes;
  std::optional<std::string> mailbox_with_id(const std::string& id) override { return id == "F1" ? std::optional<std::string>("Lists") : std::nullopt; }
  std::optional<std::string> mailbox_with_use(const std::string& use, const std::optional<std::string>& among) override {
    if (use != "\\Junk" || (among && *among != "Spam")) return std::nullopt;
    return "Spam";
  }
  std::optional<std::string> metadata(const std::optional<std::string>& mailbox, const std::string& entry) override {
    if (entry != "/private/comment") return std::nullopt;
    if (!mailbox) return "of the server";
    return *mailbox == "INBOX" ? std::optional<std::string>("of INBOX") : std::nullopt;
  }
  bool is_duplicate(const std::string& key) override { return seen.count(key) > 0; }
  std::optional<Score> spam_score() override { return spam; }
  std::optional<Score> virus_score() override { return virus; }
  std::optional<std::string> environment(std::string_view item) override { return item == "location" ? std::optional<std::string>("MDA") : std::nullopt; }
  bool list_exists(const std::string& list) override { return list == "tag:friends" || list == "urn:ietf:params:sieve:addrbook:default"; }
  bool list_contains(const std::string& list, const std::string& value) override { return list == "tag:friends" && value == "ken+sieve@example.org"; }
  std::vector<std::string> list_members(const std::string&, std::size_t most) override {
    std::vector<std::string> all = {"a@example.com", "not an address", "b@example.com"};
    all.resize(std::min(all.size(), most));
    return all;
  }
  std::vector<std::string> message_flags() override { return stored_flags; }
  std::chrono::sys_seconds now() override { return std::chrono::sys_days(std::chrono::year(2026) / 11 / 21) + std::chrono::hours(20); }
  std::chrono::minutes zone(std::chrono::sys_seconds) override { return std::chrono::minutes(60); }
  void note(int, int, const std::string& text) override { notes.push_back(text); }
};

CompileOptions options() {
  static const std::map<std::string, std::string> kScripts = {
      {"set-global", "require [\"include\", \"variables\"]; global \"g\"; set \"g\" \"from inside\"; set \"own\" \"x\";"},
      {"returns", "require [\"include\", \"fileinto\"]; return; fileinto \"Never\";"},
      {"stops", "stop;"},
      {"files", "require \"fileinto\"; fileinto \"Included\";"},
      {"circle", "require \"include\"; include \"circle\";"},
      {"circle-once", "require \"include\"; include :once \"circle-once\"; keep;"},
      {"broken", "nonsense;\nmore;"},
      {"needs-no-require", "fileinto \"x\";"},
      {"deep2", "require [\"include\", \"foreverypart\"]; foreverypart { foreverypart { keep; } }"},
      {"adds-flag", "require \"imap4flags\"; addflag \"inc\";"},
  };
  CompileOptions made;
  made.system_script = true;
  made.script = [](ScriptPlace place, const std::string& name) -> std::optional<std::string> {
    if (place == ScriptPlace::global) return name == "files" ? std::optional<std::string>("require \"fileinto\"; fileinto \"Global\";") : std::nullopt;
    const auto found = kScripts.find(name);
    return found != kScripts.end() ? std::optional(found->second) : std::nullopt;
  };
  made.list_exists = [](const std::string& name) { return name == "tag:friends" || name == "urn:ietf:params:sieve:addrbook:default"; };
  return made;
}

struct Got {
  std::string shown;      // as result() of support.h
  Outcome outcome;
  std::string kept;       // text of what the implicit keep, or else the first action, stores
};

Got run_one(FullHost& host, std::string_view script, std::string_view message, const Limits& limits = {}, CompileOptions compile_options = options()) {
  compile_options.run_limits = limits;
  const Compiled compiled = compile(script, compile_options);
  if (!compiled.program) {
    std::string shown;
    for (const auto& mistake : compiled.mistakes)
      if (!mistake.warning) shown += (shown.empty() ? "mistake: " : " | ") + (mistake.script.empty() ? "" : mistake.script + ": ") + mistake.text;
    return {shown, {}, {}};
  }
  const mail::MessageView view(message);
  Message edited(view);
  Got got;
  got.outcome = run(*compiled.program, edited, kEnvelope, host, limits, RunOptions{});
  if (got.outcome.error) {
    got.shown = "error: " + got.outcome.error->text;
    return got;
  }
  for (const auto& action : got.outcome.actions) got.shown += (got.shown.empty() ? "" : "; ") + to_string(action);
  std::shared_ptr<const MessageVersion> version = got.outcome.keep_message;
  if (got.outcome.implicit_keep) {
    Action keep;
    keep.implicit = true;
    keep.flags = got.outcome.keep_flags;
    got.shown += (got.shown.empty() ? "" : "; ") + to_string(keep);
  } else if (!got.outcome.actions.empty()) {
    version = got.outcome.actions.front().message;
  }
  got.kept = version ? version->text() : std::string(message);
  return got;
}

class CapabilitiesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CapabilitiesTest);
  CPPUNIT_TEST(dates);
  CPPUNIT_TEST(indexes);
  CPPUNIT_TEST(header_edits);
  CPPUNIT_TEST(header_edits_are_text);
  CPPUNIT_TEST(environment);
  CPPUNIT_TEST(what_is_there);
  CPPUNIT_TEST(includes);
  CPPUNIT_TEST(duplicates);
  CPPUNIT_TEST(regular_expressions);
  CPPUNIT_TEST(unicode_casemap);
  CPPUNIT_TEST(lists);
  CPPUNIT_TEST(metadata);
  CPPUNIT_TEST(uses_and_ids);
  CPPUNIT_TEST(scores);
  CPPUNIT_TEST(rejections);
  CPPUNIT_TEST(vacations);
  CPPUNIT_TEST(notifications);
  CPPUNIT_TEST(parts);
  CPPUNIT_TEST(replaced_and_enclosed);
  CPPUNIT_TEST(modifiers);
  CPPUNIT_TEST(flags_of_the_message);
  CPPUNIT_TEST(system_actions);
  CPPUNIT_TEST(abilities_and_levels);
  CPPUNIT_TEST(limits);
  CPPUNIT_TEST_SUITE_END();

  template <std::size_t Size>
  static void rows(std::string_view prologue, const std::pair<std::string_view, std::string_view> (&list)[Size], std::string_view message = kMessage, FullHost host = {}) {
    std::size_t wrong = 0;
    std::string report;
    for (const auto& [script, want] : list) {
      const std::string got = run_one(host, std::string(prologue) + std::string(script), message).shown;
      if (got == want) continue;
      ++wrong;
      report += std::string(script) + "\n  want " + std::string(want) + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
  }

  // Tests that must be true, and tests that must be false.
  template <std::size_t Size>
  static void truths(std::string_view prologue, const std::pair<std::string_view, bool> (&list)[Size], std::string_view message = kMessage, FullHost host = {}) {
    std::size_t wrong = 0;
    std::string report;
    for (const auto& [test, want] : list) {
      const std::string got = run_one(host, std::string(prologue) + "if " + std::string(test) + " { discard; }", message).shown;
      if (got == (want ? "discard" : "keep (implicit)")) continue;
      ++wrong;
      report += std::string(test) + "\n  want " + (want ? "true" : "false") + "\n  got  " + got + "\n";
    }
    CPPUNIT_ASSERT_EQUAL_MESSAGE(report, std::size_t{0}, wrong);
  }

  void dates() {
    const std::pair<std::string_view, bool> list[] = {
        {"date \"date\" \"year\" \"2026\"", true},
        {"date :zone \"+0000\" \"date\" \"date\" \"2026-11-22\"", true},
        {"date :originalzone \"date\" \"date\" \"2026-11-21\"", true},
        {"date \"date\" \"hour\" \"01\"", true},                       // the local zone is +0100
        {"date :originalzone \"date\" \"time\" \"23:30:00\"", true},
        {"date :zone \"+0530\" \"date\" \"time\" \"06:00:00\"", true},
        {"date :zone \"-0730\" \"date\" \"zone\" \"-0730\"", true},
        {"date :originalzone \"date\" \"iso8601\" \"2026-11-21T23:30:00-01:00\"", true},
        {"date :zone \"+0000\" \"date\" \"iso8601\" \"2026-11-22T00:30:00Z\"", true},
        {"date :originalzone \"date\" \"std11\" \"Sat, 21 Nov 2026 23:30:00 -0100\"", true},
        {"date :zone \"+0000\" \"date\" \"julian\" \"61366\"", true},
        {"date :originalzone \"date\" \"weekday\" \"6\"", true},
        {"date :zone \"+0000\" \"date\" \"WEEKDAY\" \"0\"", true},
        {"date :originalzone \"date\" \"month\" \"11\"", true},
        {"date :originalzone \"date\" \"second\" \"00\"", true},
        {"date :originalzone \"received\" \"date\" \"2003-07-15\"", true},
        {"date :index 2 :originalzone \"received\" \"time\" \"10:52:00\"", true},   // two-digit year, no seconds, a zone's name
        {"date :index 2 :originalzone \"received\" \"zone\" \"-0500\"", true},
        {"date :index 1 :last :originalzone \"received\" \"zone\" \"-0500\"", true},
        {"date :index 3 \"received\" \"year\" \"2003\"", false},
        {"date \"subject\" \"year\" :comparator \"i;octet\" \"x\"", false},
        {"date :count \"eq\" \"subject\" \"year\" \"0\"", true},
        {"date :count \"eq\" \"date\" \"year\" \"1\"", true},
        {"date :count \"eq\" \"x-absent\" \"year\" \"0\"", true},
        {"date :value \"ge\" :originalzone \"date\" \"date\" \"2026-11-01\"", true},
        {"currentdate \"date\" \"2026-11-21\"", true},
        {"currentdate \"hour\" \"21\"", true},
        {"currentdate :zone \"+0000\" \"hour\" \"20\"", true},
        {"currentdate :matches \"std11\" \"*, 21 Nov 2026 21:00:00 +0100\"", true},
    };
    std::vector<std::pair<std::string_view, bool>> good;
    for (const auto& row : list)
      if (row.first.find(":comparator \"i;octet\" \"x\"") == std::string_view::npos) good.push_back(row);
    FullHost host;
    for (const auto& [test, want] : good)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test), std::string(want ? "discard" : "keep (implicit)"),
                                   run_one(host, "require [\"date\", \"relational\", \"index\"]; if " + std::string(test) + " { discard; }", kMessage).shown);
    const std::pair<std::string_view, std::string_view> mistakes[] = {
        {"if date \"date\" \"century\" \"20\" {}", "mistake: unknown part of a date \"century\""},
        {"if date :zone \"GMT\" \"date\" \"year\" \"20\" {}", "mistake: expected \"+hhmm\" or \"-hhmm\", found \"GMT\""},
        {"if date :zone \"+0100\" :originalzone \"date\" \"year\" \"20\" {}", "mistake: tags \":zone\" and \":originalzone\" exclude each other"},
        {"if currentdate :originalzone \"year\" \"20\" {}", "mistake: unknown tagged argument ':originalzone' for the currentdate test"},
        {"if date :index 0 \"date\" \"year\" \"20\" {}", "mistake: fields are counted from 1"},
        {"if date :last \"date\" \"year\" \"20\" {}", "mistake: \":last\" needs \":index\""},
    };
    rows("require [\"date\", \"index\"];", mistakes);
    const std::pair<std::string_view, std::string_view> leap[] = {{"if date :originalzone \"date\" \"date\" \"2016-12-31\" { discard; }", "discard"}};
    rows("require \"date\";", leap, "Date: 31 Dec 2016 23:59:60 +0000\r\n\r\n");
  }

  void indexes() {
    const std::pair<std::string_view, bool> list[] = {
        {"header :index 1 \"x-multi\" \"one\"", true},       {"header :index 2 \"x-multi\" \"one\"", false},
        {"header :index 1 :last \"x-multi\" \"three\"", true}, {"header :last :index 3 \"x-multi\" \"one\"", true},
        {"header :index 4 \"x-multi\" \"one\"", false},      {"header :index 4 :last \"x-multi\" \"one\"", false},
        {"header :index 1 [\"x-multi\", \"subject\"] :contains \"hello\"", true},
        {"address :index 1 :localpart \"to\" \"user\"", true}, {"address :index 2 \"to\" \"user@example.net\"", false},
    };
    FullHost host;
    for (const auto& [test, want] : list) {
      if (test.find("] :contains") != std::string_view::npos) continue;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(test), std::string(want ? "discard" : "keep (implicit)"), run_one(host, "require \"index\"; if " + std::string(test) + " { discard; }", kMessage).shown);
    }
    const std::pair<std::string_view, std::string_view> more[] = {
        {"if header :index 1 :contains [\"x-multi\", \"subject\"] \"hello\" { discard; }", "discard"},
        {"if header :last \"x\" \"y\" {}", "mistake: \":last\" needs \":index\""},
        {"if header :index 0 \"x\" \"y\" {}", "mistake: fields are counted from 1"},
        {"if exists :index 1 \"x\" {}", "mistake: unknown tagged argument ':index' for the exists test"},
    };
    rows("require \"index\";", more);
  }

  void header_edits() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"addheader \"X-New\" \"a\"; if header \"x-new\" \"a\" { discard; }", "discard"},
        {"addheader \"X-Multi\" \"zero\"; if header :index 1 \"x-multi\" \"zero\" { discard; }", "discard"},
        {"addheader :last \"X-Multi\" \"zero\"; if header :index 4 \"x-multi\" \"zero\" { discard; }", "discard"},
        {"deleteheader \"x-multi\"; if not exists \"X-Multi\" { discard; }", "discard"},
        {"deleteheader :index 2 \"x-multi\"; if header :index 2 \"x-multi\" \"three\" { discard; }", "discard"},
        {"deleteheader :index 1 :last \"x-multi\"; if header :index 1 :last \"x-multi\" \"two\" { discard; }", "discard"},
        // The n-th field, if it matches; not the n-th of those that match.
        {"deleteheader :index 1 \"x-multi\" \"two\"; if header :count \"eq\" \"x-multi\" \"3\" { discard; }", "discard"},
        {"deleteheader :index 2 \"x-multi\" \"two\"; if header :count \"eq\" \"x-multi\" \"2\" { discard; }", "discard"},
        {"deleteheader :matches \"x-multi\" [\"t*\"]; if header :count \"eq\" \"x-multi\" \"1\" { discard; }", "discard"},
        {"deleteheader :contains \"subject\" \"hello\"; if not exists \"subject\" { discard; }", "discard"},
        {"deleteheader \"received\"; if header :count \"eq\" \"received\" \"2\" { discard; }", "discard"},
        {"deleteheader \"x-absent\";", "keep (implicit)"},
        {"addheader \"X Y\" \"a\";", "mistake: \"X Y\" can't be the name of a header field"},
        {"addheader \"X:\" \"a\";", "mistake: \"X:\" can't be the name of a header field"},
        {"deleteheader \"\";", "mistake: \"\" can't be the name of a header field"},
        {"deleteheader :last \"x\";", "mistake: \":last\" needs \":index\""},
        {"deleteheader :index 0 \"x\";", "mistake: fields are counted from 1"},
        {"addheader \"X\" \"a\x01\";", "mistake: the value has a control character"},
        {"addheader \"X\";", "mistake: the addheader command requires 2 arguments, but 1 is given"},
        {"set \"n\" \"a b\"; addheader \"${n}\" \"x\";", "error: \"a b\" can't be the name of a header field"},
    };
    rows("require [\"editheader\", \"relational\", \"index\", \"variables\"];", list);
    const std::string size = std::to_string(kMessage.size() + 9);
    FullHost size_host;
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), run_one(size_host, "require \"editheader\"; addheader \"X-One\" \"23456\"; if allof(not size :over " + std::to_string(kMessage.size() + 14) + ", size :over " + size + ") { discard; }", kMessage).shown);
    // What was filed before keeps the header it had; an edited message is the same message to two of one mailbox.
    FullHost host;
    const Got got = run_one(host, "require [\"editheader\", \"fileinto\", \"copy\"]; fileinto :copy \"A\"; addheader \"X-New\" \"1\"; fileinto :copy \"B\"; fileinto :copy \"A\";", kMessage);
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"A\" :copy; fileinto \"B\" :copy; keep (implicit)"), got.shown);
    CPPUNIT_ASSERT(got.outcome.actions[0].message == nullptr);
    CPPUNIT_ASSERT(got.outcome.actions[1].message->text().starts_with("X-New: 1\r\nReceived: from a"));
    CPPUNIT_ASSERT(got.kept.starts_with("X-New: 1\r\n") && got.kept.ends_with("\r\n\r\nThe body text\r\n"));
    // After an error the message is as it came.
    const mail::MessageView view(kMessage);
    Message message(view);
    const Compiled failing = compile("require [\"editheader\", \"ihave\"]; addheader \"X-New\" \"1\"; error \"no\";", options());
    CPPUNIT_ASSERT(run(*failing.program, message, kEnvelope, host, {}, RunOptions{}).error.has_value());
    CPPUNIT_ASSERT(!message.edited());
  }

  void header_edits_are_text() {
    FullHost host;
    const auto header = [&](std::string_view script, std::string_view message = "A: b\r\n\r\nbody\r\n") { return run_one(host, "require \"editheader\";" + std::string(script), message).kept; };
    CPPUNIT_ASSERT_EQUAL(std::string("X: a b\r\nA: b\r\n\r\nbody\r\n"), header("addheader \"X\" \"a\r\nb\";"));
    CPPUNIT_ASSERT_EQUAL(std::string("X: a Evil: yes\r\nA: b\r\n\r\nbody\r\n"), header("addheader \"X\" \"a\nEvil: yes\";"));
    CPPUNIT_ASSERT_EQUAL(std::string("X: a body\r\nA: b\r\n\r\nbody\r\n"), header("addheader \"X\" \"a\r\n\r\nbody\";"));
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\nX: y\r\n\r\nbody\r\n"), header("addheader :last \"X\" \"y\";"));
    CPPUNIT_ASSERT_EQUAL(std::string("X: y\nA: b\n\nbody\n"), header("addheader \"X\" \"y\";", "A: b\n\nbody\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\nX: y\r\n"), header("addheader :last \"X\" \"y\";", "A: b"));
    CPPUNIT_ASSERT_EQUAL(std::string("B: c\r\n\r\nbody"), header("deleteheader \"a\";", "A: b\r\n folded\r\nB: c\r\n\r\nbody"));
    // A body without an empty line in front of it stays the body.
    CPPUNIT_ASSERT_EQUAL(std::string("X: y\n\n no field\nB: c\n"), header("addheader \"X\" \"y\";", " no field\nB: c\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\nX: y\r\n\r\nno field\r\n"), header("addheader :last \"X\" \"y\";", "A: b\r\nno field\r\n"));
    // Text beyond ASCII is encoded and reads back the same.
    CPPUNIT_ASSERT_EQUAL(std::string("discard"),
                         run_one(host, "require \"editheader\"; addheader \"X\" \"caf\xc3\xa9 \xe2\x82\xac\"; if header \"x\" \"caf\xc3\xa9 \xe2\x82\xac\" { discard; }", kMessage).shown);
    // What a policy forbids is left alone; Subject is always open.
    Limits limits;
    limits.fields_not_added = {"x-no", "subject"};
    limits.fields_not_deleted = {"x-multi", "subject"};
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), run_one(host, "require \"editheader\"; addheader \"X-No\" \"1\"; deleteheader \"X-Multi\"; deleteheader \"Subject\"; addheader \"Subject\" \"new\";"
                                                              "if allof(not exists \"X-No\", exists \"X-Multi\", header \"subject\" \"new\") { discard; }", kMessage, limits).shown);
  }

  void environment() {
    const std::pair<std::string_view, bool> list[] = {
        {"environment \"name\" \"Postern\"", true}, {"environment \"location\" \"MDA\"", true}, {"environment \"LOCATION\" \"mda\"", true}, {"environment :matches \"version\" \"*.*\"", true},
        {"environment :contains \"x-unknown\" \"\"", false}, {"environment :count \"eq\" \"x-unknown\" \"0\"", false}, {"environment :count \"eq\" \"location\" \"1\"", true}, {"environment \"domain\" \"\"", false},
    };
    truths("require [\"environment\", \"relational\"];", list);
  }

  void what_is_there() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"if ihave \"fileinto\" { fileinto \"A\"; }", "fileinto \"A\""},
        {"if ihave \"fileinto\" { } fileinto \"A\";", "fileinto \"A\""},
        {"if ihave \"no-such\" { no_such \"A\" :tag; } else { discard; }", "discard"},
        {"if not ihave \"no-such\" { discard; } else { no_such; }", "discard"},
        {"if allof(ihave \"no-such\", no_such \"x\") { nonsense; }", "keep (implicit)"},
        {"if anyof(not ihave \"no-such\", no_such \"x\") { discard; }", "discard"},
        {"if ihave [\"fileinto\", \"no-such\"] { fileinto \"A\"; }", "keep (implicit)"},
        {"fileinto \"A\"; if ihave \"fileinto\" { }", "error: the capability \"fileinto\" is used before an ihave test found it"},
        {"if header \"subject\" \"never\" { fileinto \"A\"; } if ihave \"fileinto\" { }", "keep (implicit)"},
        {"fileinto \"A\"; if ihave [\"fileinto\", \"no-such\"] { }", "mistake: \"fileinto\" needs: require \"fileinto\";"},
        {"if header \"subject\" \"never\" { if ihave \"fileinto\" { } } if ihave \"fileinto\" { fileinto \"A\"; }", "fileinto \"A\""},
        {"if header \"subject\" \"never\" { if ihave \"fileinto\" { } } fileinto \"A\";", "error: the capability \"fileinto\" is used before an ihave test found it"},
        {"if ihave [\"variables\"] { discard; }", "keep (implicit)"},
        {"if ihave \"encoded-character\" { discard; }", "keep (implicit)"},
        {"if ihave \"ihave\" { discard; }", "discard"},
        {"if ihave \"comparator-i;ascii-numeric\" { if header :comparator \"i;ascii-numeric\" \"subject\" \"x\" { discard; } }", "discard"},
        {"if ihave \"copy\" { if ihave \"fileinto\" { fileinto :copy \"A\"; } }", "fileinto \"A\" :copy; keep (implicit)"},
        {"if false { nonsense :x [\"y\"] { more; } }", "keep (implicit)"},
        {"if true { discard; } elsif nonsense { more; } else { again; }", "discard"},
        {"if false { nonsense }", "mistake: expected ';' or a block behind \"nonsense\", found '}'"},
        {"error \"stop here\";", "error: stop here"},
        {"if ihave \"vnd.dovecot.testsuite\" { discard; }", "keep (implicit)"},
    };
    rows("require \"ihave\";", list);
    const std::pair<std::string_view, std::string_view> required[] = {{"require \"variables\"; if ihave \"variables\" { discard; }", "discard"}, {"set \"x\" \"fileinto\"; if ihave \"${x}\" { }", "mistake: \"set\" needs: require \"variables\";"},
        {"require \"variables\"; if ihave \"${x}\" { }", "mistake: the name of a capability must be a constant"}};
    rows("require \"ihave\";", required);
  }

  void includes() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"include \"files\"; keep;", "fileinto \"Included\"; keep"},
        {"include :personal \"files\";", "fileinto \"Included\""},
        {"include :global \"files\";", "fileinto \"Global\""},
        {"include \"returns\"; keep;", "keep"},
        {"include \"stops\"; keep;", "keep (implicit)"},
        {"return; keep;", "keep (implicit)"},
        {"include \"absent\";", "mistake: there is no personal script \"absent\""},
        {"include :global \"absent\";", "mistake: there is no global script \"absent\""},
        {"include :optional \"absent\"; keep;", "keep"},
        {"include \"circle\";", "mistake: the included script \"circle\" has mistakes | circle: the script \"circle\" includes itself"},
        {"include \"circle-once\";", "keep"},
        {"include \"broken\";", "mistake: the included script \"broken\" has mistakes | broken: unknown command \"nonsense\" | broken: unknown command \"more\""},
        {"include \"needs-no-require\";", "mistake: the included script \"needs-no-require\" has mistakes | needs-no-require: \"fileinto\" needs: require \"fileinto\";"},
        {"include \"a/b\";", "mistake: \"a/b\" is no name of a script"},
        {"include \"\";", "mistake: \"\" is no name of a script"},
        {"include \"${x}\";", "mistake: the name of an included script must be a constant | \"\" is no name of a script"},
        {"include :once \"files\"; include :once \"files\"; include \"files\";", "fileinto \"Included\""},
        {"include \"adds-flag\"; keep;", "keep :flags [\"inc\"]"},
        {"include \"set-global\"; fileinto \"${global.g}\";", "fileinto \"from inside\""},
        {"global \"g\"; include \"set-global\"; fileinto \"${g}\";", "fileinto \"from inside\""},
        {"include \"set-global\"; fileinto \"x${g}${own}\";", "fileinto \"x\""},
        {"set \"global.h\" \"v\"; fileinto \"${GLOBAL.H}\";", "fileinto \"v\""},
        {"set \"g\" \"x\"; global \"g\";", "mistake: the variable \"g\" is used as a local one before"},
        {"global [\"g\", \"g\"]; keep;", "keep"},
        {"foreverypart { foreverypart { include \"deep2\"; } }", "keep (implicit)"},
        {"foreverypart { foreverypart { foreverypart { include \"deep2\"; } } }", "mistake: loops are nested more than 4 deep, those of the included script counted"},
    };
    rows("require [\"include\", \"fileinto\", \"variables\", \"foreverypart\"];", list);
    const std::pair<std::string_view, std::string_view> alone[] = {{"global \"g\";", "mistake: \"global\" needs: require \"variables\";"}};
    rows("require \"include\";", alone);
    // The names of all that a change may touch.
    const Compiled compiled = compile("require \"include\"; include \"files\"; include :optional \"absent\";", options());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, compiled.included.size());
    CPPUNIT_ASSERT_EQUAL(std::string("absent"), compiled.included[1].name);
  }

  void duplicates() {
    FullHost host;
    const auto run_duplicate = [&](std::string_view test) { return run_one(host, "require [\"duplicate\", \"variables\"]; if " + std::string(test) + " { discard; }", kMessage); };
    const Got first = run_duplicate("duplicate");
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), first.shown);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, first.outcome.remember.size());
    CPPUNIT_ASSERT(first.outcome.remember[0].period == std::chrono::hours(12));
    host.seen.insert(first.outcome.remember[0].key);
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), run_duplicate("duplicate").shown);
    CPPUNIT_ASSERT(run_duplicate("duplicate").outcome.remember.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, run_duplicate("duplicate :last").outcome.remember.size());
    for (const std::string_view other : {"duplicate :handle \"x\"", "duplicate :header \"subject\"", "duplicate :uniqueid \"<1@example.org>\"", "duplicate :header \"x-absent\"", "duplicate :seconds 0"})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(other), std::string("keep (implicit)"), run_duplicate(other).shown);
    CPPUNIT_ASSERT(run_duplicate("duplicate :header \"x-absent\"").outcome.remember.empty());
    CPPUNIT_ASSERT(run_duplicate("duplicate :handle \"x\" :seconds 99999999999").outcome.remember[0].period == std::chrono::days(2));
    // Two tests of one id in a run are both false, and one entry.
    const Got twice = run_duplicate("anyof(duplicate :handle \"y\", duplicate :handle \"y\")");
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), twice.shown);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, twice.outcome.remember.size());
    CPPUNIT_ASSERT(run_one(host, "require [\"duplicate\", \"ihave\"]; if duplicate :handle \"z\" {} error \"x\";", kMessage).outcome.remember.empty());
    const std::pair<std::string_view, std::string_view> mistakes[] = {{"if duplicate :header \"a\" :uniqueid \"b\" {}", "mistake: tags \":header\" and \":uniqueid\" exclude each other"},
                                                                     {"if duplicate :header \"a b\" {}", "mistake: \"a b\" can't be the name of a header field"}};
    rows("require \"duplicate\";", mistakes);
  }

  void regular_expressions() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"if header :regex \"subject\" \"^\\\\[([a-z]+)\\\\] (Hel+o)\" { fileinto \"${1}.${2}\"; }", "fileinto \"lists.Hello\""},
        {"if header :regex \"subject\" \"HELLO\" { discard; }", "discard"},
        {"if header :regex :comparator \"i;octet\" \"subject\" \"HELLO\" { discard; }", "keep (implicit)"},
        {"if header :regex \"subject\" \"(x)?Hello(y)?\" { fileinto \"a${1}b${2}c${0}\"; }", "fileinto \"abcHello\""},
        {"if header :regex \"subject\" \"lo$\" { discard; }", "keep (implicit)"},
        {"if header :regex \"x-multi\" \"^(one|two|three)$\" { fileinto \"${1}\"; }", "fileinto \"one\""},
        {"if string :regex \"abcabc\" \"(a|ab)(c|bcd)*\" { fileinto \"${0}\"; }", "fileinto \"abc\""},
        {"if string :regex \"x\" [\"y\", \"x\"] { discard; }", "discard"},
        {"if header :regex \"subject\" \"(\" { }", "mistake: \"(\" is no regular expression: missing ): ("},
        {"if header :regex \"subject\" \"[[:alpha:]]+ [[:upper:]]\" { discard; }", "discard"},
        {"if header :regex :comparator \"i;ascii-numeric\" \"subject\" \"1\" { }", "mistake: comparator \"i;ascii-numeric\" can't be used with :contains, :matches or :regex"},
        {"if header :regex :matches \"subject\" \"1\" { }", "mistake: tags \":regex\" and \":matches\" exclude each other"},
        {"set :quoteregex \"q\" \"a.b*[c]\"; fileinto \"${q}\";", "fileinto \"a\\\\.b\\\\*\\\\[c\\\\]\""},
        {"set \"p\" \"H.*\"; if header :regex \"subject\" \"${p}\" { fileinto \"${0}\"; }", "fileinto \"Hello World\""},
        {"set \"p\" \"(\"; if header :regex \"subject\" \"${p}\" { discard; } keep;", "keep"},
        {"if string :regex \"\xc3\xa9t\xc3\xa9\" \"^.t.$\" { discard; }", "discard"},
        // i;ascii-casemap: ASCII letters only, wherever they stand.
        {"if string :regex \"\xc3\x89t\" \"^\xc3\xa9T$\" { discard; }", "keep (implicit)"},
        {"if string :regex \"\xc3\x89t\" \"^\xc3\x89T$\" { discard; }", "discard"},
        {"if string :regex \"\xc3\x89\" \"^[\xc3\xa9-\xc3\xaa]$\" { discard; }", "keep (implicit)"},
        {"if string :regex \"\xe2\x84\xaa\" \"^[a-z]$\" { discard; }", "keep (implicit)"},      // the Kelvin sign, which RE2 takes for a k
        {"if string :regex \"K\" \"^[a-k]$\" { discard; }", "discard"},
        {"if string :regex \"L\" \"^[a-k]$\" { discard; }", "keep (implicit)"},
        {"if string :regex \"Zk]-Z\" \"^[x-z]k[]a][-][[:lower:]]$\" { discard; }", "discard"},
        {"if string :regex \"-A\" \"^[-]+[a-]$\" { discard; }", "discard"},
        {"if string :regex \":AX\" \"^[[:]a[x]$\" { discard; }", "discard"},
        {"if string :regex \"B\" \"^[^a-c]$\" { discard; }", "keep (implicit)"},
        {"if string :regex \"B\" \"^[[:^lower:]]$\" { discard; }", "keep (implicit)"},
        {"if string :regex \"aBc\" \"^\\\\x41\\\\142\\\\x{43}$\" { discard; }", "discard"},
        {"if string :regex \"aB\" \"^[\\\\x40-\\\\x41][!-C]$\" { discard; }", "discard"},
        {"if string :regex \"a1 b\" \"^\\\\w\\\\d\\\\s[\\\\w]$\" { discard; }", "discard"},
        {"if string :regex \"ab AB\" \"^(A)B \\\\ba(b)$\" { fileinto \"${1}${2}\"; }", "fileinto \"aB\""},
        {"if string :regex \"q\" \"[a\" { discard; }", "mistake: \"[a\" is no regular expression: missing ]: [a"},
        {"if string :regex \"q\" \"a[b-a]\" { discard; }", "mistake: \"a[b-a]\" is no regular expression: invalid character class range: b-a"},
        {"if string :regex :comparator \"i;unicode-casemap\" \"\xc3\x89\" \"^\xc3\xa9$\" { discard; }", "discard"},
    };
    rows("require [\"regex\", \"fileinto\", \"variables\", \"comparator-i;ascii-numeric\"];", list);
    // Too large a program is refused; a pattern that makes others explode takes linear time.
    FullHost host;
    CPPUNIT_ASSERT(run_one(host, "require \"regex\"; if header :regex \"a\" \"((a{1,100}){1,100}){1,100}\" { }", kMessage).shown.starts_with("mistake: \"((a{1,100})"));
    const std::string long_message = "Subject: " + std::string(100000, 'a') + "\r\n\r\n";
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), run_one(host, "require \"regex\"; if header :regex \"subject\" \"^(a|a?)+$b\" { discard; }", long_message).shown);
    run_one(host, "require [\"regex\", \"variables\"]; set \"p\" \"(\"; if header :regex \"subject\" \"${p}\" { }", kMessage);
    // Each counts with what searches may keep of it: small ones little, and many of them no more than the limit.
    const auto bytes_of = [](int count, std::size_t limit) {
      std::string keys;
      for (int i = 0; i < count; ++i) keys += (i == 0 ? "\"a" : ", \"a") + std::to_string(i) + "[a-z]+b\"";
      CompileOptions options;
      options.limits.regex_bytes = limit;
      const Compiled compiled = compile("require \"regex\"; if header :regex \"subject\" [" + keys + "] { discard; }", options);
      return compiled.program ? facts(*compiled.program).bytes : 0;
    };
    const std::size_t one = bytes_of(1, 1 << 20);
    CPPUNIT_ASSERT(one > 32 * 1024);
    CPPUNIT_ASSERT(one < 48 * 1024);
    CPPUNIT_ASSERT(bytes_of(10, 1 << 20) > 10 * 32 * 1024);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, bytes_of(10, 200 * 1024));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, host.notes.size());
  }

  void unicode_casemap() {
    const std::pair<std::string_view, bool> list[] = {
        {"string :comparator \"i;unicode-casemap\" \"\xc3\x89T\xc3\x89\" \"\xc3\xa9t\xc3\xa9\"", true},
        {"string \"\xc3\x89T\xc3\x89\" \"\xc3\xa9t\xc3\xa9\"", false},
        {"string :comparator \"i;unicode-casemap\" \"e\xcc\x81\" \"\xc3\x89\"", true},                 // decomposed
        {"string :comparator \"i;unicode-casemap\" \"\xd0\x9f\xd0\xa0\xd0\x98\" \"\xd0\xbf\xd1\x80\xd0\xb8\"", true},
        {"string :contains :comparator \"i;unicode-casemap\" \"GR\xc3\x9c\xc3\x9f" "E\" \"\xc3\xbc\xc3\x9f\"", true},
        {"string :matches :comparator \"i;unicode-casemap\" \"\xc3\x84pfel\" \"\xc3\xa4*L\"", true},
        {"string :comparator \"i;unicode-casemap\" \"\xc7\x85\" \"\xc7\x84\"", true},                  // titlecase letters
        {"string :comparator \"i;unicode-casemap\" \"a\" \"b\"", false},
    };
    truths("require \"variables\";", list);
    const std::pair<std::string_view, std::string_view> captures[] = {
        {"if string :matches :comparator \"i;unicode-casemap\" \"xx\xc3\x84\xc3\x96yy\" \"*\xc3\xa4*Y\" { fileinto \"${1}.${2}\"; }", "fileinto \"xx.\xc3\x96y\""}};
    rows("require [\"variables\", \"fileinto\"];", captures);
  }

  void lists() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"if address :list \"from\" \"tag:friends\" { fileinto \"${0}\"; }", "fileinto \"ken+sieve@example.org\""},
        {"if address :list \"to\" \"tag:friends\" { discard; }", "keep (implicit)"},
        {"if address :list \"from\" \"tag:nobody\" { }", "mistake: there is no list \"tag:nobody\""},
        {"if valid_ext_list [\"tag:friends\", \":addrbook:default\"] { discard; }", "discard"},
        {"if valid_ext_list [\"tag:friends\", \"tag:nobody\"] { discard; }", "keep (implicit)"},
        {"redirect :list \"tag:friends\";", "redirect \"a@example.com\"; redirect \"b@example.com\""},
        {"redirect :list \":AddrBook:DEFAULT\";", "redirect \"a@example.com\"; redirect \"b@example.com\""},
        {"redirect :list \"URN:ietf:params:sieve:addrbook:Default\";", "redirect \"a@example.com\"; redirect \"b@example.com\""},
        {"redirect :list \":addrbook:default\";", "redirect \"a@example.com\"; redirect \"b@example.com\""},
        {"redirect :list \"tag:nobody\";", "mistake: there is no list \"tag:nobody\""},
        {"set \"l\" \"tag:nobody\"; redirect :list \"${l}\";", "error: there is no list \"tag:nobody\""},
        {"set \"l\" \"tag:nobody\"; if address :list \"from\" \"${l}\" { discard; }", "keep (implicit)"},
        {"if header :list :is \"from\" \"tag:friends\" { }", "mistake: tags \":list\" and \":is\" exclude each other"},
    };
    rows("require [\"extlists\", \"fileinto\", \"variables\"];", list);
  }

  void metadata() {
    const std::pair<std::string_view, bool> list[] = {
        {"metadata \"INBOX\" \"/private/comment\" \"of INBOX\"", true}, {"metadata :contains \"inbox\" \"/private/comment\" \"INBOX\"", true}, {"metadata \"Lists\" \"/private/comment\" \"\"", false},
        {"metadata :contains \"INBOX\" \"/private/absent\" \"\"", false}, {"metadata \"INBOX\" \"comment\" \"\"", false}, {"metadata :count \"eq\" \"INBOX\" \"/private/absent\" \"0\"", true},
        {"metadataexists \"INBOX\" \"/private/comment\"", true}, {"metadataexists \"INBOX\" [\"/private/comment\", \"/private/absent\"]", false}, {"metadataexists \"../x\" \"/private/comment\"", false},
        {"servermetadata \"/private/comment\" \"of the server\"", true}, {"servermetadataexists \"/private/comment\"", true}, {"servermetadataexists \"/private//comment\"", false},
    };
    truths("require [\"mboxmetadata\", \"servermetadata\", \"relational\"];", list);
  }

  void uses_and_ids() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"fileinto :specialuse \"\\\\Junk\" \"Other\";", "fileinto \"Spam\""},
        {"fileinto :specialuse \"\\\\Archive\" \"Other\";", "fileinto \"Other\""},
        {"fileinto :specialuse \"\\\\Archive\" :create \"Other\";", "fileinto \"Other\" :create :specialuse \"\\\\Archive\""},
        {"fileinto :specialuse \"Junk\" \"Other\";", "mistake: \"Junk\" is no special use (expected a word behind a backslash)"},
        {"fileinto :mailboxid \"F1\" \"Other\";", "fileinto \"Lists\""},
        {"fileinto :mailboxid \"F2\" :create \"Other\";", "fileinto \"Other\" :create"},
        {"fileinto :mailboxid \"F1\" :specialuse \"\\\\Junk\" \"Other\";", "mistake: tags \":mailboxid\" and \":specialuse\" exclude each other"},
        {"if specialuse_exists \"\\\\Junk\" { discard; }", "discard"},
        {"if specialuse_exists \"Spam\" \"\\\\Junk\" { discard; }", "discard"},
        {"if specialuse_exists \"Other\" \"\\\\Junk\" { discard; }", "keep (implicit)"},
        {"if specialuse_exists [\"\\\\Junk\", \"\\\\Sent\"] { discard; }", "keep (implicit)"},
        {"if mailboxidexists \"F1\" { discard; }", "discard"},
        {"if mailboxidexists [\"F1\", \"F2\"] { discard; }", "keep (implicit)"},
    };
    rows("require [\"special-use\", \"mailboxid\", \"fileinto\", \"mailbox\"];", list);
  }

  void scores() {
    FullHost host;
    host.spam = Score{6, 55};
    host.virus = Score{5, 0};
    const std::pair<std::string_view, bool> list[] = {
        {"spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"6\"", true}, {"spamtest \"6\"", true}, {"spamtest :percent \"55\"", true}, {"spamtest :count \"eq\" \"1\"", true}, {"virustest \"5\"", true},
    };
    truths("require [\"spamtestplus\", \"virustest\", \"relational\", \"comparator-i;ascii-numeric\"];", list, kMessage, host);
    const std::pair<std::string_view, bool> untested[] = {{"spamtest \"0\"", true}, {"spamtest :count \"eq\" \"0\"", true}, {"virustest \"0\"", true}};
    truths("require [\"spamtest\", \"virustest\", \"relational\"];", untested);
    const std::pair<std::string_view, std::string_view> more[] = {
        {"if spamtest :percent \"1\" {}", "mistake: tag \":percent\" needs: require \"spamtestplus\";"},
        {"spamadjust \"2\"; if spamtest \"8\" { discard; }", "discard"},
        {"spamadjust \"-100\"; if spamtest \"1\" { discard; }", "discard"},
        {"spamadjust \"x\";", "mistake: expected a number from -100 to 100 in a string"},
    };
    rows("require [\"spamtest\", \"vnd.postern.spamadjust\"];", more, kMessage, host);
  }

  void rejections() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"reject \"no\";", "reject \"no\""},
        {"ereject \"no\";", "ereject \"no\""},
        {"refuse \"no\";", "refuse \"no\""},
        {"discard; reject \"no\";", "discard; reject \"no\""},
        {"reject \"no\"; keep;", "error: keep can't be combined with reject"},
        {"fileinto \"A\"; ereject \"no\";", "error: ereject can't be combined with fileinto"},
        {"redirect \"a@example.com\"; reject \"no\";", "error: reject can't be combined with redirect"},
        {"reject \"no\"; reject \"no\";", "error: the message is rejected twice"},
        {"vacation \"away\"; reject \"no\";", "error: reject can't be combined with vacation"},
        {"reject;", "mistake: the reject command requires 1 argument, but 0 are given"},
        {"if header \"subject\" \"x\" { reject \"no\"; }", "keep (implicit)"},
    };
    rows("require [\"reject\", \"ereject\", \"vnd.postern.refuse\", \"fileinto\", \"vacation\"];", list);
    CPPUNIT_ASSERT(facts(*compile("require \"reject\"; reject \"x\";", options()).program).can_reject);
    CPPUNIT_ASSERT(!facts(*compile("keep;", options()).program).can_reject);
    // By ways through the program, those of included scripts too; not by words.
    CompileOptions including = options();
    including.script = [](ScriptPlace, const std::string& name) -> std::optional<std::string> {
      return name == "refusing" ? "require [\"ereject\", \"include\"]; if true { return; ereject \"x\"; } ereject \"y\";"
             : name == "calling"  ? "require \"include\"; include \"refusing2\";"
             : name == "refusing2" ? "require \"ereject\"; if exists \"x\" { ereject \"y\"; }"
                                   : "# reject\nkeep;";
    };
    const std::pair<std::string_view, bool> ways[] = {
        {"require \"reject\"; # reject\nkeep;", false},
        {"require \"reject\"; stop; reject \"x\";", false},
        {"require \"reject\"; if false { reject \"x\"; }", false},
        {"require \"reject\"; if exists \"a\" { stop; } elsif not exists \"b\" { keep; } else { reject \"x\"; }", true},
        {"require [\"reject\", \"ihave\"]; error \"x\"; reject \"x\";", false},
        {"require [\"reject\", \"foreverypart\"]; foreverypart { break; reject \"x\"; }", true},
        {"require \"include\"; include \"mild\";", false},
        {"require \"include\"; include \"refusing\";", false},
        {"require \"include\"; include \"calling\";", true},
        {"require \"include\"; stop; include \"calling\";", false},
        {"require [\"ihave\"]; if ihave \"reject\" { reject \"x\"; }", true},
    };
    for (const auto& [script, can] : ways) {
      const Compiled compiled = compile(script, including);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(script), std::string(), test::mistakes_of(compiled));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(script), can, facts(*compiled.program).can_reject);
    }
  }

  void vacations() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"vacation \"away\";", "vacation; keep (implicit)"},
        {"vacation \"away\"; discard;", "vacation; discard"},
        {"vacation \"away\"; vacation \"away\";", "error: vacation may be used only once"},
        {"vacation :days 3 :seconds 5 \"away\";", "mistake: tags \":days\" and \":seconds\" exclude each other"},
        {"vacation :from \"nobody\" \"away\";", "mistake: \"nobody\" is not one mail address"},
        {"vacation :addresses [\"a@example.com\", \"b\"] \"away\";", "mistake: \"b\" is not one mail address"},
        {"vacation :mime \"no entity\";", "mistake: with :mime the reason must be a MIME entity: header fields, an empty line, a body"},
        {"vacation :mime \"Content-Type: text/plain\r\n\r\nhi\";", "vacation; keep (implicit)"},
        {"vacation :mime \"Subject: \xc3\xa9\r\n\r\nhi\";", "mistake: the header of a MIME entity must be ASCII"},
        {"vacation :flags \"x\" \"away\";", "mistake: \":flags\" needs \":fcc\""},
        {"vacation :fcc \"Sent\" :create :flags \"x\" \"away\";", "vacation; keep (implicit)"},
        {"novacation; vacation \"away\";", "keep (implicit)"},
    };
    rows("require [\"vacation-seconds\", \"fcc\", \"mailbox\", \"imap4flags\", \"vnd.postern.novacation\"];", list);
    const std::pair<std::string_view, std::string_view> plain[] = {
        {"vacation :seconds 5 \"away\";", "mistake: tag \":seconds\" needs: require \"vacation-seconds\";"},
        {"vacation :fcc \"Sent\" \"away\";", "mistake: tag \":fcc\" needs: require \"fcc\";"},
    };
    rows("require \"vacation\";", plain);
    FullHost host;
    const auto vacation = [&](std::string_view arguments) {
      const Got got = run_one(host, "require [\"vacation\", \"vacation-seconds\", \"fcc\", \"mailbox\", \"special-use\"]; vacation " + std::string(arguments) + ";", kMessage);
      CPPUNIT_ASSERT_MESSAGE(got.shown, !got.outcome.actions.empty());
      return *got.outcome.actions.front().vacation;
    };
    // Who got a reply is remembered under this key: it must be that of the texts, longer ones too.
    const std::string subject(100, 's');
    CPPUNIT_ASSERT_EQUAL(digest({"arguments", subject, "me@example.net", "text", "x", "you@example.net"}),
                         vacation(":subject \"" + subject + "\" :from \"me@example.net\" :addresses \"you@example.net\" \"x\"").key);
    CPPUNIT_ASSERT(vacation("\"x\"").period == std::chrono::days(7));
    CPPUNIT_ASSERT(vacation(":days 0 \"x\"").period == std::chrono::days(1));
    CPPUNIT_ASSERT(vacation(":days 18446744073709551615 \"x\"").period == std::chrono::days(60));
    CPPUNIT_ASSERT(vacation(":seconds 10 \"x\"").period == std::chrono::days(1));
    CPPUNIT_ASSERT(vacation(":fcc \"Sent\" :create \"x\"").copy->create);
    // Moving text from one argument to another makes another reply; so does any change; a handle is all there is.
    CPPUNIT_ASSERT(vacation(":subject \"ab\" \"c\"").key != vacation(":subject \"a\" \"bc\"").key);
    CPPUNIT_ASSERT(vacation("\"a\"").key != vacation("\"b\"").key);
    CPPUNIT_ASSERT(vacation(":handle \"h\" \"a\"").key == vacation(":handle \"h\" \"b\"").key);
    CPPUNIT_ASSERT(vacation(":days 3 \"a\"").key == vacation(":days 4 \"a\"").key);
  }

  void notifications() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"notify \"mailto:a@example.com\";", "notify \"mailto:a@example.com\"; keep (implicit)"},
        {"notify \"mailto:a@example.com\"; notify \"mailto:A@Example.COM?to=a@example.com\";", "notify \"mailto:a@example.com\"; notify \"mailto:A@Example.COM?to=a@example.com\"; keep (implicit)"},
        {"notify \"mailto:a@example.com\"; notify \"mailto:a@example.com?subject=x\";", "notify \"mailto:a@example.com\"; keep (implicit)"},
        {"notify \"xmpp:a@example.com\";", "mistake: the method is not mailto:"},
        {"notify \"mailto:\";", "mistake: the mailto: URI has no recipient"},
        {"notify \"mailto:nobody\";", "mistake: \"nobody\" in the mailto: URI is not a mail address"},
        {"notify \"mailto:a@example.com?subject=%zz\";", "mistake: the mailto: URI has a wrong %XX"},
        {"notify \"mailto:a@example.com?x:y=1\";", "mistake: \"x:y\" in the mailto: URI can't be the name of a header field"},
        {"notify :importance \"4\" \"mailto:a@example.com\";", "mistake: importance \"4\" is not \"1\", \"2\" or \"3\""},
        {"notify :options \"novalue\" \"mailto:a@example.com\";", "mistake: option \"novalue\" is not name=value"},
        {"notify :from \"x\" \"mailto:a@example.com\";", "mistake: \"x\" is not one mail address"},
        {"set \"m\" \"mailto:\"; notify \"${m}\";", "error: the mailto: URI has no recipient"},
        {"if valid_notify_method [\"mailto:a@example.com\", \"mailto:b@example.com?subject=x\"] { discard; }", "discard"},
        {"if valid_notify_method [\"mailto:a@example.com\", \"http://x/\"] { discard; }", "keep (implicit)"},
        {"if notify_method_capability \"mailto:a@example.com\" \"online\" \"maybe\" { discard; }", "discard"},
        {"if notify_method_capability \"mailto:a@example.com\" \"x-other\" \"maybe\" { discard; }", "keep (implicit)"},
        {"if notify_method_capability :contains \"xmpp:a@example.com\" \"online\" \"\" { discard; }", "keep (implicit)"},
        {"set :encodeurl \"u\" \"a b\xc3\xa9~\"; fileinto \"${u}\";", "fileinto \"a%20b%C3%A9~\""},
    };
    rows("require [\"enotify\", \"variables\", \"fileinto\"];", list);
    FullHost host;
    const Got got = run_one(host, "require \"enotify\"; notify :importance \"1\" :message \"m\" :options \"a=b\" \"mailto:a@example.com%2Cb@example.com?cc=c@example.com&subject=S%20x&body=B&From=evil@example.com&X-Test=y\";", kMessage);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, got.outcome.actions.at(0).notification->to.size());
    const Got good = run_one(host, "require \"enotify\"; notify :importance \"1\" :options \"a=b\" \"mailto:a@example.com,b@example.com?cc=c@example.com&subject=S%20x&body=B&From=evil@example.com&X-Test=y\";", kMessage);
    CPPUNIT_ASSERT_MESSAGE(good.shown, !good.outcome.actions.empty());
    const Notification& made = *good.outcome.actions.front().notification;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, made.to.size());
    CPPUNIT_ASSERT_EQUAL(std::string("c@example.com"), made.cc.at(0));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, made.fields.size());
    CPPUNIT_ASSERT_EQUAL(std::string("B"), made.body);
    CPPUNIT_ASSERT_EQUAL(1, made.importance);
  }

  void parts() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"set \"a\" \"\"; foreverypart { if header :mime :matches \"x-part\" \"*\" { set \"a\" \"${a},${1}\"; } } fileinto \"${a}\";", "fileinto \",inner,plain,html,pdf\""},
        {"set \"a\" \"\"; foreverypart { set \"a\" \"${a}x\"; } fileinto \"${a}\";", "fileinto \"xxxxx\""},
        // A loop in a loop goes over what is inside the part.
        {"set \"a\" \"\"; foreverypart { foreverypart { set \"a\" \"${a}x\"; } set \"a\" \"${a}.\"; } fileinto \"${a}\";", "fileinto \"xxxx.xx....\""},
        {"foreverypart { if header :mime :type \"content-type\" \"application\" { discard; break; } }", "discard"},
        {"set \"a\" \"\"; foreverypart :name \"l\" { foreverypart { set \"a\" \"${a}x\"; break :name \"l\"; } } fileinto \"${a}\";", "fileinto \"x\""},
        {"set \"a\" \"\"; foreverypart { if header :mime :subtype \"content-type\" \"html\" { set \"a\" \"found\"; break; } set \"a\" \"${a}x\"; } fileinto \"${a}\";", "fileinto \"found\""},
        {"if header :mime :anychild :contenttype \"content-type\" \"text/html\" { discard; }", "discard"},
        {"if header :mime :contenttype \"content-type\" \"text/html\" { discard; }", "keep (implicit)"},
        {"if header :mime :contenttype \"content-type\" \"multipart/mixed\" { discard; }", "discard"},
        {"if header :mime :anychild :param \"name\" \"content-type\" \"report.pdf\" { discard; }", "discard"},
        {"if header :mime :anychild :param [\"x\", \"filename\"] \"content-disposition\" \"report.pdf\" { discard; }", "discard"},
        {"if header :mime :anychild :type \"content-disposition\" \"attachment\" { discard; }", "discard"},
        {"if header :mime :anychild :subtype \"content-disposition\" \"\" { discard; }", "discard"},
        {"if exists :mime :anychild \"content-disposition\" { discard; }", "discard"},
        {"if exists \"content-disposition\" { discard; }", "keep (implicit)"},
        {"if exists :mime :anychild [\"content-disposition\", \"x-part\"] { discard; }", "discard"},
        {"if header :mime :anychild :count \"eq\" \"x-part\" \"4\" { discard; }", "discard"},
        {"foreverypart { if header :mime :subtype \"content-type\" \"html\" { extracttext \"t\"; fileinto \"${t}\"; } }", "fileinto \"html text\""},
        {"foreverypart { if header :mime :subtype \"content-type\" \"plain\" { extracttext :first 5 :upper \"t\"; fileinto \"${t}\"; } }", "fileinto \"PLAIN\""},
        {"foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { extracttext \"t\"; fileinto \"x${t}\"; } }", "fileinto \"x\""},
        {"extracttext \"t\";", "mistake: \"extracttext\" stands outside of any loop"},
        {"break;", "mistake: \"break\" stands outside of any loop"},
        {"foreverypart { break :name \"x\"; }", "mistake: there is no loop \"x\" around this"},
        {"foreverypart;", "mistake: \"foreverypart\" needs a block"},
        {"foreverypart { foreverypart { foreverypart { foreverypart { keep; } } } }", "keep (implicit)"},
        {"foreverypart { foreverypart { foreverypart { foreverypart { foreverypart { keep; } } } } }", "mistake: loops are nested more than 4 deep"},
        {"if header :anychild \"x\" \"y\" {}", "mistake: \":anychild\" needs \":mime\""},
        {"if header :type \"content-type\" \"y\" {}", "mistake: \":type\", \":subtype\", \":contenttype\" and \":param\" need \":mime\""},
        {"if header :mime :type :subtype \"content-type\" \"y\" {}", "mistake: tags \":type\" and \":subtype\" exclude each other"},
        {"foreverypart { stop; } keep;", "keep (implicit)"},
    };
    rows("require [\"foreverypart\", \"mime\", \"extracttext\", \"variables\", \"fileinto\", \"relational\"];", list, kParts);
  }

  void replaced_and_enclosed() {
    FullHost host;
    const auto kept = [&](std::string_view script, std::string_view message = kParts) {
      const Got got = run_one(host, "require [\"foreverypart\", \"mime\", \"replace\", \"enclose\", \"variables\", \"body\", \"editheader\"];" + std::string(script), message);
      return got.outcome.error || got.kept.empty() ? got.shown : got.kept;
    };
    // One part: the structure stays.
    const std::string one = kept("foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { replace \"no \xc3\xa9 attachments\"; } }");
    const mail::MessageView view(one);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, view.structure().children.size());
    CPPUNIT_ASSERT_EQUAL(std::string("no \xc3\xa9 attachments"), mail::decoded_body(view.structure().children[1], 1000));
    CPPUNIT_ASSERT(one.find("PDF") == std::string::npos);
    CPPUNIT_ASSERT(std::all_of(one.begin(), one.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
    // A multipart with all that is in it: the loop does not go there any more.
    const std::string whole_part = kept("foreverypart { if header :mime :subtype \"content-type\" \"alternative\" { replace :mime \"Content-Type: text/plain\r\n\r\nshort\"; }"
                                        " if header :mime :subtype \"content-type\" \"plain\" { addheader \"X-Seen\" \"yes\"; } }");
    CPPUNIT_ASSERT(whole_part.find("short") != std::string::npos && whole_part.find("plain text") == std::string::npos && whole_part.find("X-Seen") == std::string::npos);
    // Several parts, one after the other.
    const std::string several = kept("foreverypart { if header :mime :type \"content-type\" \"text\" { replace \"gone\"; } }");
    CPPUNIT_ASSERT(several.find("plain text") == std::string::npos && several.find("html") != 0 && several.find("PDF") != std::string::npos);
    const mail::MessageView several_view(several);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, several_view.structure().children[0].children.size());
    // The whole message: other fields stay, the old Subject too.
    const std::string all = kept("replace :subject \"new\" :from \"B <b@example.com>\" \"all of it\";");
    CPPUNIT_ASSERT(all.find("Subject: new\r\n") != std::string::npos && all.find("Original-Subject: outer\r\n") != std::string::npos && all.find("From: B <b@example.com>\r\n") != std::string::npos);
    CPPUNIT_ASSERT(all.find("Original-From: a@example.com\r\n") != std::string::npos && all.find("multipart") == std::string::npos && all.ends_with("\r\n\r\nall of it"));
    // Later tests see it.
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), run_one(host, "require [\"replace\", \"body\"]; replace \"needle\"; if body :contains \"needle\" { discard; }", kParts).shown);
    // A text that could end the multipart around it can't.
    const std::string tricky = kept("foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { replace \"--AA--\r\nx\"; } }");
    CPPUNIT_ASSERT_EQUAL(std::string("--AA--\r\nx"), mail::decoded_body(mail::MessageView(tricky).structure().children.at(1), 1000));
    CPPUNIT_ASSERT(kept("foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { replace :mime \"Content-Type: text/plain\r\n\r\n--AA--\r\nx\"; } }").starts_with("error: the replacement holds a boundary"));
    CPPUNIT_ASSERT(kept("replace :mime \"nothing\";").starts_with("mistake: with :mime"));

    const std::string enclosed = kept("enclose :subject \"Warning\" :headers [\"From\", \"X-None\"] \"Be careful\";", kMessage);
    const mail::MessageView outer(enclosed);
    CPPUNIT_ASSERT_EQUAL(std::string("multipart"), outer.structure().type);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, outer.structure().children.size());
    CPPUNIT_ASSERT_EQUAL(std::string("rfc822"), outer.structure().children[1].subtype);
    CPPUNIT_ASSERT_EQUAL(std::string("Warning"), std::string(*outer.first("subject")));
    CPPUNIT_ASSERT(outer.first("from")->find("ken+sieve") != std::string_view::npos);
    CPPUNIT_ASSERT(std::string(outer.structure().children[1].body).starts_with(std::string(kMessage.substr(0, 100))));
    const std::string twice = kept("enclose \"one\"; enclose \"two\";", kMessage);
    CPPUNIT_ASSERT_EQUAL(std::string("multipart"), mail::MessageView(twice).structure().children.at(1).children.at(0).type);
    CPPUNIT_ASSERT_EQUAL(std::string("error: the part to be replaced is gone: the message was replaced or enclosed"),
                         kept("foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { enclose \"x\"; replace \"y\"; } }"));
  }

  void modifiers() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"set :encodeurl :lower \"a\" \"A B\"; fileinto \"${a}\";", "fileinto \"a%20b\""},
        {"set :length :encodeurl \"a\" \"\xc3\xa9\"; fileinto \"${a}\";", "fileinto \"6\""},
        {"set :quoteregex :quotewildcard \"a\" \"b\";", "mistake: tags \":quoteregex\" and \":quotewildcard\" exclude each other"},
        {"set :length :length \"a\" \"b\";", "mistake: tag \":length\" stands twice"},
        {"set \"a234567890123456789012345678901234567890123456789012345678901234\" \"x\"; fileinto \"${a234567890123456789012345678901234567890123456789012345678901234}\";", "fileinto \"x\""},
        {"set \"a2345678901234567890123456789012345678901234567890123456789012345\" \"x\";", "mistake: the name of a variable is longer than 64 characters"},
    };
    rows("require [\"variables\", \"enotify\", \"regex\", \"fileinto\"];", list);
    Limits limits;
    limits.variable_bytes = 8;
    FullHost host;
    const auto value = [&](std::string_view set) { return run_one(host, "require [\"variables\", \"enotify\", \"regex\", \"fileinto\"]; " + std::string(set) + " fileinto \"${a}\";", kMessage, limits).shown; };
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"abc%20\""), value("set :encodeurl \"a\" \"abc   \";"));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"abc\""), value("set :encodeurl \"a\" \"abc\xc3\xa9\";"));      // six bytes do not fit
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"aaaaaaa\""), value("set :quoteregex \"a\" \"aaaaaaa.\";"));
  }

  void flags_of_the_message() {
    FullHost host;
    host.stored_flags = {"\\Seen", "old"};
    const std::pair<std::string_view, std::string_view> list[] = {
        {"if hasflag \"old\" { discard; }", "discard"},
        {"addflag \"new\"; keep;", "keep :flags [\"\\\\Seen\", \"old\", \"new\"]"},
        {"setflag \"new\"; if hasflag \"old\" { discard; }", "keep (implicit) :flags [\"new\"]"},
        {"keep;", "keep"},
    };
    rows("require \"imap4flags\";", list, kMessage, host);
  }

  void system_actions() {
    const std::pair<std::string_view, std::string_view> list[] = {
        {"hold;", "hold"},
        {"capture \"a@Example.com\";", "capture \"a@example.com\"; keep (implicit)"},
        {"capture \"nobody\";", "mistake: \"nobody\" is not one mail address"},
        {"addheader \"X-A: b\"; if header \"x-a\" \"b\" { discard; }", "discard"},
        {"addheader \"no colon\";", "mistake: expected \"Name: value\", found \"no colon\""},
        {"addheader \"X-A\" \"b\"; if header \"x-a\" \"b\" { discard; }", "discard"},     // RFC 5293's form
        {"addtag \"[new]\"; if header \"subject\" \"[new] [lists] Hello World\" { discard; }", "discard"},
        {"addtag \"[lists]\"; if header \"subject\" \"[lists] Hello World\" { discard; }", "discard"},
        {"addprefix \"Careful\"; if body :contains \"Careful\" { discard; }", "discard"},
        {"addconversiontag \"a b\";", "mistake: \"a b\" is no conversion tag"},
    };
    rows("require [\"vnd.postern.hold\", \"vnd.postern.capture\", \"vnd.postern.addheader\", \"editheader\", \"vnd.postern.addtag\", \"vnd.postern.addprefix\", \"vnd.postern.addconversiontag\", \"body\"];", list);
    FullHost host;
    const Got tags = run_one(host, "require [\"vnd.postern.addconversiontag\", \"vnd.postern.setconversiontag\"]; addconversiontag \"a\"; setconversiontag [\"b\", \"c\"]; addconversiontag \"b\";", kMessage);
    CPPUNIT_ASSERT(tags.outcome.conversion_tags_set && tags.outcome.conversion_tags == (std::vector<std::string>{"b", "c"}));
    // A prefix goes into the first text, in whatever encoding that is.
    const std::string prefixed = run_one(host, "require \"vnd.postern.addprefix\"; addprefix \"Gr\xc3\xbc\xc3\x9f" "e\";",
                                         "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n").kept;
    CPPUNIT_ASSERT_EQUAL(std::string("Gr\xc3\xbc\xc3\x9f" "e\r\ncaf\xc3\xa9\r\n"), mail::decoded_body(mail::MessageView(prefixed).structure(), 1000));
    const std::string in_part = run_one(host, "require \"vnd.postern.addprefix\"; addprefix \"Careful\";", kParts).kept;
    CPPUNIT_ASSERT_EQUAL(std::string("Careful\r\nplain text"), mail::decoded_body(mail::MessageView(in_part).structure().children.at(0).children.at(0), 1000));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mail::MessageView(in_part).structure().children.size());
  }

  void abilities_and_levels() {
    CompileOptions user = options();
    user.system_script = false;
    FullHost host;
    for (const std::string_view name : {"addheader", "addtag", "addprefix", "addconversiontag", "setconversiontag", "hold", "capture"}) {
      const std::string script = "require \"vnd.postern." + std::string(name) + "\";";
      CPPUNIT_ASSERT_EQUAL("mistake: \"vnd.postern." + std::string(name) + "\" is for the server's own scripts only", run_one(host, script, kMessage, {}, user).shown);
    }
    for (const std::string_view name : {"jettison", "refuse", "spamadjust", "novacation"})
      CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), run_one(host, "require \"vnd.postern." + std::string(name) + "\";", kMessage, {}, user).shown);
    // What a host can't do is not there: not to be required, not found by ihave, not hinted at.
    CompileOptions none = options();
    none.abilities = 0;
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: unknown capability \"vacation\" | unknown command \"vacation\""), run_one(host, "require \"vacation\"; vacation \"x\";", kMessage, {}, none).shown);
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), run_one(host, "require \"ihave\"; if ihave \"vacation\" { vacation \"x\"; discard; }", kMessage, {}, none).shown);
    CompileOptions some = options();
    some.only = {{"fileinto"}};
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: unknown capability \"copy\""), run_one(host, "require [\"fileinto\", \"copy\"];", kMessage, {}, some).shown);
    CPPUNIT_ASSERT(capabilities(0).size() < capabilities().size());
  }

  void limits() {
    FullHost host;
    // One below, at, and above.
    const auto notified = [&](std::size_t count) {
      Limits given;
      given.notifications = 3;
      std::string script = "require \"enotify\";";
      for (std::size_t i = 0; i < count; ++i) script += "notify \"mailto:n" + std::to_string(i) + "@example.com\";";
      return run_one(host, script, kMessage, given).shown.find("exceeds") == std::string::npos;
    };
    CPPUNIT_ASSERT(notified(2) && notified(3) && !notified(4));
    Limits none;
    none.notifications = 0;
    none.redirects = 0;
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: local policy prohibits the use of a notify action"), run_one(host, "require \"enotify\"; notify \"mailto:a@example.com\";", kMessage, none).shown);
    CPPUNIT_ASSERT_EQUAL(std::string("error: local policy prohibits the use of a redirect action"), run_one(host, "redirect \"a@example.com\";", kMessage, none).shown);
    const auto edited = [&](std::size_t count) {
      Limits given;
      given.header_edits = 3;
      std::string script = "require \"editheader\";";
      for (std::size_t i = 0; i < count; ++i) script += "addheader \"X\" \"y\";";
      return run_one(host, script, kMessage, given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), edited(2));
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), edited(3));
    CPPUNIT_ASSERT_EQUAL(std::string("error: number of changes to the message exceeds policy limit (3)"), edited(4));
    const auto valued = [&](std::size_t bytes, bool constant) {
      Limits given;
      given.header_value_bytes = 10;
      const std::string text(bytes, 'x');
      return run_one(host, constant ? "require \"editheader\"; addheader \"X\" \"" + text + "\";" : "require [\"editheader\", \"variables\"]; set \"v\" \"" + text + "\"; addheader \"X\" \"${v}\";", kMessage, given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), valued(9, true));
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), valued(10, true));
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: the value is longer than 10 bytes"), valued(11, true));
    CPPUNIT_ASSERT_EQUAL(std::string("error: the value is longer than 10 bytes"), valued(11, false));
    // 0 actions: no limit.
    Limits unlimited;
    unlimited.actions = 0;
    std::string many = "require \"fileinto\";";
    for (int i = 0; i < 40; ++i) many += "fileinto \"f" + std::to_string(i) + "\";";
    CPPUNIT_ASSERT_EQUAL(std::size_t{40}, run_one(host, many, kMessage, unlimited).outcome.actions.size());
    // Includes: how many, how deep.
    const auto included = [&](std::size_t count, bool deep) {
      CompileOptions given = options();
      given.limits.includes = 3;
      given.limits.include_depth = 3;
      given.script = [=](ScriptPlace, const std::string& name) -> std::optional<std::string> {
        const auto number = static_cast<std::size_t>(std::stoi(name));
        if (!deep || number + 1 >= count) return "keep;";
        return "require \"include\"; include \"" + std::to_string(number + 1) + "\";";
      };
      if (deep) given.limits.includes = 100;
      std::string script = "require \"include\";";
      for (std::size_t i = 0; i < (deep ? 1 : count); ++i) script += "include \"" + std::to_string(i) + "\";";
      return run_one(host, script, kMessage, {}, given).shown == "keep";
    };
    CPPUNIT_ASSERT(included(2, false) && included(3, false) && !included(4, false));
    CPPUNIT_ASSERT(included(2, true) && included(3, true) && !included(4, true));
    // Memory and steps end a run, and leave nothing.
    Limits small;
    small.memory_bytes = 20000;
    std::string greedy = "require \"variables\"; set \"a\" \"" + std::string(4000, 'x') + "\";";
    for (int i = 0; i < 6; ++i) greedy += "set \"v" + std::to_string(i) + "\" \"${a}\";";
    const Got over = run_one(host, greedy, kMessage, small);
    CPPUNIT_ASSERT(over.outcome.over_limit && over.shown == "error: script used up its 20000 bytes of memory");
    // Lists may be asked so often.
    const auto asked = [&](std::size_t count) {
      Limits given;
      given.list_lookups = 3;
      std::string script = "require \"extlists\";";
      for (std::size_t i = 0; i < count; ++i) script += "if header :list \"subject\" \"tag:friends\" {}";
      return run_one(host, script, kMessage, given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), asked(3));
    CPPUNIT_ASSERT_EQUAL(std::string("error: number of questions to external lists exceeds policy limit (3)"), asked(4));
    // Values of variables, wildcards that are remembered, decoded bodies.
    const auto length = [&](std::size_t bytes) {
      Limits given;
      given.variable_bytes = 10;
      return run_one(host, "require [\"variables\", \"fileinto\"]; set \"v\" \"" + std::string(bytes, 'x') + "\"; set :length \"l\" \"${v}\"; fileinto \"${l}\";", kMessage, given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"9\""), length(9));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"10\""), length(10));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"10\""), length(11));
    const auto wildcard = [&](std::size_t number) {
      Limits given;
      given.match_values = 3;
      return run_one(host, "require [\"variables\", \"fileinto\"]; if string :matches \"abcde\" \"?????\" { fileinto \"x${" + std::to_string(number) + "}\"; }", kMessage, given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"xb\""), wildcard(2));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"xc\""), wildcard(3));
    CPPUNIT_ASSERT_EQUAL(std::string("fileinto \"x\""), wildcard(4));
    const auto decoded = [&](std::size_t limit, bool in_all) {
      Limits given;
      (in_all ? given.body_bytes : given.body_part_bytes) = limit;
      return run_one(host, "require \"body\"; if body :contains \"needle\" { discard; }", "Subject: x\r\n\r\n0123needle", given).shown;
    };
    for (const bool in_all : {false, true}) {
      CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), decoded(9, in_all));
      CPPUNIT_ASSERT_EQUAL(std::string("discard"), decoded(10, in_all));
      CPPUNIT_ASSERT_EQUAL(std::string("discard"), decoded(11, in_all));
    }
    const auto stepped = [&](std::uint64_t steps) {
      Limits given;
      given.steps = steps;
      return run_one(host, "keep; keep; keep;", kMessage, given).outcome.over_limit;
    };
    CPPUNIT_ASSERT(stepped(2) && !stepped(3) && !stepped(4));
    const auto automaton = [&](std::size_t bytes) {
      Limits given;
      given.regex_program_bytes = bytes;
      return run_one(host, "require \"regex\"; if header :regex \"subject\" \"a{1,50}\" { discard; } keep;", kMessage, given).shown == "keep";
    };
    CPPUNIT_ASSERT(!automaton(500) && automaton(64 * 1024));
    const auto named = [&](std::size_t bytes) { return run_one(host, "require \"include\"; include :optional \"" + std::string(bytes, 'x') + "\"; keep;", kMessage).shown == "keep"; };
    CPPUNIT_ASSERT(named(255) && named(256) && !named(257));
    const auto listed = [&](std::size_t bytes) {
      Limits given;
      given.list_value_bytes = bytes;
      return run_one(host, "require \"extlists\"; if address :list \"from\" \"tag:friends\" { discard; }", kMessage, given).shown == "discard";
    };
    CPPUNIT_ASSERT(!listed(20) && listed(21) && listed(22));
    // Text beyond the limit of regular expressions does not match.
    const auto searched = [&](std::size_t limit) {
      Limits given;
      given.regex_text_bytes = limit;
      return run_one(host, "require \"regex\"; if header :regex \"subject\" \"Hello\" { discard; }", "Subject: Hello\r\n\r\n", given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), searched(6));
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), searched(5));
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), searched(4));
    const auto worked = [&](std::uint64_t work) {
      Limits given;
      given.regex_work = work;
      return run_one(host, "require \"regex\"; if header :regex \"subject\" \"^(Hello|World)$\" { discard; }", "Subject: Hello\r\n\r\n", given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), worked(20));
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), worked(1000));
    // Those of a program together: each of these takes more than 32 KiB, and one that is too large counts, too.
    const auto together = [&](std::string_view keys) {
      CompileOptions all = options();
      all.limits.regex_bytes = 128 * 1024;
      return run_one(host, "require \"regex\"; if header :regex \"subject\" [" + std::string(keys) + "] { discard; } keep;", kMessage, {}, all).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep"), together(R"("a1", "a2")"));
    CPPUNIT_ASSERT_EQUAL(std::string("mistake: the regular expressions of the script are too large together"), together(R"("a1", "a2", "a3", "a4", "a5", "a6")"));
    // Folding makes text longer, and that is memory too.
    const auto folded = [&](std::size_t bytes) {
      Limits given;
      given.memory_bytes = bytes;
      std::string subject;
      for (int i = 0; i < 100; ++i) subject += "\xef\xb7\xba";
      return run_one(host, "require [\"comparator-i;unicode-casemap\"]; if header :contains :comparator \"i;unicode-casemap\" \"subject\" \"\xef\xb7\xba\" { discard; }",
                     "Subject: " + subject + "\r\n\r\n", given).shown;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("keep (implicit)"), folded(3000));
    CPPUNIT_ASSERT_EQUAL(std::string("discard"), folded(6000));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(CapabilitiesTest);

}  // namespace
