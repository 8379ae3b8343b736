// SPDX-License-Identifier: Apache-2.0
#pragma once
// A DNS of a few records in memory, for unit tests of whatever asks a Resolver.
#include "net/resolver.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern::net {

class FixedResolver final : public Resolver {
 public:
  // Names and addresses that can't be are a test's mistake and end the program.
  void add_address(std::string_view name, std::string_view address);
  void add_mail_exchanger(std::string_view domain, std::uint16_t preference, std::string_view host);
  void add_text(std::string_view name, std::string_view text);
  // PTR only; for a confirmed name, add_address() too.
  void add_name(std::string_view address, std::string_view name);
  void add(std::string_view name, std::uint16_t type, std::string record);
  // Its records are validated from now on.
  void set_secure(std::string_view name);
  // Adds an alias: questions for `name` are answered with what `target` has, and are secure if both are.
  void add_alias(std::string_view name, std::string_view target);
  // Questions for this name, or all, fail with Kind::temporary.
  void set_failing(std::string_view name);
  void set_down(bool down) { down_ = down; }
  // What was asked, in order: "example.com MX".
  [[nodiscard]] const std::vector<std::string>& asked() const { return asked_; }

  Awaitable<Result<DnsAnswer>> query(std::string name, std::uint16_t type) override;

 private:
  std::map<std::pair<std::string, std::uint16_t>, std::vector<std::string>> records_;
  std::map<std::string, std::string> aliases_;
  std::set<std::string, std::less<>> failing_, secure_;
  std::vector<std::string> asked_;
  bool down_ = false;
};

}  // namespace postern::net
