// SPDX-License-Identifier: Apache-2.0
// The contexts: one for each domain's certificates, one for each listener's ticket keys; and how a connection comes to both.
//
// A connection begins with its listener's context, which has the ticket keys and says whether a client certificate is asked for.
// When the ClientHello is there, and before anything of it is answered, the domain is chosen and the connection gets that domain's
// context, and with it the certificates.
#include "net/tls.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "net/certificate.h"
#include "net/server_name.h"
#include "net/tls_material.h"
#include "net/tls_session.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace postern::net {
namespace {

constexpr std::size_t kMaterialBytes = std::size_t{256} << 20;
constexpr int kSecurityLevel = 2;
// Curves that every client of the last ten years has; the first two cost least.
constexpr const char* kGroups = "X25519:P-256:P-384";
// As long as the keys are of use: a day, and one more for the earlier ones (T-6).
constexpr long kTicketSeconds = 86400;
constexpr std::size_t kNameBytes = 16, kCipherKeyBytes = 32, kMacKeyBytes = 32;

struct TicketKeys {
  std::array<unsigned char, kNameBytes> name;
  std::array<unsigned char, kCipherKeyBytes> cipher;
  std::array<unsigned char, kMacKeyBytes> mac;
};

// HKDF (RFC 5869): every listener has its own keys from the one secret, the same ones in every child.
std::optional<TicketKeys> derive_keys(std::string_view secret, std::string_view listener) {
  struct FreeKdf {
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
  };
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  if (!context) return std::nullopt;
  std::string key(secret), info = "postern session tickets 1 " + std::string(listener), digest = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
                                   OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
                                   OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()), OSSL_PARAM_construct_end()};
  std::array<unsigned char, kNameBytes + kCipherKeyBytes + kMacKeyBytes> bytes;
  if (EVP_KDF_derive(context.get(), bytes.data(), bytes.size(), parameters) != 1) return std::nullopt;
  TicketKeys keys;
  const unsigned char* from = bytes.data();
  for (auto [to, size] : {std::pair(keys.name.data(), kNameBytes), std::pair(keys.cipher.data(), kCipherKeyBytes), std::pair(keys.mac.data(), kMacKeyBytes)}) {
    std::memcpy(to, from, size);
    from += size;
  }
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return keys;
}

std::array<unsigned char, 32> sha256(const std::string& text) {
  std::array<unsigned char, 32> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

}  // namespace

struct TlsContexts::Inside {
  struct ListenerContext {
    ContextPointer context;
    TicketKeys keys{};
    std::optional<TicketKeys> earlier_keys;
  };
  struct DomainContext {
    std::string id;  // tells its sessions from those of others: a ticket is worth nothing at another domain
    bool valid = false;  // one of its certificates is
    ContextPointer context;
    struct Served {
      CertificatePointer certificate;
      std::string ocsp_response;
      std::time_t ocsp_end;
    };
    std::vector<Served> certificates;
  };
  std::map<std::string, ListenerContext, std::less<>> listeners;
  std::vector<std::unique_ptr<DomainContext>> domains;
  std::map<std::string, const DomainContext*, std::less<>> by_name, by_wildcard;  // only those that have a certificate
  std::map<Address, const DomainContext*> by_address;                           // with nullptr for one that has none
  const DomainContext* main = nullptr;
  const DomainContext* any = nullptr;  // the main domain's if it has one, else the first
  // Names of domains that have no certificate, by their addresses, and that of the main domain: for the log (T-3).
  std::map<Address, std::string> without_certificate;
  std::string main_name;
  std::string authorities_mark;

