// SPDX-License-Identifier: Apache-2.0
#include "authentication/srs.h"

#include "base/text.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::authentication;
using std::chrono::days;

const base::WallTime kNow = base::from_microseconds(1795000000000000);

class SrsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SrsTest);
  CPPUNIT_TEST(what_is_rewritten_comes_back);
  CPPUNIT_TEST(several_forwarders);
  CPPUNIT_TEST(nobody_else_makes_one);
  CPPUNIT_TEST(they_expire);
  CPPUNIT_TEST(secrets);
  CPPUNIT_TEST_SUITE_END();

  static SenderRewriting ours(std::string domain = "fwd.example.net") { return {std::move(domain), {"a secret of the site", "the one before it"}, days(21)}; }
  static std::string local(const std::string& address) { return address.substr(0, address.rfind('@')); }

  void what_is_rewritten_comes_back() {
    const SenderRewriting srs = ours();
    for (const char* const sender : {"user@example.com", "a=b=c@example.com", "user+tag@sub.example.com", "SRS0@example.com", "o'hara@example.com"}) {
      const auto made = srs.rewritten(sender, kNow);
      CPPUNIT_ASSERT_MESSAGE(sender, made.has_value());
      CPPUNIT_ASSERT(made->starts_with("SRS0=") && made->ends_with("@fwd.example.net"));
      CPPUNIT_ASSERT(srs.is_rewritten(local(*made), "FWD.example.net"));
      CPPUNIT_ASSERT_EQUAL(std::string(sender), srs.original(local(*made), kNow + days(3)).value());
      // A host on the way has changed its case.
      CPPUNIT_ASSERT(srs.original(base::lower(local(*made)), kNow).has_value());
    }
    CPPUNIT_ASSERT(!srs.rewritten("user", kNow));
    CPPUNIT_ASSERT(!srs.rewritten(std::string(240, 'a') + "@example.com", kNow));
    CPPUNIT_ASSERT(!srs.is_rewritten("user", "fwd.example.net"));
    CPPUNIT_ASSERT(!srs.is_rewritten("SRS0=x", "example.org"));
    CPPUNIT_ASSERT(!srs.is_rewritten("SRS2=abcd", "fwd.example.net"));
  }

  void several_forwarders() {
    const SenderRewriting first("one.example", {"secret of the first host"}, days(21)), second = ours("two.example"), third("three.example", {"secret of the third host"}, days(21));
    const std::string once = first.rewritten("user@example.com", kNow).value();
    const std::string twice = second.rewritten(once, kNow).value();
    CPPUNIT_ASSERT_MESSAGE(twice, twice.starts_with("SRS1="));
    CPPUNIT_ASSERT_EQUAL(once, second.original(local(twice), kNow).value());
    const std::string thrice = third.rewritten(twice, kNow).value();
    // Straight back to the first forwarder.
    CPPUNIT_ASSERT_EQUAL(once, third.original(local(thrice), kNow).value());
    CPPUNIT_ASSERT(!second.original(local(thrice), kNow));
    // Another scheme's separator.
    const std::string other = second.rewritten("SRS0+xyz=ab=example.com=user@one.example", kNow).value();
    CPPUNIT_ASSERT_EQUAL(std::string("SRS0+xyz=ab=example.com=user@one.example"), second.original(local(other), kNow).value());
    CPPUNIT_ASSERT(!second.rewritten("SRS1=abc@one.example", kNow));
  }

  void nobody_else_makes_one() {
    const SenderRewriting srs = ours();
    const std::string made = local(srs.rewritten("user@example.com", kNow).value());
    for (std::size_t at = 5; at < made.size(); ++at) {
      std::string forged = made;
      forged[at] = forged[at] == 'q' ? 'r' : 'q';
      CPPUNIT_ASSERT_MESSAGE(forged, !srs.original(forged, kNow));
    }
    for (const char* const bad : {"SRS0=", "SRS0==", "SRS0=x=y", "SRS0=aaaaaaaaaa=bb=example.com=user", "SRS1=aaaaaaaaaa=one.example==x=y=z=u", "SRS0", "user"})
      CPPUNIT_ASSERT_MESSAGE(bad, !srs.original(bad, kNow));
    CPPUNIT_ASSERT(!SenderRewriting("fwd.example.net", {"quite another secret"}, days(21)).original(made, kNow));
    // By the secret before.
    const SenderRewriting before("fwd.example.net", {"the one before it"}, days(21));
    CPPUNIT_ASSERT(srs.original(local(before.rewritten("user@example.com", kNow).value()), kNow).has_value());
  }

  void they_expire() {
    const SenderRewriting srs = ours();
    const std::string made = local(srs.rewritten("user@example.com", kNow).value());
    CPPUNIT_ASSERT(srs.original(made, kNow + days(21)).has_value());
    CPPUNIT_ASSERT_EQUAL(std::string("the address has expired"), srs.original(made, kNow + days(22)).error().what);
    CPPUNIT_ASSERT(!srs.original(made, kNow + days(700)));
    CPPUNIT_ASSERT(srs.original(made, kNow - days(1)).has_value());  // our clock is behind
    CPPUNIT_ASSERT(!srs.original(made, kNow - days(2)));
  }

  void secrets() {
    CPPUNIT_ASSERT_EQUAL(std::size_t(2), secrets_in("0123456789abcdef\r\n\n  another long secret \n").value().size());
    CPPUNIT_ASSERT_EQUAL(std::string("another long secret"), secrets_in("another long secret ").value().front());
    CPPUNIT_ASSERT(!secrets_in(""));
    CPPUNIT_ASSERT(!secrets_in("0123456789abcdef\nshort\n"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SrsTest);

}  // namespace
