// SPDX-License-Identifier: Apache-2.0
#include "directory/sasl.h"

#include "base/base64.h"
#include "base/text.h"
#include "directory/scram_shapes.h"

#include <cppunit/extensions/HelperMacros.h>

#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <map>
#include <memory>

namespace {

using namespace postern;
using namespace postern::directory;
using Outcome = SaslSession::Outcome;

// The client's side, as the library has it.
class SaslClient {
 public:
  SaslClient(const char* mechanism, std::map<Gsasl_property, std::string> properties) : properties_(std::move(properties)) {
    CPPUNIT_ASSERT_EQUAL(int{GSASL_OK}, gsasl_init(&library_));
    gsasl_callback_set(library_, [](Gsasl*, Gsasl_session* session, Gsasl_property property) {
      const auto& known = static_cast<SaslClient*>(gsasl_session_hook_get(session))->properties_;
      const auto found = known.find(property);
      if (found == known.end()) return int{GSASL_NO_CALLBACK};
      return gsasl_property_set(session, property, found->second.c_str());
    });
    CPPUNIT_ASSERT_EQUAL(int{GSASL_OK}, gsasl_client_start(library_, mechanism, &session_));
    gsasl_session_hook_set(session_, this);
  }
  ~SaslClient() {
    gsasl_finish(session_);
    gsasl_done(library_);
  }
  SaslClient(const SaslClient&) = delete;
  SaslClient& operator=(const SaslClient&) = delete;

  // Nothing: the client has given up.
  std::optional<std::string> answer(const std::string& challenge) {
    char* output = nullptr;
    std::size_t size = 0;
    const int result = gsasl_step(session_, challenge.data(), challenge.size(), &output, &size);
    std::string answer = output == nullptr ? std::string() : std::string(output, size);
    gsasl_free(output);
    satisfied_ = result == GSASL_OK;
    return result == GSASL_OK || result == GSASL_NEEDS_MORE ? std::optional(answer) : std::nullopt;
  }
  [[nodiscard]] bool satisfied() const { return satisfied_; }