  // Without a name: (c) and (d) of T-4.
  [[nodiscard]] const DomainContext* by_default(const Address& local) const {
    const auto found = by_address.find(local);
    return found != by_address.end() ? found->second : main;
  }
  // "127.0.0.3 of none.example"
  [[nodiscard]] std::string missing_for(const Address& local) const {
    const auto found = without_certificate.find(local);
    const std::string& name = found != without_certificate.end() ? found->second : main_name;
    return local.to_string() + (name.empty() ? "" : " of " + name);
  }
  // By a name in normal form: (a) and (b) of T-4. What clients refuse gives way to a valid wildcard.
  [[nodiscard]] const DomainContext* by_server_name(std::string_view name) const {
    if (name.empty()) return nullptr;
    const auto served = by_name.find(name);
    const DomainContext* const own = served != by_name.end() ? served->second : nullptr;
    if (own != nullptr && own->valid) return own;
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return own;
    const auto found = by_wildcard.find("*" + std::string(name.substr(dot)));
    const bool covered = found != by_wildcard.end() && wildcard_covers(found->first, name);
    return covered && (own == nullptr || found->second->valid) ? found->second : own;
  }
};

// What the library calls. Its C functions let no exception through; what may throw here is lack of memory only.
struct TlsSession::Callbacks {
  static TlsSession& session_of(const SSL* ssl) { return *static_cast<TlsSession*>(SSL_get_app_data(ssl)); }

  static int client_hello(SSL* ssl, int*, void*) {
    TlsSession& session = session_of(ssl);
    const TlsContexts::Inside& inside = *session.contexts_->inside_;
    const unsigned char* bytes = nullptr;
    std::size_t size = 0;
    std::string_view asked;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) == 1)
      asked = server_name_in({reinterpret_cast<const char*>(bytes), size});
    const std::string name = normal_server_name(asked);
    session.facts_.server_name = name.empty() ? base::printable(asked, 253) : name;
    const auto* domain = inside.by_server_name(asked.empty() ? normal_server_name(session.hint_) : name);
    session.name_served_ = domain != nullptr && !asked.empty();
    if (domain == nullptr) domain = inside.by_default(session.local_);
    if (domain == nullptr && session.contexts_->any_will_do_) domain = inside.any;
    if (domain == nullptr) return SSL_CLIENT_HELLO_RETRY;  // never tried again: closed without a byte (T-3)
    // What a resumed session stands for: this listener, this domain, the present authorities for client certificates.
    const auto mark = sha256(session.listener_ + '\0' + domain->id + '\0' + inside.authorities_mark);
    if (SSL_set_SSL_CTX(ssl, domain->context.get()) == nullptr || SSL_set_session_id_context(ssl, mark.data(), mark.size()) != 1)
      return SSL_CLIENT_HELLO_ERROR;
    session.muted_ = false;
    return SSL_CLIENT_HELLO_SUCCESS;
  }

  // Whether the answer confirms the name (RFC 6066 section 3); which certificate it gets is decided already.
  static int server_name(SSL* ssl, int*, void*) { return session_of(ssl).name_served_ ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK; }

  static int ocsp(SSL* ssl, void* argument) {
    const auto& domain = *static_cast<const TlsContexts::Inside::DomainContext*>(argument);
    const X509* const chosen = SSL_get_certificate(ssl);
    for (const auto& served : domain.certificates) {
      if (served.certificate.get() != chosen || served.ocsp_response.empty() || served.ocsp_end < std::time(nullptr)) continue;
      auto* const copy = static_cast<unsigned char*>(OPENSSL_memdup(served.ocsp_response.data(), served.ocsp_response.size()));
      if (copy == nullptr) break;
      SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(served.ocsp_response.size()));
      return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
  }

  // RFC 5077 with AES-256-CBC and HMAC-SHA-256.
  static int ticket(SSL* ssl, unsigned char* name, unsigned char* vector, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) {
    const TlsSession& session = session_of(ssl);
    const auto found = session.contexts_->inside_->listeners.find(session.listener_);
    if (found == session.contexts_->inside_->listeners.end()) return -1;
    const auto& listener = found->second;
    const TicketKeys* keys = &listener.keys;
    if (encrypt != 0) {
      if (RAND_bytes(vector, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
      std::memcpy(name, keys->name.data(), kNameBytes);
    } else if (std::memcmp(name, keys->name.data(), kNameBytes) != 0) {
      if (!listener.earlier_keys || std::memcmp(name, listener.earlier_keys->name.data(), kNameBytes) != 0) return 0;  // a full handshake
      keys = &*listener.earlier_keys;
    }
    std::string digest = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(keys->mac.data()), kMacKeyBytes),
                                     OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, keys->cipher.data(), vector, encrypt) != 1 || EVP_MAC_CTX_set_params(mac, parameters) != 1)
      return -1;
    // 2: good, but the client gets a new one.
    return keys == &listener.keys ? 1 : 2;
  }

  // A client certificate that is not good gives no subject, and ends nothing.
  static int client_certificate(X509_STORE_CTX* store, void*) {
    if (X509_verify_cert(store) != 1 && X509_STORE_CTX_get_error(store) == X509_V_OK) X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    ERR_clear_error();
    return 1;
  }

  // The socket under OpenSSL. Its own way writes with write(2), which raises SIGPIPE.
  static BIO_METHOD* socket_method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
      if (method == nullptr) return method;
      BIO_meth_set_read(method, read);
      BIO_meth_set_write(method, write);
      BIO_meth_set_ctrl(method, control);
      return method;
    }();
    return made;
  }

  static int read(BIO* bio, char* into, int size) {
    TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    for (;;) {
      const ssize_t got = ::recv(session.socket_, into, static_cast<std::size_t>(size), MSG_DONTWAIT);
      session.drained_ = got <= 0;
      if (got > 0) return static_cast<int>(got);
      if (got == 0) {
        session.at_end_ = true;
        return 0;
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_read(bio);
      else session.error_number_ = errno;
      return -1;
    }
  }

  static int write(BIO* bio, const char* from, int size) {
    TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (session.muted_) return size;
    for (;;) {
      const ssize_t sent = ::send(session.socket_, from, static_cast<std::size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) return static_cast<int>(sent);
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_write(bio);
      else session.error_number_ = errno;
      return -1;
    }
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    return command == BIO_CTRL_EOF && static_cast<TlsSession*>(BIO_get_data(bio))->at_end_ ? 1 : 0;
  }
};

