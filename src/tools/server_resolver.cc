// SPDX-License-Identifier: Apache-2.0
#include "tools/server_resolver.h"

#include "net/frames.h"
#include "tools/ctl_ask.h"

namespace postern::tools {
namespace {
constexpr const char* kResolverSocket = "run/resolver.sock";
}

Result<net::DnsAnswer> ServerResolver::ask(const net::DnsQuestion& question) {
  if (!directory_) directory_.emplace(server_directory(context_));
  if (!*directory_) return directory_->error();
  boost::json::object request = net::to_json(question);
  request["id"] = 1;
  const auto limit = std::chrono::duration_cast<std::chrono::seconds>(context_.configuration().resolver.time_limit) + std::chrono::seconds(2);
  auto answer = net::ask((*directory_)->get(), kResolverSocket, request, limit);
  if (!answer) return answer.error();
  if (auto failed = net::error_in(*answer)) return *failed;
  return net::dns_answer_from(*answer, question.type);
}

net::Awaitable<Result<net::DnsAnswer>> ServerResolver::query(std::string name, std::uint16_t type) {
  auto canonical = net::canonical_dns_name(name);
  if (!canonical) co_return canonical.error();
  co_return ask({*canonical, type});
}

}  // namespace postern::tools
