// SPDX-License-Identifier: Apache-2.0
#include "net/certificate.h"

#include "../ocsp_response.h"

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
  CPPUNIT_TEST(ocsp_responses_are_good_for_their_issuer);
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

  // A certificate named `name` with a key of its own; `issuer`: nullptr: itself.
  static OcspSigner issued(const std::string& name, const OcspSigner* issuer, long serial, const char* usage = nullptr) {
    OcspSigner made{net::CertificatePointer(X509_new()), net::KeyPointer(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))};
    X509* const certificate = made.certificate.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 7200);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer != nullptr ? issuer->certificate.get() : certificate));
    X509_set_pubkey(certificate, made.key.get());
    const auto extend = [&](int what, const char* value) {
      const std::unique_ptr<X509_EXTENSION, net::FreeWith<X509_EXTENSION_free>> extension(X509V3_EXT_conf_nid(nullptr, nullptr, what, value));
      X509_add_ext(certificate, extension.get(), -1);
    };
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (usage != nullptr) extend(NID_ext_key_usage, usage);
    CPPUNIT_ASSERT(X509_sign(certificate, issuer != nullptr ? issuer->key.get() : made.key.get(), EVP_sha256()) > 0);
    return made;
  }
  static std::string pem(const std::vector<const OcspSigner*>& chain) {
    const net::BioPointer out(BIO_new(BIO_s_mem()));
    for (const OcspSigner* one : chain) PEM_write_bio_X509(out.get(), one->certificate.get());
    return net::text_of(out.get());
  }

  struct OcspRow {
    std::string what, bytes, want;  // want empty: it is good
  };
  static void check_responses(const std::vector<OcspRow>& rows, const std::string& chain) {
    for (const auto& row : rows) {
      const auto checked = net::check_ocsp_response(row.bytes, chain);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what + (checked ? "" : ": " + checked.error().what), row.want.empty(), checked.has_value());
      if (!checked) CPPUNIT_ASSERT_MESSAGE(row.what + ": " + checked.error().what, checked.error().what.find(row.want) != std::string::npos);
    }
  }

  void ocsp_responses_are_good_for_their_certificate_and_time() {
    const auto& one = made_certificate("one.example");
    auto good = net::check_ocsp_response(own_ocsp_response("one.example", {}), one.certificate);
    CPPUNIT_ASSERT_MESSAGE(good ? "" : good.error().what, good.has_value());
    CPPUNIT_ASSERT(*good > std::time(nullptr) + 3500 && *good <= std::time(nullptr) + 3600);
    check_responses({{"another certificate", own_ocsp_response("two.example", {}), "for another certificate"},
                     {"over", own_ocsp_response("one.example", {.until = -60}), "has expired"},
                     {"not begun", own_ocsp_response("one.example", {.from = 1800}), "not valid before"},
                     {"begins by a clock that is a little ahead", own_ocsp_response("one.example", {.from = 100}), ""},
                     {"unknown", own_ocsp_response("one.example", {.status = V_OCSP_CERTSTATUS_UNKNOWN}), "unknown"},
                     {"without an end", own_ocsp_response("one.example", {.until = 0}), "until when"}},
                    one.certificate);
  }

  void ocsp_responses_are_good_for_their_issuer() {
    const OcspSigner authority = issued("Authority", nullptr, 1), stranger = issued("Stranger", nullptr, 1), namesake = issued("Authority", nullptr, 1);
    // All have the same serial number.
    const OcspSigner own = issued("one.example", &authority, 77), of_stranger = issued("one.example", &stranger, 77), of_namesake = issued("one.example", &namesake, 77);
    const OcspSigner appointed = issued("Responder", &authority, 2, "OCSPSigning"), not_appointed = issued("Responder", &authority, 3),
                 of_another = issued("Responder", &stranger, 2, "OCSPSigning");
    const std::string right = ocsp_response(own, authority, authority, {});
    const std::string of_other_issuer = ocsp_response(of_stranger, stranger, stranger, {});
    check_responses({{"by the issuer", right, ""},
                     {"with another digest", ocsp_response(own, authority, authority, {.digest = EVP_sha256()}), ""},
                     {"by who was appointed", ocsp_response(own, authority, appointed, {}), ""},
                     {"the same number of another issuer", of_other_issuer, "for another certificate"},
                     {"the same number of an issuer of the same name", ocsp_response(of_namesake, namesake, namesake, {}), "for another certificate"},
                     {"by somebody else", ocsp_response(own, authority, stranger, {}), "nor a responder"},
                     {"by who was not appointed", ocsp_response(own, authority, not_appointed, {}), "nor a responder"},
                     {"by whom another issuer appointed", ocsp_response(own, authority, of_another, {}), "nor a responder"}},
                    pem({&own, &authority}));
    // The authority is not the last one of its chain.
    const OcspSigner middle = issued("Middle", &authority, 5), below = issued("two.example", &middle, 6);
    check_responses({{"by an issuer in the middle", ocsp_response(below, middle, middle, {}), ""}}, pem({&below, &middle}));
    // Without the issuer, by its name.
    check_responses({{"alone", right, ""}, {"alone, another issuer", of_other_issuer, "for another certificate"}}, pem({&own}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CertificateTest);