namespace {

// Settings that connections take from the context of their listener and from that of their domain: both get them.
Result<void> set_up(SSL_CTX* context, const TlsMaterial& material, X509_STORE* authorities, const std::vector<CertificatePointer>& authority_names) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A client that sends nothing but key updates must not keep the library, and so all other sessions, busy.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  const int least = material.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION;
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(context, least) != 1 || SSL_CTX_set_max_early_data(context, 0) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1 || SSL_CTX_set_cipher_list(context, material.ciphers.c_str()) != 1)
    return library_error("TLS options");
  SSL_CTX_set1_cert_store(context, authorities);
  for (const auto& authority : authority_names) SSL_CTX_add_client_CA(context, authority.get());
  return {};
}

}  // namespace

TlsContexts::TlsContexts() : inside_(std::make_shared<const Inside>()) {}
TlsContexts::~TlsContexts() = default;

Result<std::shared_ptr<const TlsContexts>> TlsContexts::load(int sealed_file) {
  if (!base::is_sealed(sealed_file)) return Error{Kind::invalid, "certificates: the file is not sealed"};
  auto text = base::read_all(sealed_file, kMaterialBytes);
  if (!text) return text.error().in("certificates");
  auto material = TlsMaterial::parse(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (!material) return material.error();
  return from(*material);
}

Result<std::shared_ptr<const TlsContexts>> TlsContexts::from(const TlsMaterial& material) {
  auto inside = std::make_shared<Inside>();
  const StorePointer authorities(X509_STORE_new());
  if (!authorities) return library_error("store of authorities");
  std::vector<CertificatePointer> authority_names;
  if (!material.client_authorities.empty()) {
    auto read = read_certificates(material.client_authorities);
    if (!read) return read.error().in("client authorities");
    authority_names = std::move(*read);
    for (const auto& authority : authority_names)
      if (X509_STORE_add_cert(authorities.get(), authority.get()) != 1) return library_error("client authorities");
    const auto mark = sha256(material.client_authorities);
    inside->authorities_mark.assign(mark.begin(), mark.end());
  }

  for (const auto& listener : material.listeners) {
    Inside::ListenerContext& made = inside->listeners[listener.name];
    made.context.reset(SSL_CTX_new(TLS_server_method()));
    if (!made.context) return library_error("new TLS context");
    SSL_CTX* const context = made.context.get();
    if (auto set = set_up(context, material, authorities.get(), authority_names); !set) return set.error();
    SSL_CTX_set_client_hello_cb(context, TlsSession::Callbacks::client_hello, nullptr);
    SSL_CTX_set_tlsext_servername_callback(context, TlsSession::Callbacks::server_name);
    const bool asks = listener.asks_client_certificate && !authority_names.empty();
    SSL_CTX_set_verify(context, asks ? SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE : SSL_VERIFY_NONE, nullptr);
    const auto keys = derive_keys(material.ticket_secret, listener.name);
    if (material.ticket_secret.size() != kTicketSecretBytes || !keys) return Error{Kind::invalid, "certificates: no ticket secret"};
    made.keys = *keys;
    if (!material.earlier_ticket_secret.empty()) made.earlier_keys = derive_keys(material.earlier_ticket_secret, listener.name);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, TlsSession::Callbacks::ticket);
  }

  // One certificate in many domains is kept once.
  std::map<std::string, std::vector<CertificatePointer>> known_chains;
  std::map<std::string, KeyPointer> known_keys;
  const auto add_context = [&](std::string id, const std::vector<const TlsMaterial::Pair*>& pairs) -> Result<const Inside::DomainContext*> {
    inside->domains.push_back(std::make_unique<Inside::DomainContext>());
    Inside::DomainContext* const made = inside->domains.back().get();
    made->id = std::move(id);
    made->valid = std::any_of(pairs.begin(), pairs.end(), [](const auto* pair) { return pair->valid; });
    made->context.reset(SSL_CTX_new(TLS_server_method()));
    if (!made->context) return library_error("new TLS context");
    SSL_CTX* const context = made->context.get();
    if (auto set = set_up(context, material, authorities.get(), authority_names); !set) return set.error();
    SSL_CTX_set_cert_verify_callback(context, TlsSession::Callbacks::client_certificate, nullptr);
    SSL_CTX_set_tlsext_status_cb(context, TlsSession::Callbacks::ocsp);
    SSL_CTX_set_tlsext_status_arg(context, made);
    std::set<int> kinds;
    for (const auto* const pair : pairs) {
      auto& chain = known_chains[pair->chain];
      if (chain.empty()) {
        auto read = read_certificates(pair->chain);
        if (!read) return read.error();
        chain = std::move(*read);
      }
      auto& key = known_keys[pair->key];
      if (!key) {
        auto read = read_key(pair->key);
        if (!read) return read.error();
        key = std::move(*read);
      }
      if (made->valid && !pair->valid) continue;
      if (!kinds.insert(EVP_PKEY_get_base_id(key.get())).second) continue;
      ERR_clear_error();
      if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 || SSL_CTX_use_PrivateKey(context, key.get()) != 1)
        return library_error("certificate of " + made->id);
      for (std::size_t i = 1; i < chain.size(); ++i)
        if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return library_error("chain of " + made->id);
      X509_up_ref(chain.front().get());
      made->certificates.push_back({CertificatePointer(chain.front().get()), pair->ocsp_response, pair->ocsp_end});
    }
    return made;
  };

  std::map<std::string, std::vector<const TlsMaterial::Pair*>> wildcards;
  for (const auto& domain : material.domains) {
    const Inside::DomainContext* made = nullptr;
    const std::string name = domain.names.empty() ? std::string() : domain.names.front();
    if (!domain.pairs.empty()) {
      std::vector<const TlsMaterial::Pair*> pairs;
      for (const auto& pair : domain.pairs) {
        pairs.push_back(&pair);
        auto facts = describe_certificate(pair.chain);
        if (!facts) return facts.error();
        for (const auto& covered : facts->names)
          if (covered.starts_with("*.")) wildcards[covered].push_back(&pair);
      }
      auto added = add_context(name, pairs);
      if (!added) return added.error();
      made = *added;
      if (inside->any == nullptr) inside->any = made;
    }
    for (const auto& served : domain.names)
      if (made != nullptr) inside->by_name.emplace(served, made);
    for (const auto& address : domain.addresses) {
      inside->by_address.emplace(address, made);
      if (made == nullptr) inside->without_certificate.emplace(address, name);
    }
    if (&domain == &material.domains[material.main_domain]) {
      inside->main = made;
      inside->main_name = name;
    }
  }
  if (inside->main != nullptr) inside->any = inside->main;
  // A name that only a wildcard covers gets certificates with that wildcard, and no others of the domain that they stand in.
  for (const auto& [name, pairs] : wildcards) {
    auto added = add_context(name, pairs);
    if (!added) return added.error();
    inside->by_wildcard.emplace(name, *added);
  }
  auto contexts = std::make_shared<TlsContexts>();
  contexts->inside_ = std::move(inside);
  if (contexts->inside_->any != nullptr) {
    auto same = std::make_shared<TlsContexts>();
    same->inside_ = contexts->inside_;
    same->any_will_do_ = true;
    contexts->on_request_ = std::move(same);
  }
  return std::shared_ptr<const TlsContexts>(std::move(contexts));
}

