// SPDX-License-Identifier: Apache-2.0
#pragma once
// The configuration and the mapping tables that a role goes by now, kept up to date by the orders of the master.
//
// Tables and rules change between two events, never within one; whoever needs the same ones for longer takes a copy (access()).
// Failure: an image of tables that can't be mapped is logged, and the tables in force stay.
#include "directory/directory.h"
#include "policy/access.h"
#include "roles/table_observer.h"
#include "service/child.h"
#include "service/stream_service.h"

#include <memory>
#include <optional>

namespace postern::roles {

class RulesInForce {
 public:
  // Takes "tables" over, if there are any, and listens on the link. All references must outlive it, and `observer`, which may be null:
  // it is told of every probe, and what the rules are.
  RulesInForce(service::Start& start, service::ControlLink& link, directory::Lookups& directory, policy::Questions& questions,
               TableObserver* observer = nullptr);
  RulesInForce(const RulesInForce&) = delete;
  RulesInForce& operator=(const RulesInForce&) = delete;

  [[nodiscard]] const std::shared_ptr<const conf::Configuration>& configuration() const { return configuration_; }
  // Of this moment: to be copied by whoever waits.
  [[nodiscard]] const policy::Access& access() const { return *access_; }
  // The answer of PORT_ACCESS for StreamService. Asks this object: it must live as long.
  [[nodiscard]] service::PortAccess port_access() const;

 private:
  void make_access() { access_.emplace(site_, tables_, directory_, questions_, observer_, &remembered_); }
  void take_tables(base::Descriptor image);
  void take_configuration(std::shared_ptr<const conf::Configuration> configuration);

  directory::Lookups& directory_;
  policy::Questions& questions_;
  TableObserver* observer_;
  std::shared_ptr<const conf::Configuration> configuration_;
  std::shared_ptr<const policy::Site> site_;
  mapping::Tables tables_;
  policy::Remembered remembered_;
  std::optional<policy::Access> access_;  // of site_ and tables_
};

}  // namespace postern::roles
