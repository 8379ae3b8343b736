// SPDX-License-Identifier: Apache-2.0
#include "net/fixed_resolver.h"

#include "run_coroutine.h"

using namespace postern;
using net::Address;

namespace {

class ResolverTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ResolverTest);
  CPPUNIT_TEST(names_are_checked_and_made_lower_case);
  CPPUNIT_TEST(addresses_are_reversed);
  CPPUNIT_TEST(types_have_names);
  CPPUNIT_TEST(records_are_read_and_bad_ones_left_out);
  CPPUNIT_TEST(addresses_of_both_families_are_found);
  CPPUNIT_TEST(addresses_say_whether_they_are_validated);
  CPPUNIT_TEST(tlsa_records_are_read);
  CPPUNIT_TEST(a_name_of_an_address_must_lead_back_to_it);
  CPPUNIT_TEST(a_domain_exists_by_mx_or_address);
  CPPUNIT_TEST(only_loopback_answers_say_listed);
  CPPUNIT_TEST(trouble_is_not_absence);
  CPPUNIT_TEST(lists_ask_for_names_only_where_they_matter);
  CPPUNIT_TEST(of_several_dns_lists_one_is_enough);
  CPPUNIT_TEST(a_silent_list_keeps_nobody_waiting_for_another);
  CPPUNIT_TEST_SUITE_END();

  net::asio::io_context io;
  net::FixedResolver resolver;

  void names_are_checked_and_made_lower_case() {
    const std::string label(63, 'a');
    struct {
      std::string name, want;  // empty: none
    } rows[] = {{"Example.COM.", "example.com"}, {"_dmarc.x", "_dmarc.x"}, {".", "."}, {"", ""}, {"a..b", ""}, {".a", ""}, {"a b.c", ""}, {"a\\.b", ""},
                {"caf\xc3\xa9.example", ""}, {label + ".b", label + ".b"}, {label + "a.b", ""}, {label + "." + label + "." + label + "." + label.substr(2), "long"},
                {label + "." + label + "." + label + "." + label.substr(1), ""}, {std::string("a\0b", 3), ""}};
    for (const auto& row : rows) {
      const auto got = net::canonical_dns_name(row.name);
      if (row.want == "long") CPPUNIT_ASSERT_MESSAGE(row.name, got && got->size() == 253);
      else CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want, got ? *got : std::string());
      if (!got) continue;
      const std::string wire = net::dns_name_to_wire(*got);
      std::string_view rest = wire;
      CPPUNIT_ASSERT(net::take_dns_name(rest) == *got && rest.empty());
    }
  }

  void addresses_are_reversed() {
    CPPUNIT_ASSERT_EQUAL(std::string("7.2.0.192.in-addr.arpa"), net::reverse_name(Address::parse("192.0.2.7").value()));
    CPPUNIT_ASSERT_EQUAL(std::string("f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
                         net::reverse_name(Address::parse("2001:db8::1f").value()));
    CPPUNIT_ASSERT_EQUAL(std::string("2.0.0.127.list.example"), net::reversed(Address::parse("::ffff:127.0.0.2").value(), "list.example"));
  }

  void types_have_names() {
    CPPUNIT_ASSERT(net::dns_type_from("mx") == 15 && net::dns_type_from("TYPE65") == 65);
    CPPUNIT_ASSERT(!net::dns_type_from("") && !net::dns_type_from("MXX") && !net::dns_type_from("TYPE65536"));
    CPPUNIT_ASSERT_EQUAL(std::string("AAAA"), net::dns_type_name(28));
    CPPUNIT_ASSERT_EQUAL(std::string("TYPE65"), net::dns_type_name(65));
  }

  void records_are_read_and_bad_ones_left_out() {
    net::DnsAnswer answer;
    const auto with = [&](std::uint16_t type, std::vector<std::string> records) {
      answer.type = type;
      answer.records = std::move(records);
    };
    using namespace std::string_literals;
    with(net::dns::kMx, {"\0\x14\2b2\0"s, "\0\x0a\2b1\7example\0"s, "\0"s, "\0\x05"s, "\0\x05\3ab\0"s, "\0\x05\xc0\x0c"s, "\0\x05\1a\0x"s, "\0\0\0"s});
    const auto hosts = answer.mail_exchangers();
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, hosts.size());
    CPPUNIT_ASSERT(hosts[0] == (net::MailExchanger{0, "."}) && hosts[1] == (net::MailExchanger{10, "b1.example"}) && hosts[2].host == "b2");
    CPPUNIT_ASSERT(answer.addresses().empty() && answer.texts().empty() && answer.names().empty());
    with(net::dns::kTxt, {"\3abc\2de"s, "\4abc"s, ""s, "\0"s});
    CPPUNIT_ASSERT((answer.texts() == std::vector<std::string>{"abcde", "", ""}));
    with(net::dns::kPtr, {"\1A\1b\0"s, "\1a.b\0"s, "\3a.b\0"s, "\1a"s, ""s});
    CPPUNIT_ASSERT((answer.names() == std::vector<std::string>{"a.b"}));
    with(net::dns::kA, {"\x7f\0\0\1"s, "\x7f\0\0"s, std::string(16, 'x')});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, answer.addresses().size());
    with(net::dns::kAaaa, {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"s, "\x7f\0\0\1"s});
    CPPUNIT_ASSERT_EQUAL(std::string("::1"), answer.addresses().at(0).to_string());
  }

  void addresses_of_both_families_are_found() {
    resolver.add_address("host.example", "192.0.2.1");
    resolver.add_address("host.example", "2001:db8::1");
    const auto found = run(io, net::addresses_of(resolver, "HOST.example."));
    CPPUNIT_ASSERT(found && found->size() == 2);
    CPPUNIT_ASSERT(run(io, net::addresses_of(resolver, "none.example")).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(run(io, net::addresses_of(resolver, "no name")).error().kind == Kind::not_found);
  }

  // RFC 7672 section 2.2: one record that is not validated is enough for nothing to be.
  void addresses_say_whether_they_are_validated() {
    resolver.add_address("both.example", "192.0.2.1");
    resolver.add_address("both.example", "2001:db8::1");
    resolver.set_secure("both.example");
    resolver.add_address("open.example", "192.0.2.2");
    resolver.add_alias("alias.example", "both.example");
    resolver.add_alias("signed-alias.example", "both.example");
    resolver.set_secure("signed-alias.example");
    struct {
      const char *name, *canonical;
      std::size_t addresses;
      bool secure;
    } rows[] = {{"both.example", "both.example", 2, true},
                {"open.example", "open.example", 1, false},
                {"alias.example", "both.example", 2, false},
                {"signed-alias.example", "both.example", 2, true}};
    for (const auto& row : rows) {
      const auto found = run(io, net::host_addresses(resolver, row.name));
      CPPUNIT_ASSERT_MESSAGE(row.name, found && found->addresses.size() == row.addresses && found->secure == row.secure);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.canonical), found->canonical_name);
    }
    CPPUNIT_ASSERT(!run(io, net::host_addresses(resolver, "nobody.example")).has_value());
  }

  void tlsa_records_are_read() {
    net::DnsAnswer answer;
    answer.type = net::dns::kTlsa;
    answer.records = {std::string("\3\1\1xyz", 6), "\3\1\1", ""};
    CPPUNIT_ASSERT(answer.tlsa() == (std::vector<net::TlsaRecord>{{3, 1, 1, "xyz"}}));
    answer.type = net::dns::kTxt;
    CPPUNIT_ASSERT(answer.tlsa().empty());
  }

  void a_name_of_an_address_must_lead_back_to_it() {
    resolver.add_name("192.0.2.1", "forged.example");
    resolver.add_name("192.0.2.1", "Host.example");
    resolver.add_address("forged.example", "192.0.2.9");
    resolver.add_address("host.example", "192.0.2.1");
    const auto found = run(io, net::names_of(resolver, Address::parse("192.0.2.1").value()));
    CPPUNIT_ASSERT((found.value() == std::vector<std::string>{"host.example"}));
    resolver.add_name("2001:db8::2", "forged.example");
    CPPUNIT_ASSERT(run(io, net::names_of(resolver, Address::parse("2001:db8::2").value())).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(run(io, net::names_of(resolver, Address::parse("192.0.2.2").value())).error().kind == Kind::not_found);
    // However many names the owner of the zone gives.
    for (int i = 0; i < 100; ++i) resolver.add_name("192.0.2.3", "h" + std::to_string(i) + ".example");
    const std::size_t before = resolver.asked().size();
    CPPUNIT_ASSERT(!run(io, net::names_of(resolver, Address::parse("192.0.2.3").value())));
    CPPUNIT_ASSERT_EQUAL(net::kMaxNames + 1, resolver.asked().size() - before);
  }

  void a_domain_exists_by_mx_or_address() {
    resolver.add_mail_exchanger("mx.example", 10, "host.example");
    resolver.add_mail_exchanger("null.example", 0, ".");
    resolver.add_mail_exchanger("two.example", 0, ".");
    resolver.add_mail_exchanger("two.example", 10, "host.example");
    resolver.add_address("six.example", "2001:db8::1");
    resolver.add_text("text.example", "v=spf1 -all");
    struct {
      const char* domain;
      net::MailDomain want;
    } rows[] = {{"mx.example", net::MailDomain::exists},    {"null.example", net::MailDomain::accepts_no_mail}, {"two.example", net::MailDomain::exists},
                {"six.example", net::MailDomain::exists},   {"text.example", net::MailDomain::absent},          {"none.example", net::MailDomain::absent}};
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_MESSAGE(row.domain, run(io, net::mail_domain(resolver, row.domain)).value() == row.want);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, row.want != net::MailDomain::absent, run(io, net::exists(resolver, row.domain)).value());
    }
  }

  void only_loopback_answers_say_listed() {
    resolver.add_address("7.2.0.192.list.example", "127.0.0.4");
    resolver.add_address("8.2.0.192.list.example", "203.0.113.1");
    CPPUNIT_ASSERT(run(io, net::is_listed(resolver, Address::parse("192.0.2.7").value(), "list.example")).value());
    CPPUNIT_ASSERT(!run(io, net::is_listed(resolver, Address::parse("192.0.2.8").value(), "list.example")).value());
    CPPUNIT_ASSERT(!run(io, net::is_listed(resolver, Address::parse("192.0.2.9").value(), "list.example")).value());
    // A list that won't answer says so with an address, whomever it is asked about.
    resolver.add_address("10.2.0.192.list.example", "127.255.255.254");
    CPPUNIT_ASSERT(run(io, net::is_listed(resolver, Address::parse("192.0.2.10").value(), "list.example")).error().kind == Kind::temporary);
    resolver.add_address("11.2.0.192.list.example", "127.255.255.254");
    resolver.add_address("11.2.0.192.list.example", "127.0.0.3");
    CPPUNIT_ASSERT(run(io, net::is_listed(resolver, Address::parse("192.0.2.11").value(), "list.example")).value());
  }

  void trouble_is_not_absence() {
    resolver.set_failing("trouble.example");
    resolver.add_name("192.0.2.1", "trouble.example");
    CPPUNIT_ASSERT(run(io, net::mail_domain(resolver, "trouble.example")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(run(io, net::addresses_of(resolver, "trouble.example")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(run(io, net::names_of(resolver, Address::parse("192.0.2.1").value())).error().kind == Kind::temporary);
    resolver.set_down(true);
    CPPUNIT_ASSERT(run(io, net::is_listed(resolver, Address::parse("192.0.2.1").value(), "list.example")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(run(io, net::exists(resolver, "x.example")).error().kind == Kind::temporary);
  }

  void lists_ask_for_names_only_where_they_matter() {
    std::vector<net::AddressList::Mistake> mistakes;
    const auto list = net::AddressList::compile("192.0.2.1\n#@*.example\n192.0.2.2", mistakes, true);
    const Address one = Address::parse("192.0.2.1").value(), two = Address::parse("192.0.2.2").value(), three = Address::parse("192.0.2.3").value();
    resolver.add_name("192.0.2.3", "host.example");
    resolver.add_address("host.example", "192.0.2.3");
    CPPUNIT_ASSERT(run(io, net::is_on_list(&resolver, list, two)));
    CPPUNIT_ASSERT(resolver.asked().empty());
    CPPUNIT_ASSERT(run(io, net::is_on_list(&resolver, list, one)));
    CPPUNIT_ASSERT(run(io, net::is_on_list(&resolver, list, three)));
    CPPUNIT_ASSERT(!resolver.asked().empty());
    CPPUNIT_ASSERT(!run(io, net::is_on_list(nullptr, list, three)));
    resolver.set_down(true);
    CPPUNIT_ASSERT(!run(io, net::is_on_list(&resolver, list, three)));
    CPPUNIT_ASSERT(!run(io, net::is_on_list(&resolver, net::AddressList(), three)));
  }

  void of_several_dns_lists_one_is_enough() {
    const Address address = Address::parse("192.0.2.7").value();
    resolver.add_address("7.2.0.192.b.example", "127.0.0.2");
    resolver.set_failing("7.2.0.192.c.example");
    const auto listing = run(io, net::first_listing(resolver, address, {"a.example", "b.example", "c.example"}));
    CPPUNIT_ASSERT(listing.list && *listing.list == 1);
    const auto silent = run(io, net::first_listing(resolver, address, {"a.example", "c.example"}));
    CPPUNIT_ASSERT(!silent.list && silent.silent == std::vector<std::size_t>{1});
    CPPUNIT_ASSERT(!run(io, net::first_listing(resolver, address, {})).list);
  }

  // The first list never answers.
  void a_silent_list_keeps_nobody_waiting_for_another() {
    struct Silent final : net::Resolver {
      net::FixedResolver others;
      net::asio::steady_timer never;
      explicit Silent(net::asio::io_context& context) : never(context, std::chrono::steady_clock::time_point::max()) {}
      net::Awaitable<Result<net::DnsAnswer>> query(std::string name, std::uint16_t type) override {
        boost::system::error_code ignored;
        if (name.ends_with("silent.example")) co_await never.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
        auto answer = co_await others.query(name, type);
        co_return answer;
      }
    } silent(io);
    silent.others.add_address("7.2.0.192.b.example", "127.0.0.2");
    std::optional<net::Listing> listing;
    net::asio::co_spawn(io, net::first_listing(silent, Address::parse("192.0.2.7").value(), {"silent.example", "b.example"}),
                        [&](std::exception_ptr, net::Listing found) { listing = std::move(found); });
    while (!listing) CPPUNIT_ASSERT(io.run_one_for(std::chrono::seconds(10)) > 0);
    CPPUNIT_ASSERT(listing->list == std::size_t{1});
    silent.never.cancel();
    io.restart();
    io.run();
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ResolverTest);

}  // namespace
