// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_accounts.h"

#include "base/log.h"
#include "base/text.h"
#include "directory/ldap_filter.h"
#include "directory/ldap_pool.h"
#include "directory/password.h"
#include "net/frames.h"

#include <algorithm>
#include <list>
#include <set>
#include <unordered_map>
#include <utility>

namespace postern::directory {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// RFC 4519 section 2.41: userPassword by its number, which names it as well.
constexpr std::string_view kUserPassword = "2.5.4.35";

// Entries that the log tells of once.
constexpr std::size_t kMostTold = 10'000;

// In front of a script that is stored, but not in force.
constexpr std::string_view kSwitchedOff = "# $Rule Info: Order=0 Name=filter\n";

std::string domain_of(std::string_view name) { return std::string(name.substr(name.rfind('@') + 1)); }

// The entry that is meant, or none. Two are one too many: nobody knows which one is meant.
Result<std::optional<LdapEntry>> only_entry(Result<std::vector<LdapEntry>> found, const std::string& filter) {
  if (!found) return found.error();
  if (found->size() > 1) return Error{Kind::corrupt, "more than one entry: " + filter};
  if (found->empty()) return std::optional<LdapEntry>();
  return std::optional(std::move(found->front()));
}

// The attribute's first value.
Result<std::optional<std::string>> first_value(Result<std::optional<LdapEntry>> entry, const std::string& attribute) {
  using Text = std::optional<std::string>;
  if (!entry) return entry.error();
  if (!*entry) return Text();
  const auto values = (*entry)->values(attribute);
  if (values.empty()) return Text();
  if (!base::is_utf8(values.front())) return Error{Kind::corrupt, "the value is not text"};
  return Text(values.front());
}

// What a look-up found; the entry's name is for logins and changes.
struct Name {
  LdapName what;
  std::string dn;
};

// The password that a bind tries, in all its forms. Whoever has it last, thread or not, wipes it: a thread may be at work when nobody waits any more.
struct TriedPassword {
  std::vector<std::string> forms;
  bool right = false;
  std::chrono::microseconds spent{0};  // by the server
  TriedPassword() { forms.reserve(2); }
  TriedPassword(const TriedPassword&) = delete;
  TriedPassword& operator=(const TriedPassword&) = delete;
  ~TriedPassword() {
    for (std::string& form : forms) wipe(form);
  }
};

// One question about a name, as a helper thread asks it.
class NameQuestion {
 public:
  NameQuestion(const conf::Ldap& settings, const Limits& limits, const JoinRules& join, const std::string& key, LdapConnection& connection,
               LdapConnection::Deadline deadline)
      : settings_(settings), limits_(limits), join_(join), key_(key), connection_(connection), deadline_(deadline) {}

  Result<Name> account(const std::string& name) {
    auto entry = find(settings_.account_filter, name, account_attributes(settings_));
    if (!entry) return entry.error();
    Name found;
    if (!*entry) return found;
    auto what = read_ldap_account(**entry, settings_, name, join_);
    if (!what) return what.error().in((*entry)->dn);
    if (what->account) mark_password(*what->account);
    found.what = std::move(*what);
    found.dn = std::move((*entry)->dn);
    return found;
  }

  Result<Name> anything(const std::string& name) {
    auto found = account(name);
    if (!found || found->what.account || found->what.alias) return found;
    for (const auto& [filter, kind] : {std::pair(&settings_.alias_filter, Alias::Kind::alias), std::pair(&settings_.group_filter, Alias::Kind::group)}) {
      // A group has an address of its own.
      if (filter->empty() || (kind == Alias::Kind::group && name.front() == '@')) continue;
      const auto entry = find(*filter, name, group_attributes(settings_));
      if (!entry) return entry.error();
      if (!*entry) continue;
      const auto others = members(**entry);
      if (!others) return others.error();
      auto alias = read_ldap_group(**entry, settings_, name, kind, *others, limits_);
      if (!alias) return alias.error().in((*entry)->dn);
      found->what.alias = std::move(*alias);
      return found;
    }
    return found;
  }

