// SPDX-License-Identifier: Apache-2.0
// What is not in the tables of the other tests, which run every program after it was bytes: bytes that are damaged, keys.
#include "sieve/program_code.h"

#include "sieve/program.h"
#include "support.h"

#include <algorithm>
#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::sieve;

constexpr std::string_view kScript = R"sieve(
require ["include", "index", "variables", "fileinto", "foreverypart", "mime", "extracttext", "regex", "relational", "comparator-i;ascii-numeric", "imap4flags", "ihave", "date",
         "vacation", "enotify", "editheader", "envelope", "subaddress", "body", "reject", "duplicate", "mailbox", "copy"];
global "shared";
set :lower :length "a" "${1}x";
include :optional :personal "absent";
include :once :personal "other";
if ihave "spamtest" { if spamtest :value "ge" :comparator "i;ascii-numeric" "5" { addflag "spam"; } }
if anyof (header :matches ["subject", "${a}"] "*[*]*", not address :detail :is "to" "x", header :regex "from" "(a|b)+c{1,3}") { set "list" "${2}"; }
elsif allof (envelope :user "from" "${shared}", body :contains "needle", date :index 1 "received" "year" "2026", size :over 10) { reject "no ${a}"; }
else { fileinto :copy :create :flags ["\\Seen", "${a}"] "A/${list}"; }
foreverypart :name "outer" {
  if header :mime :subtype "content-type" "html" { break :name "outer"; }
  foreverypart { extracttext :first 10 "part"; if string :contains "${part}" "x" { break; } }
}
deleteheader :index 1 :matches "x-*" "*a*"; addheader "X-A" "${a}";
if duplicate :seconds 100 { stop; }
vacation :days 3 :subject "s" :addresses ["a@example.com"] "gone"; notify :message "m" "mailto:a@example.com";
if hasflag "a" "b" { redirect "x@example.org"; }
)sieve";

CompileOptions options() {
  CompileOptions made;
  made.script = [](ScriptPlace, const std::string& name) -> std::optional<std::string> {
    if (name != "other") return std::nullopt;
    return "require [\"include\", \"variables\"]; global \"shared\"; set \"own\" \"y\"; set \"shared\" \"${own}\"; return;";
  };
  return made;
}

constexpr std::string_view kMessage = "Received: x; Sat, 21 Nov 2026 23:30:00 -0100\r\nFrom: abc@example.org\r\nTo: a+x@example.com\r\nSubject: [list] x\r\nX-A: a\r\n\r\nneedle\r\n";

class ProgramCodeTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProgramCodeTest);
  CPPUNIT_TEST(damaged_bytes_give_no_program_or_one_that_runs);
  CPPUNIT_TEST(cut_bytes_give_no_program);
  CPPUNIT_TEST(no_jump_leads_behind_the_end_of_a_loop);
  CPPUNIT_TEST(lists_that_are_gone_give_no_program);
  CPPUNIT_TEST(keys_tell_scripts_limits_and_rights_apart);
  CPPUNIT_TEST_SUITE_END();

  static std::string bytes() {
    const Compiled compiled = compile(kScript, options());
    CPPUNIT_ASSERT_EQUAL(std::string(), test::mistakes_of(compiled));
    return encode_program(*compiled.program).value();
  }

  void damaged_bytes_give_no_program_or_one_that_runs() {
    const std::string good = bytes();
    const mail::MessageView message(kMessage);
    Limits limits;
    limits.steps = 1000;
    std::size_t ran = 0;
    for (std::size_t at = 0; at < good.size(); ++at)
      for (const unsigned change : {1U, 2U, 8U, 0x7fU, 0x80U}) {
        std::string damaged = good;
        damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ change);
        const auto program = decode_program(damaged, options());
        if (program == nullptr) continue;
        ++ran;
        test::TestHost host;
        static_cast<void>(run(*program, message, test::kEnvelope, host, limits));
      }
    // Most of the bytes are texts of the script: with others it is another script.
    CPPUNIT_ASSERT(ran > 0);
  }

  void cut_bytes_give_no_program() {
    const std::string good = bytes();
    CPPUNIT_ASSERT(decode_program(good, options()) != nullptr);
    for (std::size_t size = 0; size < good.size(); ++size) CPPUNIT_ASSERT(decode_program(std::string_view(good).substr(0, size), options()) == nullptr);
    CPPUNIT_ASSERT(decode_program(good + '\0', options()) == nullptr);
  }

  // It would go round between the two jumps, and spend nothing.
  void no_jump_leads_behind_the_end_of_a_loop() {
    const Compiled compiled = compile("require [\"foreverypart\", \"mime\"]; foreverypart { if header :is \"a\" \"b\" { keep; } }");
    const auto& code = compiled.program->instructions;
    std::string bytes = *encode_program(*compiled.program);
    const auto again = static_cast<std::size_t>(std::find_if(code.begin(), code.end(), [](const Instruction& one) { return one.operation == Instruction::Operation::again; }) - code.begin());
    const auto jump = static_cast<std::size_t>(std::find_if(code.begin(), code.end(), [&](const Instruction& one) { return one.operation == Instruction::Operation::jump; }) - code.begin());
    CPPUNIT_ASSERT(jump < again && code[jump].argument == again && code.size() < 128);
    // The code stands at the end, a byte for each operation and argument.
    char& target = bytes[bytes.size() - 2 * (code.size() - jump) + 1];
    CPPUNIT_ASSERT_EQUAL(static_cast<char>(again), target);
    CPPUNIT_ASSERT(decode_program(bytes, {}) != nullptr);
    target = static_cast<char>(again + 1);
    CPPUNIT_ASSERT(decode_program(bytes, {}) == nullptr);
  }

  void lists_that_are_gone_give_no_program() {
    CompileOptions made;
    made.list_exists = [](const std::string&) { return true; };
    const Compiled compiled = compile("require \"extlists\"; if header :list \"from\" \":addrbook:x\" { stop; }", made);
    const auto kept = encode_program(*compiled.program);
    CPPUNIT_ASSERT(decode_program(*kept, made) != nullptr && facts(*decode_program(*kept, made)).asks_lists);
    std::string asked;
    made.list_exists = [&](const std::string& name) {
      asked = name;
      return false;
    };
    CPPUNIT_ASSERT(decode_program(*kept, made) == nullptr);
    CPPUNIT_ASSERT_EQUAL(std::string("urn:ietf:params:sieve:addrbook:x"), asked);
  }

  void keys_tell_scripts_limits_and_rights_apart() {
    std::set<std::string> keys;
    CompileOptions made;
    keys.insert(program_key("keep;", made));
    keys.insert(program_key("keep ;", made));
    made.system_script = true;
    keys.insert(program_key("keep;", made));
    made.abilities = kRejects;
    keys.insert(program_key("keep;", made));
    made.run_limits.redirects = 1;
    keys.insert(program_key("keep;", made));
    made.limits.nesting = 3;
    keys.insert(program_key("keep;", made));
    made.run_limits.fields_not_added = {"x-a"};
    keys.insert(program_key("keep;", made));
    made.run_limits.fields_not_added.swap(made.run_limits.fields_not_deleted);
    keys.insert(program_key("keep;", made));
    made.run_limits.mailbox_separators = ".";
    keys.insert(program_key("keep;", made));
    CPPUNIT_ASSERT_EQUAL(std::size_t{9}, keys.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{64}, keys.begin()->size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProgramCodeTest);

}  // namespace
