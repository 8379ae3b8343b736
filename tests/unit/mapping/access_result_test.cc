// SPDX-License-Identifier: Apache-2.0
// From flags and output text to values: the checks AR1 to AR16 of access-control.md 11.2, and PORT_ACCESS.
#include "helpers.h"

#include "mapping/access_result.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::mapping;
using namespace postern::test;

namespace {

Mapped answer(const char* flags, const char* output) {
  Mapped mapped;
  mapped.matched = true;
  mapped.flags = Flags(flags);
  mapped.output = output;
  return mapped;
}

// All that is set, in one line.
std::string shown(const AccessResult& result) {
  std::string out = result.refuse ? "refuse" : result.granted ? "granted" : "no objection";
  const auto add = [&](const char* name, const std::string& value) { out += std::string(" ") + name + "=" + value; };
  if (!result.text.empty()) add("text", result.text);
  if (result.delay.count() != 0) add(result.delay_this_reply_only ? "once" : "delay", std::to_string(result.delay.count()));
  if (result.status) add("status", result.status->to_string());
  if (result.log_applied) add("<", *result.log_applied);
  if (result.log_refused) add(">", *result.log_refused);
  if (result.new_sender) add("J", *result.new_sender);
  if (result.sender_field) add("K", *result.sender_field);
  if (result.tag) add("T", *result.tag);
  if (result.debug_level) add("U", std::to_string(*result.debug_level));
  if (result.spam_adjust) add(",", *result.spam_adjust);
  for (const std::string& line : result.header_lines) add("A", line);
  for (const std::string& tag : result.conversion_tags) add("G", tag);
  if (result.limits) add("S", std::to_string(result.limits->message_bytes.value_or(0)) + "/" + std::to_string(result.limits->recipients.value_or(0)));
  if (!result.auth_rules.empty()) add("rules", result.auth_rules);
  if (!result.connection_log.empty()) add("record", result.connection_log);
  if (!result.connection_text.empty()) add("C", result.connection_text);
  if (result.hold) out += " hold";
  if (result.bit_bucket) out += " bucket";
  if (result.discard) out += " discard";
  if (result.jettison) out += " jettison";
  if (result.no_vacation) out += " no-vacation";
  if (result.restricted) out += " restricted";
  return out;
}

class AccessResultTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AccessResultTest);
  CPPUNIT_TEST(reads_arguments_in_the_documented_order);
  CPPUNIT_TEST(takes_templates_that_mean_the_same);
  CPPUNIT_TEST(former_name_of_the_internal_channel_matches);
  CPPUNIT_TEST(reads_status_codes_strictly);
  CPPUNIT_TEST_SUITE_END();

  void reads_arguments_in_the_documented_order() {
    struct {
      const char* name;
      const char* table;
      const char* flags;
      const char* output;
      const char* want;
    } rows[] = {
        {"AR1", "ORIG_SEND_ACCESS", "DN", "30|No relaying", "refuse text=No relaying delay=300"},
        {"AR4", "ORIG_SEND_ACCESS", "DN", "-200|Wait", "refuse text=Wait once=2000"},
        {"AR5", "ORIG_SEND_ACCESS", "NX", "4.2.1|Try tomorrow", "refuse text=Try tomorrow status=4.2.1"},
        {"AR6", "ORIG_SEND_ACCESS", "<DNX", "relay probe|50|4.7.1|No", "refuse text=No delay=500 status=4.7.1 <=relay probe"},
        {"AR7", "ORIG_SEND_ACCESS", "<>N", "seen|refused|Go", "refuse text=Go <=seen >=refused"},
        {"AR8", "ORIG_SEND_ACCESS", "DN", "30", "refuse delay=300"},
        {"AR9", "ORIG_SEND_ACCESS", "N", "", "refuse"},
        {"AR10", "ORIG_SEND_ACCESS", "N", "a|b", "refuse text=a|b"},
        {"AR11", "FROM_ACCESS", "JY", "new@example.com", "granted J=new@example.com"},
        {"AR12", "FROM_ACCESS", "JKY", "new@example.com|own@example.com", "granted J=new@example.com K=own@example.com"},
        {"AR13", "ORIG_SEND_ACCESS", "AGY", "X-Seen: yes|tagA", "granted A=X-Seen: yes G=tagA"},
        {"AR14", "ORIG_SEND_ACCESS", "NY", "", "refuse"},
        {"AR15", "ORIG_SEND_ACCESS", "H", "", "no objection hold"},
        {"lower case", "SEND_ACCESS", "n", "x", "refuse text=x"},
        {"F", "SEND_ACCESS", "f", "x", "refuse text=x"},
        {"text of no flag", "SEND_ACCESS", "Y", "EXTERNAL", "granted"},
        {"all side effects", "FROM_ACCESS", "BHVZ!Y", "", "granted hold bucket discard jettison no-vacation"},
        {"not for recipients", "MAIL_ACCESS", "!JN", "x", "refuse text=x"},
        {"limits", "FROM_ACCESS", "SY", "1000,5", "granted S=1000/5"},
        {"cut delay", "SEND_ACCESS", "D", "99999999", "no objection delay=300000"},
        {"delay below the limit", "SEND_ACCESS", "D", "29999", "no objection delay=299990"},
        {"delay at the limit", "SEND_ACCESS", "D", "-30000", "no objection once=300000"},
        {"delay above the limit", "SEND_ACCESS", "D", "30001", "no objection delay=300000"},
        {"bad delay", "SEND_ACCESS", "DN", "soon|x", "refuse text=x"},
        {"control bytes", "SEND_ACCESS", "N", "a\r\nb", "refuse text=a  b"},
        {"spamadjust before refusal", "SEND_ACCESS", ",N", "+3|no", "refuse text=no ,=+3"},
        {"port: rules", "PORT_ACCESS", "Y", "EXTERNAL", "granted rules=EXTERNAL"},
        {"port: refusal", "PORT_ACCESS", "N<", "seen|421 a|b", "refuse text=421 a|b <=seen"},
        {"port: record", "PORT_ACCESS", "NT", "421 no|record|x", "refuse text=421 no record=record|x"},
        {"port: log and rules", "PORT_ACCESS", "<Y", "seen|RULES|more", "granted <=seen rules=RULES C=more"},
        {"port: restricted", "PORT_ACCESS", "W", "", "no objection restricted"},
        {"port: debug", "PORT_ACCESS", "UN", "5|421 no", "refuse text=421 no U=5"},
        {"login", "LOGIN_ACCESS", "DN", "100|no", "refuse text=no delay=1000"},
        {"observed", "OBSERVE_FROM_ACCESS", "JY", "x", "granted J=x"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.want), shown(read_access(row.table, answer(row.flags, row.output))));
    for (const std::size_t size : {511U, 512U, 513U})
      CPPUNIT_ASSERT_EQUAL("refuse text=" + std::string(std::min<std::size_t>(size, 512), 'x'), shown(read_access("SEND_ACCESS", answer("N", std::string(size, 'x').c_str()))));
    // AR16
    CPPUNIT_ASSERT_EQUAL(std::string("no objection"), shown(read_access("SEND_ACCESS", Mapped())));
  }

  // AR2, AR3
  void takes_templates_that_mean_the_same() {
    for (const char* expansion : {"$N$D30|No$ relaying", "30|No$ relaying$D$N", "$D30|$NNo$ relaying", "$N30|No$ relaying$D", "30|$N$DNo$ relaying"}) {
      const Tables tables = tables_in_memory(compiled({{"/mappings", std::string("ORIG_SEND_ACCESS\n\n  * ") + expansion + "\n"}}));
      const AccessResult result = read_access("ORIG_SEND_ACCESS", evaluate(tables, "ORIG_SEND_ACCESS", "x"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(expansion, std::string("refuse text=No relaying delay=300"), shown(result));
      CPPUNIT_ASSERT_EQUAL(3, result.line);
    }
  }

  void former_name_of_the_internal_channel_matches() {
    const Tables tables = tables_in_memory(compiled({{"/mappings",
        "ORIG_SEND_ACCESS\n\n  tcp_intranet|a|Tcp_Intranet|b  1\n  tcp_intranet|*|x  2\n  *|tcp_intranets|y  3\n  my_tcp_intranet|*  4\n\n"
        "OTHER\n\n  tcp_intranet|*  5\n"}}));
    CPPUNIT_ASSERT_EQUAL(std::string("1"), evaluate(tables, "ORIG_SEND_ACCESS", "tcp_internal|a|tcp_internal|b").output);
    CPPUNIT_ASSERT_EQUAL(std::string("2"), evaluate(tables, "ORIG_SEND_ACCESS", "tcp_internal|z|x").output);
    CPPUNIT_ASSERT_EQUAL(std::string("3"), evaluate(tables, "ORIG_SEND_ACCESS", "l|tcp_intranets|y").output);
    CPPUNIT_ASSERT_EQUAL(std::string("4"), evaluate(tables, "ORIG_SEND_ACCESS", "my_tcp_intranet|z").output);
    CPPUNIT_ASSERT_EQUAL(std::string("5"), evaluate(tables, "OTHER", "tcp_intranet|z").output);
  }

  void reads_status_codes_strictly() {
    for (const char* good : {"4.7.1", "5.0.0", "5.123.999"}) CPPUNIT_ASSERT_MESSAGE(good, status_from(good).has_value());
    for (const char* bad : {"", "2.0.0", "5.7", "5.7.1.1", "5.7.1234", "5.-1.1", "5.7.x", "54.1.1", "05.1.1", "5..1"}) CPPUNIT_ASSERT_MESSAGE(bad, !status_from(bad));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AccessResultTest);

}  // namespace
