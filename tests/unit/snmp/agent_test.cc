// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::snmp {
namespace {

using gate::DatagramOutcome;
using test::ask;
using test::kSettings;
using test::parse;
using test::question;

const Oid kDescription{1, 3, 6, 1, 2, 1, 1, 1, 0}, kContact{1, 3, 6, 1, 2, 1, 1, 4, 0}, kUpTime{1, 3, 6, 1, 2, 1, 1, 3, 0};
// posternListenerAdmitted of SMTP: a Counter64.
const Oid kAdmitted = kPosternMib + Oid{1, 2, 1, 9, 2};

class AgentTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AgentTest);
  CPPUNIT_TEST(an_answer_repeats_id_version_and_community);
  CPPUNIT_TEST(a_wrong_community_gets_no_answer);
  CPPUNIT_TEST(no_community_answers_nobody);
  CPPUNIT_TEST(what_is_missing_is_an_exception_in_v2c_and_an_error_in_v1);
  CPPUNIT_TEST(get_next_walks_over_everything_in_rising_order);
  CPPUNIT_TEST(version_1_does_not_see_64_bit_counters);
  CPPUNIT_TEST(get_bulk_is_bounded_by_size_and_repetitions);
  CPPUNIT_TEST(get_bulk_walks_over_everything);
  CPPUNIT_TEST(nothing_can_be_set);
  CPPUNIT_TEST(what_does_not_fit_is_too_big);
  CPPUNIT_TEST(an_answer_that_can_not_be_made_small_enough_is_dropped);
  CPPUNIT_TEST(damaged_messages_get_no_answer);
  CPPUNIT_TEST(other_versions_get_no_answer);
  CPPUNIT_TEST_SUITE_END();

  const Tree tree_ = test::sample_tree();

  void an_answer_repeats_id_version_and_community() {
    for (const Version version : {Version::v1, Version::v2c})
      for (const std::int32_t id : {0, 1, -1, 2147483647, -2147483647 - 1}) {
        const Answer answer = ask(question(Operation::get, {kContact, kDescription}, version, "secret", id), tree_);
        CPPUNIT_ASSERT(answer.outcome == DatagramOutcome::answered);
        const auto parsed = parse(answer.bytes);
        CPPUNIT_ASSERT(parsed.whole);
        CPPUNIT_ASSERT_EQUAL(static_cast<std::int32_t>(version), parsed.version);
        CPPUNIT_ASSERT_EQUAL(id, parsed.id);
        CPPUNIT_ASSERT_EQUAL(0, parsed.status);
        CPPUNIT_ASSERT_EQUAL(std::string("secret"), parsed.community);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, parsed.bindings.size());
        CPPUNIT_ASSERT(parsed.bindings[0].name == kContact);
        CPPUNIT_ASSERT_EQUAL(std::string("postmaster@example.com"), parsed.bindings[0].content);
      }
    CPPUNIT_ASSERT(parse(ask(question(Operation::get, {}), tree_).bytes).whole);
  }

  void a_wrong_community_gets_no_answer() {
    for (const char* const community : {"", "s", "secre", "secreT", "secret ", "public"})
      for (const Operation operation : {Operation::get, Operation::get_next, Operation::set}) {
        const Answer answer = ask(question(operation, {kContact}, Version::v1, community), tree_);
        CPPUNIT_ASSERT_MESSAGE(community, answer.outcome == DatagramOutcome::unauthenticated && answer.bytes.empty());
      }
    // Even if the rest is rubbish: nothing is told to who does not know the word.
    const std::string rubbish = ber(kSequence, ber_integer(1) + ber(kOctetString, "guess") + "\xa0\x05");
    CPPUNIT_ASSERT(ask(rubbish, tree_).outcome == DatagramOutcome::unauthenticated);
  }

  void no_community_answers_nobody() {
    const AgentSettings open{"", 1400, 50};
    CPPUNIT_ASSERT(ask(question(Operation::get, {kContact}, Version::v2c, ""), tree_, open).outcome == DatagramOutcome::unauthenticated);
  }

  void what_is_missing_is_an_exception_in_v2c_and_an_error_in_v1() {
    const struct {
      Oid name;
      int tag;
    } rows[] = {
        {{1, 3, 6, 1, 2, 1, 1, 1}, kNoSuchInstance},             // the type itself
        {{1, 3, 6, 1, 2, 1, 1}, kNoSuchObject},
        {{1, 3, 6, 1, 2, 1, 1, 1, 1}, kNoSuchInstance},
        {{1, 3, 6, 1, 2, 1, 1, 1, 0, 0}, kNoSuchInstance},
        {{1, 3, 6, 1, 2, 1, 2, 1, 0}, kNoSuchObject},
        {{0, 0}, kNoSuchObject},
        {{2, 4294967295}, kNoSuchObject},
        {kPosternMib + Oid{1, 2, 1, 7, 99}, kNoSuchInstance},
        {{1, 3, 6, 1, 2, 1, 27, 1, 1, 1, 2}, kNoSuchObject},      // applIndex is not to be read
    };
    for (const auto& row : rows) {
      const auto v2 = parse(ask(question(Operation::get, {kContact, row.name}), tree_).bytes);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(to_string(row.name), 0, v2.status);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(to_string(row.name), row.tag, static_cast<int>(v2.bindings.at(1).tag));
      const auto v1 = parse(ask(question(Operation::get, {kContact, row.name}, Version::v1), tree_).bytes);
      CPPUNIT_ASSERT_EQUAL(2, v1.status);
      CPPUNIT_ASSERT_EQUAL(2, v1.index);
      CPPUNIT_ASSERT_EQUAL(std::size_t{2}, v1.bindings.size());
      CPPUNIT_ASSERT_EQUAL(static_cast<int>(kNull), static_cast<int>(v1.bindings[0].tag));
    }
    const Oid last = tree_.objects().back().name;
    const auto v2 = parse(ask(question(Operation::get_next, {last}), tree_).bytes);
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(kEndOfMibView), static_cast<int>(v2.bindings.at(0).tag));
    CPPUNIT_ASSERT(v2.bindings[0].name == last);
    CPPUNIT_ASSERT_EQUAL(2, parse(ask(question(Operation::get_next, {last}, Version::v1), tree_).bytes).status);
  }

  void get_next_walks_over_everything_in_rising_order() {
    Oid at{0, 0};
    std::size_t steps = 0;
    for (;;) {
      const auto parsed = parse(ask(question(Operation::get_next, {at}), tree_).bytes);
      CPPUNIT_ASSERT(parsed.whole && parsed.bindings.size() == 1);
      if (parsed.bindings[0].tag == kEndOfMibView) break;
      CPPUNIT_ASSERT_MESSAGE(to_string(at), at < parsed.bindings[0].name);
      at = parsed.bindings[0].name;
      ++steps;
      // What was walked to can be got.
      const auto got = parse(ask(question(Operation::get, {at}), tree_).bytes);
      CPPUNIT_ASSERT(got.bindings.at(0).content == parsed.bindings[0].content && got.bindings[0].tag == parsed.bindings[0].tag);
    }
    CPPUNIT_ASSERT_EQUAL(tree_.objects().size(), steps);
    CPPUNIT_ASSERT(steps > 150);
  }

  // RFC 3584 section 4.2.2.1
  void version_1_does_not_see_64_bit_counters() {
    CPPUNIT_ASSERT_EQUAL(static_cast<int>(kCounter64), static_cast<int>(parse(ask(question(Operation::get, {kAdmitted}), tree_).bytes).bindings.at(0).tag));
    CPPUNIT_ASSERT_EQUAL(2, parse(ask(question(Operation::get, {kAdmitted}, Version::v1), tree_).bytes).status);
    Oid at{0, 0};
    std::size_t steps = 0, without = 0;
    for (const auto& object : tree_.objects()) without += object.value.tag == kCounter64 ? 0 : 1;
    for (;; ++steps) {
      const auto parsed = parse(ask(question(Operation::get_next, {at}, Version::v1), tree_).bytes);
      if (parsed.status != 0) break;
      CPPUNIT_ASSERT(parsed.bindings.at(0).tag != kCounter64 && at < parsed.bindings[0].name);
      at = parsed.bindings[0].name;
    }
    CPPUNIT_ASSERT_EQUAL(without, steps);
    CPPUNIT_ASSERT(without < tree_.objects().size());
  }

  void get_bulk_is_bounded_by_size_and_repetitions() {
    const Oid everything{1, 3};
    const auto bulk = [&](std::int32_t once, std::int32_t repetitions, std::vector<Oid> names, const AgentSettings& settings = kSettings) {
      const Answer answer = ask(question(Operation::get_bulk, names, Version::v2c, "secret", 1, once, repetitions), tree_, settings);
      CPPUNIT_ASSERT(answer.outcome == DatagramOutcome::answered);
      CPPUNIT_ASSERT(answer.bytes.size() <= settings.message_bytes);
      const auto parsed = parse(answer.bytes);
      CPPUNIT_ASSERT(parsed.whole);
      CPPUNIT_ASSERT_EQUAL(0, parsed.status);
      return parsed;
    };
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, bulk(0, 3, {everything}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, bulk(0, 0, {everything}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, bulk(0, -5, {everything}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1 + 2 * 3}, bulk(1, 3, {everything, everything, kContact}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, bulk(7, 1000, {everything, everything}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, bulk(-1, 3, {everything}).bindings.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, bulk(0, 2147483647, {everything}, {"secret", 1400, 5}).bindings.size());
    const auto full = bulk(0, 2147483647, {everything}, {"secret", 484, 1000});
    CPPUNIT_ASSERT(full.bindings.size() > 5 && full.bindings.size() < 50);
    CPPUNIT_ASSERT(bulk(0, 2147483647, {everything}, {"secret", 65507, 1000}).bindings.size() > tree_.objects().size());
    // At the end of everything one row says so, not fifty.
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, bulk(0, 50, {{2, 99}}).bindings.size());
    // Version 1 knows no such request.
    CPPUNIT_ASSERT(ask(question(Operation::get_bulk, {everything}, Version::v1), tree_).outcome == DatagramOutcome::damaged);
  }

  void get_bulk_walks_over_everything() {
    std::vector<Oid> seen;
    Oid at{0, 0};
    bool end = false;
    while (!end) {
      const auto parsed = parse(ask(question(Operation::get_bulk, {at}, Version::v2c, "secret", 1, 0, 20), tree_, {"secret", 600, 50}).bytes);
      CPPUNIT_ASSERT(parsed.whole && !parsed.bindings.empty());
      for (const auto& one : parsed.bindings) {
        if ((end = one.tag == kEndOfMibView)) break;
        seen.push_back(at = one.name);
      }
    }
    CPPUNIT_ASSERT_EQUAL(tree_.objects().size(), seen.size());
    for (std::size_t i = 0; i < seen.size(); ++i) CPPUNIT_ASSERT(seen[i] == tree_.objects()[i].name);
  }

  void nothing_can_be_set() {
    const auto v2 = parse(ask(question(Operation::set, {kContact, kDescription}), tree_).bytes);
    CPPUNIT_ASSERT_EQUAL(17, v2.status);  // notWritable
    CPPUNIT_ASSERT_EQUAL(1, v2.index);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, v2.bindings.size());
    const auto v1 = parse(ask(question(Operation::set, {kContact}, Version::v1), tree_).bytes);
    CPPUNIT_ASSERT_EQUAL(2, v1.status);
    CPPUNIT_ASSERT_EQUAL(1, v1.index);
    CPPUNIT_ASSERT_EQUAL(0, parse(ask(question(Operation::set, {}), tree_).bytes).status);
  }

  void what_does_not_fit_is_too_big() {
    const std::vector<Oid> names(20, kDescription);
    const AgentSettings small{"secret", 484, 50};
    for (const Operation operation : {Operation::get, Operation::get_next}) {
      const auto v2 = parse(ask(question(operation, names), tree_, small).bytes);
      CPPUNIT_ASSERT_EQUAL(1, v2.status);
      CPPUNIT_ASSERT_EQUAL(0, v2.index);
      CPPUNIT_ASSERT(v2.bindings.empty());
      const auto v1 = parse(ask(question(operation, names, Version::v1), tree_, small).bytes);
      CPPUNIT_ASSERT_EQUAL(1, v1.status);
      CPPUNIT_ASSERT_EQUAL(names.size(), v1.bindings.size());
    }
  }

  // snmpSilentDrops
  void an_answer_that_can_not_be_made_small_enough_is_dropped() {
    const std::vector<Oid> names(80, kDescription);
    const AgentSettings small{"secret", 484, 50};
    CPPUNIT_ASSERT(ask(question(Operation::get, names, Version::v1), tree_, small).outcome == DatagramOutcome::unanswered);
    CPPUNIT_ASSERT(ask(question(Operation::set, names), tree_, small).outcome == DatagramOutcome::unanswered);
    CPPUNIT_ASSERT(ask(question(Operation::get, names), tree_, small).outcome == DatagramOutcome::answered);
  }

  void damaged_messages_get_no_answer() {
    const std::string good = question(Operation::get, {kContact, kDescription});
    for (std::size_t length = 0; length < good.size(); ++length)
      CPPUNIT_ASSERT_MESSAGE(std::to_string(length), ask(good.substr(0, length), tree_).outcome == DatagramOutcome::damaged);
    CPPUNIT_ASSERT(ask(good + "x", tree_).outcome == DatagramOutcome::damaged);
    for (const int tag : {0xa2, 0xa4, 0xa6, 0xa7, 0xa8, 0x30, 0x05}) {
      // Answers and traps are none of an agent's business.
      std::string other = good;
      other[other.find('\xa0')] = static_cast<char>(tag);
      CPPUNIT_ASSERT(ask(other, tree_).outcome == DatagramOutcome::damaged);
    }
    const auto with_bindings = [](const std::string& bindings) {
      return ber(kSequence, ber_integer(1) + ber(kOctetString, "secret") + ber(0xa0, ber_integer(1) + ber_integer(0) + ber_integer(0) + bindings));
    };
    CPPUNIT_ASSERT(ask(with_bindings(ber(kSequence, {})), tree_).outcome == DatagramOutcome::answered);
    const std::string name = ber_oid(kContact), null = ber(kNull, {});
    for (const std::string& bindings : {std::string(), ber(kOctetString, {}), ber(kSequence, {}) + null, ber(kSequence, null), ber(kSequence, ber(kSequence, {})),
                                        ber(kSequence, ber(kSequence, name)), ber(kSequence, ber(kSequence, null + name)), ber(kSequence, ber(kSequence, name + null + null)),
                                        ber(kSequence, ber(kSequence, ber(kObjectIdentifier, {}) + null)), ber(kSequence, ber(kSequence, name + null) + "\x30")})
      CPPUNIT_ASSERT(ask(with_bindings(bindings), tree_).outcome == DatagramOutcome::damaged);
    // A value may be anything.
    CPPUNIT_ASSERT(ask(with_bindings(ber(kSequence, ber(kSequence, name + ber(0x7e, "?")))), tree_).outcome == DatagramOutcome::answered);
  }

  void other_versions_get_no_answer() {
    for (const std::int32_t version : {2, 3, -1, 2147483647}) {
      const std::string message = ber(kSequence, ber_integer(version) + ber(kSequence, {}));
      CPPUNIT_ASSERT(ask(message, tree_).outcome == DatagramOutcome::unsupported);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AgentTest);

}  // namespace
}  // namespace postern::snmp
