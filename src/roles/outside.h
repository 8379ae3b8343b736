// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the templates of a child's tables can ask of the world, and who answers in this process: counters in shared memory, site daemons,
// sequence files, URLs, the domains of the directory, the DNS.
//
// Every answer has a time limit, and only the session that asks waits for it. What is wrong outside is logged once a minute.
#include "directory/client.h"
#include "gate/throttle_table.h"
#include "net/blocking_work.h"
#include "net/resolver_client.h"
#include "policy/complaints.h"
#include "policy/questions.h"
#include "policy/site_daemons.h"
#include "service/child.h"

#include <optional>

namespace postern::roles {

class Outside {
 public:
  // Maps "throttles", if the role has it. `base`: the base directory, open. All references, and it, must outlive this.
  Outside(net::asio::io_context& io, const service::Start& start, int base, directory::Client& directory);
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

  [[nodiscard]] policy::Questions& questions() { return questions_; }
  [[nodiscard]] net::Resolver& resolver() { return resolver_; }
  // Null: there are none.
  [[nodiscard]] gate::Throttles* throttles() { return throttles_ ? &*throttles_ : nullptr; }

 private:
  using Text = std::optional<std::string>;
  void add_throttle(const char* routine, bool penalize);
  // Waits for `work` on a helper thread; what the work said was wrong is logged as `event`.
  net::Awaitable<Text> patient(const char* event, std::string what, std::function<Result<std::string>()> work);
  net::Awaitable<Text> url(std::string url);
  net::Awaitable<Text> attribute(std::string domain, std::string attribute);

  directory::Client& directory_;
  net::ResolverClient resolver_;
  std::optional<gate::Throttles> throttles_;
  policy::SiteDaemons daemons_;
  net::BlockingWork files_;
  policy::Complaints complaints_;
  policy::Questions questions_;
};

}  // namespace postern::roles
