// SPDX-License-Identifier: Apache-2.0
#include "directory/server.h"

#include "base/log.h"
#include "directory/administration.h"
#include "directory/handles.h"
#include "directory/logins.h"
#include "directory/outside.h"
#include "directory/protocol.h"
#include "directory/signing.h"
#include "net/frame_server.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <unordered_map>

namespace postern::directory {
namespace {

using boost::json::object;
using Peer = std::shared_ptr<net::FramePeer>;

// Accounts that are remembered as full, and owners whose changes of scripts are counted.
constexpr std::size_t kMostFull = 100'000, kMostChanging = 100'000;

// A byte of a script takes at most six in a question ("\\u0001").
std::size_t question_bytes(const ServerSettings& settings) {
  return std::max(settings.question_bytes, std::min(settings.limits.script_bytes * 6 + 4096, net::kMaxFrameBytes));
}

}  // namespace

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, const ServerSettings& settings)
      : database_(database),
        generations_(generations),
        limits_(settings.limits),
        signers_(settings.signers),
        signer_(database),
        outside_(database, settings.source, [this](object& account) { add_quota(account); }),
        elsewhere_(elsewhere_of(settings.source)),
        logins_(io, database, outside_, handles_, settings.logins),
        server_(io, std::move(listening), {"directory", settings.users, settings.administrators, settings.connections, question_bytes(settings)},
                [this](const Peer& peer, const object& request) { return answer(peer, request); }) {}

  void start() {
    generations_.raise_directory();
    server_.start();
  }

  void stop() {
    server_.stop();
    logins_.stop();
  }

  [[nodiscard]] std::size_t connections() const { return server_.connections(); }

 private:
  // False if this is no question at all and the peer must go.
  bool answer(const Peer& peer, const object& request) {
    const auto id = number_in(request, "id");
    const auto ask = text_in(request, "ask");
    if (!id || !ask) return false;
    if (Logins::is_login(*ask)) return logins_.answer(peer, *id, *ask, request);
    if (outside_.look_up(peer, *id, *ask, request)) return true;
    object answer;
    if (*ask == "domain" || *ask == "account" || *ask == "account-script") {
      auto found = look_up(database_, request, elsewhere_);
      if (!found) return false;
      answer = std::move(*found);
      if (auto* const account = answer.if_contains("account"); account != nullptr && account->is_object()) add_quota(account->get_object());
    } else if (*ask == "dkim-sign") {
      answer = signature(peer, request);
    } else if (*ask == "account-full") {
      if (!note_quota(request)) return false;
    } else if (*ask == "handle-end") {
      handles_.end(peer, text_in(request, "handle").value_or(""));
    } else if (request.contains("handle")) {
      if (own_script_outside(peer, *id, request)) return true;
      auto done = own_scripts(peer, request);
      if (!done) return false;
      answer = std::move(*done);
    } else if (!peer->administrator()) {
      answer = error_answer({Kind::denied, "only root and the owner of the base directory may administer"});
    } else if (auto done = administer(database_, request, limits_, elsewhere_)) {
      if (done->changed) {
        generations_.raise_directory();
        signer_.forget();
        // Whoever logged in with an earlier password, or is gone, has no say any more, nor in a new account of that name.
        if (*ask == "account-remove" || (*ask == "account-change" && request.contains("password_hash")))
          if (const auto account = canonical_account(text_in(request, "name").value_or(""))) handles_.forget(*account);
        log_change(*ask, request, peer->user());
      }
      answer = std::move(done->answer);
    } else {
      answer = error_answer({Kind::invalid, "unknown question"});
    }
    answer["id"] = *id;
    peer->send(answer);
    return true;
  }

  static Elsewhere elsewhere_of(const AccountSource* source) {
    if (source == nullptr) return {};
    return [source](const std::string& domain) { return source->has(domain) ? kept_in_ldap(domain) : std::string(); };
  }

  // What whoever writes to mailboxes knows of them; it is forgotten when this process ends, and the next message brings it up again.
  void add_quota(object& account) {
    const auto known = full_.find(text_in(account, "name").value_or(""));
    if (known == full_.end()) return;
    const auto said = base::from_microseconds(static_cast<std::int64_t>(number_in(account, "full_until").value_or(0)));
    account["full_until"] = base::to_microseconds(std::max(said, known->second));
  }

  bool note_quota(const object& request) {
    const auto name = canonical_account(text_in(request, "name").value_or(""));
    const auto until = number_in(request, "until");
    if (!name || !until) return false;
    const base::WallTime now = base::wall_now(), full_until = base::from_microseconds(static_cast<std::int64_t>(*until));
    const auto known = full_.find(*name);
    const bool was_full = known != full_.end() && known->second > now, is_full = full_until > now;
    if (!is_full && known == full_.end()) return true;
    if (is_full && known == full_.end() && full_.size() >= kMostFull) std::erase_if(full_, [&](const auto& entry) { return entry.second <= now; });
    if (is_full && known == full_.end() && full_.size() >= kMostFull) return true;
    if (is_full) full_.insert_or_assign(*name, full_until);
    else full_.erase(*name);
    // Others remember the account; those that know it as full see by themselves when that is over.
    if (is_full || was_full) generations_.raise_directory();
    return true;
  }

  // Whether the owner of an account may change its scripts once more in this hour.
  bool count_script_change(const std::string& account) {
    if (limits_.script_changes == 0) return true;
    const auto now = base::steady_now();
    if (changes_.size() >= kMostChanging) std::erase_if(changes_, [&](const auto& entry) { return entry.second.until <= now; });
    if (changes_.size() >= kMostChanging && !changes_.contains(account)) return false;
    Changes& changes = changes_[account];
    if (changes.until <= now) changes = {now + std::chrono::hours(1), 0};
    return ++changes.count <= limits_.script_changes;
  }

  // The answer to a change that is one too many.
  std::optional<object> changes_too_often(const std::string& account, const object& request) {
    const auto ask = text_in(request, "ask");
    const bool changes = ask == "script-put" || ask == "script-remove" || ask == "script-rename" || ask == "script-activate";
    if (!changes || count_script_change(account)) return std::nullopt;
    base::log_event(base::Severity::notice, "script-changes-limited", {{"account", account}, {"limit", limits_.script_changes}});
    object answer;
    answer["outcome"] = to_string(ScriptOutcome::too_often);
    return answer;
  }

  static void log_change(const std::string& what, const object& request, uid_t user) {
    base::log_event(base::Severity::notice, "directory-change", {{"change", what}, {"name", text_in(request, "name").value_or("")}, {"uid", user}});
  }

  object signature(const Peer& peer, const object& request) {
    if (std::find(signers_.begin(), signers_.end(), peer->user()) == signers_.end()) return error_answer({Kind::denied, "this process may not sign"});
    const auto domain = canonical_domain(text_in(request, "name").value_or(""));
    const auto selector = canonical_selector(text_in(request, "selector").value_or(""));
    const auto digest = from_hex(text_in(request, "digest_hex").value_or(""));
    if (!domain || !selector || !digest) return error_answer({Kind::invalid, "the question lacks a key or a digest"});
    const auto made = signer_.sign(*domain, *selector, *digest);
    if (!made) return error_answer(made.error());
    object answer;
    answer["signature_hex"] = to_hex(*made);
    return answer;
  }

  // The same for accounts that are not in the database. False: it is none of these.
  bool own_script_outside(const Peer& peer, std::uint64_t id, const object& request) {
    const auto account = handles_.account(peer, text_in(request, "handle").value_or(""));
    if (!account || !outside_.has(*account)) return false;
    if (auto too_often = changes_too_often(*account, request)) {
      (*too_often)["id"] = id;
      peer->send(*too_often);
      return true;
    }
    outside_.own_script(peer, id, *account, request, limits_, [this, account = *account](std::string_view change) {
      generations_.raise_directory();
      base::log_event(base::Severity::info, "script-change", {{"change", change}, {"account", account}, {"script", kMainScript}});
    });
    return true;
  }

  // What somebody who logged in asks about the own scripts. Nothing if it is no such question.
  std::optional<object> own_scripts(const Peer& peer, const object& request) {
    const auto account = handles_.account(peer, text_in(request, "handle").value_or(""));
    object logged_out;
    logged_out["outcome"] = to_string(ScriptOutcome::logged_out);
    if (!account) return logged_out;
    // Disabled meanwhile: what the login would say now.
    const auto record = database_.account(*account);
    if (!record) return error_answer({Kind::temporary, "the record can't be read"});
    if (!record->has_value() || !login_refusal((*record)->account, "sieve").empty()) return logged_out;
    if (auto too_often = changes_too_often(*account, request)) return too_often;
    auto done = administer_own_scripts(database_, *account, request, limits_);
    if (!done) return std::nullopt;
    if (done->changed) {
      generations_.raise_directory();
      base::log_event(base::Severity::info, "script-change",
                      {{"change", text_in(request, "ask").value_or("")}, {"account", *account}, {"script", text_in(request, "script").value_or("")}});
    }
    return std::move(done->answer);
  }

  Database& database_;
  Generations& generations_;
  const Limits limits_;
  const std::vector<uid_t> signers_;
  Signer signer_;
  Outside outside_;
  const Elsewhere elsewhere_;
  Handles handles_;
  struct Changes {
    std::chrono::steady_clock::time_point until{};
    std::size_t count = 0;
  };
  std::unordered_map<std::string, Changes> changes_;         // of scripts by owners, within an hour
  std::unordered_map<std::string, base::WallTime> full_;     // accounts whose mailbox is full, until when they count as such
  Logins logins_;
  net::FrameServer server_;
};

Server::Server(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, ServerSettings settings)
    : state_(std::make_shared<State>(io, std::move(listening), database, generations, std::move(settings))) {}

Server::~Server() { stop(); }
void Server::start() { state_->start(); }
void Server::stop() { state_->stop(); }
std::size_t Server::connections() const { return state_->connections(); }

}  // namespace postern::directory