// ---- one session

Result<std::unique_ptr<TlsSession>> TlsSession::begin(std::shared_ptr<const TlsContexts> contexts, const std::string& listener,
                                                      const Address& local, std::string hint, int socket) {
  const auto& inside = *contexts->inside_;
  if (inside.domains.empty()) return Error{Kind::not_found, "there is no certificate"};
  const auto known = inside.listeners.find(listener);
  if (known == inside.listeners.end()) return Error{Kind::invalid, "there is no listener " + listener};
  auto made = make(known->second.context.get(), socket);
  if (!made) return made;
  auto& session = *made;
  SSL_set_accept_state(session->ssl_.get());
  // Where the client's name alone decides, even an alert would be a byte too much (T-3).
  session->muted_ = !contexts->any_will_do_ && inside.by_default(local) == nullptr;
  session->contexts_ = std::move(contexts);
  session->listener_ = listener;
  session->local_ = local;
  session->hint_ = std::move(hint);
  return made;
}

Result<std::unique_ptr<TlsSession>> TlsSession::make(SSL_CTX* context, int socket) {
  ERR_clear_error();
  std::unique_ptr<TlsSession> session(new TlsSession);
  session->ssl_.reset(SSL_new(context));
  BIO* const bio = session->ssl_ ? BIO_new(Callbacks::socket_method()) : nullptr;
  if (bio == nullptr) return library_error("new TLS session");
  BIO_set_data(bio, session.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl_.get(), bio, bio);
  SSL_set_app_data(session->ssl_.get(), session.get());
  session->socket_ = socket;
  return session;
}

