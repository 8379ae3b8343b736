// SPDX-License-Identifier: Apache-2.0
#include "directory/server.h"

#include "base/log.h"
#include "directory/administration.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "directory/verifier.h"
#include "net/frame_server.h"

#include <optional>

namespace postern::directory {
namespace {

using boost::json::object;
using Peer = std::shared_ptr<net::FramePeer>;

}  // namespace

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, const ServerSettings& settings)
      : database_(database),
        generations_(generations),
        verifier_(std::make_unique<Verifier>(io, settings.verify_threads, settings.verify_queue)),
        server_(io, std::move(listening), {"directory", settings.users, settings.administrators, settings.connections, settings.question_bytes},
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
    if (*ask == "domain" || *ask == "account") {
      auto found = look_up(database_, request);
      if (!found) return false;
      answer = std::move(*found);
    } else if (!peer->administrator()) {
      answer = error_answer({Kind::denied, "only root and the owner of the base directory may administer"});
    } else if (auto done = administer(database_, request)) {
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
    const bool taken = verifier_ && verifier_->submit(std::move(*password), std::move(hash), [peer, id, account](Verifier::Outcome outcome) {
      object answer;
      if (outcome == Verifier::Outcome::too_late) {
        answer = error_answer({Kind::temporary, "too many logins at once"});
      } else {
        const bool matches = outcome == Verifier::Outcome::matches;
        answer["accepted"] = matches && account && account->enabled;
        if (!account) answer["reason"] = "unknown";
        else if (!matches) answer["reason"] = "password";
        else if (!account->enabled) answer["reason"] = "disabled";
        else answer["account"] = to_json(*account, false);
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
