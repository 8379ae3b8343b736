// SPDX-License-Identifier: Apache-2.0
#include "directory/signing.h"

#include "directory/administration.h"
#include "directory/protocol.h"
#include "temporary_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <openssl/rsa.h>

namespace {

using namespace postern;
using namespace postern::directory;
using Type = SigningKey::Type;

const base::WallTime kNow = base::from_microseconds(1795000000000000);

bool is_signature(const SigningKey& key, const std::string& digest, const std::string& signature) {
  const auto* at = reinterpret_cast<const unsigned char*>(key.public_key.data());
  const auto* const data = reinterpret_cast<const unsigned char*>(digest.data());
  const auto* const made = reinterpret_cast<const unsigned char*>(signature.data());
  if (key.type == Type::ed25519) {
    const net::KeyPointer parsed(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, at, key.public_key.size()));
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    const bool good = EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, parsed.get()) == 1 && EVP_DigestVerify(context, made, signature.size(), data, digest.size()) == 1;
    EVP_MD_CTX_free(context);
    return good;
  }
  const net::KeyPointer parsed(d2i_PUBKEY(nullptr, &at, static_cast<long>(key.public_key.size())));
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new(parsed.get(), nullptr);
  EVP_PKEY_verify_init(context);
  EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING);
  EVP_PKEY_CTX_set_signature_md(context, EVP_sha256());
  const bool good = EVP_PKEY_verify(context, made, signature.size(), data, digest.size()) == 1;
  EVP_PKEY_CTX_free(context);
  return good;
}

class SigningTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SigningTest);
  CPPUNIT_TEST(selectors_have_a_canonical_form);
  CPPUNIT_TEST(keys_sign_what_their_public_halves_verify);
  CPPUNIT_TEST(keys_belong_to_domains);
  CPPUNIT_TEST(records_read_back);
  CPPUNIT_TEST(private_halves_are_in_no_answer);
  CPPUNIT_TEST_SUITE_END();

  void selectors_have_a_canonical_form() {
    CPPUNIT_ASSERT_EQUAL(std::string("a1.b-2"), canonical_selector("A1.b-2").value());
    for (const char* const bad : {"", "a..b", "-a", "a-", "a_b", "a b", "a;b", "."}) CPPUNIT_ASSERT_MESSAGE(bad, !canonical_selector(bad));
    CPPUNIT_ASSERT(!canonical_selector(std::string(64, 'a')));
  }

  void keys_sign_what_their_public_halves_verify() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    database.add(Domain{"example.com", "", {}}).value();
    Signer signer(database);
    const std::string digest(32, 'd');
    for (const Type type : {Type::rsa, Type::ed25519}) {
      const std::string selector = type == Type::rsa ? "r" : "e";
      const auto record = make_signing_key(type, selector, kNow).value();
      database.add_signing_key("example.com", record).value();
      for (int twice = 0; twice < 2; ++twice) CPPUNIT_ASSERT(is_signature(record.key, digest, signer.sign("example.com", selector, digest).value()));
      CPPUNIT_ASSERT(!is_signature(record.key, std::string(32, 'e'), signer.sign("example.com", selector, digest).value()));
    }
    CPPUNIT_ASSERT(signer.sign("example.com", "r", "short").error().kind == Kind::invalid);
    CPPUNIT_ASSERT(signer.sign("example.com", "x", digest).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(signer.sign("example.org", "r", digest).error().kind == Kind::not_found);
    database.remove_signing_key("example.com", "r").value();
    signer.forget();
    CPPUNIT_ASSERT(signer.sign("example.com", "r", digest).error().kind == Kind::not_found);
  }

  void keys_belong_to_domains() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    auto record = make_signing_key(Type::ed25519, "one", kNow).value();
    CPPUNIT_ASSERT(database.add_signing_key("example.com", record).error().kind == Kind::not_found);
    database.add(Domain{"example.com", "", {}}).value();
    for (std::size_t i = 0; i < kMaxSigningKeys; ++i) {
      record.key.selector = "s" + std::to_string(i);
      record.key.created = kNow - std::chrono::hours(i);
      database.add_signing_key("example.com", record).value();
    }
    CPPUNIT_ASSERT(database.add_signing_key("example.com", record).error().kind == Kind::invalid);
    record.key.selector = "more";
    CPPUNIT_ASSERT(database.add_signing_key("example.com", record).error().kind == Kind::invalid);
    CPPUNIT_ASSERT_EQUAL(std::string("s7"), database.signing_keys("example.com").value().front().key.selector);  // the oldest
    database.remove_domain("example.com").value();
    database.add(Domain{"example.com", "", {}}).value();
    CPPUNIT_ASSERT(database.signing_keys("example.com").value().empty());
    CPPUNIT_ASSERT(database.remove_signing_key("example.com", "s1").error().kind == Kind::not_found);
  }

  void records_read_back() {
    const auto record = make_signing_key(Type::ed25519, "one", kNow).value();
    const std::string bytes = encode(record);
    CPPUNIT_ASSERT(decode_signing_key(bytes).value() == record);
    for (std::size_t length = 0; length < bytes.size(); ++length) CPPUNIT_ASSERT(!decode_signing_key(std::string_view(bytes).substr(0, length)));
    CPPUNIT_ASSERT(!decode_signing_key(bytes + "x"));
    auto for_later = record;
    for_later.key.signs = false;
    CPPUNIT_ASSERT(decode_signing_key(encode(for_later)).value() == for_later);
    std::string other = bytes;
    other[2] = 2;
    CPPUNIT_ASSERT(!decode_signing_key(other));
  }

  void private_halves_are_in_no_answer() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    database.add(Domain{"example.com", "", {}}).value();
    const auto record = make_signing_key(Type::rsa, "one", kNow).value();
    auto request = to_json(record.key);
    request["ask"] = "dkim-add";
    request["name"] = "Example.COM";
    const std::string secret = to_hex(record.private_key);
    CPPUNIT_ASSERT(administer(database, request)->answer.contains("error"));  // no private half
    request["private_key_hex"] = secret;
    const auto added = administer(database, request);
    CPPUNIT_ASSERT(added && added->changed);
    CPPUNIT_ASSERT(administer(database, request)->answer.contains("error"));  // there already
    const std::string all = boost::json::serialize(added->answer) + boost::json::serialize(administer(database, {{"ask", "dkim-list"}, {"name", "example.com"}})->answer) +
                            boost::json::serialize(*look_up(database, {{"ask", "domain"}, {"name", "example.com"}}));
    CPPUNIT_ASSERT(all.find("signing_keys") != std::string::npos);
    // Behind the modulus, which is public.
    for (std::size_t at = 700; at + 40 < secret.size(); at += 200) CPPUNIT_ASSERT(all.find(secret.substr(at, 40)) == std::string::npos);
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-list"}, {"name", "example.org"}})->answer.contains("error"));
    // One that does not sign is in the list, and not among those that mail is signed with.
    const auto signing = [&] { return boost::json::serialize(*look_up(database, {{"ask", "domain"}, {"name", "example.com"}})).find("signing_keys") != std::string::npos; };
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-use"}, {"name", "example.com"}, {"selector", "ONE"}, {"signs", false}})->changed);
    CPPUNIT_ASSERT(!signing() && database.signing_keys("example.com").value().size() == 1);
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-use"}, {"name", "example.com"}, {"selector", "one"}, {"signs", true}})->changed);
    CPPUNIT_ASSERT(signing() && database.signing_keys("example.com").value()[0].private_key == record.private_key);
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-use"}, {"name", "example.com"}, {"selector", "two"}, {"signs", true}})->answer.contains("error"));
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-use"}, {"name", "example.com"}, {"selector", "one"}})->answer.contains("error"));
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-remove"}, {"name", "example.com"}, {"selector", "ONE"}})->changed);
    CPPUNIT_ASSERT(administer(database, {{"ask", "dkim-remove"}, {"name", "example.com"}, {"selector", "one"}})->answer.contains("error"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SigningTest);

}  // namespace