 private:
  // What sessions compare must not help anybody to guess a password.
  void mark_password(LdapAccount& account) const {
    if (account.password_state.empty()) return;
    std::string text = "password mark" + std::string(1, '\0') + account.record.account.name + '\0' + account.password_state;
    account.record.account.password_mark = net::to_hex(hmac_sha256(key_, text)).substr(0, 32);
    wipe(text);
    wipe(account.password_state);
  }

  Result<std::optional<LdapEntry>> find(const std::string& pattern, const std::string& name, std::vector<std::string> attributes) {
    const std::string filter = filter_for(pattern, name, settings_);
    return only_entry(connection_.search({settings_.base, settings_.scope, filter, std::move(attributes), 2}, deadline_), filter);
  }

  // The addresses of those whom a group names as entries.
  Result<std::vector<std::string>> members(const LdapEntry& group) {
    const auto names = group.values(settings_.member_dn_attribute);
    if (names.size() > limits_.group_members)
      return Error{Kind::corrupt, group.dn + ": " + std::to_string(names.size()) + " members; directory.group_members allows " + std::to_string(limits_.group_members)};
    std::vector<std::string> addresses;
    for (const std::string& dn : names) {
      auto entries = connection_.search({dn, conf::Ldap::Scope::base, "(objectClass=*)", {settings_.mail_attribute}, 1}, deadline_);
      if (!entries && entries.error().kind == Kind::temporary) return entries.error();
      std::string address = entries && !entries->empty() ? own_address(entries->front(), settings_) : std::string();
      if (!address.empty()) addresses.push_back(std::move(address));
      else base::log_event(base::Severity::warning, "ldap-member", {{"group", group.dn}, {"member", dn}, {"reason", entries ? "no address" : entries.error().what}});
    }
    return addresses;
  }

  const conf::Ldap& settings_;
  const Limits& limits_;
  const JoinRules& join_;
  const std::string& key_;
  LdapConnection& connection_;
  const LdapConnection::Deadline deadline_;
};

class LdapAccounts final : public AccountSource {
 public:
  LdapAccounts(net::asio::io_context& io, const conf::Ldap& settings, const Limits& limits, JoinRules join, std::string key)
      : settings_(std::make_shared<const conf::Ldap>(settings)), limits_(limits), join_(std::move(join)), key_(std::make_shared<const std::string>(std::move(key))),
        questions_(std::make_unique<LdapPool>(io, settings, settings.connections, true)) {
    for (const conf::TextLine& line : settings.domains)
      if (const auto domain = canonical_domain(line.text)) domains_.insert(*domain);
    if (settings.passwords == conf::Ldap::Passwords::bind) logins_ = std::make_unique<LdapPool>(io, settings, settings.login_connections, false);
  }

  [[nodiscard]] bool has(const std::string& domain) const override { return domains_.contains(domain); }
  [[nodiscard]] bool may_have_others() const override { return !settings_->domain_filter.empty(); }
  [[nodiscard]] bool checks_passwords() const override { return logins_ != nullptr; }
  [[nodiscard]] std::chrono::microseconds slowest_check() const override { return slowest_bind_; }

  void find_domain(std::string name, Then<FoundDomain> then) override {
    // Without a filter nobody knows its entry.
    if (!may_have_others()) return then(FoundDomain{has(name), settings_->cache_time, settings_->base});
    if (const Known* known = remembered("d" + name)) {
      FoundDomain found = known->domain;
      found.good_for = left_of(*known);
      return then(std::move(found));
    }
    std::vector<std::string> wanted;
    for (const std::string* const attribute : {&settings_->domain_base_attribute, &settings_->domain_tag_attribute})
      if (!attribute->empty()) wanted.push_back(*attribute);
    if (wanted.empty()) wanted.emplace_back("1.1");
    using Entries = std::vector<LdapEntry>;
    ask<Entries>(
        [settings = settings_, name, wanted = std::move(wanted)](LdapConnection& connection, LdapConnection::Deadline deadline) -> Result<Entries> {
          return connection.search({settings->base, settings->scope, filter_for(settings->domain_filter, name, *settings), wanted, 2}, deadline);
        },
        [this, name, then = std::move(then)](Result<Entries> entries) {
          if (!entries) return then(unusable(name, entries.error()));
          // A filter may find what shows that there is such a domain, and is none of its own.
          FoundDomain found = entries->size() == 1 ? read_ldap_domain(entries->front(), *settings_) : FoundDomain{false, {}, settings_->base};
          found.found = !entries->empty() || has(name);
          found.good_for = found.found ? settings_->cache_time : settings_->negative_cache_time;
          remember({"d" + name, Clock::now() + found.good_for, found, {}, 0});
          then(std::move(found));
        });
  }

