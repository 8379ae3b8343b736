// SPDX-License-Identifier: Apache-2.0
#include "master/certificates.h"

#include "base/files.h"
#include "base/log.h"
#include "net/openssl.h"
#include "net/tls.h"

#include "../ocsp_response.h"

#include <cppunit/extensions/HelperMacros.h>

#include <openssl/pem.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

using namespace postern;
using master::Certificates;

namespace {

net::MadeCertificate made(const std::string& name, bool rsa = false) {
  net::CertificateRequest request;
  request.names = {name};
  request.rsa = rsa;
  auto result = net::make_certificate(request, false);
  CPPUNIT_ASSERT(result.has_value());
  return std::move(*result);
}

// A certificate of that time, seconds from now.
net::MadeCertificate made_for(const std::string& name, long from, long until) {
  auto fresh = made(name);
  auto certificate = std::move(net::read_certificates(fresh.certificate)->front());
  const auto key = net::read_key(fresh.key);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
  X509_sign(certificate.get(), key->get(), EVP_sha256());
  const net::BioPointer out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate.get());
  return {net::text_of(out.get()), fresh.key};
}
net::MadeCertificate expired(const std::string& name) { return made_for(name, -7200, -3600); }
net::MadeCertificate to_come(const std::string& name) { return made_for(name, 3600, 7200); }

}  // namespace

class CertificatesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CertificatesTest);
  CPPUNIT_TEST(good_files_become_material);
  CPPUNIT_TEST(a_bad_pair_leaves_the_old_one_in_use_case_62);
  CPPUNIT_TEST(a_pair_that_is_not_valid_is_used_only_where_there_is_no_other);
  CPPUNIT_TEST(a_pair_that_is_not_valid_yet_waits_for_its_time);
  CPPUNIT_TEST(an_ocsp_response_that_ends_is_complained_of);
  CPPUNIT_TEST(one_certificate_of_each_kind_of_key);
  CPPUNIT_TEST(the_main_domain_has_the_host_name);
  CPPUNIT_TEST(nothing_changes_without_a_change);
  CPPUNIT_TEST(an_earlier_programs_file_goes_on);
  CPPUNIT_TEST(an_earlier_programs_certificates_keep_their_places);
  CPPUNIT_TEST(the_ticket_secret_keeps_its_age);
  CPPUNIT_TEST(mistakes_are_found_before_the_start);
  CPPUNIT_TEST_SUITE_END();

 public:
  void setUp() override {
    std::string name = "/tmp/postern-certificates-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    configuration_ = conf::Configuration();
    configuration_.host_name = "mail.a.example";
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
  }
  void tearDown() override { [[maybe_unused]] const int status = std::system(("rm -rf " + directory_).c_str()); }

 private:
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    ::unlink(path.c_str());
    const base::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(text.size()), ::write(file.get(), text.data(), text.size()));
    return path;
  }
  conf::TlsCertificate pair(const std::string& name, const net::MadeCertificate& from) {
    conf::TlsCertificate paths;
    paths.certificate = write(name + ".pem", from.certificate);
    paths.key = write(name + ".key", from.key);
    paths.place = {"t", 3};
    return paths;
  }
  static conf::TlsDomain domain(const std::string& name, std::vector<conf::TlsCertificate> certificates) {
    conf::TlsDomain made;
    made.names = {{name, {}}};
    made.certificates = std::move(certificates);
    return made;
  }
  net::TlsMaterial material(const Certificates& certificates) {
    auto text = base::read_all(certificates.file().get(), 1 << 24);
    auto parsed = net::TlsMaterial::parse(*text);
    CPPUNIT_ASSERT(parsed.has_value());
    CPPUNIT_ASSERT(net::TlsContexts::load(certificates.file().get()).has_value());
    return std::move(*parsed);
  }

  void good_files_become_material() {
    const auto a = made("a.example");
    configuration_.tls.domains = {domain("a.example", {pair("a", a)}), domain("none.example", {})};
    configuration_.tls.domains[0].addresses = {{"192.0.2.1", {}}};
    Certificates certificates;
    CPPUNIT_ASSERT(certificates.read(configuration_));
    const auto held = material(certificates);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, held.domains.size());
    CPPUNIT_ASSERT_EQUAL(a.certificate, held.domains[0].pairs.at(0).chain);
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.1"), held.domains[0].addresses.at(0).to_string());
    CPPUNIT_ASSERT(held.domains[1].pairs.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, held.listeners.size());  // not those over UDP
    const auto status = certificates.status();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, status.size());
    CPPUNIT_ASSERT(status[0].at("in_use").as_bool());
    CPPUNIT_ASSERT(!status[0].as_object().contains("error"));
  }

  void a_bad_pair_leaves_the_old_one_in_use_case_62() {
    const auto a = made("a.example"), b = made("a.example");
    const struct { std::string what, certificate, key; } rows[] = {
        {"garbage", "garbage", a.key}, {"no file", "", a.key}, {"another's key", a.certificate, b.key},
        {"half written", b.certificate.substr(0, 200), b.key}, {"expired", expired("a.example").certificate, a.key}};
    for (const auto& row : rows) {
      configuration_.tls.domains = {domain("a.example", {pair("a", a)})};
      Certificates certificates;
      CPPUNIT_ASSERT(certificates.read(configuration_));
      write("a.pem", row.certificate);
      write("a.key", row.key);
      if (row.certificate.empty()) ::unlink((directory_ + "/a.pem").c_str());
      CPPUNIT_ASSERT_MESSAGE(row.what, !certificates.read(configuration_));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, a.certificate, material(certificates).domains[0].pairs.at(0).chain);
      CPPUNIT_ASSERT_MESSAGE(row.what, certificates.status()[0].as_object().contains("error"));
      // And then a good one, under another name.
      configuration_.tls.domains = {domain("a.example", {pair("c", b)})};
      CPPUNIT_ASSERT(certificates.read(configuration_));
      CPPUNIT_ASSERT_EQUAL(b.certificate, material(certificates).domains[0].pairs.at(0).chain);
      CPPUNIT_ASSERT(!certificates.status()[0].as_object().contains("error"));
    }
    // With nothing from before there is nothing.
    configuration_.tls.domains = {domain("a.example", {pair("a", {"garbage", a.key})})};
    Certificates fresh;
    fresh.read(configuration_);
    CPPUNIT_ASSERT(material(fresh).domains[0].pairs.empty());
  }

  void a_pair_that_is_not_valid_is_used_only_where_there_is_no_other() {
    const auto good = made("a.example");
    for (const auto& bad : {expired("a.example"), to_come("a.example")}) {
      configuration_.tls.domains = {domain("a.example", {pair("bad", bad)})};
      Certificates alone;
      alone.read(configuration_);
      CPPUNIT_ASSERT_EQUAL(bad.certificate, material(alone).domains[0].pairs.at(0).chain);
      CPPUNIT_ASSERT(!material(alone).domains[0].pairs.at(0).valid);
      configuration_.tls.domains = {domain("a.example", {pair("bad", bad), pair("good", good)})};
      Certificates both;
      both.read(configuration_);
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, material(both).domains[0].pairs.size());
      CPPUNIT_ASSERT_EQUAL(good.certificate, material(both).domains[0].pairs.at(0).chain);
      CPPUNIT_ASSERT(material(both).domains[0].pairs.at(0).valid);
    }
  }

  void a_pair_that_is_not_valid_yet_waits_for_its_time() {
    const auto now = made("a.example"), later = to_come("a.example");
    configuration_.tls.domains = {domain("a.example", {pair("a", now)})};
    Certificates certificates;
    CPPUNIT_ASSERT(certificates.read(configuration_));
    pair("a", later);
    CPPUNIT_ASSERT(!certificates.read(configuration_));
    CPPUNIT_ASSERT_EQUAL(now.certificate, material(certificates).domains[0].pairs.at(0).chain);
    CPPUNIT_ASSERT(std::string(certificates.status()[0].at("error").as_string()).find("not valid before") != std::string::npos);
    // What it replaced is no better any more.
    Certificates old;
    pair("a", expired("a.example"));
    old.read(configuration_);
    pair("a", later);
    CPPUNIT_ASSERT(old.read(configuration_));
    CPPUNIT_ASSERT_EQUAL(later.certificate, material(old).domains[0].pairs.at(0).chain);
    // Its time comes, and nobody touches the file.
    const auto soon = made_for("a.example", 2, 3600);
    pair("a", now);
    Certificates waiting;
    configuration_.tls.watch = std::chrono::seconds(0);
    waiting.read(configuration_);
    pair("a", soon);
    waiting.look(configuration_);
    CPPUNIT_ASSERT_EQUAL(now.certificate, material(waiting).domains[0].pairs.at(0).chain);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!waiting.look(configuration_) && std::chrono::steady_clock::now() < until) ::usleep(50'000);
    CPPUNIT_ASSERT_EQUAL(soon.certificate, material(waiting).domains[0].pairs.at(0).chain);
    CPPUNIT_ASSERT(!waiting.status()[0].as_object().contains("error"));
  }

  void an_ocsp_response_that_ends_is_complained_of() {
    auto paths = pair("a", made_certificate("a.example"));
    paths.ocsp = write("a.ocsp", own_ocsp_response("a.example", {.until = 2}));
    configuration_.tls.domains = {domain("a.example", {paths})};
    configuration_.tls.watch = std::chrono::seconds(0);
    Certificates certificates;
    certificates.read(configuration_);
    CPPUNIT_ASSERT(!material(certificates).domains[0].pairs.at(0).ocsp_response.empty());
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!certificates.look(configuration_) && std::chrono::steady_clock::now() < until) ::usleep(50'000);
    CPPUNIT_ASSERT(material(certificates).domains[0].pairs.at(0).ocsp_response.empty());
    CPPUNIT_ASSERT(certificates.status()[0].as_object().contains("ocsp_error"));
    CPPUNIT_ASSERT(!certificates.look(configuration_));
  }

  void one_certificate_of_each_kind_of_key() {
    const auto first = made("a.example"), second = made("a.example"), rsa = made("a.example", true);
    configuration_.tls.domains = {domain("a.example", {pair("1", first), pair("2", second), pair("3", rsa)})};
    Certificates certificates;
    certificates.read(configuration_);
    const auto pairs = material(certificates).domains[0].pairs;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, pairs.size());
    CPPUNIT_ASSERT_EQUAL(first.certificate, pairs[0].chain);
    CPPUNIT_ASSERT_EQUAL(rsa.certificate, pairs[1].chain);
    CPPUNIT_ASSERT(!certificates.status()[1].at("in_use").as_bool());
  }

  void the_main_domain_has_the_host_name() {
    configuration_.tls.domains = {domain("b.example", {}), domain("a.example", {})};
    configuration_.tls.domains[1].names.push_back({"mail.a.example", {}});
    Certificates certificates;
    certificates.read(configuration_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, material(certificates).main_domain);
    configuration_.host_name = "elsewhere.example";
    certificates.read(configuration_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, material(certificates).main_domain);
  }

  void nothing_changes_without_a_change() {
    configuration_.tls.domains = {domain("a.example", {pair("a", made("a.example"))})};
    configuration_.tls.watch = std::chrono::seconds(0);
    Certificates certificates;
    CPPUNIT_ASSERT(!certificates.look(configuration_));  // before the first read
    CPPUNIT_ASSERT(certificates.read(configuration_));
    CPPUNIT_ASSERT(!certificates.read(configuration_));
    CPPUNIT_ASSERT(!certificates.look(configuration_));
    const auto b = made("a.example");
    pair("a", b);
    CPPUNIT_ASSERT(certificates.look(configuration_));
    CPPUNIT_ASSERT_EQUAL(b.certificate, material(certificates).domains[0].pairs.at(0).chain);
    configuration_.tls.ciphers = "ECDHE+AESGCM";
    CPPUNIT_ASSERT(certificates.read(configuration_));
  }

  void an_earlier_programs_file_goes_on() {
    const auto a = made("a.example");
    configuration_.tls.domains = {domain("a.example", {pair("a", a)})};
    Certificates before;
    before.read(configuration_);
    const std::string secret = material(before).ticket_secret;
    Certificates after;
    after.adopt(*before.file().duplicate());
    CPPUNIT_ASSERT(!after.read(configuration_));
    CPPUNIT_ASSERT_EQUAL(secret, material(after).ticket_secret);
    // Also when the file went bad meanwhile.
    write("a.pem", "garbage");
    Certificates later;
    later.adopt(*before.file().duplicate());
    later.read(configuration_);
    CPPUNIT_ASSERT_EQUAL(a.certificate, material(later).domains[0].pairs.at(0).chain);
    CPPUNIT_ASSERT(material(before).ticket_secret != net::TlsMaterial().ticket_secret);
  }

  void an_earlier_programs_certificates_keep_their_places() {
    const auto old = expired("a.example"), good = made("a.example"), renewed = made("a.example");
    configuration_.tls.domains = {domain("a.example", {pair("old", old), pair("good", good)})};
    Certificates before;
    before.read(configuration_);
    Certificates after;
    after.adopt(*before.file().duplicate());
    CPPUNIT_ASSERT(!after.read(configuration_));
    CPPUNIT_ASSERT(!after.status()[0].at("in_use").as_bool() && after.status()[1].at("in_use").as_bool());
    pair("good", renewed);
    CPPUNIT_ASSERT(after.read(configuration_));
    CPPUNIT_ASSERT_EQUAL(renewed.certificate, material(after).domains[0].pairs.at(0).chain);
  }

  void the_ticket_secret_keeps_its_age() {
    configuration_.tls.domains = {domain("a.example", {pair("a", made("a.example"))})};
    configuration_.tls.watch = std::chrono::seconds(0);
    const auto now = std::chrono::steady_clock::now();
    for (const auto age : {std::chrono::hours(23), std::chrono::hours(24)}) {
      Certificates before;
      before.read(configuration_);
      auto held = material(before);
      held.ticket_secret_made = now - age;
      Certificates after;
      after.adopt(*base::sealed_memory_file("certificates", held.to_text()));
      after.read(configuration_);
      const bool changes = age >= std::chrono::hours(24);
      CPPUNIT_ASSERT_EQUAL(changes, after.look(configuration_));
      CPPUNIT_ASSERT_EQUAL(changes, material(after).ticket_secret != held.ticket_secret);
      CPPUNIT_ASSERT_EQUAL(changes ? held.ticket_secret : std::string(), material(after).earlier_ticket_secret);
      // And once more, without a change between.
      Certificates third;
      third.adopt(*after.file().duplicate());
      CPPUNIT_ASSERT(!third.read(configuration_) && !third.look(configuration_));
    }
  }

  void mistakes_are_found_before_the_start() {
    const auto a = made("a.example");
    const auto says = [&](const std::string& want, bool warning) {
      for (const auto& mistake : Certificates::check(configuration_))
        if (mistake.text.find(want) != std::string::npos && mistake.warning == warning) return true;
      return false;
    };
    auto paths = pair("a", a);
    configuration_.tls.domains = {domain("a.example", {paths})};
    CPPUNIT_ASSERT(Certificates::check(configuration_).empty());
    ::chmod(paths.key.c_str(), 0644);
    CPPUNIT_ASSERT(says("within reach of every user", true));
    configuration_.tls.domains = {domain("a.example", {pair("a", a), pair("b", made("a.example"))})};
    CPPUNIT_ASSERT(says("same kind of key (ECDSA)", true));
    configuration_.tls.domains = {domain("a.example", {pair("old", expired("a.example"))})};
    CPPUNIT_ASSERT(says("has expired", false));
    configuration_.tls.domains = {domain("a.example", {pair("new", to_come("a.example"))})};
    CPPUNIT_ASSERT(says("is not valid before", false));
    configuration_.tls.domains = {domain("a.example", {pair("a", a), pair("new", to_come("a.example"))})};
    CPPUNIT_ASSERT(says("is not valid before", true));
    configuration_.tls.expiry_warning = std::chrono::hours(24 * 400);
    configuration_.tls.domains = {domain("a.example", {pair("a", a)})};
    CPPUNIT_ASSERT(says("expires in 36", true));
    configuration_.tls.domains[0].certificates[0].key = directory_ + "/none";
    CPPUNIT_ASSERT(says("none: No such file", false));
    CPPUNIT_ASSERT_EQUAL(3, Certificates::check(configuration_)[0].place.line);
    configuration_.tls.domains[0].certificates[0].key = directory_;
    CPPUNIT_ASSERT(says("no regular file", false));
    configuration_.tls.client_authorities = write("ca", "garbage");
    CPPUNIT_ASSERT(says("no certificate in it", false));
  }

  std::string directory_;
  conf::Configuration configuration_;
};
CPPUNIT_TEST_SUITE_REGISTRATION(CertificatesTest);