// ---- the client's side

struct TlsClient::Inside {
  ContextPointer verifying, taking_any;
};

TlsClient::TlsClient() : inside_(std::make_unique<Inside>()) {}
TlsClient::~TlsClient() = default;

Result<std::shared_ptr<const TlsClient>> TlsClient::make(const std::string& authorities, const std::string& ciphers) {
  std::shared_ptr<TlsClient> client(new TlsClient);
  for (const bool verify : {true, false}) {
    ContextPointer& made = verify ? client->inside_->verifying : client->inside_->taking_any;
    ERR_clear_error();
    made.reset(SSL_CTX_new(TLS_client_method()));
    if (!made) return library_error("new TLS context");
    SSL_CTX* const context = made.get();
    // Without a good certificate nobody promises anything: weak keys are better than clear text then.
    SSL_CTX_set_security_level(context, verify ? kSecurityLevel : 1);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_set1_groups_list(context, kGroups) != 1 ||
        SSL_CTX_set_cipher_list(context, verify ? ciphers.c_str() : "DEFAULT") != 1)
      return library_error("TLS options");
    const int loaded = authorities.empty() ? SSL_CTX_set_default_verify_paths(context) : SSL_CTX_load_verify_file(context, authorities.c_str());
    if (loaded != 1) return library_error("authorities " + authorities);
  }
  if (SSL_CTX_dane_enable(client->inside_->taking_any.get()) != 1) return library_error("DANE");
  return std::shared_ptr<const TlsClient>(std::move(client));
}

