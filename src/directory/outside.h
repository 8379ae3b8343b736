// SPDX-License-Identifier: Apache-2.0
#pragma once
// The questions of the directory's protocol (directory/protocol.h) about accounts that are not in the embedded database, answered from an
// AccountSource.
//
// An answer that came from there carries "good_for_ms": no generation moves when something changes in an LDAP directory, so who asked forgets it
// after that time. Failure: an answer with an error, always Kind::temporary. An account whose mail has to wait comes with such an error beside it:
// its sessions see what became of it.
#include "directory/account_source.h"
#include "directory/database.h"
#include "net/frame_server.h"

#include <boost/json/object.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern::directory {

class Outside {
 public:
  using Peer = std::shared_ptr<net::FramePeer>;
  // Adds to an account's JSON what is known of it here.
  using Complete = std::function<void(boost::json::object& account)>;

  // Both must outlive it. `source` may be null: then nothing is outside.
  Outside(Database& database, AccountSource* source, Complete complete) : database_(database), source_(source), complete_(std::move(complete)) {}

  [[nodiscard]] AccountSource* source() const { return source_; }
  // Whether who has this name, an address or "@domain", is to be asked for outside. A domain that the settings don't name is only if the database
  // does not have it.
  bool has(std::string_view name);

  // "domain", "account", "account-script" "ldap-attribute" and, for everybody, "ldap-url". False: it is not for this.
  bool look_up(const Peer& peer, std::uint64_t id, std::string_view ask, const boost::json::object& request);
  // What somebody who logged in asks about the own scripts: there is one, kMainScript, or none.
  void own_script(const Peer& peer, std::uint64_t id, const std::string& account, const boost::json::object& request, const Limits& limits,
                  std::function<void(std::string_view change)> changed);

 private:
  void domain(const Peer& peer, std::uint64_t id, const std::string& name);
  void account(const Peer& peer, std::uint64_t id, const std::string& name);

  Database& database_;
  AccountSource* const source_;
  const Complete complete_;
};

}  // namespace postern::directory
