// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_record.h"

#include "directory/ldap_filter.h"
#include "directory/password.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::directory;

namespace {

using Values = std::vector<std::string>;
using Attributes = std::vector<std::pair<std::string, Values>>;

std::string together(std::span<const std::string> rules) {
  std::string all;
  for (const std::string& rule : rules) all += rule + "|";
  return all;
}

class LdapRecordTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LdapRecordTest);
  CPPUNIT_TEST(what_is_put_into_filters_is_escaped);
  CPPUNIT_TEST(urls_are_read_or_refused);
  CPPUNIT_TEST(entries_become_domains);
  CPPUNIT_TEST(entries_become_accounts);
  CPPUNIT_TEST(several_addresses_of_its_own_are_told);
  CPPUNIT_TEST(an_entry_found_by_another_address_is_an_alias);
  CPPUNIT_TEST(states_and_delivery_options_are_obeyed);
  CPPUNIT_TEST(values_that_make_no_sense_are_named);
  CPPUNIT_TEST(filters_are_joined_and_switched_off);
  CPPUNIT_TEST(hashes_are_taken_as_the_setting_says);
  CPPUNIT_TEST(another_password_shows);
  CPPUNIT_TEST(groups_have_their_members_once);
  CPPUNIT_TEST_SUITE_END();

  const conf::Ldap settings_{};

  static LdapEntry entry(Attributes attributes) { return {"uid=anna,dc=example", std::move(attributes)}; }
  static LdapEntry anna(Attributes more = {}) {
    more.insert(more.begin(), {"mail", {"anna@example.com"}});
    return entry(std::move(more));
  }
  LdapName read(const LdapEntry& one, const std::string& name = "anna@example.com") const {
    auto found = read_ldap_account(one, settings_, name, together);
    CPPUNIT_ASSERT_MESSAGE(found ? "" : found.error().what, found);
    return std::move(*found);
  }

  void what_is_put_into_filters_is_escaped() {
    const struct {
      std::string pattern, address, want;
    } rows[] = {
        {"(mail=%a)", "anna@example.com", "(mail=anna@example.com)"},
        {"(&(uid=%l)(dc=%d))", "anna@example.com", "(&(uid=anna)(dc=example.com))"},
        {"(x=%%%)", "a@b", "(x=%)"},
        {"(x=%", "a@b", "(x=%"},
        {"(dc=%d)", "example.com", "(dc=example.com)"},
        {"(mail=%a)(uid=%l)", "@example.com", "(mail=@example.com)(uid=)"},
        {"(mail=%a)", "*)(uid=\\@x", "(mail=\\2a\\29\\28uid=\\5c@x)"},
        {"(uid=%l)", "\xc3\xa4@x", "(uid=\\c3\\a4)"},
        {"(uid=%l)", std::string("a\0b@x", 5), "(uid=a\\00b)"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.pattern, row.want, filter_for(row.pattern, row.address, settings_));
    conf::Ldap other;
    other.mail_attribute = "rfc822Mailbox";
    CPPUNIT_ASSERT_EQUAL(std::string("(|(rfc822Mailbox=a@b)(mailAlternateAddress=a@b))"), filter_for("(|(%m=%a)(%o=%a))", "a@b", other));
    other.alternate_attribute.clear();
    CPPUNIT_ASSERT_EQUAL(std::string("(|(rfc822Mailbox=a@b)(rfc822Mailbox=a@b))"), filter_for("(|(%m=%a)(%o=%a))", "a@b", other));
  }

  void urls_are_read_or_refused() {
    const auto good = parse_ldap_url("LDAP:///dc=example,dc=com?uid?Sub?(mail=a%2ab)");
    CPPUNIT_ASSERT(good);
    CPPUNIT_ASSERT_EQUAL(std::string("dc=example,dc=com"), good->base);
    CPPUNIT_ASSERT_EQUAL(std::string("uid"), good->attribute);
    CPPUNIT_ASSERT(good->scope == conf::Ldap::Scope::sub);
    CPPUNIT_ASSERT_EQUAL(std::string("(mail=a*b)"), good->filter);
    const auto least = parse_ldap_url("ldap:///uid=a%20b?cn");
    CPPUNIT_ASSERT(least && least->scope == conf::Ldap::Scope::base && least->filter == "(objectClass=*)" && least->base == "uid=a b");
    CPPUNIT_ASSERT(parse_ldap_url("ldap:///?cn?one") && parse_ldap_url("ldap:///?cn?one")->scope == conf::Ldap::Scope::one);
    for (const std::string& url : {std::string("ldap://host/dc=x?cn"), std::string("ldaps:///dc=x?cn"), std::string("ldap:///dc=x"), std::string("ldap:///dc=x?a,b"),
                                   std::string("ldap:///dc=x?cn?all"), std::string("ldap:///dc=x?cn?sub?(a=b)?!ext"), std::string("ldap:///dc=%zz?cn"),
                                   std::string("ldap:///dc=%00?cn"), "ldap:///dc=x?cn?sub?" + std::string(1024, 'x')})
      CPPUNIT_ASSERT_MESSAGE(url, !parse_ldap_url(url));
  }

  void entries_become_domains() {
    conf::Ldap settings;
    settings.base = "dc=example";
    const auto plain = read_ldap_domain(LdapEntry{"o=x", {}}, settings);
    CPPUNIT_ASSERT(plain.found && plain.entry == "o=x" && plain.base_dn == "dc=example" && plain.conversion_tags.empty());
    const auto full = read_ldap_domain(LdapEntry{"o=x", {{"INETDOMAINBASEDN", {" o=people "}}, {"mailDomainConversionTag", {"scan", "a b", "pdf"}}}}, settings);
    CPPUNIT_ASSERT_EQUAL(std::string("o=people"), full.base_dn);
    CPPUNIT_ASSERT(full.conversion_tags == (Values{"scan", "pdf"}));
  }

  void entries_become_accounts() {
    const auto found = read(anna({{"MAILQUOTA", {"20M"}}, {"mailHost", {"Store.Example.COM"}}, {"mailConversionTag", {"scan", " pdf "}}, {"cn", {"Anna"}},
                                  {"mailSieveRuleSource", {"keep;"}}}));
    CPPUNIT_ASSERT(found.account && !found.alias && found.account->put_off.empty());
    const Account& account = found.account->record.account;
    CPPUNIT_ASSERT_EQUAL(std::string("anna@example.com"), account.name);
    CPPUNIT_ASSERT_EQUAL(std::string("example.com/anna"), account.mailbox_directory);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{20} << 20, account.quota_bytes);
    CPPUNIT_ASSERT_EQUAL(std::string("store.example.com"), account.mail_host);
    CPPUNIT_ASSERT(account.conversion_tags == (Values{"scan", "pdf"}));
    CPPUNIT_ASSERT_EQUAL(std::string("Anna"), account.description);
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), account.filter);
    CPPUNIT_ASSERT_EQUAL(std::string(kMainScript), account.active_script);
    CPPUNIT_ASSERT(account.enabled && !account.held && account.forwarding.empty());
    CPPUNIT_ASSERT(found.account->record.password_hash.empty());
    // Of the machine's accounts, which have no address.
    CPPUNIT_ASSERT(read(entry({{"uid", {"anna"}}})).account);
    const struct {
      std::string text;
      std::uint64_t bytes;
    } quotas[] = {{"-1", 0}, {"-2", 0}, {"0", 0}, {"0M", 0}, {"5", 5}, {"5B", 5}, {"10 MB", 10 << 20}, {" 2gb ", std::uint64_t{2} << 30}, {"3\tk", 3 << 10}, {"1k", 1024}, {"2G", std::uint64_t{2} << 30}, {"1T", std::uint64_t{1} << 40}};
    for (const auto& row : quotas) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.bytes, read(anna({{"mailQuota", {row.text}}})).account->record.account.quota_bytes);
  }

  void several_addresses_of_its_own_are_told() {
    CPPUNIT_ASSERT_EQUAL(std::string(), read(anna()).account->unsure);
    CPPUNIT_ASSERT_EQUAL(std::string(), read(entry({{"mail", {"anna@example.com", "ANNA@Example.com"}}})).account->unsure);
    const std::string unsure = read(entry({{"mail", {"zoe@example.com", "anna@example.com"}}})).account->unsure;
    CPPUNIT_ASSERT_MESSAGE(unsure, unsure.starts_with("mail has several addresses, also zoe@example.com;"));
  }

  void an_entry_found_by_another_address_is_an_alias() {
    for (const std::string& name : {std::string("other@example.com"), std::string("@example.com")}) {
      const auto found = read(anna(), name);
      CPPUNIT_ASSERT_MESSAGE(name, !found.account && found.alias);
      CPPUNIT_ASSERT_EQUAL(name, found.alias->name);
      CPPUNIT_ASSERT(found.alias->members == Values{"anna@example.com"});
    }
    // Of several the first in order, whatever the server's order.
    CPPUNIT_ASSERT(read(entry({{"mail", {"b@example.com", "a@example.com"}}}), "b@example.com").alias);
    CPPUNIT_ASSERT(read(entry({{"mail", {"b@example.com", "a@example.com"}}}), "a@example.com").account);
    const auto nothing = read(entry({{"uid", {"anna"}}}), "@example.com");
    CPPUNIT_ASSERT(!nothing.account && !nothing.alias);
  }

  void states_and_delivery_options_are_obeyed() {
    const struct {
      const char* status;
      bool there, enabled, held, put_off, full;
    } states[] = {{"active", true, true, false, false, false},    {"ACTIVE", true, true, false, false, false},  {"hold", true, false, true, false, false},
                  {"inactive", true, false, false, true, false},  {"asleep", true, false, false, true, false},  {"overquota", true, true, false, false, true},
                  {"disabled", false, false, false, false, false}, {"deleted", false, false, false, false, false}, {"removed", false, false, false, false, false}};
    for (const auto& row : states) {
      const auto found = read(anna({{"mailUserStatus", {row.status}}}));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.there, found.account.has_value());
      CPPUNIT_ASSERT_MESSAGE(row.status, !found.alias);
      if (!row.there) continue;
      const Account& account = found.account->record.account;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.enabled, account.enabled);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.held, account.held);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.put_off, !found.account->put_off.empty());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.full, account.full_until != base::WallTime{});
    }
    const struct {
      Values options, addresses;
      std::size_t forwarded;
      bool keeps, held, put_off;
    } options[] = {{{}, {}, 0, false, false, false},
                   {{"mailbox"}, {"b@x.example"}, 0, false, false, false},
                   {{"forward"}, {"b@X.example", "b@x.example", "c@x.example"}, 2, false, false, false},
                   {{"Forward", "mailbox"}, {"b@x.example"}, 1, true, false, false},
                   {{"forward", "native"}, {}, 0, false, false, false},
                   {{"forward"}, {}, 0, false, false, true},
                   {{"hold"}, {}, 0, false, true, false},
                   {{"program"}, {}, 0, false, false, true},
                   {{"autoreply", "mailbox"}, {}, 0, false, false, false}};
    for (const auto& row : options) {
      const auto found = read(anna({{"mailDeliveryOption", row.options}, {"mailForwardingAddress", row.addresses}}));
      const std::string name = row.options.empty() ? "none" : row.options.front();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.forwarded, found.account->record.account.forwarding.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.keeps, found.account->record.account.keeps_copy);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.held, found.account->record.account.held);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.put_off, !found.account->put_off.empty());
    }
    conf::Ldap without = settings_;
    without.delivery_attribute.clear();
    const auto forwarded = read_ldap_account(anna({{"mailForwardingAddress", {"b@x.example"}}}), without, "anna@example.com", together);
    CPPUNIT_ASSERT(forwarded->account->record.account.forwarding.size() == 1 && forwarded->account->record.account.keeps_copy);
  }

  void values_that_make_no_sense_are_named() {
    const struct {
      LdapEntry one;
      std::string part;
    } rows[] = {{entry({{"mail", {"no address"}}}), "mail \"no address\""},
                {anna({{"mailQuota", {"a lot"}}}), "mailQuota \"a lot\""},
                {anna({{"mailQuota", {"99999999999999999999"}}}), "mailQuota"},
                {anna({{"mailQuota", {"99999999999T"}}}), "mailQuota"},
                {anna({{"mailHost", {"no host"}}}), "mailHost \"no host\""},
                {anna({{"mailDeliveryOption", {"forward"}}, {"mailForwardingAddress", {"nowhere"}}}), "mailForwardingAddress \"nowhere\""},
                {anna({{"mailConversionTag", {"a b"}}}), "conversion tag"},
                {anna({{"mailSieveRuleSource", {"\xff"}}}), "mailSieveRuleSource is not UTF-8"},
                {anna({{"mailSieveRuleSource", {std::string(kMaxFilterBytes + 1, 'x')}}}), "longer than 1,000,000"}};
    for (const auto& row : rows) {
      const auto found = read_ldap_account(row.one, settings_, "anna@example.com", together);
      CPPUNIT_ASSERT_MESSAGE(row.part, !found);
      CPPUNIT_ASSERT(found.error().kind == Kind::corrupt);
      CPPUNIT_ASSERT_MESSAGE(found.error().what, found.error().what.find(row.part) != std::string::npos);
    }
    // What is for people only spoils nothing.
    CPPUNIT_ASSERT(read(anna({{"cn", {"\xff"}}})).account->record.account.description.empty());
  }

  void filters_are_joined_and_switched_off() {
    const auto several = read(anna({{"mailSieveRuleSource", {"a", "b"}}}));
    CPPUNIT_ASSERT_EQUAL(std::string("a|b|"), several.account->record.account.filter);
    const LdapEntry off = anna({{"mailSieveRuleSource", {"# $Rule Info: Order=0 Name=filter\nkeep;"}}});
    const auto found = read_ldap_account(off, settings_, "anna@example.com", [](std::span<const std::string>) { return std::string(); });
    CPPUNIT_ASSERT(found->account->record.account.filter.empty() && found->account->record.account.active_script.empty());
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), found->account->stored_filter);
  }

  void hashes_are_taken_as_the_setting_says() {
    conf::Ldap compare = settings_;
    compare.passwords = conf::Ldap::Passwords::compare;
    compare.scram_attribute = "authPassword";
    const std::string scram = to_text(ScramDigest::sha256, *make_scram_secret(ScramDigest::sha256, "secret", "salt", 4096));
    const struct {
      Values values;
      std::string want;
    } rows[] = {{{"{SSHA}1G904nLkTkGWjKNnQuB/hpWXC/hzYWx0c2FsdA=="}, "{SSHA}1G904nLkTkGWjKNnQuB/hpWXC/hzYWx0c2FsdA=="},
                {{"{UNKNOWN}x", "plain"}, "{PLAIN}plain"},
                {{"{UNKNOWN}x"}, ""},
                {{"thirteenbytes"}, "{PLAIN}thirteenbytes"},
                {{"two words"}, ""},
                {{}, ""}};
    for (const auto& row : rows) {
      const auto found = read_ldap_account(anna({{"userPassword", row.values}, {"authPassword", {scram, "rubbish"}}}), compare, "anna@example.com", together);
      CPPUNIT_ASSERT(found);
      CPPUNIT_ASSERT_EQUAL(row.want, found->account->record.password_hash);
      CPPUNIT_ASSERT_EQUAL(scram, found->account->record.scram_sha256);
    }
    // By bind nobody reads them.
    CPPUNIT_ASSERT(read(anna({{"userPassword", {"{PLAIN}x"}}})).account->record.password_hash.empty());
    const auto has = [](const Values& names, const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    CPPUNIT_ASSERT(!has(account_attributes(settings_), "userPassword") && has(account_attributes(compare), "userPassword"));
  }

  void another_password_shows() {
    const auto state = [](const LdapEntry& one, const conf::Ldap& settings) {
      return read_ldap_account(one, settings, "anna@example.com", together).value().account->password_state;
    };
    const LdapEntry before = anna({{"pwdChangedTime", {"20261122060000Z"}}, {"userPassword", {"{SSHA}b", "{SSHA}a"}}});
    const LdapEntry turned = anna({{"userPassword", {"{SSHA}a", "{SSHA}b"}}, {"PWDCHANGEDTIME", {"20261122060000Z"}}});
    const LdapEntry other_hash = anna({{"pwdChangedTime", {"20261122060000Z"}}, {"userPassword", {"{SSHA}c", "{SSHA}a"}}});
    const LdapEntry other_time = anna({{"pwdChangedTime", {"20261122060001Z"}}, {"userPassword", {"{SSHA}b", "{SSHA}a"}}});
    conf::Ldap compare;
    compare.passwords = conf::Ldap::Passwords::compare;
    for (const conf::Ldap& settings : {settings_, compare}) {
      CPPUNIT_ASSERT(!state(before, settings).empty());
      CPPUNIT_ASSERT_EQUAL(state(before, settings), state(turned, settings));
      CPPUNIT_ASSERT(state(before, settings) != state(other_time, settings));
    }
    // By bind the hash is none of our business.
    CPPUNIT_ASSERT_EQUAL(state(before, settings_), state(other_hash, settings_));
    CPPUNIT_ASSERT(state(before, compare) != state(other_hash, compare));
    CPPUNIT_ASSERT(state(anna(), compare).empty());
    const auto asked = account_attributes(settings_);
    CPPUNIT_ASSERT(std::find(asked.begin(), asked.end(), "pwdChangedTime") != asked.end());
    CPPUNIT_ASSERT(std::find(asked.begin(), asked.end(), "userPassword") == asked.end());
  }

  void groups_have_their_members_once() {
    const LdapEntry group = entry({{"mail", {"team@example.com"}}, {"mgrpRFC822MailMember", {"a@x.example", "A@x.example", "a@X.example", "team@example.com"}},
                                   {"mgrpErrorsTo", {"mailto:owner@x.example"}}});
    const auto found = read_ldap_group(group, settings_, "team@example.com", Alias::Kind::group, Values{"a@x.example", "b@x.example"}, {});
    CPPUNIT_ASSERT(found);
    CPPUNIT_ASSERT(found->members == (Values{"a@x.example", "A@x.example", "b@x.example"}));
    CPPUNIT_ASSERT_EQUAL(std::string("owner@x.example"), found->owner);
    Limits limits;
    limits.group_members = 2;
    CPPUNIT_ASSERT(!read_ldap_group(group, settings_, "team@example.com", Alias::Kind::group, Values{"b@x.example"}, limits));
    CPPUNIT_ASSERT(!read_ldap_group(entry({{"mgrpRFC822MailMember", {"nowhere"}}}), settings_, "team@example.com", Alias::Kind::group, {}, {}));
    CPPUNIT_ASSERT(!read_ldap_group(entry({}), settings_, "one@example.com", Alias::Kind::alias, {}, {}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LdapRecordTest);

}  // namespace