  void domain_attribute(std::string name, std::string attribute, Then<std::optional<std::string>> then) override {
    using Text = std::optional<std::string>;
    if (!may_have_others()) return then(Text());
    if (const auto shown = check_shown(attribute, {}); !shown) return then(shown.error());
    ask<Text>(
        [settings = settings_, name, attribute](LdapConnection& connection, LdapConnection::Deadline deadline) -> Result<Text> {
          const std::string filter = filter_for(settings->domain_filter, name, *settings);
          return first_value(only_entry(connection.search({settings->base, settings->scope, filter, {attribute}, 2}, deadline), filter), attribute);
        },
        std::move(then));
  }

  void find(std::string name, Then<Found> then) override {
    if (!has(domain_of(name))) {
      return find_domain(domain_of(name), [this, name, then = std::move(then)](Result<FoundDomain> domain) {
        if (!domain) return then(domain.error());
        if (!domain->found) return then(Found{{}, {}, {}, domain->good_for});
        find_here(name, then);
      });
    }
    find_here(std::move(name), std::move(then));
  }

  void find_for_login(std::string name, Then<std::optional<LoginAccount>> then) override {
    ask_name(name, true, [name, then = std::move(then)](Result<Name> found) {
      if (!found) return then(unusable(name, found.error()));
      if (!found->what.account) return then(std::optional<LoginAccount>());
      // Nobody is told why mail has to wait, but the login says no.
      then(std::optional(LoginAccount{std::move(found->what.account->record), std::move(found->dn)}));
    });
  }

  void check_password(std::string entry, std::string password, Then<bool> then) override {
    const bool possible = !password.empty() && password.size() <= kMaxPasswordBytes && password.find('\0') == std::string::npos;
    const bool real = possible && !entry.empty();
    if (!real) entry = nobody();
    if (!possible) password = "x";
    // As it is and, if it differs, as SASLprep makes it: which of them depends on the password only.
    const auto tried = std::make_shared<TriedPassword>();
    std::string prepared = prepared_password(password);
    const bool differs = prepared != password;
    tried->forms.push_back(std::move(password));
    if (differs) tried->forms.push_back(std::move(prepared));
    wipe(prepared);
    wipe(password);  // its own room, which a short one leaves
    logins_->run(
        [entry = std::move(entry), tried](LdapConnection& connection, LdapConnection::Deadline deadline) -> Result<void> {
          const auto began = Clock::now();
          for (const std::string& form : tried->forms) {
            const auto bound = connection.bind(entry, form, deadline);
            if (bound) tried->right = true;
            else if (bound.error().kind != Kind::denied && bound.error().kind != Kind::not_found) return bound;
          }
          tried->spent = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
          return {};
        },
        [this, tried, real, then = std::move(then)](Result<void> done) {
          if (!done) return then(unusable("login", done.error()));
          if (real) slowest_bind_ = std::max(slowest_bind_, tried->spent);
          then(tried->right && real);
        });
  }

  void script(std::string account, Then<std::optional<Script>> then) override {
    ask_name(account, true, [account, then = std::move(then)](Result<Name> found) {
      if (!found) return then(unusable(account, found.error()));
      if (!found->what.account) return then(std::optional<Script>());
      const Account& record = found->what.account->record.account;
      then(std::optional(Script{std::move(found->what.account->stored_filter), !record.active_script.empty(), record.enabled}));
    });
  }

  [[nodiscard]] bool keeps_scripts() const override { return settings_->write_scripts && !settings_->filter_attribute.empty(); }

