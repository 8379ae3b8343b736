// SPDX-License-Identifier: Apache-2.0
#include "directory/sasl.h"

#include "base/base64.h"
#include "base/text.h"
#include "conf/configuration.h"
#include "directory/token.h"

#include <gsasl.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string.h>

namespace postern::directory {
namespace {

struct FreeLibrary {
  void operator()(Gsasl* library) const { gsasl_done(library); }
};
struct FreeSession {
  void operator()(Gsasl_session* session) const { gsasl_finish(session); }
};
struct FreeOutput {
  void operator()(char* output) const { gsasl_free(output); }
};

constexpr unsigned kMaxSteps = 8;

class GnuSession final : public SaslSession {
 public:
  GnuSession(std::string mechanism, FindSecret find) : mechanism_(std::move(mechanism)), find_(std::move(find)) {}

  // One for the process; null if it has no memory.
  static Gsasl* library() {
    static const std::unique_ptr<Gsasl, FreeLibrary> made = [] {
      Gsasl* library = nullptr;
      if (gsasl_init(&library) != GSASL_OK) return std::unique_ptr<Gsasl, FreeLibrary>();
      gsasl_callback_set(library, [](Gsasl*, Gsasl_session* session, Gsasl_property property) {
        return static_cast<GnuSession*>(gsasl_session_hook_get(session))->give(property);
      });
      return std::unique_ptr<Gsasl, FreeLibrary>(library);
    }();
    return made.get();
  }

  bool start(const SaslFacts& facts) {
    Gsasl_session* session = nullptr;
    if (library() == nullptr || gsasl_server_start(library(), mechanism_.c_str(), &session) != GSASL_OK) return false;
    session_.reset(session);
    gsasl_session_hook_set(session, this);
    // Set without -PLUS too: then a client that thinks we could not bind was lied to, and is refused (RFC 5802 section 6).
    return set(GSASL_CB_TLS_EXPORTER, facts.tls_exporter) && set(GSASL_CB_TLS_UNIQUE, facts.tls_unique);
  }

  Outcome step(std::optional<std::string_view> response) override {
    if (++steps_ > kMaxSteps || (response && response->size() > kMaxSaslBytes)) return finished(Outcome::Kind::malformed);
    if (mechanism_ == "LOGIN") return login_step(response);
    // All the others speak first at the client's side.
    if (!response) return challenge({});
    // The library would ask again and again.
    if (response->empty() && mechanism_ != "EXTERNAL") return finished(Outcome::Kind::malformed);
    // Only -PLUS checks what the channel is bound to, so nobody may believe that it was (RFC 5802 section 6).
    if (is_scram() && !plus() && steps_ <= 2 && response->starts_with("p=")) return finished(Outcome::Kind::refused);
    return library_step(*response);
  }

 private:
  [[nodiscard]] bool is_scram() const { return mechanism_.starts_with("SCRAM-"); }
  [[nodiscard]] bool plus() const { return mechanism_.ends_with("-PLUS"); }

  bool set(Gsasl_property property, const std::string& bytes) {
    return bytes.empty() || gsasl_property_set(session_.get(), property, base::to_base64(bytes).c_str()) == GSASL_OK;
  }

  [[nodiscard]] std::string property(Gsasl_property which) const {
    const char* const text = gsasl_property_fast(session_.get(), which);
    return text == nullptr ? std::string() : std::string(text);
  }

  static Outcome challenge(std::string data) {
    Outcome outcome;
    outcome.kind = Outcome::Kind::challenge;
    outcome.data = std::move(data);
    return outcome;
  }

  [[nodiscard]] Outcome finished(Outcome::Kind kind) const {
    Outcome outcome;
    outcome.kind = kind;
    outcome.name = property(GSASL_AUTHID);
    outcome.authorization = property(GSASL_AUTHZID);
    return outcome;
  }

  // The library wants both answers in order, and takes no initial response. Its questions are others than those that all clients know.
  Outcome login_step(std::optional<std::string_view> response) {
    if (!asked_) {
      asked_ = true;
      const Outcome first = library_step({});
      if (first.kind != Outcome::Kind::challenge) return first;
    }
    if (!response) return challenge("Username:");
    Outcome outcome = library_step(*response);
    if (outcome.kind == Outcome::Kind::challenge) outcome.data = "Password:";
    return outcome;
  }

  Outcome library_step(std::string_view response) {
    char* output = nullptr;
    std::size_t size = 0;
    const int result = gsasl_step(session_.get(), response.data() == nullptr ? "" : response.data(), response.size(), &output, &size);
    const std::unique_ptr<char, FreeOutput> owned(output);
    std::string data = output == nullptr ? std::string() : std::string(output, size);
    if (failed_) return finished(Outcome::Kind::temporary);
    switch (result) {
      case GSASL_NEEDS_MORE: return challenge(std::move(data));
      case GSASL_OK: {
        Outcome outcome = finished(password_ ? Outcome::Kind::check_password : Outcome::Kind::proved);
        outcome.data = std::move(data);
        if (password_) {
          outcome.password = std::move(*password_);
          wipe(*password_);
        }
        return outcome;
      }
      case GSASL_AUTHENTICATION_ERROR:
      case GSASL_NO_CB_TLS_EXPORTER:
      case GSASL_NO_CB_TLS_UNIQUE: return finished(Outcome::Kind::refused);
      case GSASL_MALLOC_ERROR:
      case GSASL_CRYPTO_ERROR: return finished(Outcome::Kind::temporary);
      default: return finished(Outcome::Kind::malformed);
    }
  }

