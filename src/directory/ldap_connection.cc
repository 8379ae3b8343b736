// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_connection.h"

#include "base/text.h"

#include <lber.h>
#include <ldap.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

namespace postern::directory {
namespace {

using Deadline = LdapConnection::Deadline;

// Where Debian keeps whom the system trusts; libldap knows no default of its own once it reads no ldap.conf.
constexpr const char* kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

struct FreeMessage {
  void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
struct FreeBytes {
  void operator()(void* bytes) const { ldap_memfree(bytes); }
};
struct FreeValues {
  void operator()(berval** values) const { ldap_value_free_len(values); }
};
struct FreeElement {
  void operator()(BerElement* element) const { ber_free(element, 0); }
};
using Message = std::unique_ptr<LDAPMessage, FreeMessage>;
using Bytes = std::unique_ptr<char, FreeBytes>;

timeval time_left(Deadline deadline) {
  const auto left = std::max<std::int64_t>(1000, std::chrono::duration_cast<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now()).count());
  return {static_cast<time_t>(left / 1'000'000), static_cast<suseconds_t>(left % 1'000'000)};
}

int scope_of(conf::Ldap::Scope scope) {
  switch (scope) {
    case conf::Ldap::Scope::base: return LDAP_SCOPE_BASE;
    case conf::Ldap::Scope::one: return LDAP_SCOPE_ONELEVEL;
    case conf::Ldap::Scope::sub: return LDAP_SCOPE_SUBTREE;
  }
  return LDAP_SCOPE_BASE;
}

bool begins_with_tls(const std::string& server) { return server.starts_with("ldaps://"); }
bool starts_tls(const conf::Ldap& settings, const std::string& server) { return server.starts_with("ldap://") && settings.tls == conf::Ldap::Tls::starttls; }
std::string authorities_of(const conf::Ldap& settings) { return settings.authorities.empty() ? kSystemAuthorities : settings.authorities; }

// "ldaps://[2001:db8::1]:636" → "2001:db8::1"
std::string host_of(const std::string& server) {
  std::string host = server.substr(server.find("://") + 3);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
struct FreeCheck {
  void operator()(X509_STORE_CTX* check) const { X509_STORE_CTX_free(check); }
};

// Why nobody should believe that it is the server's; empty: no reason is known. What stands between it and who is trusted is not known here, so names
// and times come first.
std::string trouble_with(const std::string& certificate_der, const std::string& host, const std::string& authorities) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(certificate_der.data());
  const std::unique_ptr<X509, FreeCertificate> certificate(d2i_X509(nullptr, &bytes, static_cast<long>(certificate_der.size())));
  const std::unique_ptr<X509_STORE, FreeStore> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, FreeCheck> check(X509_STORE_CTX_new());
  if (!certificate || !store || !check) return {};
  if (X509_check_ip_asc(certificate.get(), host.c_str(), 0) != 1 && X509_check_host(certificate.get(), host.c_str(), host.size(), 0, nullptr) != 1)
    return "its certificate is not for " + host;
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) return "its certificate has expired";
  if (X509_cmp_current_time(X509_get0_notBefore(certificate.get())) > 0) return "its certificate is not valid yet";
  if (X509_STORE_load_file(store.get(), authorities.c_str()) != 1) return "ldap.authorities " + authorities + " has no certificate that can be read";
  if (X509_STORE_CTX_init(check.get(), store.get(), certificate.get(), nullptr) != 1) return {};
  if (X509_verify_cert(check.get()) == 1) return {};
  return std::string("its certificate is not trusted: ") + X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())) + " (by " + authorities + ")";
}

