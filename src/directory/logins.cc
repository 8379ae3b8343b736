// SPDX-License-Identifier: Apache-2.0
#include "directory/logins.h"

#include "base/log.h"
#include "base/text.h"
#include "directory/protocol.h"

#include <algorithm>
#include <utility>

namespace postern::directory {
namespace {

using boost::json::object;
using Outcome = SaslSession::Outcome;

constexpr std::string_view kBusy = "too many logins at once";

// A server finds nobody a little sooner than somebody, by some ten microseconds, and says at once that nobody's password is wrong, where it takes its time
// for somebody's, longer if the hash is of a slow kind. So an answer comes no sooner than the slowest so far, and this time for the search.
constexpr std::chrono::milliseconds kLeastRefusal{50};
constexpr std::chrono::seconds kMostRefusal{2};

// Of refused attempts: how long one is remembered, how many of a name, how many names, and how often one does not count.
constexpr std::chrono::hours kAttemptTime{1};
constexpr std::size_t kMostAttempts = 4, kMostRefusedNames = 10'000, kMostNameBytes = 320;
constexpr unsigned kMostAgain = 1000;

// The shapes of SCRAM secrets are counted anew after this time, so many accounts in one go.
constexpr std::chrono::hours kShapesTime{1};
constexpr std::size_t kShapesAtOnce = 500;

// Where an owner changes scripts after the login.
bool changes_scripts(std::string_view service) { return service == "sieve" || service == "managesieve" || service == "web"; }

// What a client called itself, fit for the log.
std::string shown(const std::string& name) { return base::printable(name, 320); }

// A record like those of most accounts.
AccountRecord record_of_nobody(unsigned scram_iterations) {
  AccountRecord record;
  record.account.name = "nobody@example.com";
  record.account.mailbox_directory = mailbox_directory_for(record.account.name);
  record.password_hash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";
  for (const auto& [digest, text] : {std::pair(ScramDigest::sha1, &record.scram_sha1), std::pair(ScramDigest::sha256, &record.scram_sha256)})
    *text = to_text(digest, made_up_scram_secret(digest, record.account.name, {}, scram_iterations));
  return record;
}

// The name in the first message of SCRAM (RFC 5802 section 7), and nothing in later ones.
std::optional<std::string> scram_name(std::string_view message) {
  if (!message.starts_with("n,") && !message.starts_with("y,") && !message.starts_with("p=")) return std::nullopt;
  for (const std::string_view part : base::split(message, ',')) {
    if (!part.starts_with("n=")) continue;
    std::string name;
    for (std::size_t i = 2; i < part.size(); ++i) {
      const std::string_view rest = part.substr(i);
      if (!rest.starts_with("=2C") && !rest.starts_with("=3D")) {
        name += part[i];
        continue;
      }
      name += rest[1] == '2' ? ',' : '=';
      i += 2;
    }
    return name;
  }
  return std::nullopt;
}

// Calls of libraries into others are bound when they are made for the first time, by code that leaves what registers hold on the stack. That shall be
// nobody's password: so what a login calls is called before.
void warm_up(Database& database, const std::string& bytes_of_nobody) {
  const auto no_secret = [](const std::string&, ScramDigest) { return Result<ScramSecret>(Error{Kind::temporary, "warming up"}); };
  if (const auto session = SaslSession::begin("PLAIN", {}, no_secret)) static_cast<void>(session->step(std::string_view("\0nobody\0nothing", 15)));
  if (const auto session = SaslSession::begin("LOGIN", {}, no_secret)) {
    static_cast<void>(session->step(std::string_view("nobody")));
    static_cast<void>(session->step(std::string_view("nothing")));
  }
  if (const auto name = canonical_account("nobody@example.com")) static_cast<void>(database.account(*name));
  static_cast<void>(canonical_account("n\xc3\xb6" "body@example.com"));
  static_cast<void>(prepared_password("p\xc3\xa4ssword"));
  static_cast<void>(decode_account(bytes_of_nobody));
}

// Empty: the library has no randomness.
std::string random_key() {
  auto made = random_bytes(32);
  return made ? std::move(*made) : std::string();
}

object kind_answer(std::string_view kind) {
  object answer;
  answer["kind"] = kind;
  return answer;
}

}  // namespace

Logins::Logins(net::asio::io_context& io, Database& database, Outside& outside, Handles& handles, const LoginSettings& settings)
    : io_(io), database_(database), outside_(outside), handles_(handles), settings_(settings),
      verifier_(std::make_unique<Verifier>(io, settings.verify_threads, settings.verify_queue)),
      nobody_(record_of_nobody(settings.scram_iterations)), bytes_of_nobody_(encode(nobody_)), attempt_key_(random_key()) {
  warm_up(database, bytes_of_nobody_);
}

Logins::~Logins() = default;

bool Logins::is_login(std::string_view ask) { return ask == "verify" || ask.starts_with("sasl-"); }

bool Logins::answer(const Peer& peer, std::uint64_t id, std::string_view ask, const object& request) {
  if (ask == "verify") return verify(peer, id, request);
  if (ask == "sasl-begin") return begin(peer, id, request);
  if (ask == "sasl-step") return step(peer, id, request);
  return ask == "sasl-end" && end(peer, id, request);
}

bool Logins::verify(const Peer& peer, std::uint64_t id, const object& request) {
  const auto name = text_in(request, "name");
  auto hexadecimal = text_in(request, "password_hex");
  auto password = hexadecimal ? from_hex(*hexadecimal) : std::nullopt;
  if (hexadecimal) wipe(*hexadecimal);
  if (!name || !password) return false;
  Login login;
  login.peer = peer;
  login.id = id;
  login.name = *name;
  login.service = text_in(request, "service").value_or("");
  login.wants_handle = changes_scripts(login.service);
  check_password(std::move(login), std::move(*password));
  wipe(*password);
  return true;
}

// RFC 4422 section 3: the exchange of one mechanism.
bool Logins::begin(const Peer& peer, std::uint64_t id, const object& request) {
  const auto mechanism = text_in(request, "mechanism");
  const auto exporter = from_hex(text_in(request, "tls_exporter_hex").value_or(""));
  const auto unique = from_hex(text_in(request, "tls_unique_hex").value_or(""));
  auto response = text_in(request, "response_hex");
  auto bytes = response ? from_hex(*response) : std::nullopt;
  if (response) wipe(*response);
  if (!mechanism || !exporter || !unique || (response && !bytes)) return false;
  drop_stale();
  if (exchanges_.size() >= settings_.exchanges) {
    fail(peer, id, std::string(kBusy));
    return true;
  }
  SaslFacts facts;
  facts.tls_exporter = *exporter;
  facts.tls_unique = *unique;
  Exchange exchange;
  exchange.peer = peer;
  exchange.until = std::chrono::steady_clock::now() + settings_.exchange_time;
  exchange.scram = base::starts_with_ignoring_case(*mechanism, "SCRAM-");
  exchange.service = text_in(request, "service").value_or("");
  exchange.wants_handle = truth_in(request, "wants_handle").value_or(false) || changes_scripts(exchange.service);
  if (const auto* const addresses = request.if_contains("certificate_addresses"); addresses != nullptr && addresses->is_array())
    for (const auto& address : addresses->get_array())
      if (address.is_string()) exchange.certificate_addresses.emplace_back(address.get_string());
  const bool password_allowed = truth_in(request, "password_allowed").value_or(false);
  const std::string name = base::upper(*mechanism);
  // The session has refused these already; a mistake there must not open anything.
  const bool by_token = name == "OAUTHBEARER" || name == "XOAUTH2";
  const bool fits = ((name != "PLAIN" && name != "LOGIN" && !by_token) || password_allowed) && (name != "EXTERNAL" || !exchange.certificate_addresses.empty()) &&
                    (!by_token || !settings_.tokens.key_files.empty());
  if (fits && by_token) exchange.session = SaslSession::begin_bearer(name, [this](std::string_view token) { return check_token(token); });
  else if (fits) exchange.session = SaslSession::begin(name, facts, [this, number = last_ + 1](const std::string& who, ScramDigest digest) { return find_secret(number, who, digest); });
  if (!exchange.session) {
    send(peer, id, kind_answer("malformed"));
    return true;
  }
  const auto at = exchanges_.emplace(++last_, std::move(exchange)).first;
  proceed(at, peer, id, bytes ? std::optional<std::string_view>(*bytes) : std::nullopt);
  if (bytes) wipe(*bytes);
  return true;
}

bool Logins::step(const Peer& peer, std::uint64_t id, const object& request) {
  const auto number = number_in(request, "exchange");
  std::string hexadecimal = text_in(request, "response_hex").value_or("");
  auto bytes = from_hex(hexadecimal);
  wipe(hexadecimal);
  if (!number || !bytes) return false;
  const auto at = exchanges_.find(*number);
  if (at == exchanges_.end() || at->second.peer.lock() != peer || at->second.waiting || at->second.until < std::chrono::steady_clock::now()) {
    fail(peer, id, "the login took too long, or was begun elsewhere");
    return true;
  }
  proceed(at, peer, id, *bytes);
  wipe(*bytes);
  return true;
}

bool Logins::end(const Peer& peer, std::uint64_t id, const object& request) {
  const auto number = number_in(request, "exchange");
  if (!number) return false;
  const auto at = exchanges_.find(*number);
  if (at != exchanges_.end() && at->second.peer.lock() == peer) exchanges_.erase(at);
  send(peer, id, kind_answer("ended"));
  return true;
}

void Logins::proceed(Exchanges::iterator at, const Peer& peer, std::uint64_t id, std::optional<std::string_view> response) {
  Exchange& exchange = at->second;
  Login login;
  login.peer = peer;
  login.id = id;
  login.sasl = true;
  login.service = exchange.service;
  login.wants_handle = exchange.wants_handle;
  if (!exchange.session) {
    // The mechanism's last word was sent as a challenge: protocols have no other place for it. The answer to it says nothing.
    login.name = exchange.proved;
    const bool empty = response && response->empty();
    exchanges_.erase(at);
    if (!empty) return send(peer, id, kind_answer("malformed"));
    const std::string name = login.name;
    return find(name, [this, login = std::move(login)](const Result<std::optional<Found>>& found) {
      if (!found) return fail(login, found.error().what);
      if (!*found) return refuse(login, "unknown");
      // Disabled since it was proved.
      if (const auto refusal = login_refusal((*found)->record.account, login.service); !refusal.empty()) return refuse(login, refusal);
      accept(login, (*found)->record.account);
    });
  }
  if (response && fetch_first(at, peer, id, *response)) return;
  Outcome outcome = exchange.session->step(response);
  login.name = outcome.name;
  login.authorization = outcome.authorization;
  switch (outcome.kind) {
    case Outcome::Kind::challenge: {
      object answer = kind_answer("challenge");
      answer["exchange"] = at->first;
      answer["data_hex"] = to_hex(outcome.data);
      return send(peer, id, std::move(answer));
    }
    case Outcome::Kind::proved: return prove(at, std::move(login), outcome);
    default: break;
  }
  exchanges_.erase(at);
  switch (outcome.kind) {
    case Outcome::Kind::check_password:
      check_password(std::move(login), std::move(outcome.password));
      return wipe(outcome.password);
    case Outcome::Kind::refused: return refuse(login, outcome.reason.empty() ? std::string_view("proof") : std::string_view(outcome.reason));
    case Outcome::Kind::malformed: return send(peer, id, kind_answer("malformed"));
    default: return fail(login, "the login can't be checked now");
  }
}

bool Logins::fetch_first(Exchanges::iterator at, const Peer& peer, std::uint64_t id, std::string_view response) {
  Exchange& exchange = at->second;
  if (outside_.source() == nullptr || !exchange.scram || exchange.looked_up) return false;
  const auto name = scram_name(response);
  const auto canonical = name ? canonical_account(*name) : Result<std::string>(Error{});
  if (!canonical || !outside_.has(*canonical)) return false;
  exchange.waiting = true;
  Login login;
  login.peer = peer;
  login.id = id;
  login.sasl = true;
  login.name = *canonical;
  find(*canonical, [this, number = at->first, login = std::move(login), text = std::string(response)](Result<std::optional<Found>> found) {
    const auto again = exchanges_.find(number);
    if (again == exchanges_.end()) return fail(login, "the login was given up");
    again->second.waiting = false;
    if (!found) {
      exchanges_.erase(again);
      return fail(login, found.error().what);
    }
    again->second.looked_up = true;
    if (*found) again->second.outside = std::move((*found)->record);
    proceed(again, login.peer, login.id, text);
  });
  return true;
}

// The keys are read each time, a few kilobytes: a new one holds at once, and an old one no more.
Result<std::string> Logins::check_token(std::string_view token) const {
  const auto keys = read_token_keys(settings_.tokens.key_files);
  if (!keys) return keys.error();
  const auto account = verify_token(token, settings_.tokens, *keys, base::wall_now());
  if (!account) return account.error();
  auto name = canonical_account(*account);
  if (!name) return Error{Kind::denied, "token names no account (" + settings_.tokens.account_claim + ")"};
  return name;
}

void Logins::prove(Exchanges::iterator at, Login login, const Outcome& outcome) {
  Exchange& exchange = at->second;
  exchange.session = nullptr;
  exchange.waiting = true;
  const std::uint64_t number = at->first;
  if (!outcome.name.empty()) return prove_account(number, std::move(login), outcome.data);
  const std::vector<std::string> addresses = exchange.certificate_addresses;
  const std::string authorization = std::exchange(login.authorization, {});
  login.name = addresses.empty() ? std::string() : addresses.front();
  by_certificate(addresses, 0, authorization, [this, number, login = std::move(login), data = outcome.data](Result<std::string> name) mutable {
    if (name && !name->empty()) {
      login.name = std::move(*name);
      return prove_account(number, std::move(login), data);
    }
    exchanges_.erase(number);
    if (name) refuse(login, "certificate");
    else fail(login, name.error().what);
  });
}

void Logins::prove_account(std::uint64_t exchange, Login login, const std::string& data) {
  const auto canonical = canonical_account(login.name);
  const std::string name = canonical ? *canonical : std::string();
  const auto proved = [this, exchange, login = std::move(login), data, name](const Result<std::optional<Found>>& found) {
    const auto at = exchanges_.find(exchange);
    if (at == exchanges_.end()) return fail(login, "the login was given up");
    std::string_view refusal;
    if (found) {
      if (!*found) refusal = "unknown";
      else if (!is_own(login.name, login.authorization)) refusal = "authorization";
      else refusal = login_refusal((*found)->record.account, login.service);
    }
    if (!found || !refusal.empty()) {
      exchanges_.erase(at);
      return found ? refuse(login, refusal) : fail(login, found.error().what);
    }
    if (data.empty()) {
      exchanges_.erase(at);
      return accept(login, (*found)->record.account);
    }
    at->second.waiting = false;
    at->second.proved = name;
    object answer = kind_answer("challenge");
    answer["exchange"] = at->first;
    answer["data_hex"] = to_hex(data);
    send(login.peer, login.id, std::move(answer));
  };
  if (canonical) find(name, proved);
  else proved(std::optional<Found>());
}

void Logins::by_certificate(std::vector<std::string> addresses, std::size_t next, std::string authorization, std::function<void(Result<std::string>)> then) {
  const auto wanted = authorization.empty() ? Result<std::string>(std::string()) : canonical_account(authorization);
  if (!wanted) return then(std::string());
  for (; next < addresses.size(); ++next) {
    const auto name = canonical_account(addresses[next]);
    if (!name || (!wanted->empty() && *name != *wanted)) continue;
    const std::string known = *name;
    return find(known, [this, addresses = std::move(addresses), next, authorization = std::move(authorization), then = std::move(then),
                        known](const Result<std::optional<Found>>& found) {
      if (!found) return then(found.error());
      if (*found) return then(known);
      by_certificate(addresses, next + 1, authorization, then);
    });
  }
  then(std::string());
}

void Logins::count_shapes() {
  const auto now = std::chrono::steady_clock::now();
  if (counting_shapes_ || (shapes_counted_ && now - *shapes_counted_ < kShapesTime)) return;
  shapes_counted_ = now;
  counting_shapes_ = true;
  next_shapes_ = ShapeTally();
  shapes_until_.clear();
  count_more_shapes();
}

void Logins::count_more_shapes() {
  const auto some = database_.accounts("", shapes_until_, kShapesAtOnce);
  if (some)
    for (const AccountRecord& record : *some) next_shapes_.count(record);
  // What can't be read is told where the account is asked for.
  if (some && some->size() == kShapesAtOnce) {
    // The first ones are better than none.
    if (shapes_.empty()) shapes_ = next_shapes_;
    shapes_until_ = some->back().account.name;
    net::asio::post(io_, [weak = std::weak_ptr(self_)] {
      if (const auto self = weak.lock()) (*self)->count_more_shapes();
    });
    return;
  }
  counting_shapes_ = false;
  if (some && !next_shapes_.empty()) shapes_ = std::move(next_shapes_);
}

// The same questions are asked of the database, and the same work done, whether the account exists or not.
Result<ScramSecret> Logins::find_secret(std::uint64_t exchange, const std::string& name, ScramDigest digest) {
  if (!site_secret_) {
    auto secret = database_.site_secret();
    if (!secret) return Error{Kind::temporary, secret.error().what};
    site_secret_ = std::move(*secret);
  }
  const auto canonical = canonical_account(name);
  const std::string& known_as = canonical ? *canonical : name;
  count_shapes();
  const ScramShape shape = shapes_.choose(digest, known_as, *site_secret_, {settings_.scram_iterations, kScramSaltBytes});
  ScramSecret made_up = made_up_scram_secret(digest, known_as, *site_secret_, shape.iterations, shape.salt_bytes);
  const auto at = exchanges_.find(exchange);
  const bool fetched = at != exchanges_.end() && at->second.looked_up;
  const auto found = fetched ? Result<std::optional<AccountRecord>>(at->second.outside)
                             : canonical ? record(*canonical) : Result<std::optional<AccountRecord>>(std::optional<AccountRecord>());
  if (!found) return found.error();
  if (!*found) return made_up;
  shapes_.count_if_new(**found);
  auto secret = read_scram_secret(digest, digest == ScramDigest::sha1 ? (*found)->scram_sha1 : (*found)->scram_sha256);
  return secret ? std::move(*secret) : std::move(made_up);
}

void Logins::find(const std::string& name, Then then) {
  if (!outside_.has(name)) {
    auto found = record(name);
    if (!found) return then(found.error());
    if (!*found) return then(std::optional<Found>());
    return then(std::optional(Found{std::move(**found), false, {}}));
  }
  outside_.source()->find_for_login(name, [weak = std::weak_ptr(self_), then = std::move(then)](Result<std::optional<AccountSource::LoginAccount>> found) {
    if (!weak.lock()) return;
    if (!found) return then(found.error());
    if (!*found) return then(std::optional<Found>());
    then(std::optional(Found{std::move((*found)->record), true, std::move((*found)->entry)}));
  });
}

void Logins::finish_password(const Login& login, const Account& account) {
  if (!is_own(login.name, login.authorization)) return refuse_password(login, "authorization");
  if (const auto refusal = login_refusal(account, login.service); !refusal.empty()) return refuse_password(login, refusal);
  accept(login, account);
}

// A name that nobody has is checked in the same way, by the same server.
void Logins::check_outside(const Login& login, std::optional<Found> found, std::string password) {
  std::string entry = found ? found->entry : std::string();
  outside_.source()->check_password(std::move(entry), std::move(password), [weak = std::weak_ptr(self_), login, found = std::move(found)](const Result<bool>& right) {
    const auto self = weak.lock();
    if (!self) return;
    if (!right) return fail(login, right.error().what);
    std::string_view refusal;
    if (!found) refusal = "unknown";
    else if (!*right) refusal = "password";
    else if (!is_own(login.name, login.authorization)) refusal = "authorization";
    else refusal = login_refusal(found->record.account, login.service);
    if (refusal.empty()) (*self)->accept(login, found->record.account);
    else (*self)->refuse_later(login, refusal);
  });
  wipe(password);  // its own room, which a short one leaves
}

void Logins::check_password(Login login, std::string password) {
  login.began = std::chrono::steady_clock::now();
  login.attempt = mark_of(login.name, password);
  const auto canonical = canonical_account(login.name);
  const bool outside = canonical && outside_.has(*canonical) && outside_.source()->checks_passwords();
  // One copy, which whoever has the last word wipes.
  const auto secret = std::make_shared<std::string>(std::move(password));
  wipe(password);  // its own room, which a short one leaves
  const auto check = [this, login = std::move(login), secret, outside](Result<std::optional<Found>> found) {
    if (!found) {
      wipe(*secret);
      return fail(login, found.error().what);
    }
    const bool is_outside = *found && (*found)->is_outside;
    if (outside) check_outside(login, std::move(*found), std::move(*secret));
    else check_hash(login, *found ? std::make_shared<const AccountRecord>(std::move((*found)->record)) : nullptr, std::move(*secret), !is_outside);
    wipe(*secret);  // its own room, which a short one leaves
  };
  if (canonical) find(*canonical, check);
  else check(std::optional<Found>());
}

void Logins::check_hash(Login login, std::shared_ptr<const AccountRecord> entry, std::string password, bool may_upgrade) {
  std::string hash = entry ? entry->password_hash : std::string();
  std::optional<Verifier::Upgrade> upgrade;
  if (may_upgrade && settings_.upgrade_passwords) {
    const auto stale = [&](ScramDigest digest, const std::string& text) {
      const auto secret = read_scram_secret(digest, text);
      return !secret || secret->iterations != settings_.scram_iterations;
    };
    // The same is read of nobody, so that it takes as long.
    const AccountRecord& stored = entry ? *entry : nobody_;
    const bool old = !is_present_hash(stored.password_hash) || stale(ScramDigest::sha1, stored.scram_sha1) || stale(ScramDigest::sha256, stored.scram_sha256);
    if (old && entry)
      upgrade = Verifier::Upgrade{settings_.scram_iterations, [weak = std::weak_ptr(self_), entry](const PasswordSecrets& secrets) {
                                    if (const auto self = weak.lock()) (*self)->keep_secrets(entry->account.name, entry->password_hash, secrets);
                                  }};
  }
  const auto done = [weak = std::weak_ptr(self_), entry, login](Verifier::Outcome outcome) {
    const auto self = weak.lock();
    if (!self) return;
    if (outcome == Verifier::Outcome::too_late) return fail(login, kBusy);
    if (!entry) return (*self)->refuse_password(login, "unknown");
    if (outcome != Verifier::Outcome::matches) return (*self)->refuse_password(login, "password");
    (*self)->finish_password(login, entry->account);
  };
  if (!verifier_ || !verifier_->submit(std::move(password), std::move(hash), done, std::move(upgrade))) fail(login, kBusy);
  wipe(password);
}

// Look-ups show nothing of this, so no cache has to be emptied.
void Logins::keep_secrets(const std::string& name, const std::string& earlier_hash, const PasswordSecrets& secrets) {
  const auto found = record(name);
  // Changed meanwhile: the password may be another one now.
  if (!found || !*found || (*found)->password_hash != earlier_hash) return;
  AccountRecord changed = **found;
  if (!is_present_hash(earlier_hash)) changed.password_hash = secrets.hash;
  changed.scram_sha1 = secrets.scram_sha1;
  changed.scram_sha256 = secrets.scram_sha256;
  const auto kept = database_.change(changed);
  if (kept) base::log_event(base::Severity::info, "password-upgraded", {{"account", name}});
  else base::log_event(base::Severity::error, "directory-record", {{"error", kept.error().what}, {"kind", to_string(kept.error().kind)}});
}

Result<std::optional<AccountRecord>> Logins::record(const std::string& name) {
  auto found = database_.account(name);
  if (found && !*found) static_cast<void>(decode_account(bytes_of_nobody_));
  if (found) return found;
  base::log_event(base::Severity::error, "directory-record", {{"error", found.error().what}, {"kind", to_string(found.error().kind)}});
  return Error{Kind::temporary, "the record can't be read"};
}

// Nobody acts for somebody else.
bool Logins::is_own(const std::string& name, const std::string& authorization) {
  if (authorization.empty()) return true;
  const auto one = canonical_account(name), other = canonical_account(authorization);
  return one && other && *one == *other;
}

void Logins::accept(const Login& login, const Account& account) {
  object answer = login.sasl ? kind_answer("accepted") : object();
  if (!login.sasl) answer["accepted"] = true;
  answer["account"] = to_json(account, false);
  if (login.wants_handle) {
    std::string handle = handles_.issue(login.peer, account.name);
    if (handle.empty()) return fail(login, "too many sessions are logged in");
    answer["handle"] = handle;
  }
  if (login.sasl) answer["name"] = account.name;
  send(login.peer, login.id, std::move(answer));
}

void Logins::refuse(const Login& login, std::string_view reason) {
  object answer = login.sasl ? kind_answer("refused") : object();
  if (login.sasl) answer["name"] = shown(login.name);
  else answer["accepted"] = false;
  answer["reason"] = reason;
  send(login.peer, login.id, std::move(answer));
}

void Logins::refuse_password(const Login& login, std::string_view reason) { refuse(login, reason_of_attempt(login, reason)); }

std::optional<std::uint16_t> Logins::mark_of(const std::string& name, const std::string& password) const {
  if (attempt_key_.empty()) return std::nullopt;
  std::string text;
  text.reserve(name.size() + password.size() + 64);  // no copy stays behind
  text.append(name) += '\0';
  text += password;
  const std::string digest = hmac_sha256(attempt_key_, text);
  wipe(text);
  if (digest.size() < 2) return std::nullopt;
  return static_cast<std::uint16_t>(static_cast<unsigned char>(digest[0]) << 8 | static_cast<unsigned char>(digest[1]));
}

std::string Logins::reason_of_attempt(const Login& login, std::string_view reason) {
  std::string told(reason);
  if (!login.attempt || login.name.empty() || login.name.size() > kMostNameBytes) return told;
  const auto now = std::chrono::steady_clock::now();
  if (refused_.size() >= kMostRefusedNames) std::erase_if(refused_, [now](const auto& one) { return one.second.until <= now; });
  if (refused_.size() >= kMostRefusedNames && !refused_.contains(login.name)) return told;
  Refused& refused = refused_[login.name];
  if (refused.until <= now) refused = {now + kAttemptTime, {}, 0};
  auto& attempts = refused.attempts;
  if (std::find(attempts.begin(), attempts.end(), *login.attempt) != attempts.end()) return ++refused.again > kMostAgain ? told : told.append(kAgain);
  if (attempts.size() >= kMostAttempts) attempts.erase(attempts.begin());
  attempts.push_back(*login.attempt);
  return told;
}

void Logins::refuse_later(const Login& login, std::string_view reason) {
  const auto slowest = std::min<std::chrono::microseconds>(outside_.source()->slowest_check(), kMostRefusal);
  const auto timer = std::make_shared<net::asio::steady_timer>(io_, login.began + kLeastRefusal + slowest);
  timer->async_wait([timer, login, reason = reason_of_attempt(login, reason)](const boost::system::error_code&) { refuse(login, reason); });
}

void Logins::fail(const Login& login, std::string_view text) {
  if (!login.sasl) return fail(login.peer, login.id, std::string(text));
  object answer = kind_answer("temporary");
  answer["name"] = shown(login.name);
  answer["reason"] = text;
  send(login.peer, login.id, std::move(answer));
}

void Logins::fail(const Peer& peer, std::uint64_t id, std::string text) { send(peer, id, error_answer({Kind::temporary, std::move(text)})); }

void Logins::send(const Peer& peer, std::uint64_t id, object answer) {
  answer["id"] = id;
  peer->send(answer);
}

void Logins::drop_stale() {
  const auto now = std::chrono::steady_clock::now();
  while (!exchanges_.empty() && exchanges_.begin()->second.until < now) exchanges_.erase(exchanges_.begin());
  if (exchanges_.size() < settings_.exchanges) return;
  std::erase_if(exchanges_, [](const auto& entry) {
    const auto peer = entry.second.peer.lock();
    return !peer || peer->closed();
  });
}

}  // namespace postern::directory
