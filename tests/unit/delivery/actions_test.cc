// SPDX-License-Identifier: Apache-2.0
// What filters decide is carried out, and no failure loses a message (hardening.md 2).
#include "site.h"

#include "base/text.h"
#include "delivery/filter_host.h"
#include "delivery/filter_settings.h"
#include "store/address_books.h"
#include "store/folder_facts.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>

namespace postern::delivery {
namespace {

const std::string kAll = "require [\"fileinto\", \"mailbox\", \"copy\", \"vacation\", \"vacation-seconds\", \"enotify\", \"fcc\", \"reject\", \"ereject\", \"editheader\", "
                         "\"duplicate\", \"imap4flags\", \"environment\", \"spamtest\", \"spamtestplus\", \"virustest\", \"relational\", \"variables\", \"envelope\", \"include\", "
                         "\"replace\", \"enclose\", \"vnd.postern.refuse\", \"vnd.postern.novacation\", \"vnd.postern.spamadjust\", "
                         "\"comparator-i;ascii-numeric\", \"vnd.postern.jettison\"];\n";
const std::string kSystem = "require [\"vnd.postern.hold\", \"vnd.postern.capture\", \"vnd.postern.addtag\", \"vnd.postern.addprefix\", \"vnd.postern.addconversiontag\", "
                            "\"vnd.postern.spamadjust\", \"vnd.postern.novacation\", \"fileinto\", \"reject\"];\n";
const std::string kTo = "To: a@example.com\r\n";
constexpr const char* kVacation = "vacation \"I am away.\";\n";

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class ActionsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ActionsTest);
  CPPUNIT_TEST(vacation_answers_each_sender_once);
  CPPUNIT_TEST(vacation_answers_again_by_its_present_days);
  CPPUNIT_TEST(vacation_is_silent_where_it_must_be);
  CPPUNIT_TEST(vacation_answers_mail_to_an_alias_of_the_account);
  CPPUNIT_TEST(vacation_files_its_copy);
  CPPUNIT_TEST(notify_mails_each_address_once);
  CPPUNIT_TEST(rejections_are_told_to_senders_only);
  CPPUNIT_TEST(what_a_sender_asked_for_goes_with_a_redirect);
  CPPUNIT_TEST(large_changed_texts_go_on_one_at_a_time);
  CPPUNIT_TEST(lists_come_from_files_groups_and_tables);
  CPPUNIT_TEST(address_books_are_the_recipients);
  CPPUNIT_TEST(folder_names_have_the_separators_of_the_site);
  CPPUNIT_TEST(changed_text_is_stored_and_sent_on);
  CPPUNIT_TEST(same_change_is_written_once);
  CPPUNIT_TEST(duplicate_knows_what_was_delivered);
  CPPUNIT_TEST(duplicate_is_remembered_after_delivery_only);
  CPPUNIT_TEST(nothing_is_redirected_twice);
  CPPUNIT_TEST(hold_waits_for_the_administrator);
  CPPUNIT_TEST(capture_encloses_the_message);
  CPPUNIT_TEST(scripts_include_others);
  CPPUNIT_TEST(rules_run_in_their_order);
  CPPUNIT_TEST(folders_are_found_by_use_and_id);
  CPPUNIT_TEST(flags_and_keywords_are_stored);
  CPPUNIT_TEST(conversion_tags_go_with_what_is_sent_on);
  CPPUNIT_TEST(scores_come_from_header_fields);
  CPPUNIT_TEST(spam_adjustments_add_up);
  CPPUNIT_TEST(environment_is_known);
  CPPUNIT_TEST(discarded_messages_are_kept_if_wanted);
  CPPUNIT_TEST(restored_messages_meet_no_filter);
  CPPUNIT_TEST(owner_of_a_broken_script_is_told_once);
  CPPUNIT_TEST(a_script_that_often_uses_up_its_budget_is_left_out);
  CPPUNIT_TEST(filters_of_channels_run_for_mail_that_leaves);
  CPPUNIT_TEST(replay_makes_the_same_mail);
  CPPUNIT_TEST(failure_of_one_of_two_actions_keeps_the_message);
  CPPUNIT_TEST(any_failing_submission_leaves_the_message_stored);
  CPPUNIT_TEST_SUITE_END();

  static std::vector<std::string> recipients_of(const mail::Envelope& envelope) {
    std::vector<std::string> all;
    for (const mail::Recipient& one : envelope.recipients) all.push_back(one.address);
    return all;
  }

