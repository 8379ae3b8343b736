// SPDX-License-Identifier: Apache-2.0
// Rows of access-control.md 11.3 (SM1 …) by their names there, and what sections 2 to 4 say besides.
#include "policy/access.h"

#include "fixtures.h"

#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <string>
#include <vector>

using namespace postern;
using namespace postern::policy;

namespace {

struct World {
  directory::FixedDirectory directory;
  Questions questions;
  conf::Configuration configuration;
  mapping::Tables tables;
  std::string source_channel = "tcp_local";
  std::string authenticated, cipher;
  bool lmtp = false;
  std::string from_local = "a", from_domain = "example.net";
  ProbeObserver* observer = nullptr;

  explicit World(const std::string& mappings, const std::string& aliases = {}) : tables(test::tables_from(mappings, aliases)) {
    configuration.host_name = "mail.example.com";
    test::fill(directory);
  }

  std::shared_ptr<const authentication::SenderRewriting> rewriting;

  [[nodiscard]] Access access() {
    auto site = std::make_shared<Site>(*Site::from(configuration));
    site->rewriting = rewriting;
    return {std::move(site), tables, directory, questions, observer};
  }
  [[nodiscard]] std::shared_ptr<const SessionFacts> facts() const {
    SessionFacts facts;
    facts.id = "test";
    facts.local = test::endpoint("192.0.2.1", 25);
    facts.remote = test::endpoint("198.51.100.7", 40312);
    facts.source_channel = source_channel;
    facts.helo = "client.example.net";
    facts.extended = true;
    facts.lmtp = lmtp;
    facts.authenticated = authenticated;
    facts.cipher = cipher;
    return std::make_shared<const SessionFacts>(facts);
  }

  SenderDecision mail() {
    TransactionAccess transaction(access(), facts());
    return test::run(transaction.mail_from(from_local, from_domain, from_domain.empty() ? "" : from_local + "@" + from_domain));
  }

  RecipientDecision rcpt(const std::string& address, const std::string& orcpt = {}) {
    TransactionAccess transaction(access(), facts());
    const auto sender = test::run(transaction.mail_from(from_local, from_domain, from_local + "@" + from_domain));
    CPPUNIT_ASSERT_MESSAGE(sender.reply.text, sender.accepted);
    TransactionAccess::Ask ask;
    const auto at = address.rfind('@');
    ask.local_part = address.substr(0, at);
    if (at != std::string::npos) ask.domain = address.substr(at + 1);
    ask.as_given = address;
    ask.orcpt = orcpt;
    return test::run(transaction.recipient(ask));
  }

  // "250", or the whole reply.
  static std::string shown(const Decision& decision) {
    if (decision.accepted) return "250";
    return std::to_string(decision.reply.code) + " " + decision.reply.status + " " + decision.reply.text;
  }
  // "address@channel" of each final recipient.
  static std::string finals(const RecipientDecision& decision) {
    std::string text;
    for (const auto& recipient : decision.recipients)
      text += (text.empty() ? "" : " ") + recipient.destination_channel + ":" + recipient.address + (recipient.detail.empty() ? "" : "+" + recipient.detail);
    return text;
  }
  static std::string probes(const Decision& decision) {
    std::string text;
    for (const auto& verdict : decision.verdicts) text += verdict.table + " " + verdict.probe + "\n";
    return text;
  }
};

// "TABLE flags probe -> line, answers from outside" of each probe.
struct WrittenDown final : ProbeObserver {
  bool missing_too = false;
  [[nodiscard]] bool wants_missing(std::string_view) const override { return missing_too; }
  std::vector<std::string> lines;
  void asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result, std::uint64_t generation) override {
    std::string line = std::string(table) + " " + input.letters() + " " + std::string(probe) + " -> " + std::to_string(result.line);
    for (const auto& answer : result.answers) line += " " + answer.question.routine + "=" + answer.text.value_or("nothing");
    if (generation == 0) line += " (no generation)";
    lines.push_back(std::move(line));
  }
};

constexpr const char* kRelay = "550 5.7.1 Relaying not permitted: ";

}  // namespace

class AccessTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AccessTest);
  CPPUNIT_TEST(port_access_rows);
  CPPUNIT_TEST(source_channel_rows);
  CPPUNIT_TEST(source_channels_are_known_as_long_as_they_last);
  CPPUNIT_TEST(answers_of_port_access_are_kept_where_the_port_plays_no_part);
  CPPUNIT_TEST(relay_rows);
  CPPUNIT_TEST(a_site_that_forgot_its_tables_is_closed);
  CPPUNIT_TEST(list_rows);
  CPPUNIT_TEST(reply_rows);
  CPPUNIT_TEST(probes_are_exact);
  CPPUNIT_TEST(input_flags_are_raised);
  CPPUNIT_TEST(sender_rows);
  CPPUNIT_TEST(every_table_is_asked_until_one_refuses);
  CPPUNIT_TEST(aliases_lead_to_mailboxes);
  CPPUNIT_TEST(the_directory_knows_aliases_and_groups);
  CPPUNIT_TEST(owners_of_groups_travel_with_their_members);
  CPPUNIT_TEST(an_expansion_has_a_bounded_number_of_steps);
  CPPUNIT_TEST(a_full_mailbox_is_refused_but_for_groups);
  CPPUNIT_TEST(a_large_group_lets_others_have_their_turn);
  CPPUNIT_TEST(accounts_forward_and_wait);
  CPPUNIT_TEST(postmaster_and_abuse_are_always_there);
  CPPUNIT_TEST(sub_addresses);
  CPPUNIT_TEST(catch_all_takes_what_nobody_knows);
  CPPUNIT_TEST(members_of_a_list_may_be_refused);
  CPPUNIT_TEST(forward_and_reverse_replace_addresses);
  CPPUNIT_TEST(headers_are_changed_as_the_tables_say);
  CPPUNIT_TEST(mail_on_hold_remembers_what_led_there);
  CPPUNIT_TEST(a_login_may_be_refused);
  CPPUNIT_TEST(to_decide_writes_nothing);
  CPPUNIT_TEST(what_comes_without_a_network_has_empty_fields);
  CPPUNIT_TEST(effects_add_up);
  CPPUNIT_TEST(trouble_is_temporary);
  CPPUNIT_TEST(lmtp_is_for_local_users);
  CPPUNIT_TEST(addresses_resolve_without_tables);
  CPPUNIT_TEST(an_address_may_ask_for_conversion);
  CPPUNIT_TEST(mail_may_be_processed_behind_the_reply);
  CPPUNIT_TEST(each_probe_is_told_once);
  CPPUNIT_TEST(what_is_returned_to_a_rewritten_sender_goes_to_him);
  CPPUNIT_TEST_SUITE_END();

  // access-control.md 3.1: process is seen by the tables, reprocess and defragment are not.
  void mail_may_be_processed_behind_the_reply() {
    World world(std::string(test::kShippedTables) + "SEND_ACCESS\n\n  process|*|ims-ms|u2@*  $NNot$ for$ u2\n  *|*|ims-ms|u2@example.com  $G$Nnever\n  process|*|*|*  $Gseen\n",
                "list@example.com: u1, members@later.invalid\nmembers@example.com: u1@example.org, friend@elsewhere.example\n");
    world.configuration.rewrite = {{"later.invalid $U%example.com@reprocess-daemon", {}},
                                   {"slow.example $U%example.com@process-daemon", {}},
                                   {"example.org $U%$D@reprocess-daemon", {}},
                                   {"outside.example $U%$D@reprocess-daemon", {}},
                                   {"pieces.example $U%$D@defragment-daemon", {}},
                                   {"[] $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_internal-daemon", {}},
                                   {". $U%$H$D@tcp_local-daemon", {}}};
    const auto process = [&](const mail::Recipient& recipient) {
      mail::Envelope envelope;
      envelope.source_channel = "tcp_local";
      return test::run(policy::process(world.access(), processing_facts(envelope, recipient.destination_channel), "a@example.net", recipient));
    };
    // What is seen in the session, and what comes of it behind.
    const auto member = world.rcpt("list@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.com reprocess:members@example.com"), World::finals(member));
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS tcp_local|a@example.net|l|list@example.com\nSEND_ACCESS tcp_local|a@example.net|ims-ms|u1@example.com\n"), World::probes(member));
    auto recipient = member.recipients[1];
    recipient.conversion_tags = {"before"};
    recipient.notify_given = recipient.notify_success = true;
    recipient.notify_failure = false;
    auto processed = process(recipient);
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.org tcp_local:friend@elsewhere.example"), World::finals(processed));
    CPPUNIT_ASSERT_EQUAL(std::string("SEND_ACCESS tcp_local|a@example.net|ims-ms|u1@example.org\nSEND_ACCESS tcp_local|a@example.net|tcp_local|friend@elsewhere.example\n"),
                         World::probes(processed));
    CPPUNIT_ASSERT(processed.recipients[0].conversion_tags == std::vector<std::string>{"before"});
    CPPUNIT_ASSERT(processed.recipients[0].notify_success && !processed.recipients[0].notify_failure && processed.recipients[0].original == "list@example.com");
    // A local domain whose every address is processed later.
    const auto local = world.rcpt("u1@example.org");
    CPPUNIT_ASSERT_EQUAL(std::string("reprocess:u1@example.org"), World::finals(local));
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS tcp_local|a@example.net|l|u1@example.org\n"), World::probes(local));
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.org"), World::finals(process(local.recipients[0])));
    const auto nobody = world.rcpt("nobody@example.org");
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(nobody));
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.1.1 no such user here: nobody@example.org"), World::shown(process(nobody.recipients[0])));
    // Nobody relays by these ways, nor by process.
    CPPUNIT_ASSERT_EQUAL(kRelay + std::string("x@outside.example"), World::shown(world.rcpt("x@outside.example")));
    CPPUNIT_ASSERT_EQUAL(kRelay + std::string("x@pieces.example"), World::shown(world.rcpt("x@pieces.example")));
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.7.1 unknown host or domain: u1@slow.example"), World::shown(world.rcpt("u1@slow.example")));
    world.source_channel = "l";
    const auto slow = world.rcpt("u1@slow.example");
    CPPUNIT_ASSERT_EQUAL(std::string("process:u1@example.com"), World::finals(slow));
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS l|a@example.net|process|u1@example.com\nSEND_ACCESS l|a@example.net|process|u1@example.com\n"), World::probes(slow));
    processed = process(slow.recipients[0]);
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.com"), World::finals(processed));
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS process|a@example.net|l|u1@example.com\nSEND_ACCESS process|a@example.net|ims-ms|u1@example.com\n"), World::probes(processed));
    CPPUNIT_ASSERT(processed.recipients[0].conversion_tags == std::vector<std::string>{"seen"});
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.7.1 Not for u2: u2@slow.example"), World::shown(process(world.rcpt("u2@slow.example").recipients[0])));
    CPPUNIT_ASSERT_EQUAL(std::string("defragment:x@pieces.example"), World::finals(world.rcpt("x@pieces.example")));
    // What filters redirect is behind the reply already.
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms"), test::run(resolve(world.access(), "u1@slow.example")).value().at(0).destination_channel);
    world.directory.set_down(true);
    CPPUNIT_ASSERT_EQUAL(451, process(slow.recipients[0]).reply.code);
    world.directory.set_down(false);
    world.source_channel = "tcp_lmtp";
    world.lmtp = true;
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u1@example.org")));
  }

  // SRS: nobody relays by such an address, and the tables are not asked.
  void what_is_returned_to_a_rewritten_sender_goes_to_him() {
    World world(test::kShippedTables);
    world.rewriting = std::make_shared<const authentication::SenderRewriting>("example.com", std::vector<std::string>{"the secret of this site"}, std::chrono::days(21));
    const auto now = base::wall_now();
    const std::string made = world.rewriting->rewritten("friend@elsewhere.example", now).value();
    CPPUNIT_ASSERT_EQUAL("550 5.7.1 this address takes returned messages only: " + made, World::shown(world.rcpt(made)));
    world.from_local.clear();
    world.from_domain.clear();
    const auto returned = world.rcpt(made);
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(returned));
    CPPUNIT_ASSERT_EQUAL(std::size_t(1), returned.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("friend@elsewhere.example"), returned.recipients.front().address);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local"), returned.recipients.front().destination_channel);
    const std::string local = world.rewriting->rewritten("u1@example.org", now).value();
    CPPUNIT_ASSERT_EQUAL(std::string("u1@example.org"), world.rcpt(local).recipients.at(0).account);
    std::string forged = made;
    forged.replace(forged.find("elsewhere"), 9, "otherhost");
    CPPUNIT_ASSERT_EQUAL("550 5.1.1 the address was not made here: " + forged, World::shown(world.rcpt(forged)));
    const std::string old = world.rewriting->rewritten("friend@elsewhere.example", now - std::chrono::days(22)).value();
    CPPUNIT_ASSERT_EQUAL("550 5.1.1 the address has expired: " + old, World::shown(world.rcpt(old)));
    CPPUNIT_ASSERT(World::shown(world.rcpt("friend@elsewhere.example")).starts_with("550 5.7.1 Relaying"));
    CPPUNIT_ASSERT(World::shown(world.rcpt("SRS0=x@elsewhere.example")).starts_with("550 5.7.1 Relaying"));
  }

  void port_access_rows() {
    struct {
      const char *name, *table, *client;
      bool accepted;
      const char* text;
    } rows[] = {
        {"SM1", "PORT_ACCESS\n\n  TCP|*|25|198.51.100.*|*  $N421$ no$ service$ for$ you\n", "198.51.100.7", false, "421 no service for you"},
        {"SM1 other network", "PORT_ACCESS\n\n  TCP|*|25|198.51.100.*|*  $N421$ no$ service$ for$ you\n", "198.51.101.7", true, ""},
        {"SM2", "PORT_ACCESS\n\n  *  $N\n", "198.51.100.7", false, ""},
        {"SM3", "X\n\n  *  $N\n", "198.51.100.7", true, ""},
        {"flag A is raised", "PORT_ACCESS\n\n  *  $C$:A$Nlistener$E\n  *  $Y\n", "198.51.100.7", false, "listener"},
        {"internal", "INTERNAL_IP\n\n  198.51.100.7  $Y\n\nPORT_ACCESS\n\n  *|*|*|*|*   $C$|INTERNAL_IP;$3|$Y$E\n  *  $Nno\n", "198.51.100.7", true, ""},
        {"control bytes", "PORT_ACCESS\n\n  *  $N421$ a\x07\n", "198.51.100.7", false, "421 a "},
    };
    for (const auto& row : rows) {
      World world(row.table);
      const auto decision = test::run(world.access().port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint(row.client, 4000), true));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.accepted, decision.accepted);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.text), decision.text);
    }
    World world("PORT_ACCESS\n\n  *|*|*|2001:db8::5|*  $C$:S$YEXTERNAL$E\n  *  $W$Y\n");
    const auto second = test::run(world.access().port_access(conf::Module::smtp, test::endpoint("2001:DB8:0:0::1", 25), test::endpoint("2001:db8:0::5", 7), false));
    CPPUNIT_ASSERT_EQUAL(std::string("EXTERNAL"), second.auth_rules);
    CPPUNIT_ASSERT_EQUAL(std::string("TCP|2001:db8::1|25|2001:db8::5|7"), second.verdict.probe);
    CPPUNIT_ASSERT_EQUAL(3, second.verdict.line);
    CPPUNIT_ASSERT(!second.restricted);
    const auto first = test::run(world.access().port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint("192.0.2.9", 7), true));
    CPPUNIT_ASSERT(first.accepted && first.restricted && first.matched);
    CPPUNIT_ASSERT(first.verdict.answer == Verdict::Answer::restrict);
  }

  static std::string channel_of(World& world, const std::string& initial, const std::string& client) {
    Notes notes;
    const std::string channel = test::run(world.access().source_channel(initial, *net::Address::parse(client), notes));
    CPPUNIT_ASSERT(notes.empty());
    return channel;
  }

  // Entries that fit nothing and are long about it where there are many letters a.
  static std::string heavy_table(const std::string& name, int entries, const std::string& pattern) {
    std::string text = name + "\n\n";
    for (int i = 0; i < entries; ++i) text += "  " + pattern + "  $Y\n";
    return text;
  }

  void source_channel_rows() {
    World world("INTERNAL_IP\n\n  $(203.0.113.0/24)  $Y\n  ${2001:db8::/32}  $Y\n  *  $N\n");
    struct {
      const char *name, *initial, *client, *want;
    } rows[] = {
        {"SM4", "tcp_local", "198.51.100.7", "tcp_local"},     {"SM5", "tcp_local", "203.0.113.9", "tcp_internal"},
        {"IPv6", "tcp_local", "2001:db8::9", "tcp_internal"},  {"IPv6 outside", "tcp_local", "2001:db9::9", "tcp_local"},
        {"no switching", "tcp_submit", "203.0.113.9", "tcp_submit"}, {"LMTP", "tcp_lmtp", "203.0.113.9", "tcp_lmtp"},
        {"unknown channel", "tcp_gone", "203.0.113.9", "tcp_gone"},
    };
    for (const auto& row : rows)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.want), channel_of(world, row.initial, row.client));
    world.configuration.channels = {{"tcp_internal noswitchchannel", {}}};
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local"), channel_of(world, "tcp_local", "203.0.113.9"));
    // A network of friends with a channel of its own.
    World friends("FRIENDS\n\n  $(203.0.113.0/24)  $Y\n");
    friends.configuration.channels = {{"tcp_friends smtp allowswitchchannel", {}}};
    friends.configuration.rewrite = {{"[] $E$R${FRIENDS,$L}$U%[$L]@tcp_friends-daemon", {}}, {". $U%$H$D@tcp_local-daemon", {}}};
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_friends"), channel_of(friends, "tcp_local", "203.0.113.9"));
    // A table that can't answer: the session stays where it began, and the log hears of it.
    Notes notes;
    World heavy(heavy_table("INTERNAL_IP", 1, "$[0-9a-f:]*$H%$[0-9a-f:]*$H%$[0-9a-f:]*$H%$[0-9a-f:]*$H%$[0-9a-f:]*$H%$[0-9a-f:]*$H%$[0-9a-f:]*$T%") + "  *  $Y\n");
    const auto client = *net::Address::parse("2001:db8:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa");
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local"), test::run(heavy.access().source_channel("tcp_local", client, notes)));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, notes.size());
    CPPUNIT_ASSERT_EQUAL(std::string("rewrite-failed"), notes[0].event);
  }

  // What depends on nothing but rules, tables and address is asked for once; what may change is asked again, and so is everything when
  // somebody wants to hear of it.
  void source_channels_are_known_as_long_as_they_last() {
    const struct {
      const char *name, *entries;
      std::size_t asked;
      bool heard;
    } rows[] = {
        {"by address", "  $(203.0.113.0/24)  $Y\n", 1, false},
        {"by the client list", "  *  $C$[postern:client,$0]$Y$E\n", 1, false},
        {"by chance", "  *  $C$?50?$Y$E\n", 3, false},
        {"by somebody else's word", "  *  $C$[postern:dnsbl,list.example,$0]$Y$E\n", 3, false},
        {"heard by the rehearsal", "  $(203.0.113.0/24)  $Y\n", 3, true},
    };
    for (const auto& row : rows) {
      World world(std::string("INTERNAL_IP\n\n") + row.entries + "  *  $N\n");
      WrittenDown written;
      written.missing_too = row.heard;
      Remembered known;
      const auto site = Site::from(world.configuration);
      const Access access(site, world.tables, world.directory, world.questions, &written, &known);
      for (int i = 0; i < 3; ++i) {
        Notes notes;
        [[maybe_unused]] const std::string channel = test::run(access.source_channel("tcp_local", *net::Address::parse("203.0.113.9"), notes));
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.asked, written.lines.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.asked == 1, access.known_source_channel("tcp_local", *net::Address::parse("203.0.113.9")) != nullptr);
      // It does not switch whatever the tables say.
      const std::string other = "tcp_submit";
      CPPUNIT_ASSERT(access.known_source_channel(other, *net::Address::parse("203.0.113.9")) == &other);
    }
    // Other rules or tables begin anew, and so does it when it is full.
    SourceChannels known;
    const World world(test::kShippedTables);
    const auto site = Site::from(world.configuration), other = Site::from(world.configuration);
    const auto client = *net::Address::parse("203.0.113.9");
    known.keep(site, 7, "tcp_local", client, "tcp_internal");
    CPPUNIT_ASSERT(known.find(site, 7, "tcp_local", client) != nullptr && *known.find(site, 7, "tcp_local", client) == "tcp_internal");
    CPPUNIT_ASSERT(known.find(other, 7, "tcp_local", client) == nullptr && known.find(site, 8, "tcp_local", client) == nullptr);
    CPPUNIT_ASSERT(known.find(site, 7, "tcp_submit", client) == nullptr);
    known.keep(site, 8, "tcp_submit", client, "tcp_submit");
    CPPUNIT_ASSERT(known.find(site, 7, "tcp_local", client) == nullptr && known.find(site, 8, "tcp_local", client) == nullptr);
    for (std::uint32_t i = 0; i < SourceChannels::kMost; ++i) known.keep(site, 8, "tcp_local", net::Address::ipv4(i), "tcp_local");
    CPPUNIT_ASSERT(known.find(site, 8, "tcp_submit", client) == nullptr && known.find(site, 8, "tcp_local", net::Address::ipv4(SourceChannels::kMost - 1)) != nullptr);
  }

  void answers_of_port_access_are_kept_where_the_port_plays_no_part() {
    const struct {
      const char *name, *entries;
      std::size_t asked;  // of three connections from one address
      const char* rules = "";
      bool heard = false;
    } rows[] = {
        {"shipped", "  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  *  $YEXTERNAL\n", 1, "EXTERNAL"},
        {"no entry fits", "  TCP|*|25|10.*|*  $N\n", 1},
        {"by the client list", "  *|*|*|*|*  $C$[postern:client,$3]$YOURS$E\n  *  $YTHEIRS\n", 1, "THEIRS"},
        {"not saved", "  *|*|*|*|$@*  $Y$3\n", 1, "203.0.113.9"},
        {"one port", "  TCP|*|*|*|4001  $Yone\n  *  $Yother\n", 3, "other"},
        {"the port's digits", "  *1  $Yodd\n  *  $Yother\n", 3, "other"},
        {"the port in the answer", "  *|*|*|*|*  $Yrules$4\n", 3, "rules4003"},
        {"the port in an argument", "  *|*|*|*|*  $C$|INTERNAL_IP;$4|$Y$E\n  *  $Y\n", 3},
        {"the probe is the answer", "  *|*|*|*|*  $?0?$Y\n", 3},
        {"by chance", "  *|*|*|*|*  $C$?50?$Y$E\n  *  $Y\n", 3},
        {"by somebody else's word", "  *|*|*|*|*  $C$[postern:throttle,t,$3]$N$E\n  *  $Y\n", 3},
        {"restricted", "  *|*|*|*|*  $W\n", 3},
        {"with a wish for the log", "  *|*|*|*|*  $Y$U1\n", 3},
        {"heard by the rehearsal", "  *  $YEXTERNAL\n", 3, "EXTERNAL", true},
    };
    for (const auto& row : rows) {
      World world("INTERNAL_IP\n\n  127.*  $Y\n  *  $N\n\nPORT_ACCESS\n\n" + std::string(row.entries));
      WrittenDown written;
      written.missing_too = row.heard;
      Remembered known;
      const Access access(Site::from(world.configuration), world.tables, world.directory, world.questions, &written, &known);
      std::string rules;
      for (const std::uint16_t port : {4001, 4002, 4003}) {
        const auto decision = test::run(access.port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint("203.0.113.9", port), true));
        CPPUNIT_ASSERT_MESSAGE(row.name, decision.accepted);
        rules = decision.auth_rules;
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.asked, written.lines.size());
      if (*row.rules != '\0') CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.rules), rules);
    }
    // Another socket, the session's own probe, another client and other rules are other questions; a refusal is asked for each time.
    World world("PORT_ACCESS\n\n  TCP|*|*|10.*|*  $N421$ no\n  *  $C$:A$Ylistener$E\n  *  $Ysession\n");
    WrittenDown written;
    Remembered known;
    const auto ask = [&](const Access& access, const char* local, const char* remote, bool listener) {
      return test::run(access.port_access(conf::Module::smtp, test::endpoint(local, 25), test::endpoint(remote, 4001), listener));
    };
    const Access access(Site::from(world.configuration), world.tables, world.directory, world.questions, &written, &known);
    for (int i = 0; i < 2; ++i) {
      CPPUNIT_ASSERT_EQUAL(std::string("listener"), ask(access, "192.0.2.1", "203.0.113.9", true).auth_rules);
      CPPUNIT_ASSERT_EQUAL(std::string("session"), ask(access, "192.0.2.1", "203.0.113.9", false).auth_rules);
      CPPUNIT_ASSERT(ask(access, "192.0.2.2", "203.0.113.9", true).matched);
      CPPUNIT_ASSERT(ask(access, "192.0.2.1", "203.0.113.8", true).matched);
      CPPUNIT_ASSERT(!ask(access, "192.0.2.1", "10.0.0.1", true).accepted);
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, written.lines.size());
    const Access other(Site::from(world.configuration), world.tables, world.directory, world.questions, &written, &known);
    CPPUNIT_ASSERT(other.known_port_answer(test::endpoint("192.0.2.1", 25), *net::Address::parse("203.0.113.9"), true) == nullptr);
    CPPUNIT_ASSERT(ask(other, "192.0.2.1", "203.0.113.9", true).matched);
    CPPUNIT_ASSERT_EQUAL(std::size_t{7}, written.lines.size());
    const auto* const answer = other.known_port_answer(test::endpoint("192.0.2.1", 25), *net::Address::parse("203.0.113.9"), true);
    CPPUNIT_ASSERT(answer != nullptr && answer->matched && answer->auth_rules == "listener");
    // Without the table nobody is asked, but those who want to hear of that, too.
    World none("FROM_ACCESS\n\n  *  $Y\n");
    for (const bool heard : {false, true}) {
      WrittenDown missing;
      missing.missing_too = heard;
      const Access without(Site::from(none.configuration), none.tables, none.directory, none.questions, &missing, &known);
      const auto* const nothing = without.known_port_answer(test::endpoint("192.0.2.1", 25), *net::Address::parse("203.0.113.9"), true);
      CPPUNIT_ASSERT_EQUAL(heard, nothing == nullptr);
      CPPUNIT_ASSERT(heard || (!nothing->matched && nothing->auth_rules.empty()));
      CPPUNIT_ASSERT(!ask(without, "192.0.2.1", "203.0.113.9", true).matched);
      CPPUNIT_ASSERT_EQUAL(heard ? std::size_t{1} : std::size_t{0}, missing.lines.size());
    }
  }

  void relay_rows() {
    World world(test::kShippedTables);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM7", kRelay + std::string("x@example.net"), World::shown(world.rcpt("x@example.net")));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM8", std::string("250"), World::shown(world.rcpt("u1@example.com")));
    for (const char* channel : {"tcp_internal", "tcp_auth"}) {
      world.source_channel = channel;
      const auto decision = world.rcpt("x@example.net");
      CPPUNIT_ASSERT_EQUAL_MESSAGE("SM11", std::string("250"), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE("SM11", std::string("tcp_local:x@example.net"), World::finals(decision));
    }
    World unknown(test::kShippedTables);
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.1.1 no such user here: nobody@example.com"), World::shown(unknown.rcpt("nobody@example.com")));
    // The verdict knows its rule.
    const auto decision = unknown.rcpt("X@example.net");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, decision.verdicts.size());
    const Verdict& verdict = decision.verdicts[0];
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS"), verdict.table);
    CPPUNIT_ASSERT_EQUAL(std::string("tcp_local|a@example.net|tcp_local|X@example.net"), verdict.probe);
    CPPUNIT_ASSERT_EQUAL(9, verdict.line);
    CPPUNIT_ASSERT(verdict.denied());
    CPPUNIT_ASSERT_EQUAL(unknown.tables.generation(), verdict.generation);
  }

  void a_site_that_forgot_its_tables_is_closed() {
    World world("OTHER\n\n  *  $Y\n");
    CPPUNIT_ASSERT_EQUAL(kRelay + std::string("x@example.net"), World::shown(world.rcpt("x@example.net")));
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u1@example.com")));
    world.configuration.rewrite = {{". $U%$H$D@process-daemon", {}}};
    CPPUNIT_ASSERT_EQUAL(kRelay + std::string("x@example.net"), World::shown(world.rcpt("x@example.net")));
    world.tables = {};
    const auto decision = world.mail();
    CPPUNIT_ASSERT_EQUAL(451, decision.reply.code);
    CPPUNIT_ASSERT_EQUAL(std::string("4.3.5"), decision.reply.status);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, decision.verdicts.size());
  }

  void list_rows() {
    const std::string list = "list@example.com: u1@example.com, x@example.net\nout@example.com: x@example.net\n";
    World nine(test::kShippedTables, list);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM9", std::string("ims-ms:u1@example.com tcp_local:x@example.net"), World::finals(nine.rcpt("list@example.com")));
    World ten("ORIG_SEND_ACCESS\n\n  nothing  $Y\n\nSEND_ACCESS\n\n  tcp_local|*|tcp_local|*     $NRelaying$ not$ permitted\n", list);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM10", kRelay + std::string("out@example.com"), World::shown(ten.rcpt("out@example.com")));
    // One member is refused, the other gets it.
    const auto decision = ten.rcpt("list@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(decision));
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.com"), World::finals(decision));
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS tcp_local|a@example.net|l|list@example.com\n"
                                     "SEND_ACCESS tcp_local|a@example.net|ims-ms|u1@example.com\n"
                                     "SEND_ACCESS tcp_local|a@example.net|tcp_local|x@example.net\n"),
                         World::probes(decision));
  }

  void reply_rows() {
    struct {
      const char *name, *entry;
      unsigned access_errors;
      const char* want;
    } rows[] = {
        {"SM12", "*|*|*|*  $N", 0, "550 5.7.1 unknown host or domain: u1@example.com"},
        {"SM13", "*|*|*|*  $N", 1, "550 5.7.1 you are not allowed to use this address: u1@example.com"},
        {"SM14", "*|*|*|*  $X4.2.1|$NTry$ tomorrow", 0, "450 4.2.1 Try tomorrow: u1@example.com"},
        {"class 5", "*|*|*|*  $X5.2.1|$NNever", 0, "550 5.2.1 Never: u1@example.com"},
        {"class 2", "*|*|*|*  $X2.2.1|$NNever", 0, ""},
        {"small f", "*|*|*|*  $fNo", 0, "550 5.7.1 No: u1@example.com"},
        {"yes and no", "*|*|*|*  $Y$NNo", 0, "550 5.7.1 No: u1@example.com"},
        {"text alone", "*|*|*|*  hello", 0, "250"},
        {"bar in text", "*|*|*|*  $Na|b", 0, "550 5.7.1 a|b: u1@example.com"},
    };
    for (const auto& row : rows) {
      if (*row.want == '\0') continue;  // the compiler refuses it
      World world(std::string("SEND_ACCESS\n\n  ") + row.entry + "\n");
      world.configuration.access.access_errors = row.access_errors;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.want), World::shown(world.rcpt("u1@example.com")));
    }
  }

  void probes_are_exact() {
    World world("FROM_ACCESS\n\n  x  $Y\n\nORIG_SEND_ACCESS\n\n  x  $Y\n\nORIG_MAIL_ACCESS\n\n  x  $Y\n\nSEND_ACCESS\n\n  x  $Y\n\nMAIL_ACCESS\n\n  x  $Y\n",
                "u9: u1@Example.COM\n");
    const std::string connection = "TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/client.example.net|MAIL|";
    world.from_domain = "EXAMPLE.net";
    CPPUNIT_ASSERT_EQUAL("FROM_ACCESS " + connection + "tcp_local|a@example.net|\n", World::probes(world.mail()));
    CPPUNIT_ASSERT_EQUAL("ORIG_SEND_ACCESS tcp_local|a@example.net|l|u9@example.com\n"
                         "ORIG_MAIL_ACCESS " + connection + "tcp_local|a@example.net|l|u9@example.com\n"
                         "SEND_ACCESS tcp_local|a@example.net|ims-ms|u1@example.com\n"
                         "MAIL_ACCESS " + connection + "tcp_local|a@example.net|ims-ms|u1@example.com\n",
                         World::probes(world.rcpt("u9@example.com")));
    world.authenticated = "u2@example.com";
    world.cipher = "TLS_AES";
    world.source_channel = "tcp_auth";
    world.from_local = "a|b c";
    CPPUNIT_ASSERT_EQUAL(std::string("FROM_ACCESS TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/TLS_AES/client.example.net|MAIL|tcp_auth|\"a_b c\"@example.net|u2@example.com\n"),
                         World::probes(world.mail()));
    world.from_local = world.from_domain = "";
    CPPUNIT_ASSERT_EQUAL(std::string("FROM_ACCESS TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/TLS_AES/client.example.net|MAIL|tcp_auth||u2@example.com\n"),
                         World::probes(world.mail()));
    World with_orcpt("SEND_ACCESS\n\n  x  $Y\n");
    with_orcpt.configuration.access.access_orcpt = true;
    with_orcpt.configuration.access.probe_bar_char = '!';
    CPPUNIT_ASSERT_EQUAL(std::string("SEND_ACCESS tcp_local|a@example.net|ims-ms|u1@example.com|rfc822;o!p@example.com\n"),
                         World::probes(with_orcpt.rcpt("u1@example.com", "rfc822;o|p@example.com")));
  }

  void input_flags_are_raised() {
    const auto refused_by = [](char flag, bool authenticated, bool lmtp) {
      World world(std::string("SEND_ACCESS\n\n  *  $C$:") + flag + "$Nraised$E\n  *  $Y\n");
      if (authenticated) world.authenticated = "u1@example.com";
      world.lmtp = lmtp;
      return !world.rcpt("u1@example.com").accepted;
    };
    CPPUNIT_ASSERT(refused_by('E', false, false));
    CPPUNIT_ASSERT(!refused_by('A', false, false));
    CPPUNIT_ASSERT(refused_by('A', true, false));
    CPPUNIT_ASSERT(!refused_by('T', true, false));
    CPPUNIT_ASSERT(!refused_by('L', false, false));
    CPPUNIT_ASSERT(refused_by('L', false, true));
    CPPUNIT_ASSERT(!refused_by('S', false, false));
  }

  void sender_rows() {
    World world("FROM_ACCESS\n\n  *|SMTP*|MAIL|*|spam@*|  $NGo$ away\n  *|MAIL|*|new@*|  $J$Ynew@example.com\n"
                "  *|MAIL|*|small@*|  $S1000,2,3$Y\n  *|MAIL|*|list@*|  $!$H$Y\n");
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.mail()));
    world.from_local = "spam";
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM15", std::string("550 5.7.1 Go away: spam@example.net"), World::shown(world.mail()));
    world.from_local = "new";
    CPPUNIT_ASSERT_EQUAL_MESSAGE("AR11", std::string("new@example.com"), world.mail().reverse_path);
    world.from_local = "small";
    const auto limited = world.mail();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000}, *limited.message_bytes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, *limited.recipients);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, *limited.recipient_cutoff);
    world.from_local = "list";
    CPPUNIT_ASSERT(world.mail().effects.no_vacation && world.mail().effects.held);
    World bounces("FROM_ACCESS\n\n  *|MAIL|*||*  $NNo$ bounces\n");
    bounces.from_local.clear();
    bounces.from_domain.clear();
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.7.1 No bounces: <>"), World::shown(bounces.mail()));
  }

  void every_table_is_asked_until_one_refuses() {
    World world("ORIG_SEND_ACCESS\n\n  *  $Y\n\nORIG_MAIL_ACCESS\n\n  *  $Y\n\nSEND_ACCESS\n\n  *  $Y\n\nMAIL_ACCESS\n\n  *|u1@*  $Nnot$ you\n  *  $Y\n");
    const auto decision = world.rcpt("u1@example.com");
    CPPUNIT_ASSERT_EQUAL_MESSAGE("SM16", std::string("550 5.7.1 not you: u1@example.com"), World::shown(decision));
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, decision.verdicts.size());
    CPPUNIT_ASSERT_EQUAL(std::string("MAIL_ACCESS"), decision.verdicts.back().table);
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u2@example.com")));
    World first("ORIG_SEND_ACCESS\n\n  *  $N\n\nORIG_MAIL_ACCESS\n\n  *  $Y\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, first.rcpt("u1@example.com").verdicts.size());
  }

  void aliases_lead_to_mailboxes() {
    World world(test::kShippedTables,
                "team@example.com: u1, u2@example.com, u2@example.com\n"
                "all@example.com: team@example.com, u1@example.org\n"
                "u1@example.org: u1@example.org, u2@example.org\n"
                "a@example.com: b@example.com\nb@example.com: a@example.com\n"
                "gone@example.com: nobody@example.com\n"
                "half@example.com: nobody@example.com, u1@example.com\n"
                "info: u1@example.com\n");
    struct {
      const char *address, *want, *finals;
    } rows[] = {
        {"team@example.com", "250", "ims-ms:u1@example.com ims-ms:u2@example.com"},
        {"TEAM@example.com", "250", "ims-ms:u1@example.com ims-ms:u2@example.com"},
        {"all@example.com", "250", "ims-ms:u1@example.com ims-ms:u2@example.com ims-ms:u1@example.org ims-ms:u2@example.org"},
        {"u1@example.org", "250", "ims-ms:u1@example.org ims-ms:u2@example.org"},
        {"a@example.com", "550 5.1.1 no such user here: a@example.com", ""},
        {"gone@example.com", "550 5.1.1 no such user here: gone@example.com", ""},
        {"half@example.com", "250", "ims-ms:u1@example.com"},
        {"info@example.org", "250", "ims-ms:u1@example.com"},
        {"U1@EXAMPLE.com", "250", "ims-ms:u1@example.com"},
    };
    for (const auto& row : rows) {
      const auto decision = world.rcpt(row.address);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.want), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.finals), World::finals(decision));
    }
    // Ten rounds are followed, not eleven; as many addresses as directory.group_members says, not more.
    for (const int rounds : {10, 11}) {
      std::string chain;
      for (int i = 1; i < rounds; ++i) chain += "c" + std::to_string(i) + "@example.com: c" + std::to_string(i + 1) + "@example.com\n";
      chain += "c" + std::to_string(rounds) + "@example.com: u1@example.com\n";
      World deep(test::kShippedTables, chain);
      CPPUNIT_ASSERT_EQUAL(std::string(rounds == 10 ? "250" : "550 5.4.6 aliases of this address lead in a circle"), World::shown(deep.rcpt("c1@example.com")));
    }
    for (const int count : {1000, 1001}) {
      std::string big = "big@example.com: postmaster+0@example.com";
      for (int i = 1; i < count; ++i) big += ", postmaster+" + std::to_string(i) + "@example.com";
      World wide(test::kShippedTables, big + "\n");
      wide.configuration.recipient_delimiter = "+";
      wide.directory.add_account("postmaster@example.com");
      wide.configuration.directory.group_members = 1000;
      CPPUNIT_ASSERT_EQUAL(count == 1000, wide.rcpt("big@example.com").accepted);
    }
  }

  void the_directory_knows_aliases_and_groups() {
    World world(test::kShippedTables, "file@example.com: dir@example.com\n");
    world.configuration.recipient_delimiter = "+";
    using Kind = directory::Alias::Kind;
    world.directory.add_alias("dir@example.com", {"u1@example.com"});
    world.directory.add_alias("team@example.com", {"u1@example.com", "dir@example.com", "U2@Example.org", "gone@example.com"}, Kind::group, "u2@example.com");
    world.directory.add_alias("empty@example.com", {}, Kind::group);
    world.directory.add_alias("round@example.com", {"about@example.com"});
    world.directory.add_alias("about@example.com", {"round@example.com"});
    world.directory.add_alias("out@example.com", {"out@example.com", "u1@example.com"});
    world.directory.add_alias("@example.org", {"u2@example.org"});
    world.directory.add_alias("lost@example.org", {"nobody@example.com"});
    struct {
      const char *address, *want, *finals;
    } rows[] = {
        {"dir@example.com", "250", "ims-ms:u1@example.com"},
        {"DIR+tag@example.com", "250", "ims-ms:u1@example.com"},
        {"file@example.com", "250", "ims-ms:u1@example.com"},
        {"team@example.com", "250", "ims-ms:u1@example.com ims-ms:u2@example.org"},
        {"empty@example.com", "550 5.2.4 the list has no members: empty@example.com", ""},
        {"round@example.com", "550 5.1.1 no such user here: round@example.com", ""},
        {"anybody@example.org", "250", "ims-ms:u2@example.org"},
        {"u1@example.org", "250", "ims-ms:u1@example.org"},
        {"lost@example.org", "550 5.1.1 no such user here: lost@example.org", ""},
        {"anybody@example.com", "550 5.1.1 no such user here: anybody@example.com", ""},
    };
    for (const auto& row : rows) {
      const auto decision = world.rcpt(row.address);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.want), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.finals), World::finals(decision));
    }
    // Deeper than ten, and wider than the limit.
    for (int i = 1; i <= 11; ++i)
      world.directory.add_alias("d" + std::to_string(i) + "@example.com", {i == 11 ? "u1@example.com" : "d" + std::to_string(i + 1) + "@example.com"});
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.4.6 aliases of this address lead in a circle"), World::shown(world.rcpt("d1@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("d2@example.com")));
    world.configuration.directory.group_members = 1;
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.4.6 aliases of this address lead to too many addresses"), World::shown(world.rcpt("team@example.com")));
  }

  void owners_of_groups_travel_with_their_members() {
    World world(test::kShippedTables);
    using Kind = directory::Alias::Kind;
    world.directory.add_alias("inner@example.com", {"u2@example.com"}, Kind::group, "inner-owner@example.com");
    world.directory.add_alias("plain@example.com", {"u2@example.org"}, Kind::group);
    world.directory.add_alias("team@example.com", {"u1@example.com", "inner@example.com", "plain@example.com"}, Kind::group, "owner@example.com");
    const auto owners = [&](const RecipientDecision& decision) {
      std::string all;
      for (const mail::Recipient& one : decision.recipients) all += (all.empty() ? "" : " ") + one.address + ":" + one.list_owner;
      return all;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("u1@example.com:owner@example.com u2@example.com:inner-owner@example.com u2@example.org:owner@example.com"), owners(world.rcpt("team@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("u2@example.org:"), owners(world.rcpt("plain@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("u1@example.com:"), owners(world.rcpt("u1@example.com")));
  }

  void an_expansion_has_a_bounded_number_of_steps() {
    World world(test::kShippedTables);
    world.configuration.directory.expansion_steps = 100;
    using Kind = directory::Alias::Kind;
    for (const int each : {9, 11}) {
      // Ten groups of as many names that nobody has: few addresses come of it, and many look-ups.
      std::vector<std::string> groups;
      for (int group = 0; group < 10; ++group) {
        std::vector<std::string> members;
        for (int i = 0; i < each - 1; ++i) members.push_back("nobody" + std::to_string(group * 100 + i) + "@example.com");
        members.push_back("u1@example.com");
        groups.push_back("g" + std::to_string(each) + "-" + std::to_string(group) + "@example.com");
        world.directory.add_alias(groups.back(), members, Kind::group);
      }
      world.directory.add_alias("all" + std::to_string(each) + "@example.com", groups, Kind::group);
      CPPUNIT_ASSERT_EQUAL(std::string(each == 9 ? "250" : "550 5.4.6 the aliases of this address lead too far"),
                           World::shown(world.rcpt("all" + std::to_string(each) + "@example.com")));
    }
  }

  void a_full_mailbox_is_refused_but_for_groups() {
    World world(test::kShippedTables);
    directory::Account full;
    full.name = "u1@example.com";
    full.full_until = base::wall_now() + std::chrono::hours(1);
    world.directory.set_account(full);
    world.directory.add_alias("both@example.com", {"u1@example.com", "u2@example.com"}, directory::Alias::Kind::group);
    CPPUNIT_ASSERT_EQUAL(std::string("452 4.2.2 the mailbox is full, try again later: u1@example.com"), World::shown(world.rcpt("u1@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("both@example.com")));
    world.configuration.quota.full_reply = conf::Quota::FullReply::permanent;
    CPPUNIT_ASSERT_EQUAL(std::string("552 5.2.2 the mailbox is full: u1@example.com"), World::shown(world.rcpt("u1@example.com")));
    full.full_until = base::wall_now() - std::chrono::seconds(1);
    world.directory.set_account(full);
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u1@example.com")));
    // The mailbox of another host is that host's business.
    full.full_until = base::wall_now() + std::chrono::hours(1);
    full.mail_host = "store2.example.com";
    world.directory.set_account(full);
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u1@example.com")));
  }

  void a_large_group_lets_others_have_their_turn() {
    World world(test::kShippedTables);
    std::vector<std::string> members;
    for (int i = 0; i < 1000; ++i) {
      members.push_back("m" + std::to_string(i) + "@example.com");
      world.directory.add_account(members.back());
    }
    world.directory.add_alias("all@example.com", members, directory::Alias::Kind::group);
    TransactionAccess transaction(world.access(), world.facts());
    CPPUNIT_ASSERT(test::run(transaction.mail_from("a", "example.net", "a@example.net")).accepted);
    TransactionAccess::Ask ask;
    ask.local_part = "all";
    ask.domain = "example.com";
    net::asio::io_context io(1);
    std::size_t recipients = 0, turns = 0;
    net::asio::co_spawn(io, transaction.recipient(ask), [&](std::exception_ptr, RecipientDecision decision) { recipients = decision.recipients.size(); });
    const std::function<void()> turn = [&] {
      if (recipients != 0) return;
      ++turns;
      net::asio::post(io, turn);
    };
    net::asio::post(io, turn);
    io.run_for(std::chrono::seconds(60));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1000}, recipients);
    CPPUNIT_ASSERT_MESSAGE(std::to_string(turns), turns >= 20);
  }

  void accounts_forward_and_wait() {
    World world(test::kShippedTables);
    world.configuration.recipient_delimiter = "+";
    const auto set = [&](const char* name, std::vector<std::string> forwarding, bool keeps_copy, bool held = false) {
      directory::Account account;
      account.name = name;
      account.forwarding = std::move(forwarding);
      account.keeps_copy = keeps_copy;
      account.held = held;
      account.conversion_tags = {"tag-of-" + std::string(name).substr(0, 1)};
      world.directory.set_account(account);
    };
    set("away@example.com", {"u1@example.com"}, false);
    set("both@example.com", {"u1@example.com", "both@example.com"}, true);
    set("ping@example.com", {"pong@example.com"}, false);
    set("pong@example.com", {"ping@example.com"}, false);
    set("gone@example.com", {"nobody@example.com"}, false);
    set("kept@example.com", {"nobody@example.com"}, true);
    set("waits@example.com", {"u1@example.com"}, true, true);
    struct {
      const char *address, *want, *finals;
    } rows[] = {
        {"away@example.com", "250", "ims-ms:u1@example.com"},
        {"away+x@example.com", "250", "ims-ms:u1@example.com"},
        {"both@example.com", "250", "ims-ms:both@example.com ims-ms:u1@example.com"},
        {"both+x@example.com", "250", "ims-ms:both@example.com+x ims-ms:u1@example.com ims-ms:both@example.com"},
        {"ping@example.com", "250", "ims-ms:ping@example.com"},
        {"gone@example.com", "550 5.1.1 no such user here: gone@example.com", ""},
        {"kept@example.com", "250", "ims-ms:kept@example.com"},
        {"waits@example.com", "250", "hold:waits@example.com"},
    };
    for (const auto& row : rows) {
      const auto decision = world.rcpt(row.address);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.want), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.finals), World::finals(decision));
    }
    directory::Domain domain{"example.com", {}, {}};
    domain.conversion_tags = {"tag-of-domain"};
    world.directory.set_domain(domain);
    // Of the mailbox they are put on, not of what leads elsewhere.
    const auto tagged = world.rcpt("both@example.com");
    CPPUNIT_ASSERT(tagged.recipients[0].conversion_tags == (std::vector<std::string>{"tag-of-b", "tag-of-domain"}));
    CPPUNIT_ASSERT(world.rcpt("waits@example.com").recipients[0].conversion_tags == (std::vector<std::string>{"tag-of-w", "tag-of-domain"}));
    CPPUNIT_ASSERT(world.rcpt("postmaster@example.com").recipients[0].conversion_tags == std::vector<std::string>{"tag-of-domain"});
    domain.conversion_tags.clear();
    world.directory.set_domain(domain);
    const auto both = world.rcpt("both@example.com");
    CPPUNIT_ASSERT(both.recipients[0].conversion_tags == std::vector<std::string>{"tag-of-b"});
    CPPUNIT_ASSERT(both.recipients[1].conversion_tags.empty());
    // Released, the mail goes where its address leads then.
    CPPUNIT_ASSERT_EQUAL(std::string("waits+x@example.com"), world.rcpt("waits+x@example.com").recipients[0].original);
  }

  void postmaster_and_abuse_are_always_there() {
    World world(test::kShippedTables);
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:postmaster@example.com"), World::finals(world.rcpt("PostMaster@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:postmaster@example.com"), World::finals(world.rcpt("abuse@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:postmaster@mail.example.com"), World::finals(world.rcpt("Postmaster")));
    World aliased(test::kShippedTables, "postmaster: u1@example.com\n");
    for (const char* address : {"postmaster@example.org", "abuse@example.com", "Postmaster"})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(address, std::string("ims-ms:u1@example.com"), World::finals(aliased.rcpt(address)));
    World account(test::kShippedTables);
    account.directory.add_account("abuse@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:abuse@example.com"), World::finals(account.rcpt("abuse@example.com")));
  }

  void sub_addresses() {
    World world(test::kShippedTables, "list+exact@example.com: u2@example.com\n");
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.1.1 no such user here: u1+x@example.com"), World::shown(world.rcpt("u1+x@example.com")));
    world.configuration.recipient_delimiter = "+";
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1@example.com+Lists.x+y"), World::finals(world.rcpt("u1+Lists.x+y@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u2@example.com"), World::finals(world.rcpt("list+exact@example.com")));
    world.directory.add_account("u1+own@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u1+own@example.com"), World::finals(world.rcpt("u1+own@example.com")));
  }

  void catch_all_takes_what_nobody_knows() {
    World world(test::kShippedTables, "@example.com: u1@example.com\n@example.org: lost@example.org\nsales@example.com: u2@example.com\n");
    world.configuration.recipient_delimiter = "+";
    struct {
      const char *address, *want, *finals;
    } rows[] = {
        {"anybody@example.com", "250", "ims-ms:u1@example.com"},
        {"any+thing@example.com", "250", "ims-ms:u1@example.com"},
        {"u2@example.com", "250", "ims-ms:u2@example.com"},
        {"sales@example.com", "250", "ims-ms:u2@example.com"},
        {"abuse@example.com", "250", "ims-ms:u1@example.com"},
        {"anybody@example.org", "550 5.1.1 no such user here: anybody@example.org", ""},
        {"postmaster@example.org", "250", "ims-ms:postmaster@example.org"},  // a catch-all that leads nowhere keeps nobody from postmaster
        {"x@example.net", "550 5.7.1 Relaying not permitted: x@example.net", ""},
    };
    for (const auto& row : rows) {
      const auto decision = world.rcpt(row.address);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.want), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.finals), World::finals(decision));
    }
    World circle(test::kShippedTables, "postmaster: abuse\nabuse: lost\n");
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:postmaster@example.com"), World::finals(circle.rcpt("postmaster@example.com")));
  }

  // 2.8, last sentences.
  void members_of_a_list_may_be_refused() {
    World world("SEND_ACCESS\n\n  *|u1@example.com  $NNot$ him\n  *|u1@example.org  $X4.7.1|$NLater\n  *  $Y\n",
                "some: u1@example.com, u2@example.com\nlater: u1@example.org, u2@example.com\nnone: u1@example.com, u1@example.org\n");
    const auto some = world.rcpt("some@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u2@example.com"), World::finals(some));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, some.notes.size());
    CPPUNIT_ASSERT_EQUAL(std::string("alias-member-refused"), some.notes[0].event);
    // The status code of a rule is not that of a limit, though it may read the same.
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms:u2@example.com"), World::finals(world.rcpt("later@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("450 4.7.1 Later: none@example.com"), World::shown(world.rcpt("none@example.com")));
  }

  void forward_and_reverse_replace_addresses() {
    const std::string relay = "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted\n\n";
    World world(relay +
                    "FORWARD\n\n  gone@example.com  u1@example.com$Y\n  kept@example.com  u2@example.com$N\n  quiet@example.com  u2@example.com\n"
                    "  u1@example.org  u2@example.org$Y\n  round@example.com  round@example.com$Y\n  bad@example.com  no$ address$Y\n"
                    "  out@example.com  x@example.net$Y\n  x@example.net  u1@example.com$Y\n\n"
                    "REVERSE\n\n  *@inner.example.net  $C$:E$0@example.net$Y$E\n  refused@*  y@example.net$Y$N\n",
                "team: u1@example.org, u1@example.com\n");
    struct {
      const char *address, *want, *finals;
    } rows[] = {
        {"gone@example.com", "250", "ims-ms:u1@example.com"},
        {"kept@example.com", "550 5.1.1 no such user here: kept@example.com", ""},
        {"quiet@example.com", "550 5.1.1 no such user here: quiet@example.com", ""},
        {"bad@example.com", "550 5.1.1 no such user here: bad@example.com", ""},
        {"round@example.com", "550 5.1.1 no such user here: round@example.com", ""},
        {"team@example.com", "250", "ims-ms:u2@example.org ims-ms:u1@example.com"},
        // The tables before the expansion saw a local address; and what is replaced is not asked for again.
        {"out@example.com", "250", "tcp_local:x@example.net"},
        // They see an address elsewhere as what it is.
        {"x@example.net", "550 5.7.1 Relaying not permitted: x@example.net", ""},
    };
    for (const auto& row : rows) {
      const auto decision = world.rcpt(row.address);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.want), World::shown(decision));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, std::string(row.finals), World::finals(decision));
    }
    world.from_domain = "inner.example.net";
    CPPUNIT_ASSERT_EQUAL(std::string("a@example.net"), world.mail().reverse_path);
    CPPUNIT_ASSERT(World::probes(world.rcpt("u1@example.com")).find("|a@example.net|") != std::string::npos);
    world.from_local = "refused";
    world.from_domain = "example.net";
    CPPUNIT_ASSERT_EQUAL(std::string("refused@example.net"), world.mail().reverse_path);
  }

  // What a transaction makes of a header; "unchanged" if nothing.
  static std::string header_of(World& world, const std::string& header) {
    TransactionAccess transaction(world.access(), world.facts());
    CPPUNIT_ASSERT(test::run(transaction.mail_from("a", "example.net", "a@example.net")).accepted);
    const auto changed = test::run(transaction.changed_header(header));
    CPPUNIT_ASSERT(!changed || transaction.changes_header());
    return changed.value_or("unchanged");
  }

  void headers_are_changed_as_the_tables_say() {
    World plain(test::kShippedTables);
    CPPUNIT_ASSERT_EQUAL(std::string("unchanged"), header_of(plain, "From: a@b.example\r\n"));
    World reverse("REVERSE\n\n  *@in.example.com  $C$:B$0@example.com$Y$E\n  *@in.example.com  $C$:Iid.$0@example.com$Y$E\n");
    struct {
      const char *before, *after;
    } rows[] = {
        {"From: Anna <anna@in.example.com>\r\nTo: x@in.example.com,\r\n y@other.example, (z@in.example.com) \"v@in.example.com\" <w@in.example.com>\r\n",
         "From: Anna <anna@example.com>\r\nTo: x@example.com,\r\n y@other.example, (z@in.example.com) \"v@in.example.com\" <w@example.com>\r\n"},
        {"Message-ID: <1@in.example.com>\nReferences: <0@in.example.com> <2@x.example>\n", "Message-ID: <id.1@example.com>\nReferences: <id.0@example.com> <2@x.example>\n"},
        {"Subject: mail to a@in.example.com\r\nReceived: by x@in.example.com\r\n", "unchanged"},
        {"Cc: team: a@in.example.com, b@in.example.com;\r\n", "Cc: team: a@example.com, b@example.com;\r\n"},
        {"To: \"a b\"@in.example.com, =?utf-8?q?x@in.example.com?= <c@d.example>\r\n", "unchanged"},
        {"", "unchanged"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.before, std::string(row.after), header_of(reverse, row.before));

    // The steps of one evaluation are for all addresses of a header together; the rest of them stays.
    World heavy(heavy_table("REVERSE", 100, "$A*a$A*a$A*a$A*a$D%$D%$D%*") + "  *@in.example.com  $C$:B$0@example.com$Y$E\n");
    std::string addresses = "To: ";
    for (int i = 0; i < 30; ++i) addresses += (i == 0 ? "" : ",\r\n ") + std::string(24, 'a') + std::to_string(i % 9) + std::string(i / 9, 'x') + "@in.example.com";
    const std::string changed = header_of(heavy, addresses + "\r\n");
    CPPUNIT_ASSERT(changed.find("a0@example.com") != std::string::npos);
    CPPUNIT_ASSERT(changed.find("a2xxx@in.example.com") != std::string::npos);

    World sender("FROM_ACCESS\n\n  *  $Kown@example.com$Y\n");
    CPPUNIT_ASSERT_EQUAL_MESSAGE("the channel has no authrewrite", std::string("unchanged"), header_of(sender, "From: a@b.example\r\n"));
    sender.configuration.channels = {{"tcp_local smtp authrewrite", {}}};
    CPPUNIT_ASSERT_EQUAL(std::string("Sender: own@example.com\r\nFrom: a@b.example\r\n"), header_of(sender, "From: a@b.example\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("Sender: own@example.com\r\nA: 1\r\nB: 2\r\nResent-Sender: s\r\n"),
                         header_of(sender, "A: 1\r\nsender: x\r\n (folded)\r\nB: 2\r\nResent-Sender: s\r\nSender: y"));
  }

  void mail_on_hold_remembers_what_led_there() {
    World world(test::kShippedTables, "moving: moving@held.example\nlist: moving@example.com, u1@example.com\n");
    world.configuration.rewrite = {{"held.example  $U%$D@hold-daemon", {}}, {".  $U%$H$D@tcp_local-daemon", {}}};
    const auto decision = world.rcpt("list@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("hold:moving@held.example ims-ms:u1@example.com"), World::finals(decision));
    CPPUNIT_ASSERT_EQUAL(std::string("moving@example.com"), decision.recipients[0].original);
    CPPUNIT_ASSERT_EQUAL(std::string("list@example.com"), decision.recipients[1].original);
    const auto resolved = test::run(resolve(world.access(), "moving@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("hold"), resolved->at(0).destination_channel);
    CPPUNIT_ASSERT_EQUAL(std::string("moving@example.com"), resolved->at(0).original);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("strangers don't address the channel", std::string("550 5.7.1 unknown host or domain: x@held.example"), World::shown(world.rcpt("x@held.example")));
  }

  void a_login_may_be_refused() {
    World world("LOGIN_ACCESS\n\n  pop3|198.51.100.*|*|*|*  $N$D250|not$ from$ there\n  *|*||*|*  $<$>$Nseen|refused|secure$ only\n"
                "  imap|*  $D-100$Y\n  smtp|*|*|*|a_b@example.com  $N\n  *  $Y\n");
    const auto asked = [&](const char* service, const char* client, const char* tls, const char* account) {
      LoginFacts login;
      login.service = service;
      login.client = *net::Address::parse(client);
      login.tls = tls;
      login.mechanism = "USER";
      login.account = account;
      return test::run(world.access().login_access(login));
    };
    const auto stranger = asked("pop3", "198.51.100.7", "TLSv1.3", "u1@example.com");
    CPPUNIT_ASSERT(!stranger.accepted && !stranger.temporary);
    CPPUNIT_ASSERT_EQUAL(std::string("not from there"), stranger.text);
    CPPUNIT_ASSERT_EQUAL(std::string("pop3|198.51.100.7|TLSv1.3|USER|u1@example.com"), stranger.verdict.probe);
    CPPUNIT_ASSERT(stranger.delay == std::chrono::milliseconds(2500));
    const auto clear = asked("pop3", "192.0.2.1", "", "u1@example.com");
    CPPUNIT_ASSERT(!clear.accepted);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, clear.notes.size());
    CPPUNIT_ASSERT(clear.notes[0].for_user);
    CPPUNIT_ASSERT(asked("pop3", "192.0.2.1", "ext", "u1@example.com").accepted);
    CPPUNIT_ASSERT(asked("imap", "192.0.2.1", "TLSv1.2", "u1@example.com").delay == std::chrono::milliseconds(1000));
    CPPUNIT_ASSERT_MESSAGE("a bar in the account", !asked("smtp", "192.0.2.1", "TLSv1.3", "a|b@example.com").accepted);
    const auto long_name = asked("imap", "192.0.2.1", "TLSv1.3", std::string(5000, 'x').c_str());
    CPPUNIT_ASSERT(!long_name.accepted && long_name.temporary);
    World without("X\n\n  * $N\n");
    CPPUNIT_ASSERT(test::run(without.access().login_access({})).accepted);
    World closed("");
    closed.tables = {};
    const auto nothing_compiled = test::run(closed.access().login_access({}));
    CPPUNIT_ASSERT(!nothing_compiled.accepted && nothing_compiled.temporary);
    CPPUNIT_ASSERT_EQUAL(std::string("tables.db"), nothing_compiled.verdict.table);
  }

  void to_decide_writes_nothing() {
    World world("PORT_ACCESS\n\n  *|*|*|198.51.100.*|*  $U$<$>$T$N5|seen|refused|421$ no|record\n  *  $Y\n\n"
                "FROM_ACCESS\n\n  *  $U$<$J2|hello|no$ address$Y\n");
    world.configuration.access.log_connection = 2;
    const auto port = [&](bool listener) {
      return test::run(world.access().port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint("198.51.100.7", 4000), listener));
    };
    const auto refused = port(true);
    CPPUNIT_ASSERT(!refused.accepted && refused.verdict.denied());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, refused.notes.size());
    CPPUNIT_ASSERT_EQUAL(std::string("connection-record"), refused.notes[2].event);
    CPPUNIT_ASSERT_EQUAL(5, refused.debug_level);
    // The second probe refuses nobody, so nothing is written of a refusal.
    const auto second = port(false);
    CPPUNIT_ASSERT(second.accepted && !second.verdict.denied());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, second.notes.size());
    const auto sender = world.mail();
    CPPUNIT_ASSERT(sender.accepted);
    CPPUNIT_ASSERT_EQUAL(2, sender.effects.debug_level);
    CPPUNIT_ASSERT_EQUAL(std::string("a@example.net"), sender.reverse_path);
    CPPUNIT_ASSERT_EQUAL(std::string("access-argument"), sender.notes.back().event);
    CPPUNIT_ASSERT_EQUAL(2, world.rcpt("u1@example.com").effects.debug_level);
  }

  // 2.1 and 2.4: the other submission paths.
  void what_comes_without_a_network_has_empty_fields() {
    World world("FROM_ACCESS\n\n  *  $Y\n\nMAIL_ACCESS\n\n  *  $Y\n");
    SessionFacts local;
    local.source_channel = "l";
    local.from_network = false;
    TransactionAccess transaction(world.access(), std::make_shared<const SessionFacts>(local));
    const auto sender = test::run(transaction.mail_from("a", "example.com", "a@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("FROM_ACCESS ||MAIL|l|a@example.com|\n"), World::probes(sender));
    TransactionAccess::Ask ask;
    ask.local_part = "u1";
    ask.domain = "example.com";
    const auto recipient = test::run(transaction.recipient(ask));
    CPPUNIT_ASSERT_EQUAL(std::string("MAIL_ACCESS ||MAIL|l|a@example.com|ims-ms|u1@example.com\n"), World::probes(recipient));
  }

  void effects_add_up() {
    World world("ORIG_SEND_ACCESS\n\n  *|u1@*  $H$A$G$T$,mark|X-One:$ 1|tag1|1.5$Y\n  *|u2@*  $D300|$Nno\n  *  $Y\n\n"
                "SEND_ACCESS\n\n  *|u1@*  $Z$D$G$,$Y-200|tag2|-2\n  *  $Y\n",
                "bin@example.com: u1@example.org\n");
    const auto decision = world.rcpt("u1@example.com");
    CPPUNIT_ASSERT(decision.accepted);
    CPPUNIT_ASSERT_EQUAL(std::string("ORIG_SEND_ACCESS mappings:3 of tables 7"), decision.effects.held_by);
    CPPUNIT_ASSERT_EQUAL(std::string("1.5 -2"), decision.effects.spam_adjustments.at(0) + " " + decision.effects.spam_adjustments.at(1));
    CPPUNIT_ASSERT_EQUAL(std::string("mark"), decision.effects.tag);
    CPPUNIT_ASSERT(decision.effects.held && decision.effects.jettisoned && !decision.effects.discarded);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, decision.effects.header_fields.size());
    CPPUNIT_ASSERT_EQUAL(std::string("X-One: 1"), decision.effects.header_fields[0]);
    CPPUNIT_ASSERT(decision.effects.delay_this_reply_only);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, decision.recipients[0].conversion_tags.size());
    const auto refused = world.rcpt("u2@example.com");
    CPPUNIT_ASSERT(!refused.accepted);
    CPPUNIT_ASSERT(refused.effects.delay == std::chrono::milliseconds(3000) && !refused.effects.delay_this_reply_only);
    World bucket("SEND_ACCESS\n\n  *|u1@*  $B$Y\n");
    const auto dropped = bucket.rcpt("u1@example.com");
    CPPUNIT_ASSERT(dropped.accepted && dropped.recipients.empty() && dropped.effects.bit_bucket);
    World all("ORIG_MAIL_ACCESS\n\n  *|team@*  $B$Y\n", "team@example.com: u1@example.com, x@example.net\n");
    const auto none = all.rcpt("team@example.com");
    CPPUNIT_ASSERT(none.accepted && none.recipients.empty() && none.effects.bit_bucket);
  }

  void trouble_is_temporary() {
    World world(test::kShippedTables);
    world.directory.set_down(true);
    CPPUNIT_ASSERT_EQUAL(451, world.mail().reply.code);
    World slow("SEND_ACCESS\n\n  *|$A*a$A*a$A*a$A*a$A*a$A*a$D%@*|*|*  $Y\n");
    slow.from_local = std::string(200, 'a');
    const auto decision = slow.rcpt("u1@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("451 4.7.1 try again later"), World::shown(decision));
    CPPUNIT_ASSERT(decision.verdicts.back().denied());
    World endless("PORT_ACCESS\n\n  TCP|$[0-9a-f:|]*$H%$[0-9a-f:|]*$H%$[0-9a-f:|]*$H%$[0-9a-f:|]*$H%$[0-9a-f:|]*$T%*  $Y\n");
    // In the words of each service.
    const std::pair<conf::Module, const char*> texts[] = {{conf::Module::smtp, "421 4.7.1 try again later"},
                                                          {conf::Module::lmtp, "421 4.7.1 try again later"},
                                                          {conf::Module::pop3, "-ERR [SYS/TEMP] try again later"},
                                                          {conf::Module::managesieve, "BYE (TRYLATER) \"try again later\""}};
    for (const auto& [module, text] : texts) {
      const auto port = test::run(endless.access().port_access(module, test::endpoint("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 25),
                                                               test::endpoint("2001:db8:aaaa:bbbb:cccc:dddd:eeee:1111", 25), true));
      CPPUNIT_ASSERT(!port.accepted);
      CPPUNIT_ASSERT_EQUAL(std::string(text), port.text);
    }
    World long_probe("SEND_ACCESS\n\n  *  $Y\n");
    long_probe.configuration.access.access_orcpt = true;
    CPPUNIT_ASSERT_EQUAL(std::string("451 4.7.1 try again later"), World::shown(long_probe.rcpt("u1@example.com", std::string(4096, 'x'))));
    World nowhere("X\n\n  x $Y\n");
    nowhere.configuration.rewrite = {{"example.net $U%$D@tcp_local-daemon", {}}, {"loop.example $U@loop.example", {}}};
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.1.2 no way to this host: x@other.example"), World::shown(nowhere.rcpt("x@other.example")));
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.4.6 rewriting rules run in a circle: x@loop.example"), World::shown(nowhere.rcpt("x@loop.example")));
  }

  void lmtp_is_for_local_users() {
    World world(test::kShippedTables);
    world.source_channel = "tcp_lmtp";
    world.lmtp = true;
    CPPUNIT_ASSERT_EQUAL(std::string("250"), World::shown(world.rcpt("u1@example.com")));
    CPPUNIT_ASSERT_EQUAL(std::string("550 5.7.1 LMTP takes mail for local recipients only: x@example.net"), World::shown(world.rcpt("x@example.net")));
  }

  void addresses_resolve_without_tables() {
    World world("SEND_ACCESS\n\n  *  $N\n", "team@example.com: u1@example.com, u2@example.com\nout@example.com: x@example.net\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, test::run(resolve(world.access(), "team@example.com"))->size());
    CPPUNIT_ASSERT(test::run(resolve(world.access(), "nobody@example.com")).error().kind == Kind::not_found);
    for (const char* elsewhere : {"x@example.net", "out@example.com"}) {
      const auto found = test::run(resolve(world.access(), elsewhere));
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, found->size());
      CPPUNIT_ASSERT_EQUAL(std::string("tcp_local:x@example.net"), found->front().destination_channel + ":" + found->front().address);
    }
    CPPUNIT_ASSERT(test::run(resolve(world.access(), "no address")).error().kind == Kind::invalid);
    world.directory.set_down(true);
    CPPUNIT_ASSERT(test::run(resolve(world.access(), "u1@example.com")).error().kind == Kind::temporary);
  }

  // access-control.md 7. The tables see the address that is meant: nobody relays in this way.
  void an_address_may_ask_for_conversion() {
    World world(test::kShippedTables);
    const auto of = [](const RecipientDecision& decision) {
      return World::shown(decision) + " " + World::finals(decision) + (!decision.recipients.empty() && decision.recipients[0].conversion == mail::Recipient::Conversion::wanted ? " wanted" : "");
    };
    CPPUNIT_ASSERT(of(world.rcpt("u1%example.com@conversion")).find("wanted") == std::string::npos);
    world.configuration.conversion_texts.push_back({"/conversions x", {}});
    for (const char* address : {"u1%example.com@conversion", "u1%example.com@Conversion.mail.example.com"})
      CPPUNIT_ASSERT_EQUAL(std::string("250 ims-ms:u1@example.com wanted"), of(world.rcpt(address)));
    CPPUNIT_ASSERT_EQUAL(std::string("250 ims-ms:u1@example.com"), of(world.rcpt("u1@example.com")));
    CPPUNIT_ASSERT(of(world.rcpt("x%example.net@conversion")).find("Relaying not permitted") != std::string::npos);
    world.directory.add_account("u3@mail.example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("250 ims-ms:u3@mail.example.com wanted"), of(world.rcpt("u3@conversion")));
    for (const char* address : {"u1%@conversion", "%example.com@conversion", "u1%example.com@conversion.example.com"})
      CPPUNIT_ASSERT_MESSAGE(address, of(world.rcpt(address)).find("wanted") == std::string::npos);
    const auto resolved = test::run(resolve(world.access(), "u1%example.com@conversion"));
    CPPUNIT_ASSERT(resolved && resolved->size() == 1 && resolved->front().conversion == mail::Recipient::Conversion::wanted);
  }

  void each_probe_is_told_once() {
    World world(
        "INTERNAL_IP\n\n  *  $C$[postern:client,$0]$Y$E\n  *  $N\n\n"
        "PORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  *  $Y\n\n"
        "FROM_ACCESS\n\n  *  $Y\n\nORIG_SEND_ACCESS\n\n  *  $Y\n\nMAIL_ACCESS\n\n  none  $N\n");
    WrittenDown notes;
    world.observer = &notes;
    [[maybe_unused]] const auto port =
        test::run(world.access().port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint("198.51.100.7", 4000), true));
    [[maybe_unused]] const std::string channel = channel_of(world, "tcp_local", "198.51.100.7");
    [[maybe_unused]] const auto recipient = world.rcpt("u1@example.com");
    const std::vector<std::string> expected{
        "PORT_ACCESS A TCP|192.0.2.1|25|198.51.100.7|4000 -> 9 client=nothing",
        "INTERNAL_IP  198.51.100.7 -> 4 client=nothing",
        "FROM_ACCESS  TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/client.example.net|MAIL|tcp_local|a@example.net| -> 13",
        "ORIG_SEND_ACCESS E tcp_local|a@example.net|l|u1@example.com -> 17",
        "MAIL_ACCESS E TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/client.example.net|MAIL|tcp_local|a@example.net|ims-ms|u1@example.com -> 0"};
    for (std::size_t i = 0; i < std::max(expected.size(), notes.lines.size()); ++i)
      CPPUNIT_ASSERT_EQUAL(i < expected.size() ? expected[i] : "nothing", i < notes.lines.size() ? notes.lines[i] : "nothing");

    // Tables that are not there, if they are wanted: what relaying they forgot to forbid is refused all the same.
    World empty("OTHER\n\n  *  $Y\n");
    WrittenDown missing;
    missing.missing_too = true;
    empty.observer = &missing;
    [[maybe_unused]] const auto first =
        test::run(empty.access().port_access(conf::Module::smtp, test::endpoint("192.0.2.1", 25), test::endpoint("198.51.100.7", 4000), true));
    CPPUNIT_ASSERT(!empty.rcpt("x@example.net").accepted);
    CPPUNIT_ASSERT(empty.rcpt("u1@example.com").accepted);
    std::vector<std::string> tables;
    for (const std::string& line : missing.lines) tables.push_back(line.substr(0, line.find(' ')));
    CPPUNIT_ASSERT(tables == (std::vector<std::string>{"PORT_ACCESS", "FROM_ACCESS", "ORIG_SEND_ACCESS", "FROM_ACCESS", "ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS",
                                                       "SEND_ACCESS", "MAIL_ACCESS"}));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(AccessTest);
