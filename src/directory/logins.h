// SPDX-License-Identifier: Apache-2.0
#pragma once
// Logins as the directory child answers them: passwords (`verify`), and the exchanges of SASL mechanisms (`sasl-begin`, `sasl-step`,
// `sasl-end`; doc/design/directory.md).
//
// A name and a password that were refused are remembered for an hour, as sixteen bits of a keyed digest: tried again they are refused with kAgain behind
// the reason.
//
// Nobody learns from an answer, or from its time, whether an account exists: a password is hashed for every name, SCRAM gets a made-up
// secret that is the same at every try and looks like those of the accounts (directory/scram_shapes.h), and what is refused is refused in the same step for all. The reason is for the log.
//
// An exchange belongs to the connection that began it. Failure: full, too late, a record that can't be read, no memory: an error of
// Kind::temporary. Limits: LoginSettings; an exchange that nobody ends is dropped after its time.
#include "directory/database.h"
#include "directory/handles.h"
#include "directory/outside.h"
#include "directory/sasl.h"
#include "directory/scram_shapes.h"
#include "directory/token.h"
#include "directory/verifier.h"
#include "net/asio.h"
#include "net/frame_server.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern::directory {

struct LoginSettings {
  unsigned verify_threads = 0;     // 0: one a core
  std::size_t verify_queue = 256;
  std::size_t exchanges = 10000;   // under way at once
  std::chrono::seconds exchange_time{60};
  unsigned scram_iterations = 10000;
  bool upgrade_passwords = true;   // after a login by password
  TokenSettings tokens;
};

class Logins {
 public:
  using Peer = std::shared_ptr<net::FramePeer>;

  // All must outlive it.
  Logins(net::asio::io_context& io, Database& database, Outside& outside, Handles& handles, const LoginSettings& settings);
  ~Logins();
  Logins(const Logins&) = delete;
  Logins& operator=(const Logins&) = delete;

  // Whether it is a question for this.
  static bool is_login(std::string_view ask);
  // Answers it, now or later. False: it is none, and the peer must go.
  bool answer(const Peer& peer, std::uint64_t id, std::string_view ask, const boost::json::object& request);
  // Its threads speak to the io_context, which may be gone before this object is.
  void stop() { verifier_ = nullptr; }
  [[nodiscard]] std::size_t exchanges() const { return exchanges_.size(); }

 private:
  // Who logs in, and where the answer goes.
  struct Login {
    Peer peer;
    std::uint64_t id = 0;
    bool sasl = false;  // answered in the form of an exchange
    std::string service, name, authorization;
    bool wants_handle = false;
    std::chrono::steady_clock::time_point began{};  // the check of a password
    std::optional<std::uint16_t> attempt;           // by a password: which one it was, without telling it
  };
  // What was refused lately under one name.
  struct Refused {
    std::chrono::steady_clock::time_point until;
    std::vector<std::uint16_t> attempts;  // the last ones
    unsigned again = 0;
  };
  struct Exchange {
    std::weak_ptr<net::FramePeer> peer;
    std::chrono::steady_clock::time_point until;
    std::string service;
    bool wants_handle = false;
    std::vector<std::string> certificate_addresses;
    std::unique_ptr<SaslSession> session;  // none: it is proved, and the client has yet to confirm what was said last
    std::string proved;                    // by whom
    bool scram = false;
    bool waiting = false;                  // for an account that is asked for outside; no step is taken meanwhile
    bool looked_up = false;                // it was, for SCRAM: `outside` is what was found
    std::optional<AccountRecord> outside;
  };
  // An account, from the database or from outside; `entry` is for the latter.
  struct Found {
    AccountRecord record;
    bool is_outside = false;
    std::string entry;
  };
  using Then = std::function<void(Result<std::optional<Found>>)>;
  using Exchanges = std::map<std::uint64_t, Exchange>;