namespace {

bool add_tlsa(SSL* ssl, const TlsaRecord& record) {
  const bool known = record.usage == kTrustAnchorUsage || record.usage == kHostKeyUsage;
  if (!known) return false;
  const auto* const data = reinterpret_cast<const unsigned char*>(record.data.data());
  const bool added = SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching_type, data, record.data.size()) == 1;
  if (!added) ERR_clear_error();
  return added;
}

}  // namespace

std::vector<TlsaRecord> TlsClient::usable(const std::vector<TlsaRecord>& records) const {
  std::vector<TlsaRecord> found;
  ERR_clear_error();
  const std::unique_ptr<SSL, FreeWith<SSL_free>> ssl(SSL_new(inside_->taking_any.get()));
  if (!ssl || SSL_dane_enable(ssl.get(), nullptr) != 1) {
    ERR_clear_error();
    return found;
  }
  for (const TlsaRecord& record : records)
    if (add_tlsa(ssl.get(), record)) found.push_back(record);
  return found;
}

Result<std::unique_ptr<TlsSession>> TlsSession::begin(const TlsClient& client, const TlsServer& server, int socket) {
  const bool dane = !server.tlsa.empty();
  auto made = make(server.verify && !dane ? client.inside_->verifying.get() : client.inside_->taking_any.get(), socket);
  if (!made) return made;
  SSL* const ssl = (*made)->ssl_.get();
  SSL_set_connect_state(ssl);
  (*made)->muted_ = false;
  if (const auto address = Address::parse(server.name)) {
    const std::string_view bytes = address->bytes();
    if (X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1)
      return library_error("TLS server's address");
    return made;
  }
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (dane) {
    // SNI and the name in the certificate; with usage 3 the key alone counts (RFC 7672 section 3.1.1).
    if (SSL_dane_enable(ssl, server.name.c_str()) != 1) return library_error("DANE");
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (const TlsaRecord& record : server.tlsa)
      if (!add_tlsa(ssl, record)) return Error{Kind::invalid, "a TLSA record is not usable: " + record.kind()};
    for (const std::string& name : server.other_names)
      if (SSL_add1_host(ssl, name.c_str()) != 1) return library_error("TLS server's name");
    return made;
  }
  if (SSL_set1_host(ssl, server.name.c_str()) != 1 || SSL_set_tlsext_host_name(ssl, server.name.c_str()) != 1) return library_error("TLS server's name");
  return made;
}

TlsSession::~TlsSession() = default;

namespace {

CertificateFault fault_of(long verified) {
  switch (verified) {
    case X509_V_OK: return CertificateFault::none;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return CertificateFault::name;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return CertificateFault::expired;
    default: return CertificateFault::untrusted;
  }
}

}  // namespace

