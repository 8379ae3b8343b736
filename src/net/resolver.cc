// SPDX-License-Identifier: Apache-2.0
#include "net/resolver.h"

#include "net/run_for_life.h"

#include <algorithm>
#include <memory>

namespace postern::net {
namespace {

// Waits until it is told that something has happened, or until the time is over.
struct Waiting {
  explicit Waiting(asio::any_io_executor executor) : over(std::move(executor)) {}
  asio::steady_timer over;
  bool told = false;

  void tell() {
    told = true;
    over.cancel();
  }
  static Awaitable<void> wait(std::shared_ptr<Waiting> self) {
    if (self->told) co_return;
    boost::system::error_code ignored;
    co_await self->over.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  }
};

struct NamesFound : Waiting {
  using Waiting::Waiting;
  std::vector<std::string> names;
};

// Goes on by itself when nobody waits any more: its answers are in the resolver's cache then.
Awaitable<void> find_names(Resolver& resolver, Address address, std::shared_ptr<NamesFound> found) {
  auto names = co_await names_of(resolver, address);
  if (names) found->names = std::move(*names);
  found->tell();
}

struct Asked : Waiting {
  using Waiting::Waiting;
  Listing listing;
  std::size_t under_way = 0;
};

Awaitable<void> ask_list(Resolver& resolver, Address address, std::string list, std::size_t position, std::shared_ptr<Asked> asked) {
  const auto listed = co_await is_listed(resolver, address, std::move(list));
  if (!listed) asked->listing.silent.push_back(position);
  else if (*listed && !asked->listing.list) asked->listing.list = position;
  if (--asked->under_way == 0 || asked->listing.list) asked->tell();
}

}  // namespace

Awaitable<Result<HostAddresses>> host_addresses(Resolver& resolver, std::string name) {
  HostAddresses found;
  found.secure = true;
  std::optional<Error> trouble;
  static constexpr std::uint16_t kTypes[] = {dns::kA, dns::kAaaa};
  for (const std::uint16_t type : kTypes) {
    const auto answer = co_await resolver.query(name, type);
    if (answer) {
      const auto addresses = answer->addresses();
      found.addresses.insert(found.addresses.end(), addresses.begin(), addresses.end());
      found.canonical_name = answer->canonical_name;
      found.secure = found.secure && answer->secure;
    } else if (answer.error().kind != Kind::not_found) {
      trouble = answer.error();
    }
  }
  if (found.addresses.empty() && trouble) co_return *trouble;
  if (found.addresses.empty()) co_return Error{Kind::not_found, name + " has no address"};
  if (found.addresses.size() > kMaxAddresses) found.addresses.resize(kMaxAddresses);
  co_return found;
}

Awaitable<Result<std::vector<Address>>> addresses_of(Resolver& resolver, std::string name) {
  auto found = co_await host_addresses(resolver, std::move(name));
  if (!found) co_return found.error();
  co_return std::move(found->addresses);
}

Awaitable<Result<std::vector<std::string>>> names_of(Resolver& resolver, Address address) {
  const auto pointers = co_await resolver.query(reverse_name(address), dns::kPtr);
  if (!pointers) co_return pointers.error();
  std::vector<std::string> names = pointers->names();
  if (names.size() > kMaxNames) names.resize(kMaxNames);
  std::vector<std::string> confirmed;
  std::optional<Error> trouble;
  for (std::string& name : names) {
    const auto answer = co_await resolver.query(name, address.is_ipv4() ? dns::kA : dns::kAaaa);
    if (!answer) {
      if (answer.error().kind != Kind::not_found) trouble = answer.error();
      continue;
    }
    const auto addresses = answer->addresses();
    if (std::find(addresses.begin(), addresses.end(), address) != addresses.end()) confirmed.push_back(std::move(name));
  }
  if (confirmed.empty() && trouble) co_return *trouble;
  if (confirmed.empty()) co_return Error{Kind::not_found, address.to_string() + " has no name that leads back to it"};
  co_return confirmed;
}

Awaitable<Result<MailDomain>> mail_domain(Resolver& resolver, std::string domain) {
  const auto exchangers = co_await resolver.query(domain, dns::kMx);
  if (exchangers) {
    const auto hosts = exchangers->mail_exchangers();
    // RFC 7505 section 3: a null MX stands alone.
    const bool null_mx = hosts.size() == 1 && hosts.front().host == ".";
    co_return null_mx ? MailDomain::accepts_no_mail : MailDomain::exists;
  }
  if (exchangers.error().kind != Kind::not_found) co_return exchangers.error();
  const auto addresses = co_await addresses_of(resolver, std::move(domain));
  if (addresses) co_return MailDomain::exists;
  if (addresses.error().kind != Kind::not_found) co_return addresses.error();
  co_return MailDomain::absent;
}

Awaitable<Result<bool>> exists(Resolver& resolver, std::string name) {
  const auto found = co_await mail_domain(resolver, std::move(name));
  if (!found) co_return found.error();
  co_return *found != MailDomain::absent;
}

Awaitable<Result<bool>> is_listed(Resolver& resolver, Address address, std::string list) {
  const auto answer = co_await resolver.query(reversed(address, list), dns::kA);
  if (!answer && answer.error().kind == Kind::not_found) co_return false;
  if (!answer) co_return answer.error();
  const auto addresses = answer->addresses();
  bool refused = false;
  for (const Address& one : addresses) {
    // RFC 5782 section 2.1. Lists that have closed down answer with the address of a parking page.
    if (!one.is_loopback()) continue;
    // 127.255.255.0/24: how large lists say, of every address, that they won't tell us: asked too often, or through a public resolver.
    if (one.prefix(24) != Address::ipv4(0x7fffff00)) co_return true;
    refused = true;
  }
  if (refused) co_return Error{Kind::temporary, list + " refuses to answer"};
  co_return false;
}

Awaitable<bool> is_on_list(Resolver* resolver, AddressList list, Address address) {
  if (resolver == nullptr || !list.asks_names(address)) co_return list.contains(address, {});
  const auto executor = co_await asio::this_coro::executor;
  const auto found = std::make_shared<NamesFound>(executor);
  found->over.expires_after(kNamesTime);
  run_task(executor, "names", find_names(*resolver, address, found), [found](const std::string&) { found->tell(); });
  co_await Waiting::wait(found);
  co_return list.contains(address, found->names);
}

Awaitable<Listing> first_listing(Resolver& resolver, Address address, std::vector<std::string> lists) {
  const auto executor = co_await asio::this_coro::executor;
  const auto asked = std::make_shared<Asked>(executor);
  if (lists.empty()) co_return asked->listing;
  asked->under_way = lists.size();
  // Each question has the resolver's own time limit.
  asked->over.expires_at(std::chrono::steady_clock::time_point::max());
  for (std::size_t i = 0; i < lists.size(); ++i)
    run_task(executor, "dns-list", ask_list(resolver, address, std::move(lists[i]), i, asked), [asked, i](const std::string&) {
      asked->listing.silent.push_back(i);
      if (--asked->under_way == 0) asked->tell();
    });
  co_await Waiting::wait(asked);
  co_return asked->listing;
}

}  // namespace postern::net