 private:
  std::map<Gsasl_property, std::string> properties_;
  Gsasl* library_ = nullptr;
  Gsasl_session* session_ = nullptr;
  bool satisfied_ = false;
};

constexpr unsigned kIterations = 4096;

// There is one account: "user", "pencil".
Result<ScramSecret> find(const std::string& name, ScramDigest digest) {
  if (name != "user") return made_up_scram_secret(digest, name, "key of the site", kIterations);
  return make_scram_secret(digest, "pencil", "salt of the user", kIterations);
}

// All that server and client say to each other. What the server says last is in the outcome, and was shown to the client.
Outcome talk(SaslSession& server, SaslClient& client) {
  std::optional<std::string> response;
  Outcome outcome = server.step({});
  for (int i = 0; i < 10 && outcome.kind == Outcome::Kind::challenge; ++i) {
    response = client.answer(outcome.data);
    CPPUNIT_ASSERT(response);
    outcome = server.step(*response);
  }
  if (outcome.kind == Outcome::Kind::proved && !outcome.data.empty()) static_cast<void>(client.answer(outcome.data));
  return outcome;
}

Outcome talk(const char* mechanism, const SaslFacts& facts, std::map<Gsasl_property, std::string> properties, bool* satisfied = nullptr) {
  const auto server = SaslSession::begin(mechanism, facts, find);
  CPPUNIT_ASSERT_MESSAGE(mechanism, server != nullptr);
  SaslClient client(mechanism, std::move(properties));
  Outcome outcome = talk(*server, client);
  if (satisfied != nullptr) *satisfied = client.satisfied();
  return outcome;
}

class SaslTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SaslTest);
  CPPUNIT_TEST(secrets_are_those_of_the_rfcs);
  CPPUNIT_TEST(secrets_survive_their_text);
  CPPUNIT_TEST(each_scram_proves_the_password_to_both_sides);
  CPPUNIT_TEST(scram_refuses_wrong_passwords_and_unknown_names_alike);
  CPPUNIT_TEST(a_made_up_secret_is_always_the_same);
  CPPUNIT_TEST(made_up_shapes_come_as_often_as_accounts_have_them);
  CPPUNIT_TEST(plus_is_bound_to_its_channel);
  CPPUNIT_TEST(a_client_that_was_told_of_no_binding_is_refused_where_there_is_one);
  CPPUNIT_TEST(plain_and_login_hand_out_name_and_password);
  CPPUNIT_TEST(login_takes_an_initial_response);
  CPPUNIT_TEST(external_is_by_the_certificate);
  CPPUNIT_TEST(nonsense_is_malformed);
  CPPUNIT_TEST(a_secret_that_can_not_be_found_out_is_temporary);
  CPPUNIT_TEST(other_mechanisms_are_not_known);
  CPPUNIT_TEST_SUITE_END();

  static std::string decoded(std::string_view text) { return base::from_base64(text).value(); }
  static std::string hmac(const EVP_MD* digest, const std::string& key, const std::string& text) {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), value, &size);
    return {reinterpret_cast<char*>(value), size};
  }

  // RFC 5802 section 5 and RFC 7677 section 3: what the server has stored accepts the client's proof and gives the server's signature.
  void secrets_are_those_of_the_rfcs() {
    const struct {
      ScramDigest digest;
      const EVP_MD* method;
      const char *salt, *messages, *proof, *signature;
    } rows[] = {
        {ScramDigest::sha1, EVP_sha1(), "QSXCR+Q6sek8bf92",
         "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
         "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
         "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
        {ScramDigest::sha256, EVP_sha256(), "W22ZaJ0SNY7soEsUEjb6gQ==",
         "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
         "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
         "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    };
    for (const auto& row : rows) {
      const ScramSecret secret = make_scram_secret(row.digest, "pencil", decoded(row.salt), 4096).value();
      std::string client_key = hmac(row.method, secret.stored_key, row.messages);
      const std::string proof = decoded(row.proof);
      for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] = static_cast<char>(client_key[i] ^ proof[i]);
      unsigned char hashed[EVP_MAX_MD_SIZE];
      unsigned size = 0;
      EVP_Digest(client_key.data(), client_key.size(), hashed, &size, row.method, nullptr);
      CPPUNIT_ASSERT_EQUAL(secret.stored_key, std::string(reinterpret_cast<char*>(hashed), size));
      CPPUNIT_ASSERT_EQUAL(std::string(row.signature), base::to_base64(hmac(row.method, secret.server_key, row.messages)));
    }
  }

  void secrets_survive_their_text() {
    const ScramSecret secret = make_scram_secret(ScramDigest::sha256, "pencil", "0123456789abcdef", 5000).value();
    const std::string text = to_text(ScramDigest::sha256, secret);
    CPPUNIT_ASSERT(read_scram_secret(ScramDigest::sha256, text) == secret);
    CPPUNIT_ASSERT(!read_scram_secret(ScramDigest::sha1, text));
    for (const char* const wrong : {"", "SCRAM-SHA-256$", "SCRAM-SHA-256$5000:AAAA$AAAA:AAAA", "SCRAM-SHA-256$x:AAAA$AAAA:AAAA"})
      CPPUNIT_ASSERT_MESSAGE(wrong, !read_scram_secret(ScramDigest::sha256, wrong));
    CPPUNIT_ASSERT(!read_scram_secret(ScramDigest::sha256, "SCRAM-SHA-256$0" + text.substr(text.find(':'))));
  }

  void each_scram_proves_the_password_to_both_sides() {
    for (const char* const mechanism : {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"})
      for (const bool exporter : {true, false}) {
        SaslFacts facts;
        std::map<Gsasl_property, std::string> properties{{GSASL_AUTHID, "user"}, {GSASL_PASSWORD, "pencil"}};
        if (std::string_view(mechanism).ends_with("-PLUS")) {
          (exporter ? facts.tls_exporter : facts.tls_unique) = "what both sides know";
          properties[exporter ? GSASL_CB_TLS_EXPORTER : GSASL_CB_TLS_UNIQUE] = base::to_base64("what both sides know");
        }
        bool satisfied = false;
        const Outcome outcome = talk(mechanism, facts, properties, &satisfied);
        CPPUNIT_ASSERT_MESSAGE(mechanism, outcome.kind == Outcome::Kind::proved);
        CPPUNIT_ASSERT_EQUAL(std::string("user"), outcome.name);
        CPPUNIT_ASSERT_MESSAGE("the server's signature", satisfied && outcome.data.starts_with("v="));
      }
  }

  void scram_refuses_wrong_passwords_and_unknown_names_alike() {
    for (const char* const name : {"user", "nobody"}) {
      const Outcome outcome = talk("SCRAM-SHA-256", {}, {{GSASL_AUTHID, name}, {GSASL_PASSWORD, "wrong"}});
      CPPUNIT_ASSERT_MESSAGE(name, outcome.kind == Outcome::Kind::refused && outcome.data.empty());
      CPPUNIT_ASSERT_EQUAL(std::string(name), outcome.name);
    }
    // Not even with a password that would fit somebody else.
    CPPUNIT_ASSERT(talk("SCRAM-SHA-1", {}, {{GSASL_AUTHID, "nobody"}, {GSASL_PASSWORD, "pencil"}}).kind == Outcome::Kind::refused);
  }

  // All but the nonce.
  static std::string salt_and_rounds(const char* name) {
    const auto server = SaslSession::begin("SCRAM-SHA-256", {}, find);
    const std::string said = server->step("n,,n=" + std::string(name) + ",r=abcdefgh").data;
    return said.substr(said.find(",s="));
  }

  void a_made_up_secret_is_always_the_same() {
    CPPUNIT_ASSERT_EQUAL(salt_and_rounds("nobody"), salt_and_rounds("nobody"));
    CPPUNIT_ASSERT(salt_and_rounds("nobody") != salt_and_rounds("someone"));
    CPPUNIT_ASSERT_EQUAL(salt_and_rounds("nobody").size(), salt_and_rounds("user").size());
    CPPUNIT_ASSERT(made_up_scram_secret(ScramDigest::sha1, "a", "k", 1).salt != made_up_scram_secret(ScramDigest::sha1, "a", "other", 1).salt);
  }

  void made_up_shapes_come_as_often_as_accounts_have_them() {
    const auto account = [](unsigned iterations, const std::string& salt) {
      AccountRecord record;
      record.scram_sha256 = to_text(ScramDigest::sha256, ScramSecret{iterations, salt, std::string(32, 'a'), std::string(32, 'b')});
      return record;
    };
    const ScramShape usual{10000, 16}, old{4096, 16}, foreign{5000, 64};
    ShapeTally tally;
    CPPUNIT_ASSERT(tally.choose(ScramDigest::sha256, "x", "key", usual) == usual);
    tally.count(AccountRecord());
    CPPUNIT_ASSERT(tally.empty());
    for (int i = 0; i < 3; ++i) tally.count(account(4096, std::string(16, 's')));
    tally.count_if_new(account(4096, std::string(16, 's')));
    tally.count_if_new(account(5000, std::string(64, 's')));
    ShapeTally later = tally;
    for (int i = 0; i < 4; ++i) later.count(account(5000, std::string(64, 's')));
    int olds = 0;
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "user" + std::to_string(i);
      const ScramShape chosen = tally.choose(ScramDigest::sha256, name, "key", usual);
      CPPUNIT_ASSERT(chosen == old || chosen == foreign);
      olds += chosen == old ? 1 : 0;
      CPPUNIT_ASSERT(tally.choose(ScramDigest::sha1, name, "key", usual) == usual);
      // Only towards what became more.
      if (chosen == foreign) CPPUNIT_ASSERT(later.choose(ScramDigest::sha256, name, "key", usual) == foreign);
      CPPUNIT_ASSERT_EQUAL(chosen.salt_bytes, made_up_scram_secret(ScramDigest::sha256, name, "key", chosen.iterations, chosen.salt_bytes).salt.size());
    }
    CPPUNIT_ASSERT_MESSAGE(std::to_string(olds), olds > 650 && olds < 850);
  }

  void plus_is_bound_to_its_channel() {
    SaslFacts facts;
    facts.tls_exporter = "this connection";
    const std::map<Gsasl_property, std::string> other{
        {GSASL_AUTHID, "user"}, {GSASL_PASSWORD, "pencil"}, {GSASL_CB_TLS_EXPORTER, base::to_base64("another connection")}};
    CPPUNIT_ASSERT(talk("SCRAM-SHA-256-PLUS", facts, other).kind == Outcome::Kind::refused);
    // Nothing to bind to, or no binding asked for.
    CPPUNIT_ASSERT(SaslSession::begin("SCRAM-SHA-256-PLUS", {}, find)->step("p=tls-exporter,,n=user,r=abc").kind == Outcome::Kind::refused);
    CPPUNIT_ASSERT(SaslSession::begin("SCRAM-SHA-256-PLUS", facts, find)->step("n,,n=user,r=abc").kind == Outcome::Kind::refused);
    CPPUNIT_ASSERT(SaslSession::begin("SCRAM-SHA-256", facts, find)->step("p=tls-exporter,,n=user,r=abc").kind == Outcome::Kind::refused);
  }

  // Somebody in between took -PLUS out of our list.
  void a_client_that_was_told_of_no_binding_is_refused_where_there_is_one() {
    SaslFacts facts;
    facts.tls_exporter = "this connection";
    CPPUNIT_ASSERT(SaslSession::begin("SCRAM-SHA-256", facts, find)->step("y,,n=user,r=abc").kind == Outcome::Kind::refused);
    CPPUNIT_ASSERT(SaslSession::begin("SCRAM-SHA-256", {}, find)->step("y,,n=user,r=abc").kind == Outcome::Kind::challenge);
  }

  void plain_and_login_hand_out_name_and_password() {
    for (const char* const mechanism : {"PLAIN", "LOGIN"}) {
      const Outcome outcome = talk(mechanism, {}, {{GSASL_AUTHID, "user"}, {GSASL_PASSWORD, "p\xc3\xa4ss word"}});
      CPPUNIT_ASSERT_MESSAGE(mechanism, outcome.kind == Outcome::Kind::check_password);
      CPPUNIT_ASSERT_EQUAL(std::string("user"), outcome.name);
      CPPUNIT_ASSERT_EQUAL(std::string("p\xc3\xa4ss word"), outcome.password);
    }
    const Outcome outcome = SaslSession::begin("plain", {}, find)->step(std::string_view("other\0user\0pw", 13));
    CPPUNIT_ASSERT_EQUAL(std::string("other"), outcome.authorization);
  }

  void login_takes_an_initial_response() {
    const auto session = SaslSession::begin("LOGIN", {}, find);
    CPPUNIT_ASSERT_EQUAL(std::string("Password:"), session->step("user").data);
    CPPUNIT_ASSERT_EQUAL(std::string("pw"), session->step("pw").password);
    CPPUNIT_ASSERT_EQUAL(std::string("Username:"), SaslSession::begin("LOGIN", {}, find)->step({}).data);
  }

  void external_is_by_the_certificate() {
    const Outcome own = SaslSession::begin("EXTERNAL", {}, find)->step("");
    CPPUNIT_ASSERT(own.kind == Outcome::Kind::proved && own.name.empty() && own.authorization.empty());
    CPPUNIT_ASSERT_EQUAL(std::string("somebody"), SaslSession::begin("EXTERNAL", {}, find)->step("somebody").authorization);
  }

  void nonsense_is_malformed() {
    const std::string rows[][2] = {{"PLAIN", "no zero bytes"}, {"PLAIN", ""}, {"SCRAM-SHA-1", "x"}, {"SCRAM-SHA-256", std::string(20000, 'n')},
                                   {"SCRAM-SHA-256", "n,,n=user"}, {"PLAIN", std::string(20000, '\0')}};
    for (const auto& row : rows) {
      const auto session = SaslSession::begin(row[0], {}, find);
      Outcome outcome = session->step(row[1]);
      for (int i = 0; i < 20 && outcome.kind == Outcome::Kind::challenge; ++i) outcome = session->step(row[1]);
      CPPUNIT_ASSERT_MESSAGE(row[0] + " " + row[1].substr(0, 20), outcome.kind == Outcome::Kind::malformed || outcome.kind == Outcome::Kind::refused);
    }
  }

  void a_secret_that_can_not_be_found_out_is_temporary() {
    const auto session = SaslSession::begin("SCRAM-SHA-256", {}, [](const std::string&, ScramDigest) { return Result<ScramSecret>(Error{Kind::temporary, "away"}); });
    CPPUNIT_ASSERT(session->step("n,,n=user,r=abc").kind == Outcome::Kind::temporary);
  }

  void other_mechanisms_are_not_known() {
    for (const char* const name : {"", "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "GSSAPI", "PLAIN ", "OAUTHBEARER"})
      CPPUNIT_ASSERT_MESSAGE(name, SaslSession::begin(name, {}, find) == nullptr);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SaslTest);

}  // namespace