TlsSession::Step TlsSession::explain(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return Step::want_read;
    case SSL_ERROR_WANT_WRITE: return Step::want_write;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
      broken_ = true;
      error_ = {Kind::not_found, "there is no certificate for " + contexts_->inside_->missing_for(local_) +
                                     (facts_.server_name.empty() ? ", and the client named none" : ", nor for the name " + facts_.server_name)};
      return Step::no_certificate;
    case SSL_ERROR_ZERO_RETURN: return Step::end;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      error_ = {Kind::permanent, error_number_ != 0 ? system_error(error_number_, "connection").what : "connection lost"};
      return Step::failed;
    default:
      broken_ = true;
      error_ = {Kind::permanent, "TLS: " + library_reason()};
      if (const long verified = SSL_get_verify_result(ssl_.get());
          SSL_is_server(ssl_.get()) == 0 && SSL_get_verify_mode(ssl_.get()) == SSL_VERIFY_PEER && verified != X509_V_OK) {
        error_ = {Kind::denied, std::string("certificate: ") + X509_verify_cert_error_string(verified)};
        facts_.peer_fault = fault_of(verified);
      }
      return Step::failed;
  }
}

TlsSession::Step TlsSession::handshake() {
  if (broken_) return Step::failed;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    established_ = true;
    learn_facts();
    hint_ = std::string();
    return Step::done;
  }
  Step step = explain(result);
  if (step == Step::end) {
    broken_ = true;
    error_ = {Kind::permanent, std::string(SSL_is_server(ssl_.get()) != 0 ? "the client" : "the server") + " closed the connection during the handshake"};
    step = Step::failed;
  }
  return step;
}

void TlsSession::learn_facts() {
  facts_.protocol = SSL_get_version(ssl_.get());
  facts_.cipher = SSL_get_cipher_name(ssl_.get());
  learn_bindings();
  X509* const peer = SSL_get0_peer_certificate(ssl_.get());
  if (peer == nullptr) return;
  const long verified = SSL_get_verify_result(ssl_.get());
  facts_.peer_fault = fault_of(verified);
  if (verified != X509_V_OK) facts_.peer_failure = X509_verify_cert_error_string(verified);
  // A resumed session may be older than the end of the certificate that began it. By DANE dates may not count (RFC 7672 section 3.1.1).
  else if (SSL_get0_dane_authority(ssl_.get(), nullptr, nullptr) < 0 && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0) {
    facts_.peer_fault = CertificateFault::expired;
    facts_.peer_failure = "certificate has expired";
  } else {
    facts_.peer_subject = name_text(X509_get_subject_name(peer));
    facts_.peer_addresses = mail_addresses_in(peer);
  }
}

void TlsSession::learn_bindings() {
  SSL* const ssl = ssl_.get();
  const bool tls12 = SSL_version(ssl) == TLS1_2_VERSION;
  if (tls12 && SSL_get_extms_support(ssl) != 1) return;
  // RFC 9266 section 2: 32 bytes, no context.
  std::array<unsigned char, 32> exported{};
  static constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  if (SSL_export_keying_material(ssl, exported.data(), exported.size(), kLabel.data(), kLabel.size(), nullptr, 0, 0) == 1)
    facts_.exporter_binding.assign(exported.begin(), exported.end());
  if (!tls12) return;
  // RFC 5929 section 3.1: the first Finished of the handshake; the client's, or ours if the session was resumed.
  std::array<unsigned char, EVP_MAX_MD_SIZE> finished{};
  const std::size_t size = SSL_session_reused(ssl) == 1 ? SSL_get_finished(ssl, finished.data(), finished.size())
                                                        : SSL_get_peer_finished(ssl, finished.data(), finished.size());
  facts_.unique_binding.assign(finished.begin(), finished.begin() + static_cast<std::ptrdiff_t>(std::min(size, finished.size())));
}

TlsSession::Outcome TlsSession::read(std::span<char> into) {
  if (broken_) return {Step::failed, 0};
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
  if (result == 1) return {Step::done, count};
  return {explain(result), 0};
}

TlsSession::Outcome TlsSession::write(std::string_view bytes) {
  if (broken_) return {Step::failed, 0};
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
  write_pending_ = result != 1;
  if (result == 1) return {Step::done, count};
  return {explain(result), 0};
}

void TlsSession::close() {
  if (!established_ || broken_ || write_pending_ || closed_) return;
  closed_ = true;
  ERR_clear_error();
  if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();
}

}  // namespace postern::net
