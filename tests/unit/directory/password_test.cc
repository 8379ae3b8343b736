// SPDX-License-Identifier: Apache-2.0
#include "directory/password.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::directory;

class PasswordTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PasswordTest);
  CPPUNIT_TEST(new_hashes_are_yescrypt_and_differ);
  CPPUNIT_TEST(only_the_right_password_matches);
  CPPUNIT_TEST(other_kinds_of_hashes_are_understood);
  CPPUNIT_TEST(passwords_are_prepared);
  CPPUNIT_TEST(what_can_not_be_a_password_is_refused);
  CPPUNIT_TEST(generated_passwords_are_long_and_differ);
  CPPUNIT_TEST_SUITE_END();

  void new_hashes_are_yescrypt_and_differ() {
    const std::string a = hash_password("secret").value(), b = hash_password("secret").value();
    CPPUNIT_ASSERT(a.starts_with("$y$"));
    CPPUNIT_ASSERT(a != b);
    CPPUNIT_ASSERT(is_password_hash(a));
  }

  void only_the_right_password_matches() {
    const std::string hash = hash_password("p\xc3\xa4ss w\xf6rd").value();
    CPPUNIT_ASSERT(password_matches("p\xc3\xa4ss w\xf6rd", hash));
    for (const std::string_view wrong : {"", "p", "p\xc3\xa4ss w\xf6rd ", "P\xc3\xa4ss w\xf6rd"}) CPPUNIT_ASSERT(!password_matches(wrong, hash));
    CPPUNIT_ASSERT(!password_matches(std::string_view("p\xc3\xa4ss w\xf6rd\0", 11), hash));
    CPPUNIT_ASSERT(!password_matches("", ""));
    CPPUNIT_ASSERT(!password_matches("*0", "*0"));
    CPPUNIT_ASSERT(!password_matches("x", "*"));
    CPPUNIT_ASSERT(!password_matches("!", "!"));
  }

  void other_kinds_of_hashes_are_understood() {
    // Test vector of SHA-crypt's own specification.
    CPPUNIT_ASSERT(password_matches("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"));
    // "secret", as other servers store it.
    const struct { const char* hash; bool cheap; } rows[] = {
        {"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", true},
        {"{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", true},
        {"{SSHA}+rvziNkZ1S+q3I9Y4L7TlBR47kZOYUNsMTIzNA==", true},
        {"{ssha256}Cu/hnNbiZr8UDBNjhioF9AuT3pfJqhvlamnX0Dx3ujpOYUNsMTIzNA==", true},
        {"{SSHA512}+U79PiCUpDUSGIet8J/C+5LwCuyIMpq7mOqAaR/5mBRUR8Ws6o/EKpJOG7/dpxqv6UmItclx3HPr1gK4nM8YBk5hQ2wxMjM0", true},
        {"{PBKDF2}$1$pepper$5000$e2482a59b0d73def42af67cee52c540591478656", true},
        {"{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", true},
        {"{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", true},
        {"{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", true},
        {"{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", true},
        {"{SMD5}uMHdic8Q95KsojBAkMio+E5hQ2wxMjM0", true},
        {"{MD5-CRYPT}$1$saltsalt$9xy1btjgzLYfb7hivXtC//", true},
        {"{MD5}$1$saltsalt$9xy1btjgzLYfb7hivXtC//", true},
        {"{CRYPT}$1$saltsalt$9xy1btjgzLYfb7hivXtC//", true},
        {"{DES-CRYPT}abNANd1rDfiNc", true},
        {"{SHA1}5en6G6MezRroT3XKqkdPOmY/BfQ=", true},
        {"{SHA256.hex}2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B", true},
        {"{SHA512.b64}vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF5bDufKRpayrW/isg==", true},
        {"{SHA384}WKd1ukESvjAFrkQHznV9iP2nHUBJe7gCbsrFTU4//HIyzo3jq1rLMK45dg/ufFPt", true},
        {"{SSHA384}RLX3H0iAWfgg66NqtgC6o5xGyPkH8KIGNNAipmqoeU2q1khftUtGnnyT0vA9gGTFTmFDbDEyMzQ=", true},
        {"{SSHA.HEX}fabbf388d919d52faadc8f58e0bed3941478ee464e61436c31323334", true},
        {"{PBKDF2}1000$TmFDbDEyMzQ$etqRXjUN2rZOvua88H8QBA6QqRk", true},
        {"{PBKDF2-SHA1}1000$TmFDbDEyMzQ$etqRXjUN2rZOvua88H8QBA6QqRk", true},
        {"{PBKDF2-SHA256}1000$TmFDbDEyMzQ$xj1VBo3jM7AxdMjzCbgmtns52iizXQKXPeM5xTrH9e0", true},
        {"{PBKDF2-SHA512}1000$TmFDbDEyMzQ$4oUI3pw1hQqEVRNL8FH25NTrpCC.Mt3gIRMPKzHnx53g7AEFtK5jwvCmeGfVzcUXtCirFPNdRnJUb4xlezX2ow", true},
        {"{PLAIN}secret", true}, {"{CLEAR}secret", true}, {"{CLEARTEXT}secret", true},
        {"{SHA256-CRYPT}$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA", true},
        {"{SHA512-CRYPT}$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1", true},
        {"{CRYPT}$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", false},
        {"{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", false},
    };
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_MESSAGE(row.hash, is_password_hash(row.hash));
      CPPUNIT_ASSERT_MESSAGE(row.hash, password_matches("secret", row.hash));
      CPPUNIT_ASSERT_MESSAGE(row.hash, !password_matches("Secret", row.hash) && !password_matches("", row.hash));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.hash, row.cheap, is_cheap_hash(row.hash));
      CPPUNIT_ASSERT_MESSAGE(row.hash, !is_present_hash(row.hash));
    }
    for (const char* const wrong : {"{SHA}5en6", "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "{SHA}", "{PLAIN}", "{NOSUCH}secret", "{PBKDF2}$1$pepper$0$00",
                                    "{PBKDF2}$1$pepper$99999999$e2482a59b0d73def42af67cee52c540591478656", "{SHA", "{}secret", "{CRYPT}secret", "{MD5}", "{MD5}secret", "{SMD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "{SHA.OTHER}5en6G6MezRroT3XKqkdPOmY/BfQ=",
                                    "{SHA256.HEX}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "{PBKDF2-SHA256}1000$TmFDbDEyMzQ$short", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"}) {
      CPPUNIT_ASSERT_MESSAGE(wrong, !is_password_hash(wrong));
      CPPUNIT_ASSERT_MESSAGE(wrong, !password_matches("secret", wrong));
    }
    CPPUNIT_ASSERT(!is_password_hash("plain text"));
    CPPUNIT_ASSERT(!is_password_hash(""));
    CPPUNIT_ASSERT(!is_password_hash("*0"));
  }

  // RFC 4013 section 3.
  void passwords_are_prepared() {
    const struct { const char *text, *want; } rows[] = {
        {"I\xc2\xadX", "IX"}, {"user", "user"}, {"\xc2\xaa", "a"}, {"\xe2\x85\xa8", "IX"}, {"a\xc2\xa0""b", "a b"}, {"a\x07""b", "a\x07""b"}, {"\xff", "\xff"},
        {"p\xc3\xa4ss", "p\xc3\xa4ss"}, {"", ""}, {"\xc2\xad", "\xc2\xad"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), prepared_password(row.text));
    CPPUNIT_ASSERT(password_matches("IX", hash_password("\xe2\x85\xa8").value()));
  }

  void what_can_not_be_a_password_is_refused() {
    CPPUNIT_ASSERT(!hash_password(""));
    CPPUNIT_ASSERT(hash_password(std::string(511, 'x')).has_value());
    CPPUNIT_ASSERT(!hash_password(std::string(512, 'x')));
    CPPUNIT_ASSERT(!hash_password(std::string_view("a\0b", 3)));
  }

  void generated_passwords_are_long_and_differ() {
    const std::string a = generate_password(), b = generate_password();
    CPPUNIT_ASSERT_EQUAL(std::size_t{23}, a.size());
    CPPUNIT_ASSERT(a != b);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PasswordTest);

}  // namespace
