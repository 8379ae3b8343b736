// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/probe_file.h"

#include "rehearsal/probe.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>
#include <vector>

using namespace postern;
using namespace postern::rehearsal;

namespace {

mapping::Mapped answered(const std::string& routine, std::optional<std::string> text) {
  mapping::Mapped mapped;
  mapping::Question question;
  question.name = "postern";
  question.routine = routine;
  question.argument = "list,192.0.2.1";
  mapped.answers.push_back({question, std::move(text)});
  return mapped;
}

std::vector<std::string> some_identities() {
  const std::string connection = "TCP|192.0.2.1|25|198.51.100.7|40312", mail = connection + "|SMTP/client.example.net|MAIL|tcp_local|a@example.net|";
  return {identity_of("PORT_ACCESS", mapping::Flags("A"), connection, answered("client", std::nullopt)),
          identity_of("port_access", mapping::Flags("S"), connection, {}),
          identity_of("FROM_ACCESS", mapping::Flags(), mail, answered("throttle", "")),
          identity_of("ORIG_SEND_ACCESS", mapping::Flags("ET"), "tcp_local|a@example.net|l|u1@example.com", {}),
          identity_of("ORIG_MAIL_ACCESS", mapping::Flags("ET"), mail + "l|u1@example.com", answered("dnsbl", "127.0.0.2")),
          identity_of("INTERNAL_IP", mapping::Flags(), "", {})};
}

std::string one_block(const std::vector<std::string>& identities) {
  std::vector<Counted> list;
  for (std::size_t i = 0; i < identities.size(); ++i) list.push_back({identities[i], static_cast<std::uint32_t>(i + 1), 1'700'000'000'000'000 - static_cast<std::int64_t>(i) * 1'000'000});
  return encode_block(list, 17);
}

std::vector<std::string> read_all(std::string_view bytes, std::string* trouble = nullptr) {
  std::vector<std::string> out;
  const FileRead read = read_probe_file(bytes, [&](const Counted& probe, std::uint64_t generation) {
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{17}, generation);
    out.emplace_back(probe.identity);
  });
  if (trouble != nullptr) *trouble = read.trouble;
  else CPPUNIT_ASSERT_EQUAL(std::string(), read.trouble);
  return out;
}

}  // namespace

class ProbeFileTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProbeFileTest);
  CPPUNIT_TEST(identities_hold_everything);
  CPPUNIT_TEST(what_is_no_access_table_is_not_kept);
  CPPUNIT_TEST(what_was_written_is_read);
  CPPUNIT_TEST(probes_of_a_message_share_their_beginnings);
  CPPUNIT_TEST(torn_and_damaged_files_give_what_is_whole);
  CPPUNIT_TEST_SUITE_END();

  void identities_hold_everything() {
    const auto probe = probe_of(some_identities()[4]);
    CPPUNIT_ASSERT(probe);
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, probe->table);
    CPPUNIT_ASSERT_EQUAL(std::string("ET"), probe->input.letters());
    CPPUNIT_ASSERT_EQUAL(std::string("TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/client.example.net|MAIL|tcp_local|a@example.net|l|u1@example.com"), probe->text);
    CPPUNIT_ASSERT(!probe->by_chance);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, probe->answers.size());
    CPPUNIT_ASSERT(probe->answers[0].question == answered("dnsbl", "").answers[0].question);
    CPPUNIT_ASSERT(probe->answers[0].text == "127.0.0.2");
    const auto failed = probe_of(some_identities()[0]);
    CPPUNIT_ASSERT(failed && !failed->answers[0].text);
    // Another answer makes another probe.
    CPPUNIT_ASSERT(identity_of("FROM_ACCESS", {}, "x", answered("throttle", "")) != identity_of("FROM_ACCESS", {}, "x", answered("throttle", std::nullopt)));
    for (std::size_t cut = 0; cut < some_identities()[4].size(); ++cut) {
      const auto shorter = probe_of(some_identities()[4].substr(0, cut));
      CPPUNIT_ASSERT(!shorter || shorter->answers.empty());
    }
  }

  void what_is_no_access_table_is_not_kept() {
    CPPUNIT_ASSERT_EQUAL(std::string(), identity_of("FORWARD", {}, "x", {}));
    CPPUNIT_ASSERT_EQUAL(std::string(), identity_of("MAIL_ACCESS", {}, std::string(mapping::kMaxProbeBytes + 1, 'x'), {}));
    CPPUNIT_ASSERT_EQUAL(std::string(), identity_of("MAIL_ACCESS", {}, "x", answered("url", std::string(5000, 'x'))));
  }

  void what_was_written_is_read() {
    const auto identities = some_identities();
    CPPUNIT_ASSERT(read_all(probe_file_header() + one_block(identities) + one_block({})) == identities);
    std::vector<std::uint32_t> counts;
    std::vector<std::int64_t> times;
    read_probe_file(probe_file_header() + one_block(identities), [&](const Counted& probe, std::uint64_t) {
      counts.push_back(probe.count);
      times.push_back(probe.last_microseconds);
    });
    CPPUNIT_ASSERT(counts == (std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6}));
    CPPUNIT_ASSERT_EQUAL(std::int64_t{1'700'000'000'000'000}, times.front());
    CPPUNIT_ASSERT_EQUAL(std::int64_t{1'699'999'995'000'000}, times.back());
  }

  void probes_of_a_message_share_their_beginnings() {
    const auto identities = some_identities();
    std::size_t bytes = 0;
    for (const auto& identity : identities) bytes += identity.size();
    CPPUNIT_ASSERT(one_block(identities).size() < bytes);
  }

  void torn_and_damaged_files_give_what_is_whole() {
    const auto identities = some_identities();
    const std::string whole = probe_file_header() + one_block(identities) + one_block(identities);
    const std::size_t first_end = probe_file_header().size() + one_block(identities).size();
    std::string trouble;
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
      const auto read = read_all(whole.substr(0, cut), &trouble);
      CPPUNIT_ASSERT_EQUAL(cut < first_end ? std::size_t{0} : identities.size(), read.size());
      CPPUNIT_ASSERT_EQUAL(cut != first_end && cut != probe_file_header().size(), trouble.find("cut short at byte") == 0);
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
      const auto read = read_all(damaged, &trouble);
      CPPUNIT_ASSERT_EQUAL(at < first_end ? std::size_t{0} : identities.size(), read.size());
      CPPUNIT_ASSERT(!trouble.empty());
    }
    std::string other = whole;
    other[15] = 2;
    read_all(other, &trouble);
    CPPUNIT_ASSERT_EQUAL(std::string("another version of the format at byte 15"), trouble);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProbeFileTest);
