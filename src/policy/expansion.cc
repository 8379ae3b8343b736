// SPDX-License-Identifier: Apache-2.0
// Where a local address leads: aliases, groups, accounts and their forwarding, sub-addresses, the catch-all of a domain, postmaster and abuse
// (access-control.md 4, step 3). The alias file is asked before the directory.
#include "base/text.h"
#include "mail/address.h"
#include "policy/access.h"
#include "policy/table_answer.h"

#include <algorithm>

namespace postern::policy {
namespace {

constexpr unsigned kAliasRounds = 10;

std::string address_of(const std::string& local_part, const std::string& host) { return mail::quoted_local_part(local_part) + "@" + host; }

Reply temporary() { return {451, "4.3.0", "temporary problem, try again later"}; }

}  // namespace

std::string TransactionAccess::role_of(std::string_view local_part, std::string_view delimiters) {
  const std::string user = base::lower(mail::split_sub_address(local_part, delimiters).user);
  return user == "postmaster" || user == "abuse" ? user : std::string();
}

net::Awaitable<bool> TransactionAccess::add_domain_tags(Final& final, Expansion& expansion, Decision& decision) {
  const auto domain = co_await access_.directory().domain(final.address.substr(final.address.rfind('@') + 1));
  if (!domain) {
    decision.notes.push_back({base::Severity::warning, "directory-failed", {{"reason", domain.error().what}}});
    expansion.failed = temporary();
    co_return false;
  }
  if (*domain != nullptr) final.conversion_tags.insert(final.conversion_tags.end(), (*domain)->conversion_tags.begin(), (*domain)->conversion_tags.end());
  co_return true;
}

net::Awaitable<void> TransactionAccess::add_unclaimed(std::string host, unsigned round, Expansion& expansion, Decision& decision) {
  Final final;
  final.address = "postmaster@" + host;
  final.channel = "ims-ms";
  final.account = final.address;
  explain(round, final.address, "postmaster");
  const bool tagged = co_await add_domain_tags(final, expansion, decision);
  if (tagged) add_final(std::move(final), expansion);
}

// A person who is a member in several ways gets the message once.
void TransactionAccess::add_final(Final final, Expansion& expansion) {
  final.list_owner = expansion.owner;
  const std::string key = final.channel + '\0' + final.address + '\0' + final.detail;
  if (expansion.known.insert(key).second) expansion.finals.push_back(std::move(final));
}

// Groups in groups could ask for more look-ups than anybody waits for, although few addresses come of it.
bool TransactionAccess::count_step(Expansion& expansion) const {
  if (++expansion.steps <= access_.site().most_steps) return true;
  expansion.failed = {550, "5.4.6", "the aliases of this address lead too far"};
  return false;
}

void TransactionAccess::explain(unsigned round, const std::string& address, const char* found, const std::vector<std::string>& targets) const {
  Explanation* const explanation = explanation_of(access_.observer());
  if (explanation != nullptr) explanation->expansion({round, address, found, targets});
}

net::Awaitable<void> TransactionAccess::follow(Rewritten rewritten, std::string led_here, unsigned round, Expansion& expansion, Decision& decision) {
  switch (rewritten.outcome) {
    case Rewritten::Outcome::done: break;
    case Rewritten::Outcome::temporary: expansion.failed = temporary(); co_return;
    default: ++expansion.unknown; co_return;
  }
  const Channel* channel = access_.site().channels.find(rewritten.channel);
  if (channel != nullptr && channel->alias_local) {
    co_await expand(std::move(rewritten.local_part), std::move(rewritten.host), round, expansion, decision);
    co_return;
  }
  Final final;
  final.address = address_of(rewritten.local_part, rewritten.host);
  final.channel = rewritten.channel;
  final.led_here = std::move(led_here);
  add_final(std::move(final), expansion);
}

net::Awaitable<std::shared_ptr<const directory::Alias>> TransactionAccess::directory_alias(std::string name, Expansion& expansion, Decision& decision) {
  auto alias = co_await access_.directory().alias(name);
  if (alias) co_return std::move(*alias);
  decision.notes.push_back({base::Severity::warning, "directory-failed", {{"reason", alias.error().what}}});
  expansion.failed = temporary();
  co_return nullptr;
}

net::Awaitable<void> TransactionAccess::expand_alias(std::string name, const char* found, std::vector<std::string> targets, std::string host,
                                                     unsigned round, Expansion& expansion, Decision& decision) {
  explain(round, name, found, targets);
  if (round == kAliasRounds) {
    expansion.failed = {550, "5.4.6", "aliases of this address lead in a circle"};
    co_return;
  }
  std::size_t followed = 0;
  for (const std::string& target : targets) {
    co_await give_way(++followed);
    if (!count_step(expansion)) co_return;
    auto mailbox = mail::parse_mailbox(target.find('@') == std::string::npos ? target + "@" + host : target);
    if (!mailbox) {
      decision.notes.push_back(
          {base::Severity::warning, "alias-target", {{"alias", name}, {"target", target}, {"reason", mailbox.error().what}}, false, name + " " + target});
      explain(round, target, "no address");
      ++expansion.unknown;
      continue;
    }
    Rewritten rewritten = co_await rewrite_address(Direction::forward, mailbox->local_part, mailbox->domain, decision);
    if (rewritten.outcome == Rewritten::Outcome::no_rule) explain(round, mailbox->to_string(), "no rule");
    if (rewritten.outcome == Rewritten::Outcome::done) rewritten = co_await forward(std::move(rewritten), decision);
    co_await follow(std::move(rewritten), name, round + 1, expansion, decision);
    if (expansion.failed) co_return;
    if (expansion.finals.size() > access_.site().most_addresses) {
      expansion.failed = {550, "5.4.6", "aliases of this address lead to too many addresses"};
      co_return;
    }
  }
}

net::Awaitable<void> TransactionAccess::reach_account(std::shared_ptr<const directory::Account> account, std::string detail, unsigned round,
                                                      Expansion& expansion, Decision& decision) {
  Final final;
  final.address = account->name;
  final.conversion_tags = account->conversion_tags;
  const bool tagged = co_await add_domain_tags(final, expansion, decision);
  if (!tagged) co_return;
  if (account->held) {
    // Released, the address is looked up again: forwarding is followed then.
    final.channel = "hold";
    final.led_here = detail.empty() ? account->name : address_of(account->name.substr(0, account->name.rfind('@')) + access_.site().recipient_delimiter.substr(0, 1) + detail,
                                                                 account->name.substr(account->name.rfind('@') + 1));
    explain(round, account->name, "hold");
    add_final(std::move(final), expansion);
    co_return;
  }
  // Forwarding that leads back here means the mailbox.
  const bool leads_back = !account->forwarding.empty() && !expansion.seen.insert(">" + account->name).second;
  if (account->forwarding.empty() || account->keeps_copy || leads_back) {
    final.channel = "ims-ms";
    final.account = account->name;
    final.detail = std::move(detail);
    final.full = account->full_until > base::wall_now() && !directory::is_elsewhere(*account, access_.site().host_name);
    explain(round, account->name, "account");
    add_final(std::move(final), expansion);
  }
  if (!account->forwarding.empty() && !leads_back) {
    std::string host = account->name.substr(account->name.rfind('@') + 1);
    co_await expand_alias(account->name, "forwarding", account->forwarding, std::move(host), round, expansion, decision);
  }
}

// Looks at one local address: alias, account, both without the sub-address, then postmaster and abuse, then the catch-all.
net::Awaitable<void> TransactionAccess::expand(std::string local_part, std::string host, unsigned round, Expansion& expansion, Decision& decision) {
  const std::string address = address_of(local_part, host);
  const mail::SubAddress parts = mail::split_sub_address(local_part, access_.site().recipient_delimiter);
  const std::string user(parts.user);
  const std::string detail(parts.detail.value_or(std::string_view()));
  const bool has_detail = parts.detail.has_value();

  // An alias that names itself means the account behind it; one that was expanded already is not expanded again.
  const auto expanded_before = [&](const std::string& name) { return !expansion.seen.insert(base::lower(name)).second; };
  for (const bool whole : {true, false}) {
    if (!whole && !has_detail) break;
    const std::string name = whole ? address : address_of(user, host);
    bool members_known = false;
    if (auto targets = access_.tables().alias(name)) {
      members_known = expanded_before(name);
      if (!members_known) {
        co_await expand_alias(name, "alias", std::move(*targets), host, round, expansion, decision);
        co_return;
      }
    }
    const auto account = co_await access_.directory().account(name);
    if (!account) {
      decision.notes.push_back({base::Severity::warning, "directory-failed", {{"reason", account.error().what}}});
      expansion.failed = temporary();
      co_return;
    }
    if (*account) {
      co_await reach_account(*account, whole ? std::string() : detail, round, expansion, decision);
      co_return;
    }
    const auto alias = co_await directory_alias(name, expansion, decision);
    if (expansion.failed) co_return;
    if (alias) {
      if (!expanded_before("directory " + alias->name)) {
        const bool group = alias->kind == directory::Alias::Kind::group;
        expansion.has_empty_list |= group && alias->members.empty();
        // RFC 5321 section 3.9.2: what goes wrong with members is the owner's business. One without an owner leaves it to whoever it stands in.
        std::string outer = expansion.owner;
        if (!alias->owner.empty()) expansion.owner = alias->owner;
        co_await expand_alias(alias->name, group ? "group" : "directory alias", alias->members, host, round, expansion, decision);
        expansion.owner = std::move(outer);
      }
      co_return;
    }
    if (members_known) co_return;  // they are in the list already
  }

  // RFC 2142: whoever reads postmaster's mail is there for abuse too.
  const std::string role = role_of(local_part, access_.site().recipient_delimiter);
  if (role == "abuse") {
    co_await expand("postmaster", host, round, expansion, decision);
    co_return;
  }
  const std::string catch_all = "@" + host;
  if (auto targets = access_.tables().alias(catch_all)) {
    if (!expanded_before(catch_all)) co_await expand_alias(catch_all, "catch-all", std::move(*targets), host, round, expansion, decision);
    co_return;
  }
  const auto everybody = co_await directory_alias(catch_all, expansion, decision);
  if (expansion.failed) co_return;
  if (everybody) {
    if (!expanded_before("directory " + catch_all)) co_await expand_alias(catch_all, "catch-all", everybody->members, host, round, expansion, decision);
    co_return;
  }
  if (role == "postmaster") {
    co_await add_unclaimed(host, round, expansion, decision);
    co_return;
  }
  explain(round, address, "nobody");
  ++expansion.unknown;
}

}  // namespace postern::policy
