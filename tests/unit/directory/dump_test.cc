// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"
#include "directory/administration.h"
#include "directory/dump.h"
#include "directory/protocol.h"
#include "directory/signing.h"
#include "keyfile/store.h"
#include "temporary_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace {

using namespace postern;
using namespace postern::directory;

// An Ed25519 key that nobody uses.
constexpr const char* kKey = "MC4CAQAwBQYDK2VwBCIEIJrTDK8Jin/APsq5n24+tDkNCLpdLIJWZ0rL2puecR2T";

constexpr const char* kHash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

std::vector<Database::Entry> sample() {
  const auto time = base::from_microseconds(1'700'000'000'123'456);
  std::vector<Database::Entry> entries(4);
  entries[0].domain = Domain{"example.com", "keep;\r\n  # last line without an end", time};
  entries[0].domain->conversion_tags = {"scan", "pdf"};
  entries[0].domain->attributes = {{"department", " Sales | é"}, {"x", "y"}};
  entries[0].signing_keys.push_back(signing_record_from(base::from_base64(kKey).value(), "s1", time).value());
  entries[0].signing_keys[0].key.signs = false;
  AccountRecord& record = entries[1].account.emplace();
  record.account.name = "ann@example.com";
  record.account.mailbox_directory = "example.com/other";
  record.account.description = "Ann Bell, #1 | é";
  record.account.quota_bytes = 1000;
  record.account.enabled = false;
  record.account.held = record.account.keeps_copy = true;
  record.account.forwarding = {"bo@example.net", "\"c d\"@example.org"};
  record.account.conversion_tags = {"a", "b"};
  record.account.services = {"pop3", "sieve"};
  record.account.mail_host = "store.example.com";
  record.account.active_script = "my script";
  record.account.created = time;
  record.password_hash = kHash;
  entries[1].scripts = {{"empty", "", {}, time}, {"my script", "\r\n|keep;\r\n\n =\rx\n", {"# $Rule Info: Order=1\nkeep;\n", "", "stop;"}, time}};
  entries[2].alias = Alias{Alias::Kind::alias, "@example.com", {"ann@example.com"}, "", "", time};
  entries[3].alias = Alias{Alias::Kind::group, "team@example.com", {"ann@example.com", "Bo@example.net"}, "ann@example.com", "The team", time};
  return entries;
}

std::string text_of(const std::vector<Database::Entry>& entries) {
  std::string text = std::string(kDumpHead) + "\n";
  for (const auto& entry : entries) text += dump_text(entry);
  return text;
}

// What a reader finds, and its mistakes, one a line.
std::string read(std::string_view text, std::vector<Database::Entry>& entries) {
  DumpReader reader([&](Database::Entry entry, std::uint64_t) { entries.push_back(std::move(entry)); });
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    reader.read(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  reader.end();
  std::string mistakes;
  for (const auto& mistake : reader.mistakes()) mistakes += mistake.to_string() + "\n";
  return mistakes;
}

std::string dump_of(Database& database, std::size_t limit = 2) {
  std::string text = std::string(kDumpHead) + "\n", position;
  for (;;) {
    const auto entries = database.entries(position, limit, 1 << 20).value();
    if (entries.empty()) return text;
    for (const auto& entry : entries) text += dump_text(entry);
  }
}

class DumpTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DumpTest);
  CPPUNIT_TEST(what_was_dumped_reads_back);
  CPPUNIT_TEST(changed_line_ends_change_no_text);
  CPPUNIT_TEST(a_file_made_by_hand_is_read);
  CPPUNIT_TEST(mistakes_name_line_record_and_field);
  CPPUNIT_TEST(a_load_can_be_repeated);
  CPPUNIT_TEST(what_differs_is_replaced_only_on_demand);
  CPPUNIT_TEST(a_batch_is_there_as_a_whole_or_not_at_all);
  CPPUNIT_TEST(questions_dump_and_load);
  CPPUNIT_TEST(scripts_of_an_account);
  CPPUNIT_TEST(aliases_and_accounts_share_their_names);
  CPPUNIT_TEST(an_account_of_the_first_version_becomes_two_records);
  CPPUNIT_TEST(keys_move_with_their_domain);
  CPPUNIT_TEST(keys_that_can_not_sign_are_refused);
  CPPUNIT_TEST(a_killed_load_leaves_whole_batches);
  CPPUNIT_TEST_SUITE_END();

  void what_was_dumped_reads_back() {
    std::vector<Database::Entry> entries;
    CPPUNIT_ASSERT_EQUAL(std::string(), read(text_of(sample()), entries));
    CPPUNIT_ASSERT_EQUAL(text_of(sample()), text_of(entries));
    CPPUNIT_ASSERT(entries[1].account == sample()[1].account);
    CPPUNIT_ASSERT(entries[1].scripts == sample()[1].scripts);
    CPPUNIT_ASSERT(entries[0].domain == sample()[0].domain);
    CPPUNIT_ASSERT(entries[0].signing_keys == sample()[0].signing_keys);
    CPPUNIT_ASSERT(entries[3].alias == sample()[3].alias);
  }

  // As an editor or a transfer of another system leaves it.
  void changed_line_ends_change_no_text() {
    std::string text;
    for (const char c : text_of(sample())) (text += c == '\n' ? "\r" : "") += c;
    std::vector<Database::Entry> entries;
    CPPUNIT_ASSERT_EQUAL(std::string(), read(text, entries));
    CPPUNIT_ASSERT_EQUAL(text_of(sample()), text_of(entries));
    const std::string mixed = "postern-directory 1\naccount ann@example.com\n  script a\n    |keep;\r\n    =\n";
    const std::string found = read(mixed, entries);
    CPPUNIT_ASSERT_MESSAGE(found, found.starts_with("4: account ann@example.com: the line ends with CRLF, and the head line does not"));
  }

  void a_file_made_by_hand_is_read() {
    std::vector<Database::Entry> entries;
    const std::string text = "postern-directory 1\r\n# people\n\ndomain Example.COM\n  \naccount Ann@EXAMPLE.com\r\n\tdescription Ann\n created 2026-11-22T06:30:00Z\n"
                             "alias info@example.com\n  member ann@Example.com\n   # no more\n";
    CPPUNIT_ASSERT_EQUAL(std::string(), read(text, entries));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, entries.size());
    CPPUNIT_ASSERT_EQUAL(std::string("example.com/ann"), entries[1].account->account.mailbox_directory);
    CPPUNIT_ASSERT_EQUAL(std::string("Ann"), entries[1].account->account.description);
    CPPUNIT_ASSERT_EQUAL(std::string("ann@example.com"), entries[2].alias->members.at(0));
    CPPUNIT_ASSERT_EQUAL(std::string("2026-11-22T06:30:00Z"), base::iso8601(entries[1].account->account.created));
  }

  void mistakes_name_line_record_and_field() {
    const struct { const char *text, *want; } rows[] = {
        {"", "1: the file is empty: expected \"postern-directory 1\"\n"},
        {"postern-directory 2\n", "1: not a dump of this version: expected \"postern-directory 1\"\n"},
        {"postern-directory 1\nperson x\n", "2: person x: expected \"domain\", \"account\", \"alias\" or \"group\" at the beginning of a line\n"},
        {"postern-directory 1\n  quota 1\n", "2: quota: a field stands outside of a record\n"},
        {"postern-directory 1\n  |text\n", "2: a line of text stands where no text belongs\n"},
        {"postern-directory 1\ndomain a b\n", "2: domain a b: the domain is not made of labels of letters, digits and inner hyphens\n"},
        {"postern-directory 1\ndomain 10.0.0.1\n", "2: domain 10.0.0.1: the domain ends in a number, as addresses do\n"},
        {"postern-directory 1\ndomain example.com\n  quota 1\n", "3: domain example.com: quota: domains have no such field\n"},
        {"postern-directory 1\ndomain example.com\n  signing-key a_b MC4C\n",
         "3: domain example.com: signing-key: a_b: a selector has letters, digits and inner hyphens, and dots between them\n"},
        {"postern-directory 1\ndomain example.com\n  signing-key s\n", "3: domain example.com: signing-key: expected a selector and a private key (DER) in base64\n"},
        {"postern-directory 1\ndomain example.com\n  signing-key s *\n", "3: domain example.com: signing-key: expected a selector and a private key (DER) in base64\n"},
        {"postern-directory 1\ndomain example.com\n  key-created 2026-11-22T06:30:00Z\n",
         "3: domain example.com: key-created: belongs to a signing key; none stands above it\n"},
        {"postern-directory 1\ndomain example.com\n  key-signs no\n", "3: domain example.com: key-signs: belongs to a signing key; none stands above it\n"},
        {"postern-directory 1\naccount a@b.example\n  quota many\n", "3: account a@b.example: quota: expected a number of bytes, found \"many\"\n"},
        {"postern-directory 1\naccount a@b.example\n  password x\n", "3: account a@b.example: password: the hash is of no kind that passwords can be checked against\n"},
        {"postern-directory 1\naccount a@b.example\n  held yes\n", "3: account a@b.example: held: takes no value, found \"yes\"\n"},
        {"postern-directory 1\naccount a@b.example\n  held\n  held\n", "4: account a@b.example: held: given twice\n"},
        {"postern-directory 1\naccount a@b.example\n  created 2026-02-30T00:00:00Z\n",
         "3: account a@b.example: created: expected a time like 2026-11-22T06:30:00Z, found \"2026-02-30T00:00:00Z\"\n"},
        {"postern-directory 1\naccount a@b.example\n  service ftp\n", "3: account a@b.example: service: expected pop3, imap, smtp, sieve or web, found \"ftp\"\n"},
        {"postern-directory 1\naccount a@b.example\n  forward nobody\n", "3: account a@b.example: forward: nobody: an address is needed: local@domain\n"},
        {"postern-directory 1\naccount a@b.example\n  keep-copy\n", "2: account a@b.example: a copy is kept, but nothing forwarded\n"},
        {"postern-directory 1\naccount a@b.example\n  rule\n", "3: account a@b.example: rule: belongs to a script; none stands above it\n"},
        {"postern-directory 1\naccount a@b.example\n  active-script x\n", "2: account a@b.example: there is no script x\n"},
        {"postern-directory 1\naccount a@b.example\n  script x\n  script x\n", "2: account a@b.example: there are two scripts x\n"},
        {"postern-directory 1\naccount a@b.example\n  script x\n  =a\n  |b\n", "5: account a@b.example: a line of text stands behind the last one, which is marked by =\n"},
        {"postern-directory 1\nalias a@b.example\n", "2: alias a@b.example: an alias leads to one address at least\n"},
        {"postern-directory 1\ngroup a@b.example\n  member x y@b.example\n  owner z\n",
         "3: group a@b.example: member: x y@b.example: a character stands before @ that needs double quotes around it\n4: group a@b.example: owner: z: an address is needed: local@domain\n"},
    };
    for (const auto& row : rows) {
      std::vector<Database::Entry> entries;
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), read(row.text, entries));
      CPPUNIT_ASSERT_MESSAGE(row.text, entries.empty());
    }
  }

  void a_load_can_be_repeated() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    auto counts = database.load(sample(), false, true).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, counts.added);
    CPPUNIT_ASSERT(!database.domain("example.com").value());
    counts = database.load(sample(), false, false).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, counts.added);
    counts = database.load(sample(), false, false).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, counts.unchanged);
    for (const std::size_t limit : {1, 2, 100}) CPPUNIT_ASSERT_EQUAL(text_of(sample()), dump_of(database, limit));
    // What a file does not say is no difference.
    auto without = sample();
    without[0].domain->created = without[0].signing_keys[0].key.created = without[1].account->account.created = without[1].scripts[0].changed = without[3].alias->created = {};
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, database.load(without, false, false).value().unchanged);
    CPPUNIT_ASSERT_EQUAL(text_of(sample()), dump_of(database));
  }

  void what_differs_is_replaced_only_on_demand() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    database.load(sample(), false, false).value();
    auto other = sample();
    other[0].domain->filter.clear();
    other[1].account->account.description = "Another";
    other[1].scripts.erase(other[1].scripts.begin());
    other[3].alias->members.pop_back();
    for (std::size_t i : {0u, 1u, 3u}) {
      const auto refused = database.load({other[i]}, false, false);
      CPPUNIT_ASSERT_EQUAL(name_of(other[i]) + ": is there already, with other values", refused.error().what);
    }
    CPPUNIT_ASSERT_EQUAL(text_of(sample()), dump_of(database));
    const auto counts = database.load(other, true, false).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, counts.replaced);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, counts.unchanged);
    CPPUNIT_ASSERT_EQUAL(text_of(other), dump_of(database));
  }

  void a_batch_is_there_as_a_whole_or_not_at_all() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    auto entries = sample();
    Database::Entry homeless;
    homeless.account.emplace();
    homeless.account->account.name = "x@elsewhere.example";
    homeless.account->account.mailbox_directory = "elsewhere.example/x";
    entries.push_back(homeless);
    CPPUNIT_ASSERT_EQUAL(std::string("x@elsewhere.example: there is no domain elsewhere.example"), database.load(entries, false, false).error().what);
    CPPUNIT_ASSERT_EQUAL(std::string(kDumpHead) + "\n", dump_of(database));
    // The name of an account is none of an alias.
    database.load(sample(), false, false).value();
    Database::Entry alias;
    alias.alias = Alias{Alias::Kind::alias, "ann@example.com", {"x@example.com"}, "", "", {}};
    CPPUNIT_ASSERT_EQUAL(std::string("ann@example.com: there is an account of that name"), database.load({alias}, true, false).error().what);
  }

  void questions_dump_and_load() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    const std::string body = text_of(sample()).substr(kDumpHead.size() + 1);
    const auto loaded = administer(database, {{"ask", "directory-load"}, {"text", body}});
    CPPUNIT_ASSERT(loaded && loaded->changed);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, number_in(loaded->answer, "added").value());
    const auto wrong = administer(database, {{"ask", "directory-load"}, {"text", "account x\n"}});
    CPPUNIT_ASSERT(wrong && !wrong->changed && error_in(wrong->answer));
    std::string text;
    boost::json::object request{{"ask", "directory-dump"}};
    for (;;) {
      const auto done = administer(database, request);
      text += text_in(done->answer, "text").value();
      if (!truth_in(done->answer, "more").value()) break;
      request["position"] = text_in(done->answer, "position").value();
    }
    CPPUNIT_ASSERT_EQUAL(body, text);
  }

  void keys_move_with_their_domain() {
    const test::TemporaryDirectory here, there;
    auto database = Database::open(here.get()).value(), other = Database::open(there.get()).value();
    const auto time = base::from_microseconds(1'700'000'000'123'456);
    database.add(Domain{"example.com", "", time}).value();
    for (const auto type : {SigningKey::Type::rsa, SigningKey::Type::ed25519})
      database.add_signing_key("example.com", make_signing_key(type, type == SigningKey::Type::rsa ? "r" : "e", time).value()).value();
    std::vector<Database::Entry> entries;
    CPPUNIT_ASSERT_EQUAL(std::string(), read(dump_of(database), entries));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.load(entries, false, false).value().added);
    CPPUNIT_ASSERT_EQUAL(dump_of(database), dump_of(other));
    CPPUNIT_ASSERT(database.signing_keys("example.com").value() == other.signing_keys("example.com").value());
    Signer one(database), two(other);
    for (const char* const selector : {"r", "e"})
      CPPUNIT_ASSERT_EQUAL(one.sign("example.com", selector, std::string(32, 'd')).value(), two.sign("example.com", selector, std::string(32, 'd')).value());
    // A dump without keys, or with another one, takes none away.
    Database::Entry domain;
    domain.domain = Domain{"example.com", "keep;", time};
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.load({domain}, true, false).value().replaced);
    domain.signing_keys = sample()[0].signing_keys;
    CPPUNIT_ASSERT(!other.load({domain}, false, false));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.load({domain}, true, false).value().replaced);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.load({domain}, false, false).value().unchanged);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, other.signing_keys("example.com").value().size());
    // Six more are one too many; then nothing is loaded.
    const SigningRecord key = domain.signing_keys[0];
    domain.signing_keys.clear();
    for (const char* const selector : {"n1", "n2", "n3", "n4", "n5", "n6"}) {
      domain.signing_keys.push_back(key);
      domain.signing_keys.back().key.selector = selector;
    }
    CPPUNIT_ASSERT_EQUAL(std::string("example.com: would have more than 8 signing keys"), other.load({domain}, true, false).error().what);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, other.signing_keys("example.com").value().size());
  }

  void keys_that_can_not_sign_are_refused() {
    const std::string key = base::from_base64(kKey).value();
    CPPUNIT_ASSERT(signing_record_from(key, "s", {}).value().key.type == SigningKey::Type::ed25519);
    CPPUNIT_ASSERT(!signing_record_from(key + "x", "s", {}));
    for (std::size_t length = 0; length < key.size(); ++length) CPPUNIT_ASSERT(!signing_record_from(key.substr(0, length), "s", {}));
    // A key for X25519 can't sign.
    std::string other = key;
    other.at(other.find("\x2b\x65\x70") + 2) = '\x6e';
    CPPUNIT_ASSERT_EQUAL(std::string("a key that is neither RSA nor Ed25519"), signing_record_from(other, "s", {}).error().what);
  }

  void scripts_of_an_account() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    database.load(sample(), false, false).value();
    const std::string ann = "ann@example.com";
    Limits limits;
    limits.scripts = 3;
    limits.script_bytes = 10;
    using Outcome = ScriptOutcome;
    bool in_force = false;
    CPPUNIT_ASSERT(database.put_script(ann, {"third", "keep;", {}, {}}, &limits, &in_force).value() == Outcome::done && !in_force);
    CPPUNIT_ASSERT(database.put_script(ann, {"fourth", "keep;", {}, {}}, &limits).value() == Outcome::too_many);
    CPPUNIT_ASSERT(database.put_script(ann, {"third", "keep; keep;", {}, {}}, &limits).value() == Outcome::too_large);
    CPPUNIT_ASSERT(database.put_script(ann, {"third", "stop;", {}, {}}, &limits).value() == Outcome::done);
    CPPUNIT_ASSERT(database.put_script(ann, {"a/b", "", {}, {}}, &limits).value() == Outcome::bad_name);
    CPPUNIT_ASSERT(database.put_script(ann, {"third", "\xff", {}, {}}, &limits).value() == Outcome::not_text);
    CPPUNIT_ASSERT(database.put_script(ann, {"my script", "keep;", {}, {}}, &limits, &in_force).value() == Outcome::done && in_force);
    CPPUNIT_ASSERT(database.remove_script(ann, "my script", false).value() == Outcome::active);
    CPPUNIT_ASSERT(database.remove_script(ann, "nothing", false).value() == Outcome::not_found);
    CPPUNIT_ASSERT(database.activate_script(ann, "nothing").value() == Outcome::not_found);
    CPPUNIT_ASSERT(database.rename_script(ann, "my script", "third").value() == Outcome::exists);
    CPPUNIT_ASSERT(database.rename_script(ann, "my script", "mine").value() == Outcome::done);
    auto record = *database.account(ann).value();
    database.read_filter(record).value();
    CPPUNIT_ASSERT_EQUAL(std::string("mine"), record.account.active_script);
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), record.account.filter);
    CPPUNIT_ASSERT(database.activate_script(ann, "third", &in_force).value() == Outcome::done && in_force);
    CPPUNIT_ASSERT(database.remove_script(ann, "mine", false).value() == Outcome::done);
    CPPUNIT_ASSERT(database.activate_script(ann, "").value() == Outcome::done);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, database.scripts(ann).value().size());
    CPPUNIT_ASSERT(database.scripts("bo@example.com").error().kind == Kind::not_found);
    // They go with their account, and don't come back with a new one.
    database.remove_account(ann).value();
    Database::Entry fresh;
    fresh.account.emplace();
    fresh.account->account.name = ann;
    fresh.account->account.mailbox_directory = "example.com/ann";
    database.load({fresh}, false, false).value();
    CPPUNIT_ASSERT(database.scripts(ann).value().empty());
  }

  void aliases_and_accounts_share_their_names() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    using boost::json::object;
    const struct { object request; const char* error; } rows[] = {
        {{{"ask", "domain-add"}, {"name", "example.com"}}, ""},
        {{{"ask", "account-add"}, {"name", "ann@example.com"}, {"password_hash", kHash}, {"forwarding", {"x@Example.net"}}, {"keeps_copy", true}}, ""},
        {{{"ask", "alias-add"}, {"name", "ann@example.com"}, {"members", {"x@example.com"}}}, "account database: account ann@example.com is there already"},
        {{{"ask", "alias-add"}, {"name", "info@example.com"}, {"members", {"Ann@Example.com", "Ann@example.com"}}}, ""},
        {{{"ask", "alias-add"}, {"name", "info@example.com"}, {"members", {"x@example.com"}}}, "is there already"},
        {{{"ask", "account-add"}, {"name", "info@example.com"}, {"password_hash", kHash}}, "is there already"},
        {{{"ask", "alias-add"}, {"name", "self@example.com"}, {"members", {"self@example.com"}}}, "would lead to itself"},
        {{{"ask", "alias-add"}, {"name", "none@example.com"}}, "one address at least"},
        {{{"ask", "alias-add"}, {"name", "x@none.example"}, {"members", {"x@example.com"}}}, "there is no domain none.example"},
        {{{"ask", "alias-add"}, {"name", "team@example.com"}, {"kind", "group"}, {"owner", "ann@example.com"}}, ""},
        {{{"ask", "alias-change"}, {"name", "team@example.com"}, {"add", {"a@example.net", "b@example.net"}}}, ""},
        {{{"ask", "alias-change"}, {"name", "team@example.com"}, {"add", {"a@example.net"}}}, "is a member"},
        {{{"ask", "alias-change"}, {"name", "team@example.com"}, {"drop", {"c@example.net"}}}, "is not a member"},
        {{{"ask", "alias-change"}, {"name", "team@example.com"}, {"drop", {"b@example.net"}}, {"owner", ""}}, ""},
        {{{"ask", "alias-change"}, {"name", "team@example.com"}, {"kind", "alias"}, {"description", "x"}}, "is a group"},
        {{{"ask", "alias-remove"}, {"name", "info@example.com"}, {"kind", "group"}}, "is an alias"},
        {{{"ask", "account-change"}, {"name", "ann@example.com"}, {"services", {"gopher"}}}, "services are"},
        {{{"ask", "account-change"}, {"name", "ann@example.com"}, {"mail_host", "a b"}}, "labels"},
        {{{"ask", "account-change"}, {"name", "ann@example.com"}, {"forwarding", object{}}}, "not a list"},
        {{{"ask", "account-remove"}, {"name", "ann@example.com"}}, ""},
        {{{"ask", "domain-remove"}, {"name", "example.com"}}, "still has aliases"},
        {{{"ask", "alias-remove"}, {"name", "info@example.com"}}, ""},
        {{{"ask", "alias-remove"}, {"name", "info@example.com"}}, "there is no alias"},
    };
    Limits limits;
    limits.group_members = 2;
    for (const auto& row : rows) {
      const auto done = administer(database, row.request, limits);
      const auto error = error_in(done->answer);
      const std::string what = text_in(row.request, "ask").value() + ": " + (error ? error->what : "");
      if (*row.error == '\0') CPPUNIT_ASSERT_MESSAGE(what, !error && done->changed);
      else CPPUNIT_ASSERT_MESSAGE(what, error && !done->changed && (std::string("account database: ") + error->what).find(row.error) != std::string::npos);
    }
    const auto found = look_up(database, {{"ask", "account"}, {"name", "TEAM@example.com"}});
    const auto team = alias_from(found->at("alias").as_object()).value();
    CPPUNIT_ASSERT(team.members == std::vector<std::string>{"a@example.net"} && team.owner.empty() && team.kind == Alias::Kind::group);
    const auto list = administer(database, {{"ask", "alias-list"}, {"kind", "alias"}});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, list->answer.at("aliases").as_array().size());
  }

  void an_account_of_the_first_version_becomes_two_records() {
    const auto text = [](std::string_view value) { return std::string(3, '\0') + static_cast<char>(value.size()) + std::string(value); };
    const std::string old = std::string("A\x01", 2) + std::string(8, '\0') + '\x01' + std::string(8, '\0') + text("ann@example.com") + text("example.com/ann") + text(kHash) +
                            text("") + text("keep;");
    using Change = void (*)(Database&);
    const Change changes[] = {
        [](Database&) {},
        [](Database& database) { CPPUNIT_ASSERT_EQUAL(std::size_t{1}, database.scripts("ann@example.com").value().size()); },
        [](Database& database) { database.put_script("ann@example.com", {"other", "stop;", {}, {}}, nullptr).value(); },
        [](Database& database) {
          auto record = *database.account("ann@example.com").value();
          record.account.description = "Ann";
          database.change(record).value();
        },
    };
    for (const Change change : changes) {
      const test::TemporaryDirectory place;
      Database::open(place.get()).value().add(Domain{"example.com", "", {}}).value();
      keyfile::Store::open(place.get(), "accounts").value().put(std::string("aexample.com\0ann", 16), old).value();
      auto database = Database::open(place.get()).value();
      change(database);
      const auto found = look_up(database, {{"ask", "account"}, {"name", "ann@example.com"}});
      CPPUNIT_ASSERT_EQUAL(std::string("keep;"), text_in(found->at("account").as_object(), "filter").value());
      const auto script = database.script("ann@example.com", "filter").value();
      CPPUNIT_ASSERT(script && script->text == "keep;");
      CPPUNIT_ASSERT(dump_of(database).find("  active-script filter\n  script filter\n    =keep;\n") != std::string::npos);
    }
    // What was dumped of it is no difference to it.
    const test::TemporaryDirectory place;
    Database::open(place.get()).value().add(Domain{"example.com", "", {}}).value();
    keyfile::Store::open(place.get(), "accounts").value().put(std::string("aexample.com\0ann", 16), old).value();
    auto database = Database::open(place.get()).value();
    std::vector<Database::Entry> entries;
    CPPUNIT_ASSERT_EQUAL(std::string(), read(dump_of(database), entries));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, database.load(entries, false, false).value().unchanged);
  }

  // A process that loads batch after batch, and says so when each is confirmed, is killed; the next one finds what was said, and nothing by halves.
  void a_killed_load_leaves_whole_batches() {
    const test::TemporaryDirectory place;
    std::size_t confirmed = 0;
    for (int round = 0; round < 6; ++round) {
      int ends[2];
      CPPUNIT_ASSERT_EQUAL(0, ::pipe(ends));
      const pid_t child = ::fork();
      if (child == 0) {
        auto database = Database::open(place.get()).value();
        for (std::size_t batch = confirmed;; ++batch) {
          std::vector<Database::Entry> entries(1);
          entries[0].domain = Domain{"d" + std::to_string(batch) + ".example", "", {}};
          for (int i = 0; i < 20; ++i) {
            Database::Entry& entry = entries.emplace_back();
            entry.account.emplace();
            entry.account->account.name = "u" + std::to_string(i) + "@" + entries[0].domain->name;
            entry.account->account.mailbox_directory = mailbox_directory_for(entry.account->account.name);
            entry.account->account.active_script = "s";
            entry.scripts.push_back({"s", "keep;", {}, {}});
          }
          if (!database.load(entries, false, false)) ::_exit(1);
          if (::write(ends[1], "x", 1) != 1) ::_exit(1);
        }
      }
      ::close(ends[1]);
      // A few batches, and some moment in the next.
      char c;
      const std::size_t before = confirmed;
      while (confirmed < before + 2 + static_cast<std::size_t>(round) && ::read(ends[0], &c, 1) == 1) ++confirmed;
      ::usleep(static_cast<useconds_t>(round) * 300);
      ::kill(child, SIGKILL);
      while (::read(ends[0], &c, 1) == 1) ++confirmed;
      ::close(ends[0]);
      int status = 0;
      ::waitpid(child, &status, 0);
      CPPUNIT_ASSERT(WIFSIGNALED(status));
      auto database = Database::open(place.get()).value();
      const auto domains = database.domains("", 100000).value();
      CPPUNIT_ASSERT(domains.size() == confirmed || domains.size() == confirmed + 1);
      CPPUNIT_ASSERT_EQUAL(domains.size() * 20, database.accounts("", "", 100000).value().size());
      for (const Domain& domain : domains) {
        auto record = database.account("u19@" + domain.name).value().value();
        CPPUNIT_ASSERT(database.read_filter(record).has_value());
      }
      confirmed = domains.size();
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DumpTest);

}  // namespace
