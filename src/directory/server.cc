// SPDX-License-Identifier: Apache-2.0
#include "directory/server.h"

#include "base/log.h"
#include "directory/administration.h"
#include "directory/handles.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "directory/verifier.h"
#include "net/frame_server.h"

#include <algorithm>
#include <optional>

namespace postern::directory {
namespace {

using boost::json::object;
using Peer = std::shared_ptr<net::FramePeer>;

// A byte of a script takes at most six in a question ("\\u0001").
std::size_t question_bytes(const ServerSettings& settings) {
  return std::max(settings.question_bytes, std::min(settings.limits.script_bytes * 6 + 4096, net::kMaxFrameBytes));
}

// Where an owner changes scripts after the login.
bool wants_handle(std::string_view service) { return service == "sieve" || service == "managesieve" || service == "web"; }

}  // namespace

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, const ServerSettings& settings)
      : database_(database),
        generations_(generations),
        limits_(settings.limits),
        verifier_(std::make_unique<Verifier>(io, settings.verify_threads, settings.verify_queue)),
        server_(io, std::move(listening), {"directory", settings.users, settings.administrators, settings.connections, question_bytes(settings)},
                [this](const Peer& peer, const object& request) { return answer(peer, request); }) {}

  void start() {
    generations_.raise_directory();
    server_.start();
  }

  void stop() {
    server_.stop();
    // Its threads speak to the io_context, which may be gone before this object is.
    verifier_ = nullptr;
  }

  [[nodiscard]] std::size_t connections() const { return server_.connections(); }

 private:
  // False if this is no question at all and the peer must go.
  bool answer(const Peer& peer, const object& request) {
    const auto id = number_in(request, "id");
    const auto ask = text_in(request, "ask");
    if (!id || !ask) return false;
    if (*ask == "verify") return verify(peer, *id, request);
    object answer;
    if (*ask == "domain" || *ask == "account" || *ask == "account-script") {
      auto found = look_up(database_, request);
      if (!found) return false;
      answer = std::move(*found);
    } else if (request.contains("handle")) {
      auto done = own_scripts(peer, request);
      if (!done) return false;
      answer = std::move(*done);
    } else if (!peer->administrator()) {
      answer = error_answer({Kind::denied, "only root and the owner of the base directory may administer"});
    } else if (auto done = administer(database_, request, limits_)) {
      if (done->changed) {
        generations_.raise_directory();
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

  static void log_change(const std::string& what, const object& request, uid_t user) {
    base::log_event(base::Severity::notice, "directory-change", {{"change", what}, {"name", text_in(request, "name").value_or("")}, {"uid", user}});
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
    if (!record->has_value() || !(*record)->account.enabled) return logged_out;
    auto done = administer_own_scripts(database_, *account, request, limits_);
    if (!done) return std::nullopt;
    if (done->changed) {
      generations_.raise_directory();
      base::log_event(base::Severity::info, "script-change",
                      {{"change", text_in(request, "ask").value_or("")}, {"account", *account}, {"script", text_in(request, "script").value_or("")}});
    }
    return std::move(done->answer);
  }

  bool verify(const Peer& peer, std::uint64_t id, const object& request) {
    const auto name = text_in(request, "name");
    const auto hexadecimal = text_in(request, "password_hex");
    auto password = hexadecimal ? from_hex(*hexadecimal) : std::nullopt;
    if (!name || !password) return false;
    const auto canonical = canonical_account(*name);
    std::optional<AccountRecord> record;
    if (canonical) {
      auto found = database_.account(*canonical);
      if (!found) {
        base::log_event(base::Severity::error, "directory-record", {{"error", found.error().what}, {"kind", to_string(found.error().kind)}});
        object answer = error_answer({Kind::temporary, "the record can't be read"});
        answer["id"] = id;
        peer->send(answer);
        return true;
      }
      record = std::move(*found);
    }
    std::string hash = record ? record->password_hash : std::string();
    auto account = record ? std::make_shared<const Account>(std::move(record->account)) : nullptr;
    const std::string service = text_in(request, "service").value_or("");
    const bool taken = verifier_ && verifier_->submit(std::move(*password), std::move(hash), [this, peer, id, account, service](Verifier::Outcome outcome) {
      object answer;
      if (outcome == Verifier::Outcome::too_late) {
        answer = error_answer({Kind::temporary, "too many logins at once"});
      } else {
        const bool matches = outcome == Verifier::Outcome::matches;
        const std::string_view refusal = !account ? "unknown" : !matches ? "password" : login_refusal(*account, service);
        answer["accepted"] = refusal.empty();
        if (!refusal.empty()) {
          answer["reason"] = refusal;
        } else {
          answer["account"] = to_json(*account, false);
          if (wants_handle(service)) answer["handle"] = handles_.issue(peer, account->name);
        }
      }
      answer["id"] = id;
      peer->send(answer);
    });
    if (!taken) {
      object answer = error_answer({Kind::temporary, "too many logins at once"});
      answer["id"] = id;
      peer->send(answer);
    }
    return true;
  }

  Database& database_;
  Generations& generations_;
  const Limits limits_;
  Handles handles_;
  std::unique_ptr<Verifier> verifier_;  // none once stopped
  net::FrameServer server_;
};

Server::Server(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, ServerSettings settings)
    : state_(std::make_shared<State>(io, std::move(listening), database, generations, std::move(settings))) {}

Server::~Server() { stop(); }
void Server::start() { state_->start(); }
void Server::stop() { state_->stop(); }
std::size_t Server::connections() const { return state_->connections(); }

}  // namespace postern::directory
