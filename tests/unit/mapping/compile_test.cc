// SPDX-License-Identifier: Apache-2.0
// What the compiler says about mistakes, and what it reads right: files in, messages out.
#include "helpers.h"
#include "mapping/pattern.h"
#include "mapping/probe_fields.h"

#include <cppunit/extensions/HelperMacros.h>

#include <random>
#include <set>

using namespace postern;
using namespace postern::mapping;
using namespace postern::test;

namespace {

// All codes with their lines, sorted: "E04:3 W10:5".
std::string codes(const Compilation& compilation) {
  std::multiset<std::string> all;
  for (const Message& message : compilation.messages) all.insert(message.code + ":" + std::to_string(message.line));
  std::string out;
  for (const std::string& one : all) out += (out.empty() ? "" : " ") + one;
  return out;
}

class CompileTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CompileTest);
  CPPUNIT_TEST(reports_errors_with_their_lines);
  CPPUNIT_TEST(warns_where_the_manual_says);
  CPPUNIT_TEST(bars_are_counted_with_the_original_recipient);
  CPPUNIT_TEST(no_pattern_that_matches_a_probe_is_called_impossible);
  CPPUNIT_TEST(every_message_names_file_and_line);
  CPPUNIT_TEST(reads_lines_as_the_rules_say);
  CPPUNIT_TEST(follows_includes);
  CPPUNIT_TEST(reads_general_table_and_aliases);
  CPPUNIT_TEST(alias_targets_are_addresses_or_local_names);
  CPPUNIT_TEST(aliases_in_a_circle_are_a_warning);
  CPPUNIT_TEST(stops_at_the_limits);
  CPPUNIT_TEST_SUITE_END();

  void reports_errors_with_their_lines() {
    struct {
      const char* source;
      const char* want;
    } rows[] = {
        {"T\n\n  a b\n\n  c d\n", "E01:5"},
        {"  a b\n", "E01:1"},
        {"7T\n\n", "E01:1"},
        {"\xef\xbb\xbfT\n\n  a b\n", "E01:1"},
        {"T x\n\n  a b\n", "E01:1"},
        // An entry that is not indented is one mistake, and so are all entries up to the next table.
        {"T\n\n  a b\nc d\n  e f\n", "E01:4"},
        {"T\n\nc d\n", "E01:3"},
        {"T\n\n  a b\n\n U\n\n  c d\n  e f\n\nV\n\n  a b\n\n  a b\n", "E01:14 E01:5"},
        {"T\n  a b\n", "E02:1"},
        {"T\n\n  a b\nU\n\n  c d\n", "E02:4"},
        {"T\n", "E02:1"},
        {"T\n\n\nU\n\n", ""},
        {"T\n\n  a b\n\nt\n\n  a b\n", "E03:5"},
        {"T\n\n  a\n  b \n", "E04:3 E04:4"},
        {"T\n\n  a b c\n", "E05:3"},
        {"T\n\n  $q x\n  a$ x\n  $D x\n  $a% x\n  $[a x\n  $[]* x\n  $[a$ b]* x\n  $@$0* x\n  $[z-a]* x\n", "E04:4 E06:10 E06:11 E06:3 E06:5 E06:6 E06:7 E06:8 E06:9"},
        {"T\n\n  $(1.2.3/8) x\n  $(1.2.3.4/33) x\n  $<1.2.3.4 x\n  ${::g} x\n  ${::1/129} x\n  $(1.2.3.4/x) x\n", "E07:3 E07:4 E07:5 E07:6 E07:7 E07:8"},
        {"T\n\n  a $0\n  * $1\n  * $|T;$1|\n  *%%%%%%%%%% $9\n", "E08:3 E08:4 E08:5"},
        {"T\n\n  * $|T;\n  * ${x\n  * $[x\n  * $]x\n  * $#x\n  * $?5\n  * $}x\n  * $|T|\n", "E09:10 E09:3 E09:4 E09:5 E09:6 E09:7 E09:8 E09:9"},
        {"T\n\n  $0* x\n  *$1* x\n", "E12:3 E12:4"},
        {"T\n\n  * $?x?\n  * $?101?\n  * $#f|40#\n  * $&zz&\n  * $#f||4#\n  * $#f|10||5#\n  * $}x{\n", "E14:3 E14:4 E14:5 E14:6 E14:7 E14:8 E14:9"},
        {"T\n\n  * $(\n  * $+2\n  * $-\n  * $|T;$Y|\n  * ${$|}\n  * x$\n", "E15:3 E15:4 E15:5 E15:6 E15:7 E15:8"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.source, std::string(row.want), codes(compiled({{"/mappings", row.source}})));
    const std::string nul("T\n\n  a\0 b\n", 10);
    CPPUNIT_ASSERT_EQUAL(std::string("E01:3"), codes(compiled({{"/mappings", nul}})));
    // Flags and arguments of access tables.
    struct {
      const char* table;
      const char* entry;
      const char* want;
    } access[] = {
        {"PORT_ACCESS", "* $N$D30|421$ x", "E13"},   {"PORT_ACCESS", "* $N$S1|421$ x", "E13"}, {"FROM_ACCESS", "* $Ia|b", "E13"},
        {"SEND_ACCESS", "* $Jx", "E13"},             {"SEND_ACCESS", "* $!", "E13"},           {"SEND_ACCESS", "* $W", "E13"},
        {"MAIL_ACCESS", "* $N$Dsoon|x", "E14"},      {"MAIL_ACCESS", "* $N$X9.1.1|x", "E14"},  {"MAIL_ACCESS", "* $X4.7.1|$Nx", ""},
        {"FROM_ACCESS", "* $Sx$Y", "E14"},           {"FROM_ACCESS", "* $S1,2,3$Y", ""},       {"MAIL_ACCESS", "* 30|$N$DNo", ""},
        {"MAIL_ACCESS", "*|* $D$0|$Nx", ""},         {"OBSERVE_SEND_ACCESS", "* $W", "E13"},   {"FROM_ACCESS", "* $J$K$Ya|b", ""},
    };
    for (const auto& row : access) {
      std::string found;
      for (const Message& message : compiled({{"/mappings", std::string(row.table) + "\n\n  " + row.entry + "\n"}}, true).messages)
        if (message.is_error()) found += message.code;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.table) + " " + row.entry, std::string(row.want), found);
    }
  }

  void warns_where_the_manual_says() {
    const std::string relay = "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|* $N\n\n";
    struct {
      const char* source;  // comes behind `relay`, five lines further down
      const char* want;    // without E and with lines counted from the first one of `source`
    } rows[] = {
        {"T\n\n  * $Y\n  b c\n  d e\n", "W01:4"},
        {"T\n\n  * $C$|T;$0|$Y$E\n  b c\n", ""},
        {"T\n\n  *% $Y\n  b c\n", ""},
        {"T\n\n  * $C$|NOSUCH;$0|$E\n", "W02:3"},
        {"T\n\n  a $C$:A$C\n  b c\n", "W03:3"},
        {"T\n\n  a $C$N$:Ax$E\n  b c\n", "W04:3"},
        {"T\n\n  a $:Ax\n  b c\n", "W05:3"},
        {"T\n\n  a $:Ax\n", ""},
        {"PORT_ACCESS\n\n  TCP|*|*|$(1.2.3.4)|* $Ngo$ away\n  TCP|*|*|1.2.3.5|* $N421$ no\n  TCP|*|*|1.2.3.6|* $N$<log|-ERR$ no\n", "W06:3"},
        {"SEND_ACCESS\n\n  * $YEXTERNAL\n", "W07:3"},
        {"PORT_ACCESS\n\n  * $YEXTERNAL\n", ""},
        {"T\n\n  $(192.0.2.1/24) x\n  ${2001:db8::1/32} x\n  $<192.0.2.1/8> x\n  $(192.0.2.0/24) x\n", "W08:3 W08:4 W08:5"},
        {"T\n\n  $[^a]* x\n  $[!a]* x\n  $[~a]* x\n  $[a^]* x\n", "W11:3 W11:4 W11:5"},
        {"T\n\n  * z$0$R\n  *a $0$R\n  *-* $0-$1$R\n", "W12:3 W12:5"},
        {"SEND_ACCESS\n\n  a|b|c $N\n  a|b|c|d|e|f $N\n  a|b@c|d* $N\n  a|b@c|d|e@f $N\n", "W13:3 W13:4"},
        {"SENDACCESS\n\n  * $N\n\nORIG_SENDACCESS\n\n  * $N\n\nMY_TABLE\n\n  * $N\n", "W14:1 W14:5"},
        {"IP_ACCESS\n\n  * $N\n\nMY_ACCESS\n\n  * $C$|own_access;$0|$Y$E\n\nOWN_ACCESS\n\n  * $Y\n", "W14:1 W14:5"},
        {"OBSERVE_FORWARD\n\n  * $N\n\nOBSERVE_SEND_ACCESS\n\n  * $N\n\nOBSERVE_INTERNAL_IP\n\n  * $N\n", "W14:1"},
        {"MAIL_ACCESS\n\n  TCP|*|25|*|*|SMTP|MAIL|*|*|*|* $N\n  TCP|*|25|*|*|SMTP*|MAIL|*|*|*|* $N\n", "W15:3"},
        {"T\n\n  %%%%%%%%%%% x\n", "N01:3"},
        {"T\n\n  a $C$:Ax$Y\n  b $C$:Ax$Y$E\n  c $C$:Ax\n  d $Cx$Y\n", "W18:3"},
        {"T\n\n  192.0.2.0/24|* x\n  $(192.0.2.0/24)|* x\n  *2001:db8::/32 x\n  SMTP/* x\n  1.2.3.4|5/6 x\n", "W19:3 W19:5"},
        {"SEND_ACCESS\n\n  * $h$n\n  * $N$$h\n\nT\n\n  * $h\n", "W01:4 W20:3"},
        {"SEND_ACCESS\n\n  *|*|l|* $NMail$from$ you\n  *|*|*|a@b $NGo$ away$now\n  *|*|*|c@d $nGo$ away\n", "W20:3 W20:4"},
        {"SEND_ACCESS\n\n  *|a@*|*|* $Q$N\n  *|b@*|*|* $X4.7.1|$N$$Q\n  *|c@*|*|* $C$Q$Y$E\n\nT\n\n  * $Q\n", "W23:3 W23:5"},
        {"SEND_ACCESS\n\n  *|a@*|*|* $C$|T;$0|$Y$E\n  *|b@*|*|* x$Y\n  *|c@*|*|* $0$Y\n\nT\n\n  a $Y\n", "W07:4 W07:5"},
        {"PORT_ACCESS\n\n  T*|*|*|*|* $C$|T;$0|$Ngo$E\n  *|*|*|*|* $C$|T;$0|$N421$ go$E\n\nT\n\n  a $Y\n", "W06:3"},
        {"PORT_ACCESS\n\n  TCP|*|25|*|* $C$[postern:throttle,smtp,$1]$N421$ later$E\n  TCP|*|25|*|* $C$:A$[postern:throttle_p,smtp,$1]$N421$ later$E\n  * $Y\n", "W21:3"},
        {"FROM_ACCESS\n\n  * $C$[postern:throttle,from,$0]$N$E\n  * $Y\n", ""},
        {"FROM_ACCESS\n\n  TCP* $S-5\n  *|b@c|* $S0,1,2\n", "E14:3"},
        {"SEND_ACCESS\n\n  *|a@*|*|* $C$H$|T;$0|$E\n  *|b@*|*|* $C$|T;$0|$H$E\n\nT\n\n  a $Y\n", "W04:3"},
        {"FROM_ACCESS\n\n  *|a@b|* $N550$ 5.7.1$ no\n  *|b@b|* $N5$ errors\n  *|c@b|* $D30|$N450$ later\n  *|d@b|* $X4.7.1|$Nlater\n", "W31:3 W31:5"},
        // A word that every probe has, with a slip in it.
        {"PORT_ACCESS\n\n  CP|*|25|*|* $Y\n  TCP||25|*|* $Y\n  TCP|*|smtp|*|* $Y\n  TCP|*|25|*| $Y\n  T*|%*|2%|1.*|* $Y\n  *|*|*|::1|* $Y\n  *|25|* $Y\n", "W25:3 W25:4 W25:5 W25:6"},
        {"PORT_ACCESS\n\n  TCP|*|*|2001:db8:0:0::1|* $Y\n  TCP|*|*|2001:DB8::1|* $Y\n  TCP|*|*|192.0.2.01|* $Y\n  TCP|*|*|host.example|* $Y\n  $@*|${::1}|*|$(10.0.0.0/8)|* $Y\n", "W25:3 W25:5 W25:6"},
        {"INTERNAL_IP\n\n  localhost $Y\n  192.0.2.* $Y\n  $(10.0.0.0/8) $Y\n", "W25:3"},
        {"FROM_ACCESS\n\n  |SMTP*|MAIL|*|a@b|* $N\n  *|MTP*|MAIL|*|a@b|* $N\n  *|SMTP*|AIL|*|a@b|* $N\n  *|SMTP*|MAIL|tcp_locl|*@a|* $N\n  *|SMTP*|MAILtcp_local|*@a|* $N\n"
         "  *|SMTP*|MAIL|tcp_local|@a|* $N\n  *|SMTP*|MAIL|tcp_local|<a@b>|* $N\n  *|SMTP*|MAIL|tcp_local|<>|* $N\n", "W25:10 W25:3 W25:4 W25:5 W25:6 W25:8 W25:9"},
        {"FROM_ACCESS\n\n  ||MAIL|l|a@b| $N\n  *|SMTP*/helo|*|*||* $N\n  *|SMTP/*|M*|own_channel|*@b|$3* $N\n  *a@b* $N\n  *|a@b| $N\n  TCP|*|25|*|*|SMTP*|MAIL|tcp_*|*@*|*@* $N\n", ""},
        {"SEND_ACCESS\n\n  tcp_loacl|*|*|* $N\n  *|*|ims-ns|* $N\n  *|*|l|anna $N\n  *|*|l| $N\n  *|*|l|@b $N\n  *|a|*|anna@b $N\n  tcp_intranet||l|*@b $N\n", "W25:3 W25:4 W25:5 W25:6 W25:7"},
        {"OBSERVE_SEND_ACCESS\n\n  *|<*|*|* $N\n", "W25:3"},
        {"MAIL_ACCESS\n\n  TCP|*|25|*|*|SMPT*|MAIL|*|*|*|* $N\n  *|MAIL|*|*|*|*@b|* $N\n  *|*@b $N\n", "W25:3"},
        {"LOGIN_ACCESS\n\n  pop|*|*|*|* $N\n  pop3|*|TSLv1.3|*|* $N\n  pop3|*|TLSv1.3|PLAIN|anna $N\n  s*|10.*||*|*@b $N\n", "W25:3 W25:4 W25:5"},
        {"FORWARD\n\n  anna x@y$Y\n  *@b $0@c$Y\n", "W25:3"},
        // An answer that means nothing to who asks.
        {"INTERNAL_IP\n\n  127.0.0.1 Y\n  127.0.0.2 yes\n  127.0.0.3 x$C\n  127.0.0.4 $n\n  * N\n", "W26:3 W26:4 W26:7"},
        {"REVERSE\n\n  *@b $0@c\n  *@c $C$:B$0@d$Y$E\n", "W26:3"},
        {"T\n\n  a Y\n  b Yes\n  c N$Y\n", "W26:3"},
        {"CONVERSIONS\n\n  IN-CHAN=l;* $Yes\n  IN-CHAN=x;* yes\n  * $N\n", "W26:3 W26:5"},
        // Calls that are texts.
        {"PORT_ACCESS\n\n  T* $$|Inner;$1|$Y$E\n  TC*|25|* $C|INNER;$0|$Y$E\n  TCP* $NONE|421$ a|b;c\n\nINNER\n\n  a $Y\n", "E08:3 W06:5 W27:4"},
        {"INTERNAL_IP\n\n  1* $Ca|Inner;$0|$Y$E\n  * $$|INNER;$0|$Y\n\nINNER\n\n  a $Y\n", "W27:3"},
        {"INTERNAL_IP\n\n  1* $C[postern:client,$0]$Y$E\n  2* $C$postern:client,$0]$Y$E\n  * $NPostern:$ no\n", "W27:3 W27:4"},
        {"T\n\n  1* $C[socket:/x,$0]$Y$E\n  2* $C$socket:/x,$0]$Y$E\n  3* $C]ldap:///x[$Y$E\n", "W27:3 W27:4 W27:5"},
        // Call-outs that there are not, or that want more.
        {"T\n\n  a* $C$[postern:dnsb,$0,x]$E\n  b* $C$[img,rout,$0]$E\n  c* $C$[postern:$0,x]$E\n  d* $C$[postern:dnsbl,$0]$E\n  e* $C$[postern:certificate]$E\n"
         "  f* $C$[postern:throttle,x]$E\n  g* $C$[postern:spf,fail,softfial]$E\n  h* $C$[postern:spf]$E\n  i* $C$[socket:/x,a]$E\n", "W28:3 W28:4 W28:6 W28:8 W28:9"},
        // Input flags that nobody sets.
        {"FROM_ACCESS\n\n  *|a@b|* $C$:X$N$E\n  *|b@b|* $C$;A$;T$N$E\n", "W29:3"},
        {"SEND_ACCESS\n\n  *|a@b|*|* $C$;A$;T$;E$;L$;S$;F$;D$N$E\n", ""},
        {"T\n\n  a $C$:A$Y$E\n", ""},
        {"T\n\n  a $C$|U;x|$Y$E\n\nU\n\n  a $C$:A$Y$E\n", "W29:7"},
    };
    for (const auto& row : rows) {
      Compilation compilation = compiled({{"/mappings", relay + row.source}}, true);
      for (Message& message : compilation.messages) message.line -= 4;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.source, std::string(row.want), codes(compilation));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("W09:0"), codes(compiled({{"/mappings", "T\n\n  a b\n"}}, true)));
    // Tables of counters are known only to who has read postern.conf.
    CompileInput input;
    input.mappings = "/mappings";
    input.read = [&](const std::string&) -> Result<std::string> {
      return relay + "T\n\n  a* $C$[postern:throttle,Smtp25,$0]$E\n  b* $C$[postern:throttle_p,smtp26,$0]$E\n  * $C$[postern:throttle,$0,x]$E\n";
    };
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(compile(input)));
    input.throttles = {"smtp25"};
    Compilation compilation = compile(input);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, compilation.warnings);
    CPPUNIT_ASSERT_EQUAL(std::string("W22"), std::string(compilation.messages.at(0).code));
    // And so are the site's own channels.
    input.throttles.reset();
    input.access_orcpt = false;
    input.read = [&](const std::string&) -> Result<std::string> {
      return relay + "SEND_ACCESS\n\n  tcp_own|*|*|* $N\n  tcp_*|*|tcp_partner|* $N\n  tcp_q*|*|*|* $N\n  *|a|*|b@c $N\n  %*|*|*l|* $N\n";
    };
    CPPUNIT_ASSERT_EQUAL(std::string("W25:10"), codes(compile(input)));
    input.channels = {"tcp_local", "tcp_own", "l"};
    CPPUNIT_ASSERT_EQUAL(std::string("W25:10 W25:8 W25:9"), codes(compile(input)));
    CPPUNIT_ASSERT_EQUAL(std::string("W09:1"), codes(compiled({{"/mappings", "ORIG_SEND_ACCESS\n\n  tcp_auth|*|tcp_local|* $N\n"}}, true)));
    // Who is let pass above the refusal is let pass.
    CPPUNIT_ASSERT_EQUAL(std::string("W09:3"), codes(compiled({{"/mappings", "ORIG_SEND_ACCESS\n\n  tcp_*|*|*|* $Y\n  tcp_local|*|tcp_local|* $N\n"}}, true)));
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(compiled({{"/mappings", "ORIG_SEND_ACCESS\n\n  tcp_*|*|*|* $C$:A$Y$E\n  tcp_local|*|tcp_local|* $N\n"}}, true)));
    // Who refuses some strangers lets the others pass; a login is no stranger's.
    CPPUNIT_ASSERT_EQUAL(std::string("W09:1"), codes(compiled({{"/mappings", "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|* $C$|BAD;$0|$N$E\n\nBAD\n\n  x $Y\n"}}, true)));
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(compiled({{"/mappings", "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|* $C$;A$N$E\n"}}, true)));
    const std::string long_line = "T\n\n  " + std::string(200, 'a') + "  " + std::string(60, 'b') + "\n";
    CPPUNIT_ASSERT_EQUAL(std::string("W10:3"), codes(compiled({{"/mappings", long_line}})));
  }

  void bars_are_counted_with_the_original_recipient() {
    CompileInput input;
    input.mappings = "/mappings";
    input.read = [](const std::string&) -> Result<std::string> {
      return std::string("SEND_ACCESS\n\n  *|*|*|u@example.com $N\n  *|*|*|v@example.com|* $N\n  *|w@example.com|* $N\n\n"
                         "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|* $N\n");
    };
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(compile(input)));
    input.access_orcpt = false;
    CPPUNIT_ASSERT_EQUAL(std::string("W13:4"), codes(compile(input)));
    input.access_orcpt = true;
    CPPUNIT_ASSERT_EQUAL(std::string("W13:3"), codes(compile(input)));
  }

  // Patterns made of probes, by putting wildcards for parts of them, match those probes: W25 must not be said of any. That they match follows from
  // how they are made; the matcher, which would take most of the time for it, confirms it where it need not look far.
  void no_pattern_that_matches_a_probe_is_called_impossible() {
    const std::pair<const char*, const char*> probes[] = {
        {"PORT_ACCESS", "TCP|192.0.2.1|25|198.51.100.7|40312"},
        {"PORT_ACCESS", "TCP|2001:db8::1|4190|2001:db8:0:1::7|7"},
        {"INTERNAL_IP", "2001:db8::7"},
        {"FORWARD", "\"a b\"@example.com"},
        {"LOGIN_ACCESS", "pop3|192.0.2.7|TLSv1.3|USER|anna@example.com"},
        {"LOGIN_ACCESS", "submission|::1||SCRAM-SHA-256|anna@example.com"},
        {"LOGIN_ACCESS", "sieve|::1|ext|PLAIN|anna@example.com"},
        {"FROM_ACCESS", "TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/TLS_AES_256_GCM_SHA384/mx.example.org|MAIL|tcp_local|a@example.org|"},
        {"FROM_ACCESS", "TCP|192.0.2.1|587|198.51.100.7|40312|SMTP/[192.0.2.7]|MAIL|tcp_submit|\"x_y\"@[192.0.2.1]|anna@example.com"},
        {"FROM_ACCESS", "TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/|MAIL|tcp_internal||"},
        {"FROM_ACCESS", "||MAIL|l|a@example.com|"},
        {"ORIG_SEND_ACCESS", "tcp_local|a@example.org|l|anna@example.com"},
        {"SEND_ACCESS", "process||ims-ms|\"mail\"@example.com|rfc822;anna@example.com"},
        {"ORIG_MAIL_ACCESS", "TCP|192.0.2.1|25|198.51.100.7|40312|SMTP/x|MAIL|tcp_own$1|smtp@mail|tcp_local|tcp@25.example"},
        {"MAIL_ACCESS", "||MAIL|l|a@example.com|bitbucket|b@example.com|"},
    };
    constexpr std::uint64_t kFewSteps = 500;
    std::mt19937 random(11);
    int confirmed = 0;
    for (int round = 0; round < 30'000; ++round) {
      const auto& [table, probe] = probes[random() % std::size(probes)];
      const std::string text = probe;
      std::string pattern;
      for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = std::min<std::size_t>(1 + random() % 12, text.size() - i);
        switch (random() % 6) {
          case 0: pattern += random() % 4 == 0 ? "$_*" : "*"; break;
          case 1:
            for (std::size_t n = 0; n < length; ++n) pattern += "%";
            break;
          case 2: pattern += "$[\\!-~ ]*"; break;
          default:
            for (const char c : text.substr(i, length)) pattern += c == '$' || c == ' ' ? std::string{'$', c} : std::string(1, c);
        }
        i += length;
      }
      const Pattern parsed = parse_pattern(pattern);
      CPPUNIT_ASSERT_MESSAGE(pattern, parsed.good());
      const Match found = match(parsed.code, text, kFewSteps);
      CPPUNIT_ASSERT_MESSAGE(pattern, found.matched || found.gave_up);
      confirmed += found.matched;
      ProbeFields fields;
      const auto wrong = fields.impossible(table, parsed.code);
      CPPUNIT_ASSERT_MESSAGE(pattern + ": " + wrong.value_or(""), !wrong);
    }
    CPPUNIT_ASSERT(confirmed > 20'000);
  }

  void every_message_names_file_and_line() {
    const struct {
      const char* code;
      int line;
      const char* source;
    } rows[] = {
        {"E01", 5, "T\n\n  a b\n\n  c d\n"},
        {"E02", 1, "T\n  a b\n"},
        {"E03", 5, "T\n\n  a b\n\nt\n\n"},
        {"E04", 3, "T\n\n  a\n"},
        {"E05", 3, "T\n\n  a b c\n"},
        {"E06", 3, "T\n\n  $Q* b\n"},
        {"E07", 3, "T\n\n  $(300.1.1.1/8) b\n"},
        {"E08", 3, "T\n\n  a $0\n"},
        {"E09", 3, "T\n\n  a ${key\n"},
        {"E10", 3, nullptr},
        {"E11", 3, "T\n\n</nosuch\n"},
        {"E12", 3, "T\n\n  a$0* b\n"},
        {"E13", 3, "SEND_ACCESS\n\n  * $Wx\n"},
        {"E14", 3, "SEND_ACCESS\n\n  * $N$Dsoon|no\n"},
        {"E15", 3, "T\n\n  a $(x)\n"},
        {"W01", 4, "T\n\n  * $Y\n  b c\n"},
        {"W02", 3, "T\n\n  * $C$|NOSUCH;$0|$E\n"},
        {"W03", 3, "T\n\n  a $C$:A$C\n"},
        {"W04", 3, "T\n\n  a $C$N$:Ax$E\n"},
        {"W05", 3, "T\n\n  a $:Ax\n  b c\n"},
        {"W06", 3, "PORT_ACCESS\n\n  * $Ngo$ away\n"},
        {"W07", 3, "SEND_ACCESS\n\n  * $YEXTERNAL\n"},
        {"W08", 3, "T\n\n  $(192.0.2.1/24) x\n"},
        {"W09", 1, "ORIG_SEND_ACCESS\n\n  tcp_auth|*|*|* $N\n"},
        {"W10", 3, nullptr},
        {"W11", 3, "T\n\n  $[^a]* x\n"},
        {"W12", 3, "T\n\n  * z$0$R\n"},
        {"W13", 3, "SEND_ACCESS\n\n  a|b $N\n"},
        {"W14", 1, "SENDACCESS\n\n  * $N\n"},
        {"W15", 3, "MAIL_ACCESS\n\n  TCP|*|25|*|*|SMTP|MAIL|*|*|*|* $N\n"},
        {"W21", 3, "PORT_ACCESS\n\n  * $C$[postern:throttle,t,k]$N421$ x$E\n"},
        {"N01", 3, "T\n\n  %%%%%%%%%%% x\n"},
    };
    for (const auto& row : rows) {
      const std::string source = row.source != nullptr ? row.source : "T\n\n  " + std::string(257, 'a') + " b\n";
      // The included file is the one to be named, with its own lines.
      const Compilation compilation = compiled({{"/mappings", "! remark\n!\n</part\n"}, {"/part", source}}, true);
      const char* const kind = *row.code == 'E' ? ": error " : *row.code == 'W' ? ": warning " : ": note ";
      const std::string wanted = "/part:" + std::to_string(row.line) + kind + row.code + ": ";
      CPPUNIT_ASSERT_MESSAGE(wanted + "\n" + messages_of(compilation), ("\n" + messages_of(compilation)).find("\n" + wanted) != std::string::npos);
    }
    CPPUNIT_ASSERT(messages_of(compiled({{"/mappings", "SEND_ACCESS\n\n  tcp_locl|*|*|* $N\n  *|*|l|example.com $N\n"}}, true))
                       .starts_with("/mappings:3: warning W25: \"tcp_locl\" never matches: a probe of SEND_ACCESS has the name of a channel there; did you mean tcp_local?\n"
                                    "/mappings:4: warning W25: \"example.com\" never matches: a probe of SEND_ACCESS has an address without <> there; did you mean *@example.com?\n"));
    // The one that is about what is not there.
    CPPUNIT_ASSERT_EQUAL(std::string("/mappings: warning W09"), messages_of(compiled({{"/mappings", "T\n\n"}}, true)).substr(0, 22));
  }

  void reads_lines_as_the_rules_say() {
    const Compilation compilation = compiled({{"/mappings",
                                               "! remark\n"
                                               "COLOURS\r\n"
                                               "! not the blank line\n"
                                               " \t \n"
                                               "  red*        warm\n"
                                               "! a remark in the middle\n"
                                               "\tlong\\\n"
                                               "er  con\\\n"
                                               "!tinued  \n"
                                               "  blue        cold$ colour\n"
                                               "  !x          mark\n"
                                               "  *           unknown\n"
                                               "\n\nEMPTY\n\n\n"
                                               "ROUTES\n\n"
                                               "  *.lan       $0.example.com"}});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(messages_of(compilation), std::string(), codes(compilation));
    const Tables tables = tables_through_file(compilation);
    struct {
      const char* table;
      const char* probe;
      const char* want;
      int line;
    } rows[] = {{"colours", "redder", "warm", 5}, {"COLOURS", "longer", "con!tinued", 7}, {"COLOURS", "blue", "cold colour", 10},
                {"COLOURS", "!X", "mark", 11},    {"COLOURS", "green", "unknown", 12},   {"ROUTES", "a.lan", "a.example.com", 20}};
    for (const auto& row : rows) {
      const Mapped mapped = evaluate(tables, row.table, row.probe);
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), mapped.output);
      CPPUNIT_ASSERT_EQUAL(row.line, mapped.line);
      CPPUNIT_ASSERT_EQUAL(std::string("/mappings"), mapped.file);
    }
    CPPUNIT_ASSERT(tables.has("empty"));
    CPPUNIT_ASSERT(!evaluate(tables, "EMPTY", "x").matched);
    CPPUNIT_ASSERT(!tables.has("NOSUCH"));
    CPPUNIT_ASSERT(!evaluate(tables, "NOSUCH", "x").matched);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, tables.names().size());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, tables.generation());
  }

  void follows_includes() {
    SourceFiles files{{"/mappings", "T\n\n</one\n  c 3\n"}, {"/one", "! first\n  a 1\n</two\n"}, {"/two", "  b 2\n  * 0$C\n"}};
    const Compilation compilation = compiled(files);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(messages_of(compilation), std::string(), codes(compilation));
    const Mapped mapped = evaluate(tables_in_memory(compilation), "T", "b");
    CPPUNIT_ASSERT_EQUAL(std::string("/two"), mapped.file);
    CPPUNIT_ASSERT_EQUAL(1, mapped.line);
    CPPUNIT_ASSERT_EQUAL(std::string("E11:2"), codes(compiled({{"/mappings", "T\n</mappings\n\n"}})).substr(0, 5));
    CPPUNIT_ASSERT_EQUAL(std::string("E11:3"), codes(compiled({{"/mappings", "T\n\n</nosuch\n"}})));
    CPPUNIT_ASSERT_EQUAL(std::string("E11:3"), codes(compiled({{"/mappings", "T\n\n<relative\n"}})));
    SourceFiles deep{{"/mappings", "T\n\n</0\n"}};
    for (int i = 0; i < 12; ++i) deep["/" + std::to_string(i)] = "</" + std::to_string(i + 1) + "\n";
    deep["/12"] = "  a b\n";
    CPPUNIT_ASSERT_EQUAL(std::string("E11:1"), codes(compiled(deep)));
  }

  void reads_general_table_and_aliases() {
    const Compilation compilation = compiled({{"/mappings", "T\n\n  * <${$0}>\n"},
                                              {"/general.txt", "! remark\nKey1   a value with  blanks \nempty\n"},
                                              {"/aliases", "! remark\n# remark\nPostmaster: admin@example.com\nsales@Example.com: a@example.com,\n  \"odd, name\"@example.com\nlist : x@example.net\n"}});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(messages_of(compilation), std::string(), codes(compilation));
    for (const Tables& tables : {tables_in_memory(compilation), tables_through_file(compilation)}) {
      CPPUNIT_ASSERT_EQUAL(std::string("<a value with  blanks>"), evaluate(tables, "T", "key1").output);
      CPPUNIT_ASSERT_EQUAL(std::string("<>"), evaluate(tables, "T", "EMPTY").output);
      CPPUNIT_ASSERT_EQUAL(std::string("other"), evaluate(tables, "T", "other").output);
      CPPUNIT_ASSERT(!tables.general("other"));
      const auto postmaster = tables.alias("postmaster@anything.example");
      CPPUNIT_ASSERT(postmaster && postmaster->size() == 1 && postmaster->front() == "admin@example.com");
      const auto sales = tables.alias("SALES@example.com");
      CPPUNIT_ASSERT(sales && sales->size() == 2 && sales->back() == "\"odd, name\"@example.com");
      CPPUNIT_ASSERT(!tables.alias("sales@example.net"));
      CPPUNIT_ASSERT(tables.alias("list@example.net"));
      CPPUNIT_ASSERT(!tables.alias("nobody@example.net"));
    }
    CPPUNIT_ASSERT_EQUAL(std::string("E16:1 E16:2 E16:3 E16:5 E16:6"),
                         codes(compiled({{"/aliases", "nocolon\n: x\nempty:\na: b\na: c\nd: e,,f\n"}})));
    CPPUNIT_ASSERT_EQUAL(std::string("E16:2 E16:3"), codes(compiled({{"/general.txt", "a b\nA c\n d\n"}})));
  }

  void alias_targets_are_addresses_or_local_names() {
    const struct {
      const char* target;
      const char* said;  // empty: nothing is wrong
    } rows[] = {
        {"admin", ""},
        {"admin@example.com", ""},
        {"a.b+c@sub.example.com", ""},
        {"user@[192.0.2.1]", ""},
        {"user@[IPv6:2001:db8::1]", ""},
        {"\"odd, name\"@example.com", ""},
        {"\"odd, name\"", ""},
        {"\"a@b\"@example.com", ""},
        {"grün@bücher.example", ""},
        {"/G=Ann/S=Bell/@gateway.example", ""},
        {"x", ""},  // names itself
        {"|/bin/sh", "a command is no target"},
        {"|/bin/sh -c id", "a command is no target"},
        {"\"|/bin/sh -c id\"", "a command is no target"},
        {"|sh@example.com", "a command is no target"},
        {":include:/x", "an include is no target"},
        {"/tmp/x", "a file is no target"},
        {"\"/tmp/x\"", "a file is no target"},
        {"a@b@c", "two @"},
        {"@example.com", "before the @"},
        {"user@", "behind the @"},
        {"anna bert", "separated by commas"},
        {"a@b.example c@d.example", "separated by commas"},
        {"Anna <anna@example.com>", "separated by commas"},
        {"<anna@example.com>", "double quotes"},
        {"\\root", "double quotes"},
        {"a..b@example.com", "dot"},
        {"a@example..com", "dot"},
        {"a@exa!mple.com", "domain"},
        {"a@[192.0.2.1", "literal"},
        {"\"open", "quotes"},
        {"\"\"@example.com", "quotes"},
        {"\"a\"b@example.com", "behind the quotes"},
        {"a\x01@example.com", "control"},
        {"\xff@example.com", "UTF-8"},
    };
    for (const auto& row : rows) {
      const Compilation compilation = compiled({{"/aliases", std::string("! one\nx: good@example.com,\n  ") + row.target + "\n"}}, true);
      const std::string messages = messages_of(compilation);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.target + (": " + messages), std::string(*row.said != 0 ? "E16:2" : ""), codes(compilation));
      CPPUNIT_ASSERT_MESSAGE(row.target + (": " + messages), messages.find(row.said) != std::string::npos);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("/aliases:1: error E16: target |/bin/sh: a command is no target: it must be an address or a local name\n"),
                         messages_of(compiled({{"/aliases", "root: |/bin/sh\n"}})));
  }

  void aliases_in_a_circle_are_a_warning() {
    const struct {
      const char* aliases;
      const char* found;
    } rows[] = {
        {"loop: loop2\nloop2: loop\n", "W17:1"},
        {"z: a\na: m\nm: Z\n", "W17:1"},
        {"! the first line of the circle\nb: c\nstart: b\nc: b, d\nd: e\n", "W17:2"},
        {"self: self\nself2: self2, other\n", ""},
        {"a: b\nb: c\nc: d@example.com\n", ""},
        {"a@example.com: b\nb@example.com: a\n", "W17:1"},
        {"a@example.com: b\nb@example.net: a\n", ""},
        {"a@example.com: b\nb: a@example.com\n", "W17:1"},
        {"a: b@example.com\nb@example.com: a@example.com\n", "W17:1"},
        {"a: b@elsewhere.example\nb: a\n", ""},
        {"a: b, c\nb: a\nc: a\n", "W17:1 W17:1"},
        {"shared: x\na: shared\nb: shared\n", ""},
    };
    for (const auto& row : rows) {
      const Compilation compilation = compiled({{"/aliases", row.aliases}}, true);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.aliases + messages_of(compilation), std::string(row.found), codes(compilation));
      CPPUNIT_ASSERT(compilation.good());
    }
    CPPUNIT_ASSERT_EQUAL(std::string("/aliases:1: warning W17: aliases lead in a circle: z, a, m, z\n"),
                         messages_of(compiled({{"/aliases", "z: a\na: m\nm: z\n"}}, true)));
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(compiled({{"/aliases", "a: b\nb: a\n"}})));
    // A chain as long as a file may be needs no stack.
    std::string chain;
    for (int i = 0; i < 100'000; ++i) chain += "n" + std::to_string(i) + ": n" + std::to_string((i + 1) % 100'000) + "\n";
    CPPUNIT_ASSERT_EQUAL(std::string("W17:1"), codes(compiled({{"/aliases", chain}}, true)));
  }

  void stops_at_the_limits() {
    const auto entry = [](std::size_t pattern, std::size_t expansion) {
      std::string line = std::string(pattern, 'a') + " " + std::string(expansion, 'b'), out = "T\n\n  ";
      // Continued, so that no physical line is long.
      for (std::size_t i = 0; i < line.size(); i += 200) out += line.substr(i, 200) + (i + 200 < line.size() ? "\\\n" : "\n");
      return compiled({{"/mappings", out}});
    };
    CPPUNIT_ASSERT_EQUAL(std::string(), codes(entry(256, 1024)));
    CPPUNIT_ASSERT_EQUAL(std::string("E10:3"), codes(entry(257, 10)));
    CPPUNIT_ASSERT_EQUAL(std::string("E10:3"), codes(entry(10, 1025)));
    CPPUNIT_ASSERT_EQUAL(std::string("E10:3"), codes(entry(10, 5000)));
    // A joined line of 4096 bytes, and one more; most of them blanks.
    for (const std::size_t size : {4096U, 4097U}) {
      std::string line = "T\n\n  a";
      for (std::size_t i = 4; i < size; ++i) line += i % 200 == 0 ? "\\\n " : " ";
      CPPUNIT_ASSERT_EQUAL(std::string(size > 4096 ? "E10:3" : ""), codes(compiled({{"/mappings", line + "b\n"}})));
    }
    for (const int depth : {10, 11}) {
      SourceFiles files{{"/mappings", "T\n\n</1\n"}};
      for (int i = 1; i < depth; ++i) files["/" + std::to_string(i)] = "</" + std::to_string(i + 1) + "\n";
      files["/" + std::to_string(depth)] = "  a b\n";
      CPPUNIT_ASSERT_EQUAL(std::string(depth > 10 ? "E11:1" : ""), codes(compiled(files)));
    }
    // Physical lines of 252 and 253 bytes.
    CPPUNIT_ASSERT_EQUAL(std::string("W09:0 W10:4"), codes(compiled({{"/mappings", "T\n\n  " + std::string(247, 'a') + "  b\n  " + std::string(248, 'c') + "  d\n"}}, true)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CompileTest);

}  // namespace
