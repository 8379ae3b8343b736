// SPDX-License-Identifier: Apache-2.0
#include "directory/token.h"

#include "base/base64.h"
#include "directory/sasl.h"

#include <cppunit/extensions/HelperMacros.h>

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <array>
#include <memory>

using namespace postern;
using namespace postern::directory;

namespace {

const std::string kSecret = "0123456789abcdef0123456789abcdef";
constexpr std::int64_t kNow = 1'795'000'000;

std::string base64url(const std::string& bytes) {
  std::string text = base::to_base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string hmac(const std::string& text, const std::string& key) {
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &length);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

std::string token(const std::string& claims, const std::string& header = R"({"alg":"HS256"})", const std::string& key = kSecret) {
  const std::string text = base64url(header) + "." + base64url(claims);
  return text + "." + base64url(hmac(text, key));
}

std::string claims(const std::string& more = {}, const std::string& until = "1795000100") {
  return R"({"iss":"https://login.example.com","aud":"mail","email":"anna@example.com","exp":)" + until + more + "}";
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
Key made(const char* kind, const char* group, int bits) {
  EVP_PKEY* key = group != nullptr ? EVP_PKEY_Q_keygen(nullptr, nullptr, kind, group) : EVP_PKEY_Q_keygen(nullptr, nullptr, kind, static_cast<std::size_t>(bits));
  return {key, EVP_PKEY_free};
}
std::string pem(const Key& key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PUBKEY(bio.get(), key.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}
std::string signature(const Key& key, const std::string& text) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string made(1024, '\0');
  std::size_t size = made.size();
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get());
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(made.data()), &size, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  made.resize(size);
  return made;
}
std::string raw_ecdsa(const std::string& der) {
  const unsigned char* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> both(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  std::array<unsigned char, 64> raw{};
  BN_bn2binpad(ECDSA_SIG_get0_r(both.get()), raw.data(), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(both.get()), raw.data() + 32, 32);
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

class TokenTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TokenTest);
  CPPUNIT_TEST(claims_decide);
  CPPUNIT_TEST(the_key_says_what_a_signature_is);
  CPPUNIT_TEST(files_that_are_no_keys_are_refused);
  CPPUNIT_TEST(responses_are_taken_apart);
  CPPUNIT_TEST(a_bad_token_is_said_and_then_refused);
  CPPUNIT_TEST_SUITE_END();

  const TokenSettings settings_{{"/k"}, "https://login.example.com", "mail", "email", std::chrono::seconds(60)};
  const base::WallTime now_ = base::from_microseconds(kNow * 1'000'000);

  std::string check(const std::string& text, const std::vector<TokenKey>& keys) {
    auto account = verify_token(text, settings_, keys, now_);
    return account ? *account : account.error().what;
  }

  void claims_decide() {
    const std::vector<TokenKey> keys{TokenKey::from(kSecret + "\n").value()};
    const struct { std::string token, want; } rows[] = {
        {token(claims()), "anna@example.com"},
        {token(claims("", "1794999941")), "anna@example.com"},  // within the skew
        {token(claims("", "1794999940")), "token has expired"},
        {token(claims("", "1e400")), "token has no end (exp)"},
        {token(claims("", "\"1795000100\"")), "token has no end (exp)"},
        {token(claims("", "1795000100.5")), "anna@example.com"},
        {token(claims(R"(,"nbf":1795000060)")), "anna@example.com"},
        {token(claims(R"(,"nbf":1795000061)")), "token is not good yet (nbf)"},
        {token(claims(R"(,"nbf":"x")")), "token is not good yet (nbf)"},
        {token(R"({"iss":"https://login.example.com","aud":["x","mail"],"email":"anna@example.com","exp":1795000100})"), "anna@example.com"},
        {token(R"({"iss":"https://login.example.com","aud":["x",["mail"]],"email":"anna@example.com","exp":1795000100})"), "token is for another audience"},
        {token(R"({"iss":"https://login.example.com","email":"anna@example.com","exp":1795000100})"), "token is for another audience"},
        {token(R"({"iss":"https://other.example.com","aud":"mail","email":"anna@example.com","exp":1795000100})"), "token is of another issuer"},
        {token(R"({"iss":"https://login.example.com","aud":"mail","sub":"anna@example.com","exp":1795000100})"), "token names no account (email)"},
        {token(R"({"iss":"https://login.example.com","aud":"mail","email":"","exp":1795000100})"), "token names no account (email)"},
        {token(claims(R"(,"email_verified":true)")), "anna@example.com"},
        {token(claims(R"(,"email_verified":"true")")), "anna@example.com"},
        {token(claims(R"(,"email_verified":false)")), "token is for an address that its issuer has not verified (email_verified)"},
        {token(claims(R"(,"email_verified":"false")")), "token is for an address that its issuer has not verified (email_verified)"},
        {token(claims(R"(,"email_verified":1)")), "token is for an address that its issuer has not verified (email_verified)"},
        {token("[]"), "token has no claims"},
        {token(std::string(20, '[') + std::string(20, ']')), "token has no claims"},
        {token(claims(), R"({"alg":"none"})"), "token is not signed by a key that is known"},
        {token(claims(), R"({"alg":"HS512"})"), "token is not signed by a key that is known"},
        {token(claims(), R"({"alg":"HS256","crit":["exp"]})"), "token has extensions that must be understood"},
        {token(claims(), R"({"typ":"JWT"})"), "token has no header"},
        {token(claims(), R"({"alg":"HS256"})", kSecret + "x"), "token is not signed by a key that is known"},
        {base64url(R"({"alg":"none"})") + "." + base64url(claims()) + ".", "token is not signed by a key that is known"},
        {token(claims()) + ".x", "token is not a signed JWT"},
        {token(claims()) + "=", "token is not in base64url"},
        {"", "token is not a signed JWT"},
        {std::string(kMaxTokenBytes + 1, 'a'), "token is longer than 8192 bytes"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.token, row.want, check(row.token, keys));
    CPPUNIT_ASSERT_EQUAL(std::string("token is not signed by a key that is known"), check(token(claims()), {}));
  }

  void the_key_says_what_a_signature_is() {
    const Key rsa = made("RSA", nullptr, 2048), ec = made("EC", "P-256", 0);
    const std::vector<TokenKey> keys{TokenKey::from(pem(rsa)).value(), TokenKey::from(pem(ec)).value()};
    CPPUNIT_ASSERT_EQUAL(std::string("RS256 ES256"), std::string(keys[0].algorithm()) + " " + std::string(keys[1].algorithm()));
    const auto text = [](const std::string& algorithm) { return base64url("{\"alg\":\"" + algorithm + "\"}") + "." + base64url(claims()); };
    const std::string by_rsa = text("RS256") + "." + base64url(signature(rsa, text("RS256")));
    const std::string by_ec = text("ES256") + "." + base64url(raw_ecdsa(signature(ec, text("ES256"))));
    CPPUNIT_ASSERT_EQUAL(std::string("anna@example.com"), check(by_rsa, keys));
    CPPUNIT_ASSERT_EQUAL(std::string("anna@example.com"), check(by_ec, keys));
    const std::string unknown = "token is not signed by a key that is known";
    // The public key as a secret, which everybody knows.
    CPPUNIT_ASSERT_EQUAL(unknown, check(token(claims(), R"({"alg":"HS256"})", pem(rsa)), keys));
    CPPUNIT_ASSERT_EQUAL(unknown, check(text("ES256") + "." + base64url(signature(ec, text("ES256"))), keys));  // in DER
    CPPUNIT_ASSERT_EQUAL(unknown, check(text("RS256") + "." + base64url(std::string(256, '\0')), keys));
    CPPUNIT_ASSERT_EQUAL(unknown, check(text("ES256") + "." + base64url(std::string(64, '\0')), keys));
    CPPUNIT_ASSERT_EQUAL(unknown, check(text("RS256") + ".", keys));
    std::string changed = by_rsa;
    changed[changed.find('.') + 5] ^= 1;
    CPPUNIT_ASSERT(check(changed, keys) != "anna@example.com");
  }

  void files_that_are_no_keys_are_refused() {
    CPPUNIT_ASSERT(!TokenKey::from(""));
    CPPUNIT_ASSERT(!TokenKey::from(std::string(31, 'x')));
    CPPUNIT_ASSERT(TokenKey::from(std::string(32, 'x')));
    CPPUNIT_ASSERT(!TokenKey::from("-----BEGIN PUBLIC KEY-----\nrubbish rubbish rubbish\n-----END PUBLIC KEY-----\n"));
    CPPUNIT_ASSERT(!TokenKey::from(pem(made("RSA", nullptr, 1024))));
    CPPUNIT_ASSERT(!TokenKey::from(pem(made("EC", "P-384", 0))));
    // Nobody's secret, and each of them longer than one must be.
    const std::string rsa = pem(made("RSA", nullptr, 2048)), inner = rsa.substr(27, rsa.find("-----END") - 27);
    std::string joined = inner;
    std::erase(joined, '\n');
    const std::string certificate = "MIIBODCB66ADAgECAhQc";  // only its beginning: text like any other
    for (const std::string& text : {inner, joined, base::from_base64(joined).value(), std::string(R"( {"keys":[{"kty":"RSA","n":"0vx7agoebGcQ","e":"AQAB"}]})"),
                                    std::string(R"([{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}])"),
                                    std::string("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7")})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("no secret, since others know it, and no public key in PEM (BEGIN PUBLIC KEY)"), TokenKey::from(text).error().what);
    CPPUNIT_ASSERT(TokenKey::from(certificate + certificate));
    CPPUNIT_ASSERT(read_token_keys({"/nowhere/key"}).error().kind == Kind::temporary);
  }

  void responses_are_taken_apart() {
    const struct { bool standard; std::string response, want; } rows[] = {
        {true, "n,a=anna@example.com,\x01host=h\x01port=143\x01" "auth=Bearer t.o.k\x01\x01", "anna@example.com t.o.k"},
        {true, "n,,\x01" "auth=bearer  t \x01\x01", " t"},
        {true, "n,a=a=2Cb=3Dc,\x01" "auth=Bearer t\x01\x01", "a,b=c t"},
        {true, "n,a=a=2X,\x01" "auth=Bearer t\x01\x01", "-"},
        {true, "p=tls-exporter,,\x01" "auth=Bearer t\x01\x01", "-"},
        {true, "n,\x01" "auth=Bearer t\x01\x01", "-"},
        {true, "n,,\x01" "auth=Basic t\x01\x01", "-"},
        {true, "n,,\x01" "auth=Bearer t\x01", "-"},
        {true, "n,,\x01" "auth=Bearer t\x01" "auth=Bearer u\x01\x01", "-"},
        {true, "n,,\x01" "auth\x01\x01", "-"},
        {true, "\x01\x01", "-"},
        {true, "", "-"},
        {false, "user=anna@example.com\x01" "auth=Bearer t\x01\x01", "anna@example.com t"},
        {false, "user=\x01" "auth=Bearer t\x01\x01", "-"},
        {false, "user=a\x01" "auth=Bearer \x01\x01", "-"},
        {false, "n,,\x01" "auth=Bearer t\x01\x01", "-"},
    };
    for (const auto& row : rows) {
      const auto got = row.standard ? parse_oauthbearer(row.response) : parse_xoauth2(row.response);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.response, row.want, got ? got->authorization + " " + got->token : std::string("-"));
    }
  }

  void a_bad_token_is_said_and_then_refused() {
    using Outcome = SaslSession::Outcome::Kind;
    const auto check = [](std::string_view token) -> Result<std::string> {
      if (token == "good") return std::string("anna@example.com");
      return Error{token == "later" ? Kind::temporary : Kind::denied, "token is bad"};
    };
    for (const std::string mechanism : {"OAUTHBEARER", "XOAUTH2"}) {
      const std::string before = mechanism == "XOAUTH2" ? "user=bert@example.com\x01" : "n,a=bert@example.com,\x01";
      auto session = SaslSession::begin_bearer(mechanism, check);
      CPPUNIT_ASSERT(session->step(std::nullopt).kind == Outcome::challenge);
      auto good = session->step(before + "auth=Bearer good\x01\x01");
      CPPUNIT_ASSERT(good.kind == Outcome::proved);
      CPPUNIT_ASSERT_EQUAL(std::string("anna@example.com bert@example.com"), good.name + " " + good.authorization);
      session = SaslSession::begin_bearer(mechanism, check);
      const auto said = session->step(before + "auth=Bearer x\x01\x01");
      CPPUNIT_ASSERT(said.kind == Outcome::challenge && said.data.starts_with("{\"status\":"));
      const auto refused = session->step("\x01");
      CPPUNIT_ASSERT(refused.kind == Outcome::refused && refused.reason == "token is bad");
      session = SaslSession::begin_bearer(mechanism, check);
      CPPUNIT_ASSERT(session->step(before + "auth=Bearer later\x01\x01").kind == Outcome::temporary);
      session = SaslSession::begin_bearer(mechanism, check);
      CPPUNIT_ASSERT(session->step("rubbish").kind == Outcome::malformed);
    }
    CPPUNIT_ASSERT(SaslSession::begin_bearer("PLAIN", check) == nullptr);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TokenTest);

}  // namespace