  void vacation_answers_each_sender_once() {
    Site site;
    site.account("a@example.com", kAll + kVacation);
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    const auto& [envelope, text] = site.submitted_.front();
    CPPUNIT_ASSERT_EQUAL(std::string(), envelope.reverse_path);
    CPPUNIT_ASSERT(recipients_of(envelope) == std::vector<std::string>{"s@example.org"});
    CPPUNIT_ASSERT_EQUAL(std::string("process"), envelope.source_channel);
    CPPUNIT_ASSERT_MESSAGE(text, contains(text, "Auto-Submitted: auto-replied") && contains(text, "I am away."));
    // Another deliverer, as after a restart: the memory is on the disk.
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    site.work({site.append({"a@example.com"}, kTo, [](mail::Envelope& e) { e.reverse_path = "other@example.org"; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count("example.com/a"));
  }

  // RFC 5230 section 4.2: the days of the script that asks now count, and are no part of what is remembered.
  void vacation_answers_again_by_its_present_days() {
    Site site;
    site.settings_.filters.compile.run_limits.vacation_least = std::chrono::seconds(0);
    const auto with = [&](const std::string& tags) {
      site.account("a@example.com", kAll + "vacation " + tags + " \"I am away.\";");
      site.work({site.append({"a@example.com"}, kTo)});
      return site.submitted_.size();
    };
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, with(":days 30"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("fewer days, the same reply", std::size_t{1}, with(":days 1"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("0 answers each message", std::size_t{2}, with(":seconds 0"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, with(":seconds 0"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("another reply", std::size_t{4}, with(":subject \"x\""));
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, with(":handle \"h\" :days 3"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("one handle is one reply, whatever it says", std::size_t{5}, with(":handle \"h\" :subject \"y\""));
  }

  void vacation_is_silent_where_it_must_be() {
    struct {
      const char *name, *extra, *script, *server;
      std::function<void(mail::Envelope&)> change;
    } rows[] = {
        {"null sender", "", kVacation, "", [](mail::Envelope& e) { e.reverse_path.clear(); }},
        {"list", "List-Id: <x>\r\n", kVacation, "", {}},
        {"robot", "Auto-Submitted: auto-generated\r\n", kVacation, "", {}},
        {"flag of an access table", "", kVacation, "", [](mail::Envelope& e) { e.no_vacation = true; }},
        {"novacation of the same script", "", "vacation \"x\"; novacation;", "", {}},
        {"novacation of another level", "", kVacation, "novacation;", {}},
    };
    for (const auto& row : rows) {
      Site site;
      site.account("a@example.com", kAll + row.script);
      if (*row.server != '\0') site.settings_.filters.server_before = {"before.filter", kSystem + row.server};
      site.work({site.append({"a@example.com"}, kTo + row.extra, row.change)});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::size_t{0}, site.submitted_.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::size_t{1}, site.count("example.com/a"));
    }
    Site site;
    site.account("a@example.com", kAll + kVacation);
    site.work({site.append({"a@example.com"}, "To: somebody@example.com\r\n")});
    CPPUNIT_ASSERT_MESSAGE("not addressed to the account", site.submitted_.empty());
  }

  // RFC 5230 section 4.5: addresses of one's own are those that lead to this mailbox alone.
  void vacation_answers_mail_to_an_alias_of_the_account() {
    struct {
      const char *to, *original;
      bool want;
    } rows[] = {{"Info@Example.com", "info@example.com", true},  {"info+tag@example.com", "info+tag@example.com", true}, {"twice@example.com", "twice@example.com", true},
                {"staff@example.com", "staff@example.com", false}, {"team@example.com", "team@example.com", false},      {"ofteam@example.com", "ofteam@example.com", false},
                {"all@example.com", "all@example.com", false},   {"b@example.com", "info@example.com", false},            {"any@catch.example", "any@catch.example", false},
                {"other@example.com", "other@example.com", false}, {"circle@example.com", "circle@example.com", false},  {"x@example.org, info@example.com", "a@example.com", true}};
    for (const auto& row : rows) {
      Site site;
      site.account("a@example.com", kAll + kVacation);
      site.account("b@example.com");
      site.directory_.add_alias("info@example.com", {"a@example.com"});
      site.directory_.add_alias("twice@example.com", {"Info@example.com"});
      site.directory_.add_alias("team@example.com", {"a@example.com"}, directory::Alias::Kind::group);
      site.directory_.add_alias("ofteam@example.com", {"team@example.com"});
      site.directory_.add_alias("staff@example.com", {"a@example.com"}, directory::Alias::Kind::group, "b@example.com");
      site.directory_.add_alias("all@example.com", {"a@example.com", "b@example.com"});
      site.directory_.add_alias("circle@example.com", {"circle@example.com"});
      site.directory_.add_alias("@catch.example", {"a@example.com"});
      site.work({site.append({"a@example.com"}, std::string("To: ") + row.to + "\r\n", [&](mail::Envelope& e) { e.recipients[0].original = row.original; })});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.to, std::size_t{row.want ? 1U : 0U}, site.submitted_.size());
      if (row.want && !contains(row.to, ","))
        CPPUNIT_ASSERT_MESSAGE(site.submitted_[0].second, contains(base::lower(site.submitted_[0].second), "from: <" + base::lower(row.to) + ">"));
    }
    // Nobody answers himself.
    Site site;
    site.account("a@example.com", kAll + kVacation);
    site.directory_.add_alias("info@example.com", {"a@example.com"});
    site.work({site.append({"a@example.com"}, kTo, [](mail::Envelope& e) { e.reverse_path = "info@example.com"; })});
    CPPUNIT_ASSERT(site.submitted_.empty());
  }

  void vacation_files_its_copy() {
    Site site;
    site.account("a@example.com", kAll + "vacation :fcc \"Sent\" :flags [\"\\\\Seen\"] \"I am away.\";");
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Sent"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("no reply, no copy", std::size_t{1}, site.count("example.com/a", ".Sent"));
    // A folder that can't be has no effect on the reply.
    Site other;
    other.settings_.create_folders = false;
    other.account("a@example.com", kAll + "vacation :fcc \"Nowhere\" \"I am away.\";");
    other.work({other.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.count_all("example.com/a"));
  }

  void notify_mails_each_address_once() {
    Site site;
    site.account("a@example.com", kAll + "notify :message \"Look\" \"mailto:pager@example.org\"; notify \"mailto:PAGER@example.org\"; notify \"mailto:b@example.com\";");
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.submitted_.size());
    CPPUNIT_ASSERT(contains(site.submitted_[0].second, "Subject: Look") && contains(site.submitted_[0].second, "Auto-Submitted: auto-notified"));
    CPPUNIT_ASSERT(recipients_of(site.submitted_[1].first) == std::vector<std::string>{"b@example.com"});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a notification keeps nothing away from the mailbox", std::size_t{1}, site.count("example.com/a"));
  }

  void rejections_are_told_to_senders_only() {
    for (const std::string action : {"reject", "ereject", "refuse"}) {
      Site site;
      site.account("a@example.com", kAll + action + " \"Not here.\";");
      site.work({site.append({"a@example.com"}, kTo)});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(action, std::size_t{1}, site.submitted_.size());
      const auto& [envelope, text] = site.submitted_.front();
      CPPUNIT_ASSERT_EQUAL(std::string(), envelope.reverse_path);
      CPPUNIT_ASSERT(recipients_of(envelope) == std::vector<std::string>{"s@example.org"});
      CPPUNIT_ASSERT_MESSAGE(text, contains(text, action == "reject" ? "report-type=disposition-notification" : "report-type=delivery-status") && contains(text, "Not here."));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(action, std::size_t{0}, site.count_all("example.com/a"));
      site.work({site.append({"a@example.com"}, kTo, [](mail::Envelope& e) { e.reverse_path.clear(); })});
      CPPUNIT_ASSERT_EQUAL_MESSAGE("nothing to the null sender", std::size_t{1}, site.submitted_.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_ + site.deferred_);
      CPPUNIT_ASSERT_EQUAL_MESSAGE("and what nobody was told of is not lost", std::size_t{1}, site.count("example.com/a"));
      // Robots are not told either; of a message that leaves, the same holds.
      Site onward;
      onward.settings_.filters.server = {"system.filter", "require [\"reject\", \"ereject\", \"vnd.postern.refuse\"]; " + action + " \"Not here.\";"};
      const auto leaves = [](mail::Envelope& e) {
        e.recipients[0].destination_channel = "tcp_local";
        e.recipients[0].account.clear();
        e.reverse_path.clear();
      };
      onward.work({onward.append({"x@example.net"}, kTo, leaves)});
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, onward.sent_out_.size());
      // Who can't be told has not been refused.
      Site failing;
      failing.submit_fails_ = true;
      failing.account("a@example.com", kAll + action + " \"Not here.\";");
      failing.work({failing.append({"a@example.com"}, kTo)});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(action, std::size_t{1}, failing.count("example.com/a"));
    }
  }

  // RFC 3461 section 5.2.7.
  void what_a_sender_asked_for_goes_with_a_redirect() {
    const auto asks = [](mail::Envelope& e) {
      mail::Recipient& recipient = e.recipients[0];
      recipient.orcpt = "A@example.com";
      recipient.orcpt_type = "rfc822";
      recipient.notify_given = recipient.notify_success = recipient.notify_delay = true;
      recipient.notify_failure = false;
      e.envelope_id = "QQ";
      e.ret = mail::Return::headers;
    };
    const struct {
      const char* script;
      bool success;
      const char* told;
    } rows[] = {
        {"redirect \"b@example.com\";", true, ""},
        {"redirect \"b@example.com\"; redirect \"c@example.com\";", false, "expanded a@example.com"},
        {"redirect :copy \"b@example.com\";", false, "delivered a@example.com"},
        {"redirect \"b@example.com\"; fileinto \"A\";", false, "delivered a@example.com"},
        {"keep;", false, "delivered a@example.com"},
    };
    for (const auto& row : rows) {
      Site site;
      site.account("a@example.com", kAll + row.script);
      site.work({site.append({"a@example.com"}, kTo, asks)});
      for (const auto& [envelope, text] : site.submitted_) {
        const mail::Recipient& next = envelope.recipients.at(0);
        CPPUNIT_ASSERT_MESSAGE(row.script, next.orcpt == "A@example.com" && next.orcpt_type == "rfc822" && next.notify_given && next.notify_delay && !next.notify_failure && !next.notify_never);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(row.script, row.success, next.notify_success);
        CPPUNIT_ASSERT(envelope.envelope_id == "QQ" && envelope.ret == mail::Return::headers);
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.script, std::string(row.told), site.told_);
    }
    // The copy of a reply in a folder is not the message.
    Site copied;
    copied.account("a@example.com", kAll + "vacation :fcc \"Sent\" \"I am away.\"; discard;");
    copied.work({copied.append({"a@example.com"}, kTo, asks)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, copied.count_all("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::string(), copied.told_);
    // Of several only what goes wrong; whoever wanted nothing else wants nothing.
    Site site;
    site.account("a@example.com", kAll + "redirect :copy \"b@example.com\";");
    site.work({site.append({"a@example.com"}, kTo, [](mail::Envelope& e) {
      e.recipients[0].notify_given = e.recipients[0].notify_success = true;
      e.recipients[0].notify_failure = false;
    })});
    CPPUNIT_ASSERT(site.submitted_.at(0).first.recipients.at(0).notify_never);
  }

  void large_changed_texts_go_on_one_at_a_time() {
    Site site;
    site.settings_.batch_bytes = 100'000;
    site.settings_.filters.server = {"system.filter", "require [\"editheader\", \"envelope\", \"variables\"]; if envelope :matches \"to\" \"*@*\" { addheader \"X-To\" \"${1}\"; }"};
    std::vector<std::string> addresses;
    for (int i = 0; i < 6; ++i) addresses.push_back("x" + std::to_string(i / 2) + "@example." + (i % 2 == 0 ? "net" : "org"));
    const auto leave = [](mail::Envelope& e) {
      for (mail::Recipient& recipient : e.recipients) {
        recipient.destination_channel = "tcp_local";
        recipient.account.clear();
      }
    };
    site.work({site.append(addresses, kTo, leave, std::string(60'000, 'x') + "\r\n")});
    // Two texts reach the limit; recipients of the same text share a message for as long as it waits.
    CPPUNIT_ASSERT_EQUAL(std::string("2 2 1"), site.sent_at_once_);
    std::size_t recipients = 0;
    for (const Outgoing& one : site.sent_out_) recipients += one.first.recipients.size();
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, recipients);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_ + site.deferred_);
    // What could not be handed on is tried again as a whole, and what was is known.
    Site failing;
    failing.settings_ = site.settings_;
    failing.send_out_fails_ = true;
    failing.work({failing.append(addresses, kTo, leave, std::string(60'000, 'x') + "\r\n")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, failing.unfinished_);
  }

  void lists_come_from_files_groups_and_tables() {
    Site site;
    using Source = conf::FilterList::Source;
    site.settings_.filters.lists = {{{Source::file, "tag:example.com,2026:partners", ""}, "# all\n Ann@Example.org \r\n@partner.example\n"},
                                    {{Source::group, "tag:example.com,2026:staff", "staff@example.com"}, ""},
                                    {{Source::table, "tag:example.com,2026:words", "WORDS"}, ""}};
    site.settings_.filters.compile.list_exists = [](const std::string& name) { return name.starts_with("tag:example.com,2026:"); };
    site.directory_.add_alias("staff@example.com", {"s@example.org", "board@example.com"}, directory::Alias::Kind::group);
    site.directory_.add_alias("board@example.com", {"chair@example.org", "staff@example.com"}, directory::Alias::Kind::group);
    const struct {
      const char *test, *sender;
      bool holds;
    } rows[] = {
        {"envelope :list \"from\" \"tag:example.com,2026:partners\"", "ann@example.org", true},
        {"envelope :list \"from\" \"tag:example.com,2026:partners\"", "x@PARTNER.example", true},
        {"envelope :list \"from\" \"tag:example.com,2026:partners\"", "x@sub.partner.example", false},
        {"envelope :list \"from\" \"tag:example.com,2026:staff\"", "s@example.org", true},
        {"envelope :list \"from\" \"tag:example.com,2026:staff\"", "chair@example.org", true},
        {"envelope :list \"from\" \"tag:example.com,2026:staff\"", "board@example.com", false},
        {"header :list \"subject\" \"tag:example.com,2026:words\"", "", true},
        {"header :list \"from\" \"tag:example.com,2026:words\"", "", false},
        {"valid_ext_list [\"tag:example.com,2026:words\", \"tag:example.com,2026:staff\"]", "", true},
        {"valid_ext_list \"tag:example.com,2026:others\"", "", false},
    };
    for (const auto& row : rows) {
      site.account("a@example.com", "require [\"extlists\", \"envelope\", \"fileinto\"]; if " + std::string(row.test) + " { fileinto \"In\"; }");
      const std::size_t before = site.count("example.com/a", ".In");
      site.work({site.append({"a@example.com"}, kTo, [&](mail::Envelope& e) { e.reverse_path = row.sender; })});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.test) + " " + row.sender, row.holds, site.count("example.com/a", ".In") == before + 1);
    }
    // A change of the directory holds for the next message.
    site.directory_.add_alias("board@example.com", {"head@example.org"}, directory::Alias::Kind::group);
    site.account("a@example.com", "require \"extlists\"; redirect :list \"tag:example.com,2026:staff\";");
    site.submitted_.clear();
    site.work({site.append({"a@example.com"}, kTo)});
    std::string to;
    for (const auto& [envelope, text] : site.submitted_) to += recipients_of(envelope).at(0) + " ";
    CPPUNIT_ASSERT_EQUAL(std::string("s@example.org head@example.org "), to);
    // While the directory is away, mail waits.
    site.directory_.set_down(true);
    site.work({site.append({"a@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_);
  }

  void address_books_are_the_recipients() {
    Site site;
    conf::Configuration configuration;
    configuration.filters.lists.emplace_back().text = ":addrbook:Team group staff@example.com";
    FilterSettings settings = filter_settings(configuration);
    settings.host_name = site.settings_.filters.host_name;
    site.settings_.filters = settings;
    site.directory_.add_alias("staff@example.com", {"s@example.org"}, directory::Alias::Kind::group);
    const base::Descriptor mail(::open(site.path_of("mail").c_str(), O_RDONLY | O_DIRECTORY));
    const auto book = [&](const std::string& account, const std::string& name, const std::string& text) {
      store::AddressBooks books(base::system_files(), mail.get(), account);
      CPPUNIT_ASSERT(books.change(name, [&](const std::string&) -> Result<std::optional<std::string>> { return std::optional(text); }));
    };
    book("example.com/a", "default", "# friends\nBert@Example.org\n@partner.example\n");
    book("example.com/a", "team", "t@example.org\n");
    book("example.com/a", "some", "b@example.com\nc@example.org\n");
    book("example.com/other", "default", "x@example.org\n");
    const struct {
      const char *test, *sender;
      bool holds;
    } rows[] = {
        {"envelope :list \"from\" \":addrbook:default\"", "bert@example.org", true},
        {"envelope :list \"from\" \"urn:ietf:params:sieve:addrbook:DEFAULT\"", "x@partner.example", true},
        {"envelope :list \"from\" \":addrbook:default\"", "x@example.org", false},
        {"envelope :list \"from\" \":addrbook:friends\"", "bert@example.org", false},
        {"valid_ext_list [\":addrbook:default\", \":addrbook:some\"]", "", true},
        {"valid_ext_list \":addrbook:friends\"", "", false},
        {"envelope :list \"from\" \":addrbook:team\"", "s@example.org", true},   // the site's comes first
        {"envelope :list \"from\" \":addrbook:team\"", "t@example.org", false},
    };
    for (const auto& row : rows) {
      site.account("a@example.com", "require [\"extlists\", \"envelope\", \"fileinto\"]; if " + std::string(row.test) + " { fileinto \"In\"; }");
      const std::size_t before = site.count("example.com/a", ".In");
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, site.work({site.append({"a@example.com"}, kTo, [&](mail::Envelope& e) { e.reverse_path = row.sender; })}).filter_errors);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.test) + " " + row.sender, row.holds, site.count("example.com/a", ".In") == before + 1);
    }
    site.account("a@example.com", "require \"extlists\"; redirect :list \":addrbook:some\";");
    site.work({site.append({"a@example.com"}, kTo)});
    std::string to;
    for (const auto& [envelope, text] : site.submitted_) to += recipients_of(envelope).at(0) + " ";
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.com c@example.org "), to);
    // Of nobody's list there is nothing to redirect to: the message stays.
    site.account("b@example.com", "require \"extlists\"; redirect :list \":addrbook:default\";");
    site.work({site.append({"b@example.com"}, kTo)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
    // The server's script asks the recipient's, too, and there is none where mail goes on.
    site.settings_.filters.server = {"system.filter", "require [\"extlists\", \"envelope\"]; if envelope :list \"from\" \":addrbook:default\" { discard; }"};
    site.account("a@example.com");
    const std::size_t before = site.count("example.com/a");
    const auto from_bert = [](mail::Envelope& e) { e.reverse_path = "bert@example.org"; };
    site.work({site.append({"a@example.com"}, kTo, from_bert)});
    CPPUNIT_ASSERT_EQUAL(before, site.count("example.com/a"));
    site.work({site.append({"x@example.net"}, kTo, [&](mail::Envelope& e) {
      from_bert(e);
      e.recipients[0].destination_channel = "tcp_local";
      e.recipients[0].account.clear();
    })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.sent_out_.size());
  }

  void folder_names_have_the_separators_of_the_site() {
    Site site;
    site.settings_.filters.compile.run_limits.mailbox_separators = ".";
    site.account("a@example.com", kAll + "set \"where\" \"Lists\"; fileinto \"Lists.One\"; fileinto \"${where}.Two\";");
    site.account("b@example.com", kAll + "fileinto \"Lists/One\";");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, site.work({site.append({"a@example.com", "b@example.com"})}).filter_errors);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Lists.One"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Lists.Two"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
  }

  void changed_text_is_stored_and_sent_on() {
    Site site;
    site.account("a@example.com", kAll + "fileinto \"Before\"; addheader \"X-New\" \"yes\"; deleteheader \"Subject\"; redirect :copy \"b@example.com\"; keep;");
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT(contains(content(site.only_file("example.com/a", ".Before")), "Subject: test"));
    const std::string kept = content(site.only_file("example.com/a"));
    CPPUNIT_ASSERT_MESSAGE(kept, kept.starts_with("Return-Path: <s@example.org>\nX-New: yes\nFrom: s@example.org\n\nbody\n"));
    CPPUNIT_ASSERT(site.submitted_.size() == 1 && contains(site.submitted_[0].second, "X-New: yes") && !contains(site.submitted_[0].second, "Subject"));

    Site enclosed;
    enclosed.account("a@example.com", kAll + "enclose :subject \"Outside\" \"Beware.\";");
    enclosed.work({enclosed.append({"a@example.com"})});
    const std::string outer = content(enclosed.only_file("example.com/a"));
    CPPUNIT_ASSERT_MESSAGE(outer, contains(outer, "Subject: Outside\n") && contains(outer, "message/rfc822") && contains(outer, "Subject: test\n"));

    Site replaced;
    replaced.account("a@example.com", kAll + "replace \"Nothing to see.\";");
    replaced.work({replaced.append({"a@example.com"})});
    CPPUNIT_ASSERT(contains(content(replaced.only_file("example.com/a")), "Nothing to see."));

    Site marked;
    marked.account("a@example.com", "keep;");
    marked.settings_.filters.server = {"system.filter", kSystem + "addtag \"[out]\"; addprefix \"From outside.\";"};
    marked.work({marked.append({"a@example.com"})});
    const std::string text = content(marked.only_file("example.com/a"));
    CPPUNIT_ASSERT_MESSAGE(text, contains(text, "Subject: [out] test\n") && contains(text, "From outside."));
  }

  void same_change_is_written_once() {
    Site site;
    for (const char* name : {"a@example.com", "b@example.com", "c@example.com"}) site.account(name);
    site.settings_.filters.server = {"system.filter", kSystem + "addtag \"[out]\";"};
    site.work({site.append({"a@example.com", "b@example.com", "c@example.com"})});
    struct stat status {};
    CPPUNIT_ASSERT_EQUAL(0, ::stat(site.only_file("example.com/a").c_str(), &status));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, static_cast<std::size_t>(status.st_nlink));
    // Unchanged text of others is never what a changed one links to.
    Site mixed;
    mixed.account("a@example.com");
    mixed.account("b@example.com", kAll + "addheader \"X-New\" \"yes\";");
    mixed.account("c@example.com");
    mixed.work({mixed.append({"a@example.com", "b@example.com", "c@example.com"})});
    CPPUNIT_ASSERT(contains(content(mixed.only_file("example.com/b")), "X-New"));
    CPPUNIT_ASSERT(!contains(content(mixed.only_file("example.com/a")) + content(mixed.only_file("example.com/c")), "X-New"));
    CPPUNIT_ASSERT_EQUAL(0, ::stat(mixed.only_file("example.com/a").c_str(), &status));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, static_cast<std::size_t>(status.st_nlink));
  }

  void duplicate_knows_what_was_delivered() {
    Site site;
    site.account("a@example.com", kAll + "if duplicate { discard; }");
    site.account("b@example.com", kAll + "if duplicate { discard; }");
    const std::string id = "Message-ID: <1@example.org>\r\n";
    // Two of one batch, then another process.
    site.work({site.append({"a@example.com"}, id), site.append({"a@example.com"}, id), site.append({"b@example.com"}, id)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("each account has its own memory", std::size_t{1}, site.count("example.com/b"));
    site.work({site.append({"a@example.com"}, id)});
    site.work({site.append({"a@example.com"}, "Message-ID: <2@example.org>\r\n")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a"));
  }

  void duplicate_is_remembered_after_delivery_only() {
    Site site;
    site.settings_.create_folders = false;
    site.account("a@example.com", kAll + "if duplicate { discard; stop; } fileinto \"Missing\";");
    const std::string id = "Message-ID: <1@example.org>\r\n";
    // The first is kept by an error; it was delivered, but not as the script wanted: the next one is no duplicate of it.
    site.work({site.append({"a@example.com"}, id)});
    site.work({site.append({"a@example.com"}, id)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a"));
  }

  void nothing_is_redirected_twice() {
    Site site;
    site.account("a@example.com", kAll + "redirect \"b@example.com\";");
    const std::string id = "Message-ID: <1@example.org>\r\n";
    site.work({site.append({"a@example.com"}, id)});
    site.work({site.append({"a@example.com"}, id)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    CPPUNIT_ASSERT_EQUAL_MESSAGE("what was not sent is kept", std::size_t{1}, site.count("example.com/a"));
  }

  void hold_waits_for_the_administrator() {
    Site site;
    site.account("a@example.com", "keep;");
    site.account("b@example.com");
    site.settings_.filters.server_before = {"before.filter", kSystem + "if header :contains \"subject\" \"test\" { hold; }"};
    site.work({site.append({"a@example.com", "b@example.com"})});
    CPPUNIT_ASSERT(site.held_.size() == 1 && site.held_[0].recipients.size() == 2);
    CPPUNIT_ASSERT_EQUAL(std::string("filter, level server-before, line 2"), site.held_[0].held_by);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a") + site.unfinished_);
    // Let go, nothing holds it again.
    Site released;
    released.account("a@example.com");
    released.settings_.filters = site.settings_.filters;
    released.work({released.append({"a@example.com"}, {}, [](mail::Envelope& e) { e.released = true; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, released.count("example.com/a"));
    CPPUNIT_ASSERT(released.held_.empty());
  }

  void capture_encloses_the_message() {
    Site site;
    site.account("a@example.com", "discard;");
    site.settings_.filters.server = {"system.filter", kSystem + "capture \"records@example.com\";"};
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    const auto& [envelope, text] = site.submitted_.front();
    CPPUNIT_ASSERT(recipients_of(envelope) == std::vector<std::string>{"records@example.com"});
    CPPUNIT_ASSERT_EQUAL(std::string(), envelope.reverse_path);
    CPPUNIT_ASSERT_MESSAGE(text, contains(text, "Content-Type: message/rfc822") && contains(text, "Sender: <s@example.org>") && contains(text, "\r\nFrom: s@example.org\r\nSubject: test\r\n"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("the original goes its own way", std::size_t{0}, site.count_all("example.com/a"));
  }

  void scripts_include_others() {
    Site site;
    site.account("a@example.com", "require \"include\"; include \"work\"; include :global \"all\";");
    site.scripts_["a@example.com deeper"] = "require \"fileinto\"; if header :is \"x-deep\" \"yes\" { fileinto \"Deep\"; stop; }";
    const std::string copy = "require [\"include\", \"fileinto\", \"copy\"];";
    site.scripts_["a@example.com work"] = copy + "include \"deeper\"; if header :is \"subject\" \"test\" { fileinto :copy \"Work\"; }";
    site.settings_.filters.compile.script = [](sieve::ScriptPlace place, const std::string& name) -> std::optional<std::string> {
      if (place != sieve::ScriptPlace::global || name != "all") return std::nullopt;
      return "require \"fileinto\"; fileinto \"All\";";
    };
    site.work({site.append({"a@example.com"}), site.append({"a@example.com"}, "X-Deep: yes\r\n")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Work"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".All"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Deep"));
    // A change of an included script holds for the next message.
    site.scripts_["a@example.com deeper"] = "discard; stop;";
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count_all("example.com/a"));
    site.scripts_.clear();
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a script that is gone", std::uint64_t{1}, site.work({site.append({"a@example.com"})}).filter_errors);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    // Nobody's own: a script of the server finds none.
    Site other;
    other.account("a@example.com");
    other.scripts_["a@example.com work"] = "discard;";
    other.settings_.filters.server = {"system.filter", "require \"include\"; include :optional \"work\";"};
    other.work({other.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.count("example.com/a"));
  }

  // access-control.md 11.4, FI9.
  void rules_run_in_their_order() {
    Site site;
    site.account("a@example.com", "# $Rule Info: Order=2 Template= Name=two\nrequire \"fileinto\"; fileinto \"Second\"; stop;\n"
                                  "# $Rule Info: Order=1 Template= Name=one\nrequire [\"fileinto\", \"copy\"]; fileinto :copy \"First\";\n"
                                  "# $Rule Info: Order=0 Template= Name=off\ndiscard; stop;\n");
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".First"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Second"));
    Site off;
    off.account("a@example.com", "# $Rule Info: Order=0 Template= Name=off\ndiscard;\n");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, off.work({off.append({"a@example.com"})}).filter_errors);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, off.count("example.com/a"));
  }

  void folders_are_found_by_use_and_id() {
    Site site;
    const std::string script = "require [\"fileinto\", \"special-use\", \"mailboxid\", \"mailbox\", \"mboxmetadata\", \"servermetadata\"];\n";
    site.account("a@example.com", script + "fileinto :specialuse \"\\\\Junk\" :create \"Spam\";");
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Spam"));
    const base::Descriptor mail(::open(site.path_of("mail").c_str(), O_RDONLY | O_DIRECTORY));
    store::FolderFacts facts = store::read_folder_facts(mail.get(), "example.com/a", "Spam").value();
    CPPUNIT_ASSERT(facts.uses == std::vector<std::string>{"\\Junk"} && facts.id.size() == 16);
    // Whatever it is called now.
    facts.annotations["/private/open"] = "yes";
    CPPUNIT_ASSERT(store::write_folder_facts(base::system_files(), mail.get(), "example.com/a", "Spam", facts));
    fs::rename(site.path_of("mail/example.com/a/.Spam"), site.path_of("mail/example.com/a/.Muell"));
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a", ".Muell"));
    site.account("a@example.com", script + "if allof(specialuse_exists \"\\\\Junk\", mailboxidexists \"" + facts.id + "\", metadata \"Muell\" \"/private/Open\" \"yes\",\n"
                                           "servermetadataexists \"/shared/admin\", not metadataexists \"Muell\" \"/private/closed\", not specialuse_exists \"\\\\Sent\")\n"
                                           "{ fileinto :mailboxid \"" + facts.id + "\" \"Elsewhere\"; }");
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count("example.com/a", ".Muell"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count_all("example.com/a"));
  }

  void flags_and_keywords_are_stored() {
    Site site;
    site.account("a@example.com", kAll + "fileinto :flags [\"\\\\Seen\", \"$Work\", \"Later\"] \"F\";");
    site.work({site.append({"a@example.com"})});
    const fs::path folder = site.path_of("mail/example.com/a/.F");
    const std::string name = fs::directory_iterator(folder / "cur")->path().filename();
    CPPUNIT_ASSERT_MESSAGE(name, name.ends_with(":2,Sab"));
    CPPUNIT_ASSERT_EQUAL(std::string("0 $Work\n1 Later\n"), content(folder / "dovecot-keywords"));
  }

  void conversion_tags_go_with_what_is_sent_on() {
    Site site;
    site.account("a@example.com", "redirect \"b@example.com\";");
    site.settings_.filters.server = {"system.filter", kSystem + "addconversiontag [\"one\", \"two\"];"};
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    CPPUNIT_ASSERT((site.submitted_[0].first.recipients.at(0).conversion_tags == std::vector<std::string>{"one", "two"}));
    // Mail that leaves: beside the recipient's own, or in their place.
    const auto leaves = [](mail::Envelope& e) {
      e.recipients[0].destination_channel = "tcp_local";
      e.recipients[0].account.clear();
      e.recipients[0].conversion_tags = {"own"};
    };
    for (const bool set : {false, true}) {
      Site other;
      other.settings_.filters.server = {"system.filter", set ? "require \"vnd.postern.setconversiontag\"; setconversiontag \"new\";" : kSystem + "addconversiontag \"new\";"};
      other.work({other.append({"x@example.org"}, {}, leaves)});
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.sent_out_.size());
      const auto& tags = other.sent_out_[0].first.recipients.at(0).conversion_tags;
      CPPUNIT_ASSERT((tags == (set ? std::vector<std::string>{"new"} : std::vector<std::string>{"own", "new"})));
    }
  }

  void scores_come_from_header_fields() {
    struct {
      const char *value, *text;
      unsigned scale;
      int want, percent;  // 0: not tested
    } rows[] = {{"5", "", 10, 5, 50},      {"0", "", 10, 1, 0},          {"-3.5", "", 10, 1, 0},     {"10", "", 10, 10, 100}, {"99", "", 10, 10, 100},
                {"9.99", "", 10, 9, 100},  {"+2.5", "", 5, 5, 50},       {"*****", "", 10, 5, 50},   {"", "", 10, 0, 0},      {"none", "", 10, 0, 0},
                {"Yes, score=7.5 required=5", "score=", 15, 5, 50},      {"Yes", "score=", 10, 0, 0}, {"inf", "", 10, 0, 0},  {"1e9", "", 10, 1, 10}};
    for (const auto& row : rows) {
      const auto score = sieve::spam_score_of(row.value, row.text, row.scale);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.value, row.want, score ? score->value : 0);
      if (score) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.value, row.percent, score->percent);
    }
    const std::string script = kAll + "if spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"6\" { fileinto \"Junk\"; }\n"
                                      "if virustest :value \"ge\" :comparator \"i;ascii-numeric\" \"4\" { fileinto \"Poison\"; }";
    Site site;
    site.account("a@example.com", script);
    site.settings_.filters.scores.spam_field = "X-Spam-Score";
    site.settings_.filters.scores.virus_field = "X-Virus-Status";
    site.work({site.append({"a@example.com"}, "X-Spam-Score: 8.1\r\n"), site.append({"a@example.com"}, "X-Virus-Status: INFECTED (worm)\r\n"), 
               // Of several the worst, in whatever order.
               site.append({"a@example.com"}, "X-Spam-Score: 0.1\r\nX-Spam-Score: 9\r\nX-Spam-Score: none\r\nX-Virus-Status: Clean\r\nX-Virus-Status: Infected\r\n"), site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a", ".Junk"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a", ".Poison"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void spam_adjustments_add_up() {
    const auto junk = [](const std::function<void(mail::Envelope&)>& change, const std::string& before) {
      Site site;
      site.account("a@example.com", kAll + "if spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"6\" { fileinto \"Junk\"; }");
      site.settings_.filters.scores.spam_field = "X-Spam-Score";
      if (!before.empty()) site.settings_.filters.server_before = {"before.filter", kSystem + before};
      site.work({site.append({"a@example.com"}, "X-Spam-Score: 4\r\n", change)});
      return site.count("example.com/a", ".Junk");
    };
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, junk({}, ""));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("flag of an access table", std::size_t{1}, junk([](mail::Envelope& e) { e.spam_adjustments = {"+1", "1", "junk"}; }, ""));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("an earlier level", std::size_t{1}, junk({}, "spamadjust \"2\";"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, junk([](mail::Envelope& e) { e.spam_adjustments = {"2"}; }, "spamadjust \"-2\";"));
  }

  void environment_is_known() {
    Site site;
    site.settings_.filters.host_name = "mx.example.com";
    site.account("a@example.com", kAll + "if allof(environment \"host\" \"mx.example.com\", environment \"domain\" \"example.com\", environment \"location\" \"MDA\",\n"
                                         "environment \"phase\" \"during\", environment \"remote-ip\" \"192.0.2.1\", environment \"name\" \"Postern\",\n"
                                         "not environment :contains \"remote-host\" \"\") { fileinto \"Known\"; }");
    site.work({site.append({"a@example.com"}, {}, [](mail::Envelope& e) { e.client_address = "192.0.2.1"; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a", ".Known"));
  }

  // access-control.md 11.4, FI8.
  void discarded_messages_are_kept_if_wanted() {
    for (const bool jettison : {false, true}) {
      Site site;
      site.account("a@example.com", kAll + (jettison ? "jettison;" : "discard;"));
      site.work({site.append({"a@example.com"})});
      CPPUNIT_ASSERT(site.discarded_.empty());
      (jettison ? site.settings_.keep_jettisoned : site.settings_.keep_discarded) = std::chrono::days(7);
      site.work({site.append({"a@example.com"})});
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.discarded_.size());
      const auto left = site.discarded_[0].next_attempt - base::wall_now();
      // Names have whole seconds, rounded up.
      CPPUNIT_ASSERT(left > std::chrono::days(6) && left <= std::chrono::days(7) + std::chrono::seconds(1));
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count_all("example.com/a") + site.unfinished_ + site.submitted_.size());
    }
  }

  void owner_of_a_broken_script_is_told_once() {
    Site site;
    site.account("a@example.com", "if header { keep }");
    site.account("b@example.com", kAll + "redirect \"${nobody}\";");
    site.work({site.append({"a@example.com"}), site.append({"a@example.com"})});
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    const auto& [envelope, text] = site.submitted_.front();
    CPPUNIT_ASSERT(recipients_of(envelope) == std::vector<std::string>{"a@example.com"} && envelope.reverse_path.empty());
    CPPUNIT_ASSERT_MESSAGE(text, contains(text, "filter of a@example.com") && contains(text, "line 1"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count("example.com/a"));
    site.work({site.append({"b@example.com"})});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("each owner for himself", std::size_t{2}, site.submitted_.size());
    Site quiet;
    quiet.settings_.mistake_notice = std::chrono::seconds(0);
    quiet.account("a@example.com", "if header { keep }");
    quiet.work({quiet.append({"a@example.com"})});
    CPPUNIT_ASSERT(quiet.submitted_.empty());
  }

  void restored_messages_meet_no_filter() {
    Site site;
    site.account("a@example.com", kAll + "discard;");
    site.settings_.filters.server = {"system.filter", "require \"vnd.postern.jettison\"; jettison;"};
    site.work({site.append({"a@example.com"}, {}, [](mail::Envelope& e) { e.restored = true; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void filters_of_channels_run_for_mail_that_leaves() {
    const auto leaves = [](mail::Envelope& e) {
      e.recipients[0].destination_channel = "tcp_local";
      e.recipients[0].account.clear();
    };
    Site site;
    site.settings_.filters.server_before = {"before.filter", kSystem + "hold;"};  // of mailboxes only
    site.settings_.filters.destination_filters = {{"tcp_local", {"out.filter", kSystem + "capture \"records@example.com\";"}}};
    site.work({site.append({"x@example.net"}, {}, leaves)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    site.settings_.filters.server = {"system.filter", "discard;"};
    site.submitted_.clear();
    const auto counters = site.work({site.append({"x@example.net"}, {}, leaves)});
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, counters.discarded);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    // Its mistakes are the postmaster's of this host.
    site.settings_.filters.host_name = "example.com";
    site.settings_.filters.server = {"system.filter", "redirect \"nobody"};
    site.submitted_.clear();
    site.work({site.append({"x@example.net"}, {}, leaves), site.append({"x@example.net"}, {}, leaves)});
    std::size_t told = 0;
    for (const auto& [envelope, text] : site.submitted_) told += contains(text, "Your mail filter failed") ? 1 : 0;
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, told);
  }

  void a_script_that_often_uses_up_its_budget_is_left_out() {
    Site site;
    site.settings_.filters.compile.run_limits.steps = 1000;
    site.settings_.filters.excesses = 3;
    const std::string long_one = kAll + "if header :contains \"Subject\" [\"x\"" + [] {
      std::string keys;
      for (int i = 0; i < 3000; ++i) keys += ",\"y\"";
      return keys;
    }() + "] {} fileinto :create \"Filed\";";
    site.account("a@example.com", long_one);
    // One deliverer, which counts.
    std::vector<spool::Position> positions;
    for (int i = 0; i < 6; ++i) positions.push_back(site.append({"a@example.com"}, "Subject: z\r\n"));
    const auto counters = site.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, counters.filter_errors);
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, site.count("example.com/a"));
    // The first failure, and that it is left out from now on.
    std::vector<std::string> told;
    for (const auto& [envelope, text] : site.submitted_)
      if (contains(text, "Your mail filter failed")) told.push_back(text);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, told.size());
    CPPUNIT_ASSERT_MESSAGE(told[0], contains(told[0], "used up its 1000 steps"));
    CPPUNIT_ASSERT_MESSAGE(told[1], contains(told[1], "(left out)") && contains(told[1], "is not run until"));
    // Never, if the site wants it so.
    Site always;
    always.settings_.filters.compile.run_limits.steps = 1000;
    always.settings_.filters.excesses = 0;
    always.account("a@example.com", long_one);
    positions.clear();
    for (int i = 0; i < 6; ++i) positions.push_back(always.append({"a@example.com"}, "Subject: z\r\n"));
    always.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, always.submitted_.size());
  }

  void replay_makes_the_same_mail() {
    Site site;
    site.account("a@example.com", kAll + "notify \"mailto:b@example.com\"; redirect :copy \"c@example.com\";");
    const auto again = [](mail::Envelope& e) { e.id = "0123456789abcdef0123456789"; };
    site.work({site.append({"a@example.com"}, kTo, again)});
    site.work({site.append({"a@example.com"}, kTo, again)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, site.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(site.submitted_[0].first.id, site.submitted_[2].first.id);
    CPPUNIT_ASSERT_EQUAL(site.submitted_[1].first.id, site.submitted_[3].first.id);
    CPPUNIT_ASSERT(site.submitted_[0].first.id != site.submitted_[1].first.id);
  }

  // Where the message is after delivery: mailboxes, and messages sent on that are it.
  static std::size_t stored(const Site& site) {
    std::size_t count = site.count_all("example.com/a") + site.deferred_ + site.unfinished_ + site.held_.size();
    for (const auto& [envelope, text] : site.submitted_) count += contains(text, "Delivered-To:") ? 1 : 0;
    return count;
  }

  void failure_of_one_of_two_actions_keeps_the_message() {
    // What works, and what fails of the same kind. `fileinto` finds no folder, the others no way.
    const struct {
      const char *name, *works, *fails;
    } actions[] = {
        {"fileinto", "fileinto :create \"Good\";", "fileinto \"Missing\";"},
        {"redirect", "redirect \"good@example.com\";", "redirect \"bad@example.net\";"},
        {"notify", "notify \"mailto:good@example.com\";", "notify \"mailto:bad@example.net\";"},
        {"vacation", "vacation \"away\";", "vacation \"away\";"},
        {"discard", "discard;", "discard;"},
        {"keep", "keep;", "keep;"},
    };
    for (const auto& a : actions)
      for (const auto& b : actions)
        for (const bool first_works : {true, false}) {
          if (std::string_view(a.name) == b.name) continue;
          const std::string script = first_works ? std::string(a.works) + b.fails : std::string(a.fails) + b.works;
          const std::string_view failing = first_works ? b.name : a.name;
          if (failing == "discard" || failing == "keep") continue;
          Site site;
          site.settings_.create_folders = false;
          site.account("a@example.com", kAll + script);
          const auto unreachable = [&](mail::Envelope& e) {
            if (failing == "vacation") e.reverse_path = "s@example.net";
          };
          site.work({site.append({"a@example.com"}, kTo, unreachable)});
          CPPUNIT_ASSERT_MESSAGE(script, stored(site) > 0);
        }
  }

  // Any script of a few actions, with any one of its submissions failing.
  void any_failing_submission_leaves_the_message_stored() {
    const char* const pieces[] = {"keep;", "discard;", "redirect \"b@example.com\";", "redirect :copy \"c@example.com\";", "notify \"mailto:d@example.com\";", kVacation,
                                  "fileinto :copy \"Copy\";", "addheader \"X-New\" \"yes\";", "redirect \"e@example.org\";"};
    unsigned state = 20261122;
    const auto next = [&](unsigned below) {
      state = state * 1664525 + 1013904223;
      return (state >> 16) % below;
    };
    for (int round = 0; round < 30; ++round) {
      std::string script;
      bool vacation = false;
      for (unsigned i = 1 + next(4); i > 0; --i) {
        const char* const piece = pieces[next(std::size(pieces))];
        if (piece == kVacation && vacation) continue;
        vacation = vacation || piece == kVacation;
        script += piece;
      }
      Site site;
      site.failing_submit_ = 1 + next(3);
      site.account("a@example.com", kAll + script);
      site.work({site.append({"a@example.com"}, kTo)});
      const bool failed = site.submits_ >= site.failing_submit_;
      // Without a failure a discard may do what it says.
      if (failed || !contains(script, "discard;")) CPPUNIT_ASSERT_MESSAGE("submission " + std::to_string(site.failing_submit_) + " of: " + script, stored(site) > 0);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(script, std::size_t{0}, site.unfinished_);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ActionsTest);

}  // namespace
}  // namespace postern::delivery
