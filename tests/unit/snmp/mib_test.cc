// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace postern::snmp {
namespace {

using test::sample_figures;

const Oid kApplication{1, 3, 6, 1, 2, 1, 27, 1, 1}, kMta{1, 3, 6, 1, 2, 1, 28, 1, 1}, kSystem{1, 3, 6, 1, 2, 1, 1}, kGroup{1, 3, 6, 1, 2, 1, 28, 2, 1};

class MibTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MibTest);
  CPPUNIT_TEST(names_are_in_order_and_none_stands_twice);
  CPPUNIT_TEST(every_object_has_a_known_type);
  CPPUNIT_TEST(figures_stand_where_the_standards_say);
  CPPUNIT_TEST(what_is_not_known_is_no_object);
  CPPUNIT_TEST(last_activity_is_now_while_there_is_any);
  CPPUNIT_TEST(long_texts_are_cut_between_characters);
  CPPUNIT_TEST(counters_wrap_and_gauges_do_not);
  CPPUNIT_TEST(a_service_that_went_down_says_since_when);
  CPPUNIT_TEST(our_own_module_is_the_one_that_is_installed);
  CPPUNIT_TEST_SUITE_END();

  static std::string content(const Tree& tree, const Oid& name) {
    const auto* const object = tree.find(name);
    if (object == nullptr) return "none";
    BerReader reader(object->value.encoded);
    const auto element = reader.next();
    CPPUNIT_ASSERT(element && reader.at_end() && element->tag == object->value.tag);
    if (element->tag == kOctetString) return std::string(element->content);
    if (element->tag == kObjectIdentifier) return to_string(*decode_oid(element->content));
    std::uint64_t number = 0;
    for (const char c : element->content) number = number << 8 | static_cast<std::uint8_t>(c);
    return std::to_string(number);
  }

  void names_are_in_order_and_none_stands_twice() {
    const Tree tree = test::sample_tree();
    for (std::size_t i = 1; i < tree.objects().size(); ++i)
      CPPUNIT_ASSERT_MESSAGE(to_string(tree.objects()[i].name), tree.objects()[i - 1].name < tree.objects()[i].name);
  }

  void every_object_has_a_known_type() {
    const Tree tree = test::sample_tree();
    for (const auto& object : tree.objects()) CPPUNIT_ASSERT_MESSAGE(to_string(object.name), tree.has_type_of(object.name));
    CPPUNIT_ASSERT(!tree.has_type_of({1, 3}));
    CPPUNIT_ASSERT(!tree.has_type_of({2, 5}));
  }

  void figures_stand_where_the_standards_say() {
    const Tree tree = test::sample_tree();
    const Oid smtp{2}, pop3{4}, udp{5}, mail{1};
    const struct {
      Oid name;
      std::string value;
    } rows[] = {
        {kSystem + Oid{3, 0}, "6000"},  // a minute
        {kSystem + Oid{5, 0}, "mail.example.com"},
        {kSystem + Oid{7, 0}, "72"},
        {{1, 3, 6, 1, 2, 1, 11, 1, 0}, "117"},  // all but the restricted and the lost
        {{1, 3, 6, 1, 2, 1, 11, 3, 0}, "5"},
        {{1, 3, 6, 1, 2, 1, 11, 4, 0}, "6"},
        {{1, 3, 6, 1, 2, 1, 11, 6, 0}, "5"},
        {{1, 3, 6, 1, 2, 1, 11, 31, 0}, "1"},
        {kApplication + Oid{8} + smtp, "1"},
        {kApplication + Oid{8} + pop3, "3"},
        {kApplication + Oid{8} + udp, "none"},
        {kApplication + Oid{8} + mail, "3"},
        {kApplication + Oid{10} + smtp, std::to_string(5'000'000'000 % 4294967296)},
        {kApplication + Oid{14} + smtp, "7"},
        {kApplication + Oid{6} + smtp, "1"},
        {kMta + Oid{1} + mail, "10"},
        {kApplication + Oid{9} + mail, "2"},
        {kApplication + Oid{9} + smtp, "none"},
        {kApplication + Oid{11} + mail, "20"},
        {kApplication + Oid{12} + smtp, "6000"},  // there is one now
        {kApplication + Oid{12} + udp, "none"},
        {kApplication + Oid{13} + mail, "6000"},
        {kApplication + Oid{15} + mail, "3"},
        {kMta + Oid{2} + mail, "9"},  // both backlogs and deferred
        {kMta + Oid{3} + mail, "14"},
        {kMta + Oid{4} + mail, "10"},
        {kMta + Oid{6} + mail, "13"},
        {kMta + Oid{7} + mail, "14"},
        {kMta + Oid{9} + mail, "18"},
        {kMta + Oid{12} + mail, "3"},
        {kGroup + Oid{24, 1, 1}, "1.3.6.1.2.1.27.4.25"},
        {kGroup + Oid{3, 1, 1}, "8"},
        {kGroup + Oid{30, 1, 1}, "6000"},
        {kGroup + Oid{33, 1, 1}, "2"},
        {kGroup + Oid{4, 1, 2}, "3"},
        {kGroup + Oid{25, 1, 3}, "outbound"},
        {kGroup + Oid{4, 1, 3}, "4"},
        {kGroup + Oid{5, 1, 3}, "5"},
        {kGroup + Oid{11, 1, 3}, "6"},
        {kGroup + Oid{14, 1, 3}, "2"},
        {kGroup + Oid{33, 1, 3}, "1"},
        {kGroup + Oid{34, 1, 3}, "500"},  // five seconds ago
        {kGroup + Oid{4, 1, 4}, "2"},
        {kPosternMib + Oid{1, 2, 1, 9} + smtp, "5000000000"},
        {kPosternMib + Oid{1, 2, 1, 4} + udp, "none"},
        {kPosternMib + Oid{1, 3, 1, 2} + smtp + Oid{1}, "restricted"},
        {kPosternMib + Oid{1, 3, 1, 3} + smtp + Oid{1}, "7"},
        {kPosternMib + Oid{1, 4, 1, 5} + smtp + Oid{2}, "Address already in use"},
        {kPosternMib + Oid{1, 4, 1, 4} + smtp + Oid{2}, "2"},
        {kPosternMib + Oid{1, 5, 1, 5, 3}, "2"},
        {kPosternMib + Oid{1, 6, 1, 3} + udp + Oid{2}, "2"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(to_string(row.name), row.value, content(tree, row.name));
  }

  void what_is_not_known_is_no_object() {
    Figures figures = sample_figures();
    figures.mail.deferred.reset();
    Tree tree = make_tree(figures);
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kMta + Oid{2, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kGroup + Oid{4, 1, 4}));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kPosternMib + Oid{1, 1, 3, 0}));
    // Its type is there all the same.
    CPPUNIT_ASSERT(tree.has_type_of(kPosternMib + Oid{1, 1, 3, 0}));
    figures.services.clear();
    tree = make_tree(figures);
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kMta + Oid{1, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, {1, 3, 6, 1, 2, 1, 11, 1, 0}));
    CPPUNIT_ASSERT(!make_tree({}).objects().empty());
  }

  void last_activity_is_now_while_there_is_any() {
    Figures figures = sample_figures();
    figures.services[0].counts.active = figures.services[1].counts.active = 0;
    figures.outbound.open = 0;
    Tree tree = make_tree(figures);
    CPPUNIT_ASSERT_EQUAL(std::string("4000"), content(tree, kApplication + Oid{12, 2}));
    CPPUNIT_ASSERT_EQUAL(std::string("5000"), content(tree, kApplication + Oid{13, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("2000"), content(tree, kGroup + Oid{17, 1, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("1000"), content(tree, kGroup + Oid{18, 1, 3}));
    // Never: zero as a moment; as an interval there is none.
    figures.services[0].last_inbound_microseconds = figures.services[1].last_inbound_microseconds = 0;
    figures.outbound = {};
    tree = make_tree(figures);
    CPPUNIT_ASSERT_EQUAL(std::string("0"), content(tree, kApplication + Oid{12, 2}));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kGroup + Oid{17, 1, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), content(tree, kGroup + Oid{34, 1, 3}));
    // Noted while the figures were collected: not yet.
    figures.outbound.last_attempt_microseconds = figures.now_microseconds + 500'000;
    CPPUNIT_ASSERT_EQUAL(std::string("0"), content(make_tree(figures), kGroup + Oid{34, 1, 3}));
  }

  void long_texts_are_cut_between_characters() {
    Figures figures = sample_figures();
    figures.contact = std::string(254, 'x') + "\xc3\xa9\xc3\xa9";
    CPPUNIT_ASSERT_EQUAL(std::string(254, 'x'), content(make_tree(figures), kSystem + Oid{4, 0}));
    figures.contact = std::string(255, 'x') + "yz";
    CPPUNIT_ASSERT_EQUAL(std::string(255, 'x'), content(make_tree(figures), kSystem + Oid{4, 0}));
  }

  // RFC 2578 section 7.1
  void counters_wrap_and_gauges_do_not() {
    CPPUNIT_ASSERT_EQUAL(ber_unsigned(kCounter32, 1), Value::counter32(4294967297).encoded);
    CPPUNIT_ASSERT_EQUAL(ber_unsigned(kGauge32, 4294967295), Value::gauge32(4294967297).encoded);
    CPPUNIT_ASSERT_EQUAL(ber_unsigned(kTimeTicks, 5), Value::time_ticks(4294967301).encoded);
  }

  void a_service_that_went_down_says_since_when() {
    Figures figures = sample_figures();
    figures.services[0].up = figures.services[1].up = false;
    figures.services[0].changed_microseconds = 31'000'000;
    const Tree tree = make_tree(figures);
    CPPUNIT_ASSERT_EQUAL(std::string("2"), content(tree, kApplication + Oid{6, 2}));
    CPPUNIT_ASSERT_EQUAL(std::string("3000"), content(tree, kApplication + Oid{7, 2}));
    CPPUNIT_ASSERT_EQUAL(std::string("2"), content(tree, kApplication + Oid{6, 1}));
    CPPUNIT_ASSERT_EQUAL(std::string("0"), content(tree, kApplication + Oid{7, 4}));
  }

  // Names, numbers and syntaxes of share/postern/mibs/POSTERN-MIB.txt.
  void our_own_module_is_the_one_that_is_installed() {
    std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/share/postern/mibs/POSTERN-MIB.txt");
    CPPUNIT_ASSERT(file.good());
    std::stringstream stream;
    stream << file.rdbuf();
    const std::string text = stream.str();
    std::map<std::string, Oid> known{{"enterprises", {1, 3, 6, 1, 4, 1}}};
    std::map<std::string, std::string> readable;  // name → syntax
    const std::regex definition(R"(\n([a-z][A-Za-z]*)\s+(OBJECT IDENTIFIER|MODULE-IDENTITY|OBJECT-TYPE)([\s\S]*?)::=\s*\{\s*(\w+)((?:\s+\d+)+)\s*\})");
    for (std::sregex_iterator at(text.begin(), text.end(), definition), end; at != end; ++at) {
      const auto parent = known.find((*at)[4]);
      CPPUNIT_ASSERT_MESSAGE((*at)[1].str(), parent != known.end());
      Oid oid = parent->second;
      std::istringstream numbers((*at)[5]);
      for (std::uint32_t number; numbers >> number;) oid.push_back(number);
      known[(*at)[1]] = oid;
      const std::string body = (*at)[3];
      std::smatch syntax;
      if (body.find("read-only") != std::string::npos && std::regex_search(body, syntax, std::regex(R"(SYNTAX\s+(\w+))"))) readable[(*at)[1]] = syntax[1];
    }
    CPPUNIT_ASSERT_EQUAL(to_string(kPosternMib), to_string(known["posternMIB"]));
    CPPUNIT_ASSERT_EQUAL(to_string(kPosternMib + Oid{3, 1}), to_string(known["posternServerProduct"]));
    std::set<std::string> served;
    const Tree tree = test::sample_tree();
    const std::map<int, std::set<std::string>> syntaxes{{kInteger, {"Integer32", "INTEGER"}},
                                                       {kOctetString, {"SnmpAdminString"}},
                                                       {kGauge32, {"Gauge32", "Unsigned32"}},
                                                       {kCounter64, {"Counter64"}}};
    for (const auto& type : postern_types()) {
      const std::string name(type.name);
      served.insert(name);
      CPPUNIT_ASSERT_MESSAGE(name, readable.contains(name));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, to_string(known[name]), to_string(type.oid));
      const auto* const first = tree.after(type.oid);
      CPPUNIT_ASSERT_MESSAGE(name, first != nullptr && starts_with(first->name, type.oid));
      CPPUNIT_ASSERT_MESSAGE(name + ": " + readable[name], syntaxes.at(first->value.tag).contains(readable[name]));
    }
    for (const auto& [name, syntax] : readable) CPPUNIT_ASSERT_MESSAGE(name + " is not served", served.contains(name));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(MibTest);

}  // namespace
}  // namespace postern::snmp
