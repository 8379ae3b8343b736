// SPDX-License-Identifier: Apache-2.0
#include "policy/rewrite.h"

#include "fixtures.h"
#include "policy/site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using namespace postern::policy;

namespace {

std::string word(Rewritten::Outcome outcome) {
  switch (outcome) {
    case Rewritten::Outcome::done: return "done";
    case Rewritten::Outcome::no_rule: return "no rule";
    case Rewritten::Outcome::too_many_rounds: return "too many rounds";
    case Rewritten::Outcome::temporary: return "temporary";
  }
  return "";
}

// "local%host@channel", or the outcome.
std::string rewritten(const conf::Configuration& configuration, Direction direction, const std::string& local_part, const std::string& host,
                      directory::Lookups* directory = nullptr, const mapping::Tables& tables = {}) {
  const auto site = Site::from(configuration);
  Questions questions;
  const Rewritten result = test::run(rewrite(*site, tables, directory, questions, direction, local_part, host));
  if (result.outcome != Rewritten::Outcome::done) return word(result.outcome);
  return result.local_part + "%" + result.host + "@" + result.channel;
}

conf::Configuration with_rules(std::initializer_list<const char*> texts) {
  conf::Configuration configuration;
  for (const char* text : texts) configuration.rewrite.push_back({text, {"postern.conf", static_cast<int>(configuration.rewrite.size()) + 20}});
  return configuration;
}

}  // namespace

class RewriteTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RewriteTest);
  CPPUNIT_TEST(most_specific_pattern_first);
  CPPUNIT_TEST(literals_and_their_shortened_forms);
  CPPUNIT_TEST(control_sequences_choose_the_rule);
  CPPUNIT_TEST(local_domains_belong_to_channel_l);
  CPPUNIT_TEST(rules_may_chain_ten_times);
  CPPUNIT_TEST(tables_decide_whether_a_rule_holds);
  CPPUNIT_TEST(signs_in_an_address_are_not_the_templates);
  CPPUNIT_TEST(every_mistake_is_reported_with_its_line);
  CPPUNIT_TEST(each_rule_that_fits_is_explained);
  CPPUNIT_TEST_SUITE_END();

  void each_rule_that_fits_is_explained() {
    struct Steps : ProbeObserver, Explanation {
      std::string text;
      void rewriting(const RewriteStep& step) override {
        text += step.address + " " + std::to_string(step.place.line) + " " + (step.held ? step.result + " " + step.channel : step.reason) + "\n";
      }
      void expansion(const AliasStep&) override {}
      void asked(std::string_view, mapping::Flags, std::string_view, const mapping::Mapped&, std::uint64_t) override {}
      Explanation* explanation() override { return this; }
    } steps;
    const auto site = Site::from(with_rules({"a.example $R$U%$D@tcp_auth-daemon", "a.example ${NONE,$D}$U%$D@hold-daemon", "a.example $U@b.example", ". $U%$H@tcp_local-daemon"}));
    Questions questions;
    test::run(rewrite(*site, {}, nullptr, questions, Direction::forward, "u", "A.example", &steps));
    CPPUNIT_ASSERT_EQUAL(std::string("u@a.example 20 $R: for backward-pointing addresses only\n"
                                     "u@a.example 21 table NONE did not answer Y\n"
                                     "u@a.example 22 u@b.example \n"
                                     "u@b.example 23 u@b.example tcp_local\n"),
                         steps.text);
  }

  void most_specific_pattern_first() {
    const auto configuration = with_rules({
        "! comment",
        ".                 $U%$H$D@tcp_local-daemon",
        ".com              $U%[$H]$D@tcp_internal-daemon",
        ".example.com      $U%$H-of$D@tcp_auth-daemon",
        ".sub.example.com  $U%<$H>@hold-daemon",
        "a.sub.example.com only$U%$D@process-daemon",
        "HOST              x%$D@process-daemon",
    });
    struct {
      const char *host, *want;
    } rows[] = {
        {"a.sub.example.com", "onlyu%a.sub.example.com@process"},
        {"A.SUB.example.com", "onlyu%a.sub.example.com@process"},
        {"b.c.sub.example.com", "u%<b.c>@hold"},
        {"sub.example.com", "u%sub-of.example.com@tcp_auth"},
        {"other.com", "u%[other].com@tcp_internal"},
        {"example.net", "u%example.net@tcp_local"},
        {"host", "x%host@process"},
        {"nodots", "u%nodots@tcp_local"},
        {"[192.0.2.1]", "u%[192.0.2.1]@tcp_local"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.host, std::string(row.want), rewritten(configuration, Direction::forward, "u", row.host));
    CPPUNIT_ASSERT_EQUAL(std::string("no rule"), rewritten(with_rules({"a.example $U%$D@l-daemon"}), Direction::forward, "u", "b.example"));
  }

  void literals_and_their_shortened_forms() {
    const auto configuration = with_rules({
        "[192.0.2.7]      one%$D@hold-daemon",
        "[192.0.2.]       two%$L@hold-daemon",
        "[192.0.]         three%$L@hold-daemon",
        "[192.]           four%$L@hold-daemon",
        "[2001:db8::1]    six%$L@hold-daemon",
        "[]               rest%[$L]@hold-daemon",
    });
    struct {
      const char *host, *want;
    } rows[] = {
        {"[192.0.2.7]", "one%[192.0.2.7]@hold"},
        {"[192.0.2.8]", "two%192.0.2.8@hold"},
        {"[192.0.3.8]", "three%192.0.3.8@hold"},
        {"[192.1.3.8]", "four%192.1.3.8@hold"},
        {"[193.1.3.8]", "rest%[193.1.3.8]@hold"},
        {"[IPv6:2001:DB8:0::1]", "six%2001:db8::1@hold"},
        {"[IPv6:2001:db8::2]", "rest%[IPv6:2001:db8::2]@hold"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.host, std::string(row.want), rewritten(configuration, Direction::forward, "u", row.host));
  }

  void control_sequences_choose_the_rule() {
    const auto configuration = with_rules({
        ".  $B$Uheader%$H@hold-daemon",
        ".  $E$R$Uback%$H@hold-daemon",
        ".  $F$Uforth%$H@hold-daemon",
    });
    CPPUNIT_ASSERT_EQUAL(std::string("uback%h@hold"), rewritten(configuration, Direction::backward, "u", "h"));
    CPPUNIT_ASSERT_EQUAL(std::string("uforth%h@hold"), rewritten(configuration, Direction::forward, "u", "h"));
  }

  void local_domains_belong_to_channel_l() {
    directory::FixedDirectory directory;
    test::fill(directory);
    conf::Configuration shipped;
    CPPUNIT_ASSERT_EQUAL(std::string("u%example.com@l"), rewritten(shipped, Direction::forward, "u", "EXAMPLE.com", &directory));
    CPPUNIT_ASSERT_EQUAL(std::string("u%example.net@tcp_local"), rewritten(shipped, Direction::forward, "u", "example.net", &directory));
    CPPUNIT_ASSERT_EQUAL(std::string("u%sub.example.com@tcp_local"), rewritten(shipped, Direction::forward, "u", "sub.example.com", &directory));
    // A rule for the full name is closer.
    const auto routed = with_rules({"example.com $U%$D@tcp_internal-daemon", ".com $U%$H$D@tcp_local-daemon"});
    CPPUNIT_ASSERT_EQUAL(std::string("u%example.com@tcp_internal"), rewritten(routed, Direction::forward, "u", "example.com", &directory));
    const auto wide = with_rules({".com $U%$H$D@tcp_local-daemon"});
    CPPUNIT_ASSERT_EQUAL(std::string("u%example.com@l"), rewritten(wide, Direction::forward, "u", "example.com", &directory));
    directory.set_down(true);
    CPPUNIT_ASSERT_EQUAL(std::string("temporary"), rewritten(shipped, Direction::forward, "u", "example.com", &directory));
  }

  void rules_may_chain_ten_times() {
    CPPUNIT_ASSERT_EQUAL(std::string("u%b.example@hold"),
                         rewritten(with_rules({"a.example $U@b.example", "b.example $U%$D@hold-daemon"}), Direction::forward, "u", "a.example"));
    CPPUNIT_ASSERT_EQUAL(std::string("too many rounds"),
                         rewritten(with_rules({"a.example $U@b.example", "b.example $U@a.example"}), Direction::forward, "u", "a.example"));
    // Ten restarts are fine.
    CPPUNIT_ASSERT_EQUAL(std::string("uxxxxxxxxxx%aaaaaaaaaaa@hold"),
                         rewritten(with_rules({"aaaaaaaaaaa $U%$D@hold-daemon", ". $Ux@a$H"}), Direction::forward, "u", "a"));
    CPPUNIT_ASSERT_EQUAL(std::string("too many rounds"),
                         rewritten(with_rules({"aaaaaaaaaaaa $U%$D@hold-daemon", ". $Ux@a$H"}), Direction::forward, "u", "a"));
  }

  void tables_decide_whether_a_rule_holds() {
    const auto tables = test::tables_from("INTERNAL_IP\n\n  $(192.0.2.0/24)   $Y\n  * $C$[postern:client,$0]$Y$E\n  *  $N\n\nTAG\n\n  *  -$0-$Y\n");
    conf::Configuration shipped;
    std::vector<net::AddressList::Mistake> wrong;
    shipped.client_addresses = net::AddressList::compile("198.51.100.7", wrong);
    CPPUNIT_ASSERT_EQUAL(std::string("%[192.0.2.77]@tcp_internal"), rewritten(shipped, Direction::backward, "", "[192.0.2.77]", nullptr, tables));
    CPPUNIT_ASSERT_EQUAL(std::string("%[198.51.100.7]@tcp_internal"), rewritten(shipped, Direction::backward, "", "[198.51.100.7]", nullptr, tables));
    CPPUNIT_ASSERT_EQUAL(std::string("%[198.51.100.8]@tcp_local"), rewritten(shipped, Direction::backward, "", "[198.51.100.8]", nullptr, tables));
    CPPUNIT_ASSERT_EQUAL(std::string("u%[192.0.2.77]@tcp_local"), rewritten(shipped, Direction::forward, "u", "[192.0.2.77]", nullptr, tables));
    CPPUNIT_ASSERT_EQUAL(std::string("-u.h-%h@hold"),
                         rewritten(with_rules({". ${TAG,$U.$H}%$H@hold-daemon"}), Direction::forward, "u", "h", nullptr, tables));
    CPPUNIT_ASSERT_EQUAL(std::string("no rule"),
                         rewritten(with_rules({". ${NOTHERE,$U}%$H@hold-daemon"}), Direction::forward, "u", "h", nullptr, tables));
  }

  void signs_in_an_address_are_not_the_templates() {
    conf::Configuration shipped;
    CPPUNIT_ASSERT_EQUAL(std::string("a@b%c@l-daemon%example.net@tcp_local"), rewritten(shipped, Direction::forward, "a@b%c@l-daemon", "example.net"));
    CPPUNIT_ASSERT_EQUAL(std::string("u%ims-ms-daemon@tcp_local"), rewritten(shipped, Direction::forward, "u", "ims-ms-daemon"));
  }

  void every_mistake_is_reported_with_its_line() {
    struct {
      const char *line, *text;
    } rows[] = {
        {"example.com", "expected a pattern, blanks and a template"},
        {"example.com $U%$D@l-daemon x", "text behind the template"},
        {"example..com $U%$D@l-daemon", "expected a host name, with a dot in front for all names below it"},
        {"[300.] $U%$D@l-daemon", "expected an address literal or its beginning, like [192.0.2.1], [192.0.] or []"},
        {". $U%$D@nowhere-daemon", "there is no channel \"nowhere\""},
        {". $U%$D@elsewhere", "expected a channel's name with -daemon behind '@'"},
        {". $U@l-daemon", "expected local%host in front of a channel's tag"},
        {". $U%$D", "expected local%host@CHANNEL-daemon or local@host"},
        {". $X%$D@l-daemon", "unknown sequence \"$X\"; known: $U $H $D $L $E $B $R $F ${TABLE,argument}"},
        {". $u%$D@l-daemon", "unknown sequence \"$u\"; known: $U $H $D $L $E $B $R $F ${TABLE,argument}"},
        {". ${TABLE}$U%$D@l-daemon", "expected ${TABLE,argument}"},
        {". ${TABLE,$L$U%$D@l-daemon", "\"${\" without its '}'"},
        {". ${TABLE,${x}}$U%$D@l-daemon", "expected $U, $H, $D or $L in the argument of a table"},
        {". $U%$D@l-daemon$", "'$' at the end of the template"},
        {". $U%@l-daemon", "the host part is empty"},
    };
    for (const auto& row : rows) {
      const auto mistakes = check(with_rules({row.line}));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.line, std::size_t{1}, mistakes.size());
      CPPUNIT_ASSERT_EQUAL(std::string("postern.conf:20: rewrite[0]: ") + row.text, mistakes[0].to_string());
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, check(with_rules({"x", ". $U%$D@l-daemon", "y"})).size());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RewriteTest);
