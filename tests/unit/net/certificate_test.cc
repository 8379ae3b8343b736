// SPDX-License-Identifier: Apache-2.0
#include "net/certificate.h"

#include "tls_client.h"

#include <cppunit/extensions/HelperMacros.h>

#include <openssl/pem.h>

using namespace postern;

class CertificateTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CertificateTest);
  CPPUNIT_TEST(what_is_made_says_what_was_asked_for);
  CPPUNIT_TEST(pairs_that_do_not_fit_are_refused);
  CPPUNIT_TEST(a_request_carries_the_names_and_no_certificate);
  CPPUNIT_TEST(names_that_are_none_are_refused);
  CPPUNIT_TEST(cipher_lists_are_tried);
  CPPUNIT_TEST(garbage_is_no_ocsp_response);
  CPPUNIT_TEST(ocsp_responses_are_good_for_their_certificate_and_time);
  CPPUNIT_TEST_SUITE_END();

  void what_is_made_says_what_was_asked_for() {
    net::CertificateRequest request;
    request.names = {"mail.example.com", "example.com"};
    request.addresses = {"192.0.2.1", "2001:db8::1"};
    request.days = 10;
    for (const bool rsa : {false, true}) {
      request.rsa = rsa;
      auto made = net::make_certificate(request, false);
      CPPUNIT_ASSERT_MESSAGE(made ? "" : made.error().what, made.has_value());
      auto facts = net::describe_certificate(made->certificate);
      CPPUNIT_ASSERT(facts.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string("CN=mail.example.com"), facts->subject);
      CPPUNIT_ASSERT_EQUAL(facts->subject, facts->issuer);
      CPPUNIT_ASSERT(facts->self_signed);
      CPPUNIT_ASSERT_EQUAL(std::string(rsa ? "RSA 3072" : "ECDSA P-256"), facts->key_type);
      CPPUNIT_ASSERT_EQUAL(std::string(rsa ? "RSA" : "ECDSA"), facts->key_kind());
      CPPUNIT_ASSERT((facts->names == std::vector<std::string>{"mail.example.com", "example.com", "192.0.2.1", "2001:db8::1"}));
      CPPUNIT_ASSERT_EQUAL(std::size_t{6 + 64}, facts->tlsa.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{95}, facts->fingerprint.size());
      const std::time_t now = std::time(nullptr);
      CPPUNIT_ASSERT(facts->not_before < now && facts->not_after > now + 9 * 86400 && facts->not_after <= now + 10 * 86400);
      CPPUNIT_ASSERT(!facts->expired(now) && facts->expired(now + 11 * 86400));
      CPPUNIT_ASSERT(net::check_certificate_pair(made->certificate, made->key).has_value());
      // The same key again: the TLSA record stays what it was.
      auto again = net::make_certificate(request, false, made->key);
      CPPUNIT_ASSERT_EQUAL(facts->tlsa, net::describe_certificate(again->certificate)->tlsa);
      CPPUNIT_ASSERT(facts->serial != net::describe_certificate(again->certificate)->serial);
    }
  }

  void pairs_that_do_not_fit_are_refused() {
    const auto& one = made_certificate("one.example");
    const auto& two = made_certificate("two.example");
    const struct { std::string what, chain, key, want; } rows[] = {
        {"another's key", one.certificate, two.key, "does not belong"},
        {"no certificate", "nothing", one.key, "no certificate in it"},
        {"no key", one.certificate, "nothing", "no private key in it"},
        {"a broken certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one.key, "certificate 1 can't be read"},
        {"a broken key", one.certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "can't be read"},
        {"a pass phrase", one.certificate,
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBAA==\n-----END ENCRYPTED PRIVATE KEY-----\n", "pass phrase"},
        {"a chain that is none", one.certificate + two.certificate, one.key, "not the issuer"},
    };
    for (const auto& row : rows) {
      auto checked = net::check_certificate_pair(row.chain, row.key);
      CPPUNIT_ASSERT_MESSAGE(row.what, !checked);
      CPPUNIT_ASSERT_MESSAGE(row.what + ": " + checked.error().what, checked.error().what.find(row.want) != std::string::npos);
    }
    // One file with both, the key first.
    CPPUNIT_ASSERT(net::check_certificate_pair(one.key + one.certificate, one.key + one.certificate).has_value());
    // A key that is too short for anybody.
    const net::KeyPointer weak(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}));
    const net::BioPointer text(BIO_new(BIO_s_mem()));
    CPPUNIT_ASSERT_EQUAL(1, PEM_write_bio_PKCS8PrivateKey(text.get(), weak.get(), nullptr, nullptr, 0, nullptr, nullptr));
    const std::string key = net::text_of(text.get());
    net::CertificateRequest request;
    request.names = {"weak.example"};
    auto made = net::make_certificate(request, false, key);
    CPPUNIT_ASSERT(made.has_value());
    auto checked = net::check_certificate_pair(made->certificate, key);
    CPPUNIT_ASSERT(!checked);
    CPPUNIT_ASSERT_EQUAL(std::string("OpenSSL does not accept it: ee key too small"), checked.error().what);
  }

  void a_request_carries_the_names_and_no_certificate() {
    net::CertificateRequest request;
    request.names = {"mail.example.com"};
    auto made = net::make_certificate(request, true);
    CPPUNIT_ASSERT(made.has_value());
    CPPUNIT_ASSERT(made->certificate.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    CPPUNIT_ASSERT(!net::describe_certificate(made->certificate));
    CPPUNIT_ASSERT(net::read_key(made->key).has_value());
  }

  void names_that_are_none_are_refused() {
    const struct { std::vector<std::string> names, addresses; } rows[] = {
        {{}, {}}, {{"a,DNS:b"}, {}}, {{"a..b"}, {}}, {{""}, {}}, {{"a.example"}, {"1.2.3"}}, {{"a b"}, {}},
        {{"192.0.2.1"}, {}}, {{"2001:db8::1"}, {}}, {{"a/b"}, {}}, {{"*."}, {}}, {{"*a.example"}, {}}, {{"a.*.example"}, {}}};
    for (const auto& row : rows) {
      net::CertificateRequest request;
      request.names = row.names;
      request.addresses = row.addresses;
      CPPUNIT_ASSERT(!net::make_certificate(request, false));
    }
    // Longer than a common name may be.
    net::CertificateRequest request;
    request.names = {std::string(60, 'a') + "." + std::string(60, 'b') + ".example"};
    auto made = net::make_certificate(request, false);
    CPPUNIT_ASSERT(made.has_value());
    CPPUNIT_ASSERT(net::describe_certificate(made->certificate)->names == request.names);
  }

  void cipher_lists_are_tried() {
    CPPUNIT_ASSERT(net::check_cipher_list("ECDHE+AESGCM").has_value());
    CPPUNIT_ASSERT(!net::check_cipher_list("nonsense"));
  }

  void garbage_is_no_ocsp_response() {
    const auto& one = made_certificate("one.example");
    for (const std::string text : {"", "garbage", "\x30\x03\x0a\x01\x06"}) {
      auto checked = net::check_ocsp_response(text, one.certificate);
      CPPUNIT_ASSERT(!checked && checked.error().kind == Kind::invalid);
    }
  }

  // A response about `about`, signed by itself; `until`: seconds from now, 0: none.
  static std::string response(const std::string& about, int status, long until) {
    const auto certificate = std::move(net::read_certificates(made_certificate(about).certificate)->front());
    const auto key = net::read_key(made_certificate(about).key);
    const net::BasicResponsePointer basic(OCSP_BASICRESP_new());
    struct FreeTime {
      void operator()(ASN1_TIME* time) const { ASN1_TIME_free(time); }
    };
    const std::unique_ptr<ASN1_TIME, FreeTime> from(X509_gmtime_adj(nullptr, -7200)), to(until == 0 ? nullptr : X509_gmtime_adj(nullptr, until));
    OCSP_CERTID* const id = OCSP_cert_to_id(EVP_sha1(), certificate.get(), certificate.get());
    CPPUNIT_ASSERT(OCSP_basic_add1_status(basic.get(), id, status, 0, from.get(), from.get(), to.get()) != nullptr);
    OCSP_CERTID_free(id);
    CPPUNIT_ASSERT_EQUAL(1, OCSP_basic_sign(basic.get(), certificate.get(), key->get(), EVP_sha256(), nullptr, 0));
    const net::ResponsePointer whole(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
    std::string bytes(static_cast<std::size_t>(i2d_OCSP_RESPONSE(whole.get(), nullptr)), '\0');
    auto* to_bytes = reinterpret_cast<unsigned char*>(bytes.data());
    i2d_OCSP_RESPONSE(whole.get(), &to_bytes);
    return bytes;
  }

  void ocsp_responses_are_good_for_their_certificate_and_time() {
    const auto& one = made_certificate("one.example");
    auto good = net::check_ocsp_response(response("one.example", V_OCSP_CERTSTATUS_GOOD, 3600), one.certificate);
    CPPUNIT_ASSERT_MESSAGE(good ? "" : good.error().what, good.has_value());
    CPPUNIT_ASSERT(*good > std::time(nullptr) + 3500 && *good <= std::time(nullptr) + 3600);
    const struct { std::string bytes, want; } rows[] = {
        {response("two.example", V_OCSP_CERTSTATUS_GOOD, 3600), "for another certificate"},
        {response("one.example", V_OCSP_CERTSTATUS_GOOD, -60), "has expired"},
        {response("one.example", V_OCSP_CERTSTATUS_UNKNOWN, 3600), "unknown"},
        {response("one.example", V_OCSP_CERTSTATUS_GOOD, 0), "until when"},
    };
    for (const auto& row : rows) {
      auto checked = net::check_ocsp_response(row.bytes, one.certificate);
      CPPUNIT_ASSERT_MESSAGE(row.want, !checked);
      CPPUNIT_ASSERT_MESSAGE(checked.error().what, checked.error().what.find(row.want) != std::string::npos);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CertificateTest);