class Connection final : public LdapConnection {
 public:
  explicit Connection(LDAP* handle) : handle_(handle) {}
  ~Connection() override { ldap_unbind_ext(handle_, nullptr, nullptr); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `demand`: what the server's certificate must be, LDAP_OPT_X_TLS_HARD or NEVER.
  Result<void> prepare(const conf::Ldap& settings, const std::string& server, Deadline deadline, int demand = LDAP_OPT_X_TLS_HARD) {
    const int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER;
    const timeval left = time_left(deadline);
    bool good = set(LDAP_OPT_PROTOCOL_VERSION, &version) && set(LDAP_OPT_REFERRALS, LDAP_OPT_OFF) && set(LDAP_OPT_DEREF, &never) &&
                set(LDAP_OPT_RESTART, LDAP_OPT_OFF) && set(LDAP_OPT_NETWORK_TIMEOUT, &left) && set(LDAP_OPT_TIMEOUT, &left);
    // What is longer ends the connection while its head is read.
    ber_len_t most = settings.answer_bytes;
    Sockbuf* buffer = nullptr;
    good = good && ldap_get_option(handle_, LDAP_OPT_SOCKBUF, &buffer) == LDAP_OPT_SUCCESS && buffer != nullptr &&
           ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most) > 0;
    if (starts_tls(settings, server) || begins_with_tls(server)) {
      const int client = 0, least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
      const std::string authorities = authorities_of(settings);
      if (::access(authorities.c_str(), R_OK) != 0) return system_error(errno, "ldap.authorities " + authorities);
      good = good && set(LDAP_OPT_X_TLS_CACERTFILE, authorities.c_str()) && set(LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) &&
             set(LDAP_OPT_X_TLS_PROTOCOL_MIN, &least) && set(LDAP_OPT_X_TLS_NEWCTX, &client);
    }
    if (!good) return Error{Kind::temporary, "the connection can't be prepared"};
    if (!starts_tls(settings, server)) return {};
    if (const int code = ldap_start_tls_s(handle_, nullptr, nullptr); code != LDAP_SUCCESS) return failure("StartTLS", code);
    return {};
  }

  // In DER, after TLS; empty: there is none.
  std::string shown_certificate() {
    if (ldap_connect(handle_) != LDAP_SUCCESS) return {};
    berval bytes{};
    if (ldap_get_option(handle_, LDAP_OPT_X_TLS_PEERCERT, &bytes) != LDAP_OPT_SUCCESS || bytes.bv_val == nullptr) return {};
    const Bytes owned(bytes.bv_val);
    return {bytes.bv_val, bytes.bv_len};
  }

  Result<void> bind(const std::string& dn, const std::string& password, Deadline deadline) override {
    if (!dn.empty() && password.empty()) return Error{Kind::denied, "an empty password"};
    limit(deadline);
    berval secret{static_cast<ber_len_t>(password.size()), const_cast<char*>(password.data())};  // libldap only reads it
    int id = 0;
    if (const int code = ldap_sasl_bind(handle_, dn.c_str(), LDAP_SASL_SIMPLE, &secret, nullptr, nullptr, &id); code != LDAP_SUCCESS)
      return failure("bind", code);
    auto bound = outcome("bind", id, deadline);
    // What some servers say of an account that an administrator has locked.
    if (!bound && last_code_ == LDAP_UNWILLING_TO_PERFORM) return Error{Kind::denied, bound.error().what};
    return bound;
  }

  Result<std::vector<LdapEntry>> search(const LdapSearch& search, Deadline deadline) override {
    limit(deadline);
    std::vector<char*> attributes;
    for (const std::string& name : search.attributes) attributes.push_back(const_cast<char*>(name.c_str()));
    attributes.push_back(nullptr);
    timeval left = time_left(deadline);
    int id = 0;
    if (const int code = ldap_search_ext(handle_, search.base.c_str(), scope_of(search.scope), search.filter.c_str(), attributes.data(), 0, nullptr, nullptr,
                                         &left, search.entries, &id);
        code != LDAP_SUCCESS)
      return failure("search", code);
    LDAPMessage* raw = nullptr;
    const int kind = ldap_result(handle_, id, LDAP_MSG_ALL, &left, &raw);
    const Message answer(raw);
    if (kind <= 0) return no_answer("search", kind, id);
    int code = LDAP_OTHER;
    char* text = nullptr;
    const int parsed = ldap_parse_result(handle_, answer.get(), &code, nullptr, &text, nullptr, nullptr, 0);
    const Bytes diagnostic(text);
    if (parsed != LDAP_SUCCESS) return failure("search", parsed);
    if (code == LDAP_NO_SUCH_OBJECT) return std::vector<LdapEntry>();
    if (code != LDAP_SUCCESS) return failure("search", code, diagnostic.get());
    std::vector<LdapEntry> entries;
    for (LDAPMessage* entry = ldap_first_entry(handle_, answer.get()); entry != nullptr; entry = ldap_next_entry(handle_, entry)) {
      if (static_cast<int>(entries.size()) >= search.entries) return Error{Kind::permanent, "search: more entries than were asked for"};
      entries.push_back(read(entry));
    }
    return entries;
  }

