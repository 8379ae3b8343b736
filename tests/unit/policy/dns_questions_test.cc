// SPDX-License-Identifier: Apache-2.0
#include "mapping/known_names.h"
#include "net/fixed_resolver.h"
#include "policy/dns_questions.h"

#include "fixtures.h"

#include <cppunit/extensions/HelperMacros.h>

#include <set>
#include <string>

using namespace postern;
using namespace postern::policy;

namespace {

class DnsQuestionsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DnsQuestionsTest);
  CPPUNIT_TEST(the_checks_of_tables_know_each_call_out);
  CPPUNIT_TEST(names_are_verified);
  CPPUNIT_TEST(dns_lists_are_asked);
  CPPUNIT_TEST(clients_may_be_known_by_name);
  CPPUNIT_TEST(sender_domains_are_checked);
  CPPUNIT_TEST_SUITE_END();

  net::FixedResolver resolver;
  Questions questions;

 public:
  void setUp() override {
    add_dns_questions(questions, resolver);
    resolver.add_mail_exchanger("mx.example", 10, "host.example");
    resolver.add_address("host.example", "192.0.2.1");
    resolver.add_name("192.0.2.1", "host.example");
    resolver.add_mail_exchanger("null.example", 0, ".");
    resolver.add_address("xn--caf-dma.example", "192.0.2.2");
    resolver.add_address("7.2.0.192.list.example", "127.0.0.2");
    resolver.add_address("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example", "127.0.0.2");
    resolver.add_address("8.2.0.192.list.example", "203.0.113.1");
    resolver.set_failing("trouble.example");
    resolver.set_failing("9.2.0.192.list.example");
  }

 private:
  std::string answer(const std::string& routine, const std::string& argument, const net::AddressList* clients = nullptr) {
    mapping::Question question;
    question.kind = mapping::Question::Kind::call_out;
    question.name = "postern";
    question.routine = routine;
    question.argument = argument;
    QuestionFacts facts;
    facts.clients = clients;
    const auto text = test::run(questions.answer(question, facts));
    return text ? "=" + *text : "failed";
  }

  void the_checks_of_tables_know_each_call_out() {
    std::set<std::string> known;
    for (const auto& call_out : mapping::kCallOuts) known.emplace(call_out.name);
    // Those of counters are added by whoever has them.
    std::set<std::string> answered = questions.routines();
    answered.insert({"throttle", "throttle_p"});
    CPPUNIT_ASSERT(known == answered);
  }

  void names_are_verified() {
    struct {
      const char *argument, *want;
    } rows[] = {
        {"mx.example", "="},           {"host.example", "="},          {"none.example", "failed"},       {"null.example", "="},
        {"mx.example,good", "=good"},  {"mx.example,good,bad", "=good"}, {"none.example,good", "failed"}, {"none.example,good,bad one", "=bad one"},
        {"none.example,,bad", "=bad"}, {"none.example,good,", "="},    {"trouble.example", "failed"},    {"trouble.example,good,bad", "failed"},
        {"MX.Example.,good", "=good"}, {"caf\xc3\xa9.example", "="},   {"", "failed"},                   {"mx.example,a,b,c", "failed"},
        {"not a name,good,bad", "=bad"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.argument, std::string(row.want), answer("dns_verify", row.argument));
  }

  void dns_lists_are_asked() {
    struct {
      const char *argument, *want;
    } rows[] = {
        {"192.0.2.7,list.example", "="},     {"2001:db8::1,list.example", "="},  {"192.0.2.8,list.example", "failed"}, {"192.0.2.9,list.example", "failed"},
        {"192.0.2.10,list.example", "failed"}, {"192.0.2.7, List.Example.", "="}, {"192.0.2.7", "failed"},              {"192.0.2.7,", "failed"},
        {"no address,list.example", "failed"}, {"", "failed"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.argument, std::string(row.want), answer("dnsbl", row.argument));
  }

  void clients_may_be_known_by_name() {
    std::vector<net::AddressList::Mistake> mistakes;
    const auto clients = net::AddressList::compile("198.51.100.1\n#@*.example", mistakes, true);
    CPPUNIT_ASSERT_EQUAL(std::string("="), answer("client", "198.51.100.1", &clients));
    CPPUNIT_ASSERT_EQUAL(std::string("="), answer("client", "192.0.2.1", &clients));
    CPPUNIT_ASSERT_EQUAL(std::string("failed"), answer("client", "192.0.2.2", &clients));
    CPPUNIT_ASSERT_EQUAL(std::string("failed"), answer("client", "192.0.2.1"));
  }

  void sender_domains_are_checked() {
    struct {
      const char* domain;
      int code;
      const char* status;
    } rows[] = {{"mx.example", 0, ""},          {"host.example", 0, ""},          {"none.example", 553, "5.1.8"}, {"null.example", 550, "5.7.27"},
                {"trouble.example", 451, "4.1.8"}, {"caf\xc3\xa9.example", 0, ""}, {"[192.0.2.99]", 0, ""},        {"[IPv6:2001:db8::1]", 0, ""}};
    for (const auto& row : rows) {
      const auto refused = test::run(check_sender_domain(resolver, row.domain, std::string("user@") + row.domain));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, row.code, refused ? refused->code : 0);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.domain, std::string(row.status), refused ? refused->status : std::string());
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DnsQuestionsTest);

}  // namespace