  void put_script(std::string account, Script script, Then<bool> then) override {
    if (!keeps_scripts()) return then(false);
    // One that is not in force says so in the way that single rules do (access-control.md 6.4).
    if (!script.active && !script.text.empty()) script.text = std::string(kSwitchedOff) + script.text;
    ask<bool>(
        [settings = settings_, limits = limits_, join = join_, key = key_, account, text = std::move(script.text)](LdapConnection& connection,
                                                                                                                   LdapConnection::Deadline deadline) -> Result<bool> {
          const auto found = NameQuestion(*settings, limits, join, *key, connection, deadline).account(account);
          if (!found) return found.error();
          if (!found->what.account) return Error{Kind::temporary, "there is no such account any more"};
          const auto changed = connection.replace(found->dn, settings->filter_attribute, text.empty() ? std::vector<std::string>() : std::vector{text}, deadline);
          if (!changed) return changed.error().in(found->dn);
          return true;
        },
        [this, account, then = std::move(then)](Result<bool> done) {
          if (!done) return then(unusable(account, done.error()));
          forget("a" + account);
          then(true);
        });
  }

  void url(std::string url, Then<std::optional<std::string>> then) override {
    const auto question = parse_ldap_url(url);
    if (!question) return then(question.error());
    if (const auto shown = check_shown(question->attribute, question->filter); !shown) return then(shown.error());
    using Text = std::optional<std::string>;
    ask<Text>(
        [question = *question](LdapConnection& connection, LdapConnection::Deadline deadline) -> Result<Text> {
          return first_value(only_entry(connection.search({question.base, question.scope, question.filter, {question.attribute}, 2}, deadline), question.filter),
                             question.attribute);
        },
        std::move(then));
  }

 private:
  struct Known {
    std::string key;
    Clock::time_point until;
    FoundDomain domain;
    LdapName name;
    std::size_t bytes = 0;
  };

  // Whoever may put questions into mapping tables' templates, secrets are for logins only.
  [[nodiscard]] Result<void> check_shown(const std::string& attribute, const std::string& filter) const {
    for (const std::string& secret : {settings_->password_attribute, settings_->scram_attribute, std::string(kUserPassword)})
      if (!secret.empty() && (base::lower(attribute).starts_with(base::lower(secret)) || base::lower(filter).find(base::lower(secret)) != std::string::npos))
        return Error{Kind::denied, "the attribute " + secret + " is not shown"};
    return {};
  }

  using KnownNames = std::unordered_map<std::string, std::list<Known>::iterator>;

  // Asks on a helper thread; what comes back is `then`'s, on ours.
  template <class T>
  void ask(std::function<Result<T>(LdapConnection&, LdapConnection::Deadline)> work, std::function<void(Result<T>)> then) {
    auto answer = std::make_shared<std::optional<T>>();
    questions_->run(
        [answer, work = std::move(work)](LdapConnection& connection, LdapConnection::Deadline deadline) -> Result<void> {
          auto found = work(connection, deadline);
          if (!found) return found.error();
          *answer = std::move(*found);
          return {};
        },
        [answer, then = std::move(then)](Result<void> done) {
          if (!done) then(done.error());
          else then(std::move(**answer));
        });
  }

  void ask_name(const std::string& name, bool account_only, std::function<void(Result<Name>)> then) {
    ask<Name>(
        [settings = settings_, limits = limits_, join = join_, key = key_, name, account_only](LdapConnection& connection, LdapConnection::Deadline deadline) {
          NameQuestion question(*settings, limits, join, *key, connection, deadline);
          return account_only ? question.account(name) : question.anything(name);
        },
        std::move(then));
  }

  void find_here(std::string name, Then<Found> then) {
    if (const Known* known = remembered("a" + name)) return then(found_in(known->name, left_of(*known)));
    auto& waiting = waiting_[name];
    waiting.push_back(std::move(then));
    if (waiting.size() > 1) return;
    ask_name(name, false, [this, name](Result<Name> found) {
      const auto at = waiting_.find(name);
      const auto askers = std::move(at->second);
      waiting_.erase(at);
      if (!found) {
        const Error error = unusable(name, found.error());
        for (const auto& asker : askers) asker(error);
        return;
      }
      const bool something = found->what.account || found->what.alias;
      if (found->what.account && !found->what.account->put_off.empty())
        base::log_event(base::Severity::warning, "ldap-account", {{"account", name}, {"entry", found->dn}, {"reason", found->what.account->put_off}});
      if (found->what.account && !found->what.account->unsure.empty() && told_unsure_.size() < kMostTold && told_unsure_.insert(found->dn).second)
        base::log_event(base::Severity::warning, "ldap-account-unsure", {{"account", name}, {"entry", found->dn}, {"reason", found->what.account->unsure}});
      const milliseconds time = something ? settings_->cache_time : settings_->negative_cache_time;
      remember({"a" + name, Clock::now() + time, {}, found->what, 0});
      for (const auto& asker : askers) asker(found_in(found->what, time));
    });
  }