  Result<void> replace(const std::string& dn, const std::string& attribute, const std::vector<std::string>& values, Deadline deadline) override {
    limit(deadline);
    std::vector<berval> bytes;
    for (const std::string& value : values) bytes.push_back({static_cast<ber_len_t>(value.size()), const_cast<char*>(value.data())});
    std::vector<berval*> pointers;
    for (berval& one : bytes) pointers.push_back(&one);
    pointers.push_back(nullptr);
    LDAPMod change{};
    change.mod_op = LDAP_MOD_REPLACE | LDAP_MOD_BVALUES;
    change.mod_type = const_cast<char*>(attribute.c_str());
    change.mod_bvalues = pointers.data();
    LDAPMod* changes[] = {&change, nullptr};
    int id = 0;
    if (const int code = ldap_modify_ext(handle_, dn.c_str(), changes, nullptr, nullptr, &id); code != LDAP_SUCCESS) return failure("modify", code);
    return outcome("modify", id, deadline);
  }

  [[nodiscard]] bool broken() const override { return broken_; }

 private:
  template <class Value>
  bool set(int option, const Value* value) {
    return ldap_set_option(handle_, option, static_cast<const void*>(value)) == LDAP_OPT_SUCCESS;
  }
  bool set(int option, void* value) { return ldap_set_option(handle_, option, value) == LDAP_OPT_SUCCESS; }

  // Where the library waits by itself: for a connection, and to write.
  void limit(Deadline deadline) {
    const timeval left = time_left(deadline);
    set(LDAP_OPT_NETWORK_TIMEOUT, &left);
    set(LDAP_OPT_TIMEOUT, &left);
  }

  Error failure(const char* doing, int code, const char* diagnostic = nullptr) {
    last_code_ = code;
    std::string text = std::string(doing) + ": " + ldap_err2string(code);
    char* own = nullptr;
    if (diagnostic == nullptr) ldap_get_option(handle_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &own);
    const Bytes owned(own);
    if (diagnostic == nullptr) diagnostic = owned.get();
    if (diagnostic != nullptr && *diagnostic != '\0') text += ": " + base::printable(diagnostic, 200);
    switch (code) {
      case LDAP_INVALID_CREDENTIALS:
      case LDAP_INAPPROPRIATE_AUTH:      // the entry has no password
      case LDAP_CONSTRAINT_VIOLATION:    // too many failures, with some servers
      case LDAP_INVALID_DN_SYNTAX: return {Kind::denied, std::move(text)};
      case LDAP_NO_SUCH_OBJECT: return {Kind::not_found, std::move(text)};
      // The server works, and this will fail again.
      case LDAP_INSUFFICIENT_ACCESS: case LDAP_UNDEFINED_TYPE: case LDAP_INVALID_SYNTAX: case LDAP_OBJECT_CLASS_VIOLATION: case LDAP_UNWILLING_TO_PERFORM:
      case LDAP_FILTER_ERROR: case LDAP_SIZELIMIT_EXCEEDED: case LDAP_CONFIDENTIALITY_REQUIRED: case LDAP_STRONG_AUTH_REQUIRED: case LDAP_REFERRAL:
      case LDAP_NO_SUCH_ATTRIBUTE: case LDAP_INAPPROPRIATE_MATCHING: case LDAP_PARAM_ERROR:
        return {Kind::permanent, std::move(text)};
      default: broken_ = true; return {Kind::temporary, std::move(text)};
    }
  }