  // What the library asks for, in C: no exception passes.
  int give(Gsasl_property which) noexcept {
    try {
      switch (which) {
        // Whether it is right is found out on a helper thread, when the library is done.
        case GSASL_VALIDATE_SIMPLE: {
          // Never in the string's own room: moving it on shall leave nothing behind.
          password_.emplace();
          password_->reserve(32);
          if (const char* const kept = gsasl_property_fast(session_.get(), GSASL_PASSWORD)) {
            *password_ += kept;
            // The library frees its copy as it is. It is memory of its own, and nothing reads it any more.
            ::explicit_bzero(const_cast<char*>(kept), std::strlen(kept));
          }
          return GSASL_OK;
        }
        // The certificate was verified; whose it is the caller finds out.
        case GSASL_VALIDATE_EXTERNAL: return GSASL_OK;
        case GSASL_SCRAM_ITER:
        case GSASL_SCRAM_SALT:
        case GSASL_SCRAM_STOREDKEY:
        case GSASL_SCRAM_SERVERKEY: return give_secret();
        default: return GSASL_NO_CALLBACK;
      }
    } catch (const std::exception&) {
      failed_ = true;
      return GSASL_MALLOC_ERROR;
    }
  }

  int give_secret() {
    const auto digest = mechanism_.starts_with("SCRAM-SHA-256") ? ScramDigest::sha256 : ScramDigest::sha1;
    const auto secret = find_(property(GSASL_AUTHID), digest);
    if (!secret) {
      failed_ = true;
      return GSASL_NO_CALLBACK;
    }
    // All at once, so that what belongs together comes from one look at the account.
    const bool done = gsasl_property_set(session_.get(), GSASL_SCRAM_ITER, std::to_string(secret->iterations).c_str()) == GSASL_OK &&
                      set(GSASL_SCRAM_SALT, secret->salt) && set(GSASL_SCRAM_STOREDKEY, secret->stored_key) &&
                      set(GSASL_SCRAM_SERVERKEY, secret->server_key);
    return done ? GSASL_OK : GSASL_MALLOC_ERROR;
  }

  const std::string mechanism_;
  const FindSecret find_;
  std::unique_ptr<Gsasl_session, FreeSession> session_;
  unsigned steps_ = 0;
  bool asked_ = false, failed_ = false;
  std::optional<std::string> password_;
};

}  // namespace

namespace {

class BearerSession final : public SaslSession {
 public:
  BearerSession(bool standard, CheckToken check) : standard_(standard), check_(std::move(check)) {}

  Outcome step(std::optional<std::string_view> response) override {
    Outcome outcome;
    outcome.name = name_;
    // RFC 7628 section 3.2.3: the client has read what is wrong, and its answer to that says nothing.
    if (!refused_.empty()) {
      outcome.kind = Outcome::Kind::refused;
      outcome.reason = refused_;
      return outcome;
    }
    if (!response) {
      outcome.kind = Outcome::Kind::challenge;
      return outcome;
    }
    outcome.kind = Outcome::Kind::malformed;
    if (response->size() > kMaxSaslBytes) return outcome;
    auto given = standard_ ? parse_oauthbearer(*response) : parse_xoauth2(*response);
    if (!given) return outcome;
    name_ = outcome.name = outcome.authorization = given->authorization;
    auto account = check_(given->token);
    wipe(given->token);
    if (account) {
      outcome.kind = Outcome::Kind::proved;
      outcome.name = std::move(*account);
      return outcome;
    }
    if (account.error().kind != Kind::denied) {
      outcome.kind = Outcome::Kind::temporary;
      return outcome;
    }
    refused_ = account.error().what;
    outcome.kind = Outcome::Kind::challenge;
    outcome.data = standard_ ? R"({"status":"invalid_token"})" : R"({"status":"401","schemes":"bearer","scope":"mail"})";
    return outcome;
  }

 private:
  const bool standard_;
  const CheckToken check_;
  std::string refused_, name_;
};

}  // namespace

std::unique_ptr<SaslSession> SaslSession::begin_bearer(std::string_view mechanism, CheckToken check) {
  const bool standard = base::equal_ignoring_case(mechanism, "OAUTHBEARER");
  if (!standard && !base::equal_ignoring_case(mechanism, "XOAUTH2")) return nullptr;
  return std::make_unique<BearerSession>(standard, std::move(check));
}

std::unique_ptr<SaslSession> SaslSession::begin(std::string_view mechanism, const SaslFacts& facts, FindSecret find) {
  std::string name = base::upper(mechanism);
  // begin_bearer() has these.
  if (name == "OAUTHBEARER" || name == "XOAUTH2") return nullptr;
  if (std::find(std::begin(conf::kSaslMechanisms), std::end(conf::kSaslMechanisms), name) == std::end(conf::kSaslMechanisms)) return nullptr;
  auto session = std::make_unique<GnuSession>(std::move(name), std::move(find));
  if (!session->start(facts)) return nullptr;
  return session;
}

}  // namespace postern::directory