  static Found found_in(const LdapName& name, milliseconds good_for) {
    Found found;
    if (name.account) {
      found.account = name.account->record;
      found.put_off = name.account->put_off;
    }
    found.alias = name.alias;
    found.good_for = good_for;
    return found;
  }

  // What went wrong, for who asked; an entry that can't be used is for the log too. That a server is away stands there already.
  static Error unusable(const std::string& name, const Error& error) {
    if (error.kind != Kind::temporary) base::log_event(base::Severity::error, "ldap-answer", {{"error", error.what}, {"name", base::printable(name, 320)}});
    return {Kind::temporary, error.what};
  }

  // A name that nobody has, for a bind that must fail.
  std::string nobody() const {
    if (!settings_->nobody_dn.empty()) return settings_->nobody_dn;
    return "cn=nobody-7f3d1c" + (settings_->base.empty() ? std::string() : "," + settings_->base);
  }

  const Known* remembered(const std::string& key) {
    const auto at = known_.find(key);
    if (at == known_.end()) return nullptr;
    if (at->second->until <= Clock::now()) {
      drop(at);
      return nullptr;
    }
    order_.splice(order_.begin(), order_, at->second);
    return &order_.front();
  }

  static milliseconds left_of(const Known& known) { return std::chrono::duration_cast<milliseconds>(known.until - Clock::now()); }

  void forget(const std::string& key) {
    const auto at = known_.find(key);
    if (at != known_.end()) drop(at);
  }

  void drop(KnownNames::iterator at) {
    remembered_bytes_ -= at->second->bytes;
    order_.erase(at->second);
    known_.erase(at);
  }

  // About what it takes: an account's filter, or the members of a group, may be a megabyte.
  static std::size_t size_of(const Known& known) {
    std::size_t bytes = 1024 + 2 * known.key.size() + known.domain.base_dn.size() + known.domain.entry.size();
    for (const std::string& tag : known.domain.conversion_tags) bytes += sizeof(std::string) + tag.size();
    if (known.name.account) {
      bytes += 2 * known.name.account->record.account.filter.size();
      for (const std::string& address : known.name.account->record.account.forwarding) bytes += sizeof(std::string) + address.size();
    }
    if (known.name.alias)
      for (const std::string& member : known.name.alias->members) bytes += sizeof(std::string) + member.size();
    return bytes;
  }

  void remember(Known known) {
    known.bytes = size_of(known);
    if (known.until <= Clock::now() || settings_->cache_entries == 0) return;
    forget(known.key);
    remembered_bytes_ += known.bytes;
    order_.push_front(std::move(known));
    known_.emplace(order_.front().key, order_.begin());
    while (order_.size() > settings_->cache_entries || remembered_bytes_ > kMostRemembered) drop(known_.find(order_.back().key));
  }

  const std::shared_ptr<const conf::Ldap> settings_;
  const Limits limits_;
  const JoinRules join_;
  const std::shared_ptr<const std::string> key_;
  std::chrono::microseconds slowest_bind_{0};
  std::set<std::string, std::less<>> domains_;
  std::set<std::string> told_unsure_;  // entries that the log has told of
  std::unordered_map<std::string, std::vector<Then<Found>>> waiting_;
  std::list<Known> order_;  // used last, first
  KnownNames known_;
  std::size_t remembered_bytes_ = 0;
  // Last: their threads and answers end before what they use.
  std::unique_ptr<LdapPool> questions_, logins_;
};

}  // namespace

std::unique_ptr<AccountSource> make_ldap_accounts(net::asio::io_context& io, const conf::Ldap& settings, const Limits& limits, JoinRules join, std::string key) {
  return std::make_unique<LdapAccounts>(io, settings, limits, std::move(join), std::move(key));
}

}  // namespace postern::directory