  // Nothing came in time, or the connection has ended.
  Error no_answer(const char* doing, int kind, int id) {
    broken_ = true;
    if (kind == 0) {
      ldap_abandon_ext(handle_, id, nullptr, nullptr);
      return {Kind::temporary, std::string(doing) + ": no answer in time"};
    }
    int code = LDAP_SERVER_DOWN;
    ldap_get_option(handle_, LDAP_OPT_RESULT_CODE, &code);
    return {Kind::temporary, failure(doing, code).what};
  }

  // Waits for the one answer to a request that has no other.
  Result<void> outcome(const char* doing, int id, Deadline deadline) {
    timeval left = time_left(deadline);
    LDAPMessage* raw = nullptr;
    const int kind = ldap_result(handle_, id, LDAP_MSG_ALL, &left, &raw);
    const Message answer(raw);
    if (kind <= 0) return no_answer(doing, kind, id);
    int code = LDAP_OTHER;
    char* text = nullptr;
    const int parsed = ldap_parse_result(handle_, answer.get(), &code, nullptr, &text, nullptr, nullptr, 0);
    const Bytes diagnostic(text);
    if (parsed != LDAP_SUCCESS) return failure(doing, parsed);
    if (code != LDAP_SUCCESS) return failure(doing, code, diagnostic.get());
    return {};
  }

  LdapEntry read(LDAPMessage* message) {
    LdapEntry entry;
    if (const Bytes dn(ldap_get_dn(handle_, message)); dn) entry.dn = dn.get();
    BerElement* raw = nullptr;
    Bytes name(ldap_first_attribute(handle_, message, &raw));
    const std::unique_ptr<BerElement, FreeElement> element(raw);
    for (; name; name.reset(ldap_next_attribute(handle_, message, element.get()))) {
      const std::unique_ptr<berval*, FreeValues> values(ldap_get_values_len(handle_, message, name.get()));
      auto& [attribute, texts] = entry.attributes.emplace_back(name.get(), std::vector<std::string>());
      for (berval** value = values.get(); value != nullptr && *value != nullptr; ++value) texts.emplace_back((*value)->bv_val, (*value)->bv_len);
    }
    return entry;
  }

  LDAP* const handle_;
  bool broken_ = false;
  int last_code_ = LDAP_SUCCESS;  // of what failed last
};

}  // namespace

// Nothing if the server's name can't be one.
static LDAP* handle_for(const std::string& server, int& code) {
  // Read by the library's first call; the settings of the machine are not ours.
  static std::once_flag once;
  std::call_once(once, [] { ::setenv("LDAPNOINIT", "1", 1); });
  LDAP* handle = nullptr;
  code = ldap_initialize(&handle, server.c_str());
  return code == LDAP_SUCCESS ? handle : nullptr;
}

std::string LdapConnection::certificate_trouble(const conf::Ldap& settings, const std::string& server, Deadline deadline) {
  if (!starts_tls(settings, server) && !begins_with_tls(server)) return {};
  int code = LDAP_SUCCESS;
  LDAP* const handle = handle_for(server, code);
  if (handle == nullptr) return {};
  Connection connection(handle);
  if (!connection.prepare(settings, server, deadline, LDAP_OPT_X_TLS_NEVER)) return {};
  const std::string certificate = connection.shown_certificate();
  return certificate.empty() ? std::string() : trouble_with(certificate, host_of(server), authorities_of(settings));
}

Result<std::unique_ptr<LdapConnection>> LdapConnection::open(const conf::Ldap& settings, const std::string& server, Deadline deadline) {
  int code = LDAP_SUCCESS;
  LDAP* const handle = handle_for(server, code);
  if (handle == nullptr) return Error{Kind::temporary, server + ": " + ldap_err2string(code)};
  auto connection = std::make_unique<Connection>(handle);
  if (auto prepared = connection->prepare(settings, server, deadline); !prepared) return Error{Kind::temporary, prepared.error().what};
  return std::unique_ptr<LdapConnection>(std::move(connection));
}

}  // namespace postern::directory
