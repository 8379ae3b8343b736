// SPDX-License-Identifier: Apache-2.0
// What holds for messages of whoever has logged in: RFC 6409, and the limits of an account.
#include "base/log.h"
#include "smtp/engine.h"

#include <algorithm>

namespace postern::smtp {
namespace {

// "7 s", "12 min", "3 h": a time as people say it, never too short.
std::string shown(std::chrono::milliseconds time) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
  if (seconds <= 90) return std::to_string(std::max<std::int64_t>(seconds, 1)) + " s";
  if (seconds <= 90 * 60) return std::to_string((seconds + 59) / 60) + " min";
  return std::to_string((seconds + 3599) / 3600) + " h";
}

}  // namespace

// RFC 6409 section 6.2: every domain of the envelope is full. A name without a dot may be a domain of this server.
net::Awaitable<std::optional<Reply>> Session::domain_problem(std::string domain, bool of_sender) {
  if (domain.empty() || domain.front() == '[' || domain.find('.') != std::string::npos) co_return std::nullopt;
  const policy::Access access = services_.access();
  const auto local = co_await access.directory().is_local_domain(domain);
  if (!local) co_return Reply{451, "4.3.0", "the directory can't be asked now, try again later"};
  if (*local) co_return std::nullopt;
  co_return Reply{554, of_sender ? "5.1.8" : "5.1.2", "\"" + domain + "\" is not a full domain name"};
}

net::Awaitable<std::optional<Reply>> Session::count_message() {
  co_return co_await count_use(conf::kMessagesPerHour, configuration_->submission.messages_per_hour, "messages in an hour", 450);
}

// Where its text begins: what is given up before that is no message.
net::Awaitable<std::optional<Reply>> Session::count_text() {
  if (transaction_->envelope.authenticated.empty() || transaction_->counted) co_return std::nullopt;
  auto excess = co_await count_message();
  transaction_->counted = !excess;
  co_return excess;
}

net::Awaitable<std::optional<Reply>> Session::count_recipient() {
  auto excess = co_await count_use(conf::kRecipientsPerHour, configuration_->submission.recipients_per_hour, "recipients in an hour", 452);
  if (!excess) excess = co_await count_use(conf::kRecipientsPerDay, configuration_->submission.recipients_per_day, "recipients in a day", 452);
  co_return excess;
}

net::Awaitable<std::optional<Reply>> Session::count_use(std::string_view setting, std::uint64_t limit, std::string_view what, int code) {
  if (limit == 0) co_return std::nullopt;
  const std::string account = hello_->facts->authenticated;
  const Counted counted = services_.count(setting, account);
  if (!counted.exceeded) co_return std::nullopt;
  const std::string said = std::to_string(counted.count) + " " + std::string(what), bound = std::to_string(limit) + " (" + std::string(setting) + ")";
  base::log_event(base::Severity::notice, "submission-limit",
                  {{"account", account}, {"setting", setting}, {"count", counted.count}, {"limit", limit}, {"client", info_.remote.address.to_string()}, {"session", info_.id}});
  // Once a day for each account: who is told again and again does not read it.
  if (!services_.count(conf::kExcessNotices, account).exceeded) {
    const std::string domain = account.substr(std::min(account.rfind('@'), account.size()));
    std::string text = "The account " + account + " has sent to, or begun to send to, as many as it may: " + said + "; the limit is " + bound +
                       ".\r\nWhat is beyond it is refused for now, and may be tried again later.\r\n\r\nThe client's address at this moment: " + info_.remote.address.to_string() +
                       "\r\n\r\nIf this mail was not meant to be sent, somebody else knows the password: change it.\r\nAn administrator sees the counts with\r\n  posternctl throttle show " +
                       std::string(setting) + " " + account + "\r\nand begins them anew with\r\n  posternctl throttle reset " + std::string(setting) + " " + account +
                       "\r\n\r\nThere is no further message like this one within a day.\r\n";
    co_await services_.tell({"postmaster" + domain, account}, "Limit on sending reached: " + account, std::move(text));
  }
  co_return Reply{code, "4.7.1", said + ", the limit is " + bound + "; try again in " + shown(counted.free_in)};
}

}  // namespace postern::smtp