  bool verify(const Peer& peer, std::uint64_t id, const boost::json::object& request);
  bool begin(const Peer& peer, std::uint64_t id, const boost::json::object& request);
  bool step(const Peer& peer, std::uint64_t id, const boost::json::object& request);
  bool end(const Peer& peer, std::uint64_t id, const boost::json::object& request);
  void proceed(Exchanges::iterator at, const Peer& peer, std::uint64_t id, std::optional<std::string_view> response);
  void check_password(Login login, std::string password);
  // Who proved it in another way than by a password.
  void prove(Exchanges::iterator at, Login login, const SaslSession::Outcome& outcome);
  // The canonical name of the account that a token is for; one that can't be a name is the token's fault.
  Result<std::string> check_token(std::string_view token) const;
  void prove_account(std::uint64_t exchange, Login login, const std::string& data);
  // The account whose address is in the certificate, and that the client asks for if it asks for one: the first from `next` on. Empty: none.
  void by_certificate(std::vector<std::string> addresses, std::size_t next, std::string authorization, std::function<void(Result<std::string>)> then);
  // Counts the shapes of secrets, if the last count is old: the first accounts now, the others bit by bit.
  void count_shapes();
  void count_more_shapes();
  Result<ScramSecret> find_secret(std::uint64_t exchange, const std::string& name, ScramDigest digest);
  // Fetches an account from outside before a step of SCRAM needs its secrets. False: nothing has to be fetched.
  bool fetch_first(Exchanges::iterator at, const Peer& peer, std::uint64_t id, std::string_view response);
  // Against the hash of a record; none: it takes as long. `may_upgrade`: what is stored may be brought up to date.
  void check_hash(Login login, std::shared_ptr<const AccountRecord> entry, std::string password, bool may_upgrade);
  // By the source itself.
  void check_outside(const Login& login, std::optional<Found> found, std::string password);
  // What a password that was right leads to.
  void finish_password(const Login& login, const Account& account);
  void keep_secrets(const std::string& name, const std::string& earlier_hash, const PasswordSecrets& secrets);

  // A record that can't be read is logged. For a name that nobody has another one is read, so that it takes as long.
  Result<std::optional<AccountRecord>> record(const std::string& name);
  // Finds an account by its canonical name, wherever it is: at once if it is in the database. `then` is not called if this is gone.
  void find(const std::string& name, Then then);
  static bool is_own(const std::string& name, const std::string& authorization);
  void accept(const Login& login, const Account& account);
  static void refuse(const Login& login, std::string_view reason);
  // The same of a login by password.
  void refuse_password(const Login& login, std::string_view reason);
  // And not before a check of ours would have come to an end.
  void refuse_later(const Login& login, std::string_view reason);
  // The reason, with kAgain behind it if that was refused before; remembers the attempt.
  std::string reason_of_attempt(const Login& login, std::string_view reason);
  [[nodiscard]] std::optional<std::uint16_t> mark_of(const std::string& name, const std::string& password) const;
  // It can't be told now.
  static void fail(const Login& login, std::string_view text);
  static void fail(const Peer& peer, std::uint64_t id, std::string text);
  static void send(const Peer& peer, std::uint64_t id, boost::json::object answer);
  void drop_stale();

  net::asio::io_context& io_;
  Database& database_;
  Outside& outside_;
  Handles& handles_;
  const LoginSettings settings_;
  std::unique_ptr<Verifier> verifier_;  // none once stopped
  Exchanges exchanges_;                 // by number, so the oldest first
  std::uint64_t last_ = 0;
  std::optional<std::string> site_secret_;
  ShapeTally shapes_, next_shapes_;                    // as last counted; the count under way, which takes its place
  std::string shapes_until_;                           // the last account that was counted
  bool counting_shapes_ = false;
  std::optional<std::chrono::steady_clock::time_point> shapes_counted_;
  const AccountRecord nobody_;          // an account that there is not, and its record
  const std::string bytes_of_nobody_;
  const std::string attempt_key_;       // empty: no randomness, and nothing is remembered
  std::unordered_map<std::string, Refused> refused_;  // by name
  // What helper threads have finished may come when this is gone.
  std::shared_ptr<Logins*> self_ = std::make_shared<Logins*>(this);
};

}  // namespace postern::directory
