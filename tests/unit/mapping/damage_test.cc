// SPDX-License-Identifier: Apache-2.0
// Damaged bytes, hostile patterns, answers from outside: what must never end a process or hold a session.
#include "helpers.h"

#include "mapping/pattern.h"

#include <cppunit/extensions/HelperMacros.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

using namespace postern;
using namespace postern::mapping;
using namespace postern::test;

namespace {

constexpr char kSource[] =
    "PORT_ACCESS\n\n  *|*|*|*|*   $C$|INTERNAL_IP;$3|$Y$E\n  TCP|*|25|203.0.113.*|* $N421$ no\n  *  $YEXTERNAL\n\n"
    "INTERNAL_IP\n\n  $(192.0.2.0/24)   $Y\n  127.0.0.1  $Y\n  ${2001:db8::/32} $Y\n  *  ${$0}$N\n\n"
    "LOOP\n\n  *a $0$R\n  $D*x$[a-f]* <$0>$\\$1\n";
constexpr const char* kProbes[][2] = {{"PORT_ACCESS", "TCP|192.0.2.1|25|192.0.2.50|3999"}, {"PORT_ACCESS", "TCP|192.0.2.1|25|203.0.113.8|3999"},
                                      {"INTERNAL_IP", "2001:db8::7"},                      {"INTERNAL_IP", "127.0.0.1"},
                                      {"LOOP", "12xabaaa"},                                {"LOOP", "q"}};

std::string answers(const Tables& tables) {
  std::string out;
  for (const auto& probe : kProbes) out += shown(evaluate(tables, probe[0], probe[1], {}, true)) + "\n";
  const auto alias = tables.alias("postmaster@example.com");
  return out + (alias && !alias->empty() ? alias->front() : "none") + tables.general("127.0.0.1").value_or("none");
}

Compilation small() { return compiled({{"/mappings", kSource}, {"/general.txt", "127.0.0.1 home\n"}, {"/aliases", "postmaster: a@example.com\n"}}); }

class DamageTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DamageTest);
  CPPUNIT_TEST(compiled_file_with_a_damaged_byte_is_refused);
  CPPUNIT_TEST(damaged_image_is_refused_or_answers);
  CPPUNIT_TEST(image_must_be_sealed);
  CPPUNIT_TEST(hostile_pattern_is_given_up);
  CPPUNIT_TEST(nested_calls_end);
  CPPUNIT_TEST(asks_the_outside_and_goes_on);
  CPPUNIT_TEST(long_probes_are_refused);
  CPPUNIT_TEST_SUITE_END();

  void compiled_file_with_a_damaged_byte_is_refused() {
    std::string path = std::filesystem::temp_directory_path().string() + "/postern-test-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(path.data()) != nullptr);
    const base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CPPUNIT_ASSERT(write_tables(small(), directory.get(), "t.db", 0644, 5, true));
    const base::Descriptor file(::open((path + "/t.db").c_str(), O_RDWR | O_CLOEXEC));
    std::filesystem::remove_all(path);
    const std::string bytes = *base::read_all(file.get(), 1 << 20);
    const std::string want = answers(*Tables::map(*load(file.get())));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const char damaged = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      CPPUNIT_ASSERT(base::system_files().write_at(file.get(), {&damaged, 1}, i));
      CPPUNIT_ASSERT_MESSAGE("byte " + std::to_string(i), !load(file.get()));
      CPPUNIT_ASSERT(base::system_files().write_at(file.get(), {&bytes[i], 1}, i));
    }
    CPPUNIT_ASSERT_EQUAL(want, answers(*Tables::map(*load(file.get()))));
  }

  // The image has no sum of its own: it never was in a file. Damage must stay without consequence for the process all the same.
  void damaged_image_is_refused_or_answers() {
    const std::string image = *lay_out(small(), 5, 0);
    int refused = 0;
    for (std::size_t i = 0; i < image.size(); ++i)
      for (const char wrong : {static_cast<char>(image[i] ^ (1 << (i % 8))), '\0', '\xff'}) {
        std::string damaged = image;
        damaged[i] = wrong;
        const auto tables = Tables::from_bytes(damaged);
        if (tables) answers(*tables);
        else ++refused;
      }
    CPPUNIT_ASSERT(refused > 0);
    for (std::size_t size = 0; size < image.size(); ++size) CPPUNIT_ASSERT(!Tables::from_bytes(image.substr(0, size)));
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
      std::string damaged = image;
      for (int n = 0; n < 4; ++n) damaged[128 + random() % (damaged.size() - 128)] = static_cast<char>(random());
      if (const auto tables = Tables::from_bytes(damaged)) answers(*tables);
    }
  }

  void image_must_be_sealed() {
    const base::Descriptor open(::memfd_create("image", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    CPPUNIT_ASSERT(base::system_files().write_at(open.get(), *lay_out(small(), 5, 0), 0));
    CPPUNIT_ASSERT(Tables::map(*open.duplicate()).error().kind == Kind::denied);
    CPPUNIT_ASSERT(base::seal(open.get()));
    CPPUNIT_ASSERT(Tables::map(*open.duplicate()));
  }

  void hostile_pattern_is_given_up() {
    const std::string pattern = "$S*a$S*a$S*a$S*a$S*a$S*a$S*a$S*a$S*b$S*a";
    const Mapped mapped = evaluate(tables_in_memory(compiled({{"/mappings", "T\n\n  " + pattern + "  $N\n  *  $Y\n"}})), "T", std::string(4000, 'a'), {}, true);
    CPPUNIT_ASSERT(mapped.step_limit_exceeded);
    // The entry counts as not matching.
    CPPUNIT_ASSERT_EQUAL(std::string("OUT=" + std::string() + ";FLAGS=Y"), shown(mapped));
    CPPUNIT_ASSERT(!mapped.trace.empty() && mapped.trace[0].reason.starts_with("given up"));
    const std::string code = parse_pattern(pattern).code;
    for (const std::uint64_t limit : {1u, 100u, 100'000u}) CPPUNIT_ASSERT(match(code, std::string(4000, 'a'), limit).gave_up);
    CPPUNIT_ASSERT(!match(code, "aaaaaaaaaaaba", kMaxMatchSteps).gave_up);
    // As many steps as there may be, and one less.
    const std::string one = parse_pattern("$S*a$S*b$S*c").code, subject = std::string(50, 'a') + "c";
    const std::uint64_t needed = match(one, subject, kMaxMatchSteps).steps;
    CPPUNIT_ASSERT(needed > 3 && !match(one, subject, needed).gave_up && match(one, subject, needed - 1).gave_up);
    // The same of plain wildcards needs no backtracking.
    const std::string plain = parse_pattern("*a*a*a*a*a*a*a*a*a*a*b*a").code;
    const Match answered = match(plain, std::string(4000, 'a'), kMaxMatchSteps);
    CPPUNIT_ASSERT(!answered.matched && !answered.gave_up && answered.steps < 1000);
    CPPUNIT_ASSERT(match(plain, std::string(4000, 'a') + "ba", kMaxMatchSteps).matched);
  }

  void nested_calls_end() {
    // A table that calls itself ten times over in each of ten levels: too much, and known to be.
    std::string call = "  *  $C";
    for (int i = 0; i < 10; ++i) call += "$|T;$0|";
    const Mapped mapped = evaluate(tables_in_memory(compiled({{"/mappings", "T\n\n" + call + "$Y$E\n  *  $Y\n"}})), "T", "x");
    CPPUNIT_ASSERT(mapped.step_limit_exceeded);
    // Eleven deep fails, ten deep does not.
    std::string chain;
    for (int i = 0; i < 12; ++i) chain += "T" + std::to_string(i) + "\n\n  *  $C$|T" + std::to_string(i + 1) + ";$0|$Y$E\n  *  $N\n\n";
    const Tables tables = tables_in_memory(compiled({{"/mappings", chain + "T12\n\n  * end$Y\n"}}));
    CPPUNIT_ASSERT_EQUAL(std::string("OUT=end;FLAGS=Y"), shown(evaluate(tables, "T2", "x")));
    CPPUNIT_ASSERT_EQUAL(std::string("N"), evaluate(tables, "T1", "x").flags.letters());
  }

  void asks_the_outside_and_goes_on() {
    const Tables tables = tables_in_memory(compiled({{"/mappings",
                                                      "T\n\n  *  $C<$[postern:client,$0]|$[socket:/run/d,a,$0]|$[img,rout,x,y]>$Y$E\n  *  out$N\n\n"
                                                      "U\n\n  (*)  $=$]ldap:///dc=x?mail?sub?(uid=$0)[\n\nS\n\n  *  $#/var/seq|16|4|100#\n\nD\n\n  *  $}$0,mailDomain{\n"}}));
    Evaluation evaluation(tables, "T", "192.0.2.1", {});
    CPPUNIT_ASSERT(evaluation.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("postern client 192.0.2.1"), evaluation.question().name + " " + evaluation.question().routine + " " + evaluation.question().argument);
    // Asking again changes nothing.
    CPPUNIT_ASSERT(evaluation.run() == Evaluation::State::asks);
    evaluation.answer("one");
    CPPUNIT_ASSERT(evaluation.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("socket /run/d a,192.0.2.1"), evaluation.question().name + " " + evaluation.question().routine + " " + evaluation.question().argument);
    Evaluation moved = std::move(evaluation);
    moved.answer("two");
    CPPUNIT_ASSERT(moved.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("img rout x,y"), moved.question().name + " " + moved.question().routine + " " + moved.question().argument);
    moved.answer("three");
    CPPUNIT_ASSERT(moved.run() == Evaluation::State::finished);
    CPPUNIT_ASSERT_EQUAL(std::string("OUT=<one|two|three>;FLAGS=Y"), shown(moved.result()));
    CPPUNIT_ASSERT_EQUAL(std::string("OUT=out;FLAGS=N"), shown(evaluate(tables, "T", "x")));

    Evaluation url(tables, "U", "(a*b)", {});
    CPPUNIT_ASSERT(url.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("ldap:///dc=x?mail?sub?(uid=a\\2ab)"), url.question().argument);
    // What a URL would decode, or cut at, must stay text: a local part may hold it.
    Evaluation encoded(tables, "U", "(a%2a?sub)", {});
    CPPUNIT_ASSERT(encoded.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("ldap:///dc=x?mail?sub?(uid=a%252a%3fsub)"), encoded.question().argument);
    Evaluation sequence(tables, "S", "x", {});
    CPPUNIT_ASSERT(sequence.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT(sequence.question().kind == Question::Kind::sequence);
    CPPUNIT_ASSERT_EQUAL(std::string("/var/seq"), sequence.question().name);
    CPPUNIT_ASSERT_EQUAL(16u, sequence.question().radix);
    CPPUNIT_ASSERT_EQUAL(4u, sequence.question().width);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{100}, sequence.question().modulus);
    Evaluation attribute(tables, "D", "example.com", {});
    CPPUNIT_ASSERT(attribute.run() == Evaluation::State::asks);
    CPPUNIT_ASSERT_EQUAL(std::string("example.com mailDomain"), attribute.question().name + " " + attribute.question().routine);
    attribute.answer(std::nullopt);
    CPPUNIT_ASSERT(attribute.run() == Evaluation::State::finished);
  }

  void long_probes_are_refused() {
    const Tables urls = tables_in_memory(compiled({{"/mappings", "U\n\n  *  $]data:,$0[$Y\n"}}));
    for (const std::size_t size : {1023U, 1024U, 1025U}) {
      Evaluation evaluation(urls, "U", std::string(size - 6, 'x'), {});
      CPPUNIT_ASSERT(evaluation.run() == (size > 1024 ? Evaluation::State::finished : Evaluation::State::asks));
    }
    const Tables tables = tables_in_memory(compiled({{"/mappings", "T\n\n  * $N\n"}}));
    CPPUNIT_ASSERT(evaluate(tables, "T", std::string(kMaxProbeBytes, 'x')).matched);
    const Mapped mapped = evaluate(tables, "T", std::string(kMaxProbeBytes + 1, 'x'));
    CPPUNIT_ASSERT(!mapped.matched && mapped.step_limit_exceeded);
    CPPUNIT_ASSERT(!Tables().has("T") && !Tables().loaded() && !evaluate(Tables(), "T", "x").matched);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DamageTest);

}  // namespace
