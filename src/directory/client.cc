// SPDX-License-Identifier: Apache-2.0
#include "directory/client.h"

#include "base/text.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "net/frame_client.h"

#include <list>
#include <optional>
#include <unordered_map>

namespace postern::directory {
namespace {

using boost::json::object;

// Fixed cost of an entry in the cache, about.
constexpr std::size_t kEntryBytes = 256, kAttributeBytes = 128;

std::size_t bytes_of(const std::vector<std::string>& texts) {
  std::size_t bytes = texts.size() * sizeof(std::string);
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

object script_question(const char* ask, const std::string& handle, const std::string& name) {
  object request;
  request["ask"] = ask;
  request["handle"] = handle;
  request["script"] = name;
  return request;
}

Error away(std::string_view why) { return {Kind::temporary, "directory: " + std::string(why)}; }

}  // namespace

class Client::State : public std::enable_shared_from_this<Client::State> {
 public:
  State(net::asio::io_context& io, int base_directory, const Generations& generations, ClientSettings settings)
      : io_(io),
        generations_(generations),
        settings_(std::move(settings)),
        asker_(io, base_directory, {"directory", settings_.socket, settings_.time_limit, settings_.questions}) {}

  // What a question about a name came to: a domain, an account, an alias, or nothing.
  struct Found {
    std::shared_ptr<const Domain> domain;
    std::shared_ptr<const Account> account;
    std::shared_ptr<const Alias> alias;
    std::string put_off;  // of an account: mail for it has to wait, and why
    // For answers from outside the database, for which no generation moves (directory/outside.h).
    std::optional<std::chrono::steady_clock::time_point> until;
  };

  enum class What : char { domain = 'd', account = 'a' };

  static net::Awaitable<Result<Found>> find(std::shared_ptr<State> self, What what, std::string name) {
    const std::string key = static_cast<char>(what) + name;
    const std::uint64_t generation = self->generations_.directory();
    if (const Found* cached = self->cached(key, generation)) co_return *cached;
    object request;
    request["ask"] = what == What::domain ? "domain" : "account";
    request["name"] = name;
    const auto answer = co_await self->asker_.ask(std::move(request));
    if (!answer) co_return answer.error();
    const auto error = error_in(*answer);
    // An account whose mail has to wait comes beside the error.
    if (error && !answer->contains("account")) co_return away(error->what);
    auto found = self->read(what, *answer, name);
    if (!found) co_return found.error();
    if (error) found->put_off = away(error->what).what;
    if (const auto good_for = number_in(*answer, "good_for_ms")) found->until = std::chrono::steady_clock::now() + std::chrono::milliseconds(*good_for);
    self->keep(key, *found, generation);
    co_return *found;
  }

  // Sends a question and waits for its answer. Whatever the directory says went wrong: nothing is known, so it is temporary.
  static net::Awaitable<Result<object>> ask(std::shared_ptr<State> self, object request) {
    auto answer = co_await self->asker_.ask(std::move(request));
    if (!answer) co_return answer;
    if (auto error = error_in(*answer)) co_return away(error->what);
    co_return answer;
  }

  // Says something and waits for nothing.
  void tell(object request) {
    if (!closed_) net::asio::co_spawn(io_, say(shared_from_this(), std::move(request)), net::asio::detached);
  }

  // The same for a question about scripts that has no other answer than its outcome.
  static net::Awaitable<Result<ScriptOutcome>> script_outcome(std::shared_ptr<State> self, object request);

  void close() {
    closed_ = true;
    asker_.close();
  }
  [[nodiscard]] std::size_t cached() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t asked() const { return asker_.asked(); }

 private:
  Result<Found> read(What what, const object& answer, const std::string& name) {
    const auto is_there = truth_in(answer, "found");
    if (!is_there) return away("answer not understood");
    Found found;
    if (what == What::account) {
      if (const auto* alias = answer.if_contains("alias"); alias != nullptr && alias->is_object()) {
        auto read = alias_from(alias->get_object());
        if (!read || read->name != name) return away("answer not understood");
        found.alias = std::make_shared<const Alias>(std::move(*read));
        return found;
      }
    }
    if (!*is_there) return found;
    const auto* record = answer.if_contains(what == What::domain ? "domain" : "account");
    if (record == nullptr || !record->is_object()) return away("answer not understood");
    if (what == What::domain) {
      auto domain = domain_from(record->get_object());
      if (!domain || domain->name != name) return away("answer not understood");
      found.domain = std::make_shared<const Domain>(std::move(*domain));
    } else {
      auto account = account_from(record->get_object());
      if (!account || account->name != name) return away("answer not understood");
      found.account = std::make_shared<const Account>(std::move(*account));
    }
    return found;
  }

  // The cache: least recently used entries go first.
  struct Entry {
    std::string key;
    Found found;
    std::size_t bytes = 0;
  };

  const Found* cached(const std::string& key, std::uint64_t generation) {
    if (generation != generation_) {
      entries_.clear();
      order_.clear();
      bytes_ = 0;
      generation_ = generation;
      return nullptr;
    }
    const auto at = entries_.find(key);
    if (at == entries_.end()) return nullptr;
    if (at->second->found.until && *at->second->found.until <= std::chrono::steady_clock::now()) {
      const auto place = at->second;
      bytes_ -= place->bytes;
      entries_.erase(at);
      order_.erase(place);
      return nullptr;
    }
    order_.splice(order_.begin(), order_, at->second);
    return &at->second->found;
  }

  void keep(const std::string& key, const Found& found, std::uint64_t generation) {
    // Something changed while the question was under way: the answer may be the old one.
    if (generation != generation_ || generation != generations_.directory() || entries_.contains(key)) return;
    std::size_t bytes = kEntryBytes + 2 * key.size();
    if (found.domain) {
      bytes += sizeof(Domain) + found.domain->name.size() + found.domain->filter.size();
      for (const SigningKey& one : found.domain->signing_keys) bytes += sizeof(SigningKey) + one.selector.size() + one.public_key.size();
      bytes += bytes_of(found.domain->conversion_tags);
      for (const auto& [name, value] : found.domain->attributes) bytes += kAttributeBytes + name.size() + value.size();
    }
    if (found.account) {
      bytes += sizeof(Account) + found.account->name.size() + found.account->mailbox_directory.size() + found.account->filter.size() +
               found.account->description.size();
      for (const auto* texts : {&found.account->forwarding, &found.account->conversion_tags, &found.account->services}) bytes += bytes_of(*texts);
    }
    if (found.alias) bytes += sizeof(Alias) + found.alias->description.size() + bytes_of(found.alias->members);
    if (bytes > settings_.cache_bytes / 4) return;
    order_.push_front(Entry{key, found, bytes});
    entries_.emplace(order_.front().key, order_.begin());
    bytes_ += bytes;
    while (entries_.size() > settings_.cache_entries || bytes_ > settings_.cache_bytes) {
      bytes_ -= order_.back().bytes;
      entries_.erase(order_.back().key);
      order_.pop_back();
    }
  }

  static net::Awaitable<void> say(std::shared_ptr<State> self, object request) {
    const auto ignored = co_await self->asker_.ask(std::move(request));
    static_cast<void>(ignored);
  }

  net::asio::io_context& io_;
  bool closed_ = false;
  const Generations& generations_;
  const ClientSettings settings_;
  net::FrameClient asker_;

  std::list<Entry> order_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> entries_;  // keys point into order_
  std::size_t bytes_ = 0;
  std::uint64_t generation_ = 0;
};

Client::Client(net::asio::io_context& io, int base_directory, const Generations& generations, ClientSettings settings)
    : state_(std::make_shared<State>(io, base_directory, generations, std::move(settings))) {}

Client::~Client() { state_->close(); }

std::size_t Client::cached() const { return state_->cached(); }
std::uint64_t Client::asked() const { return state_->asked(); }

net::Awaitable<Result<bool>> Client::is_local_domain(std::string name) {
  const auto found = co_await domain(std::move(name));
  if (!found) co_return found.error();
  co_return *found != nullptr;
}

net::Awaitable<Result<std::shared_ptr<const Domain>>> Client::domain(std::string name) {
  auto canonical = canonical_domain(name);
  if (!canonical) co_return std::shared_ptr<const Domain>();
  const auto found = co_await State::find(state_, State::What::domain, std::move(*canonical));
  if (!found) co_return found.error();
  co_return found->domain;
}

net::Awaitable<Result<std::shared_ptr<const Account>>> Client::account(std::string name) {
  auto canonical = canonical_account(name);
  if (!canonical) co_return std::shared_ptr<const Account>();
  const auto found = co_await State::find(state_, State::What::account, std::move(*canonical));
  if (!found) co_return found.error();
  if (!found->put_off.empty()) co_return Error{Kind::temporary, found->put_off};
  co_return found->account;
}

net::Awaitable<Result<bool>> Client::login_is_over(std::shared_ptr<const Account> then, std::string service) {
  const auto found = co_await State::find(state_, State::What::account, then->name);
  if (!found) co_return found.error();
  co_return login_over(*then, found->account.get(), service);
}

net::Awaitable<Result<std::shared_ptr<const Alias>>> Client::alias(std::string name) {
  auto canonical = canonical_alias(name);
  if (!canonical) co_return std::shared_ptr<const Alias>();
  const auto found = co_await State::find(state_, State::What::account, std::move(*canonical));
  if (!found) co_return found.error();
  co_return found->alias;
}

net::Awaitable<Result<std::string>> Client::sign(std::string domain, std::string selector, std::string digest) {
  object request;
  request["ask"] = "dkim-sign";
  request["name"] = domain;
  request["selector"] = selector;
  request["digest_hex"] = to_hex(digest);
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  auto signature = from_hex(text_in(*answer, "signature_hex").value_or(""));
  if (!signature || signature->empty()) co_return away("answer not understood");
  co_return std::move(*signature);
}

net::Awaitable<Result<LoginAnswer>> Client::verify(std::string name, std::string password, std::string service, net::Address client) {
  object request(net::wiping_storage());
  request["ask"] = "verify";
  // A name that can't be one is asked for too: the answer must take its time. It must be UTF-8 to travel.
  const auto canonical = canonical_account(name);
  request["name"] = canonical ? *canonical : std::string();
  std::string hexadecimal = to_hex(password);
  request["password_hex"] = hexadecimal;
  request["service"] = service;
  request["client"] = client.to_string();
  wipe(hexadecimal);
  wipe(password);
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  const auto accepted = truth_in(*answer, "accepted");
  if (!accepted) co_return away("answer not understood");
  LoginAnswer login;
  login.reason = text_in(*answer, "reason").value_or("");
  if (*accepted) {
    const auto* record = answer->if_contains("account");
    if (record == nullptr || !record->is_object()) co_return away("answer not understood");
    auto account = account_from(record->get_object());
    if (!account || !canonical || account->name != *canonical) co_return away("answer not understood");
    login.account = std::make_shared<const Account>(std::move(*account));
    login.handle = text_in(*answer, "handle").value_or("");
    login.accepted = true;
  }
  co_return login;
}

namespace {

SaslStep temporary_step(std::string reason) {
  SaslStep step;
  step.login.reason = std::move(reason);
  return step;
}

}  // namespace

class Client::Exchange final : public SaslExchange {
 public:
  Exchange(std::shared_ptr<State> state, SaslRequest request) : state_(std::move(state)), request_(std::move(request)) {}
  ~Exchange() override {
    if (!number_) return;
    object request;
    request["ask"] = "sasl-end";
    request["exchange"] = *number_;
    state_->tell(std::move(request));
  }

  net::Awaitable<SaslStep> step(std::optional<std::string> response) override {
    object request(net::wiping_storage());
    if (number_) {
      request["ask"] = "sasl-step";
      request["exchange"] = *number_;
    } else {
      describe(request);
    }
    if (response) {
      std::string hexadecimal = to_hex(*response);
      request["response_hex"] = hexadecimal;
      wipe(hexadecimal);
      wipe(*response);
    }
    const auto answer = co_await State::ask(state_, std::move(request));
    if (!answer) co_return temporary_step(answer.error().what);
    co_return read(*answer);
  }

 private:
  void describe(object& request) const {
    request["ask"] = "sasl-begin";
    request["mechanism"] = base::is_utf8(request_.mechanism) ? request_.mechanism : std::string();
    request["service"] = request_.service;
    request["client"] = request_.client.to_string();
    request["password_allowed"] = request_.facts.password_allowed;
    request["wants_handle"] = request_.wants_handle;
    request["tls_exporter_hex"] = to_hex(request_.facts.tls_exporter);
    request["tls_unique_hex"] = to_hex(request_.facts.tls_unique);
    boost::json::array addresses;
    for (const std::string& address : request_.facts.certificate_addresses)
      if (base::is_utf8(address)) addresses.emplace_back(address);
    request["certificate_addresses"] = std::move(addresses);
  }

  SaslStep read(const object& answer) {
    number_.reset();
    SaslStep step;
    const auto kind = text_in(answer, "kind");
    const auto data = text_in(answer, "data_hex");
    step.login.reason = text_in(answer, "reason").value_or("");
    step.login_name = text_in(answer, "name").value_or("");
    if (kind == "challenge") {
      number_ = number_in(answer, "exchange");
      auto bytes = data ? from_hex(*data) : std::nullopt;
      if (!number_ || !bytes) return temporary_step("directory: answer not understood");
      step.data = std::move(*bytes);
      step.kind = SaslStep::Kind::challenge;
    } else if (kind == "accepted") {
      const auto* record = answer.if_contains("account");
      auto account = record != nullptr && record->is_object() ? account_from(record->get_object()) : Result<Account>(Error{Kind::invalid, ""});
      if (!account) return temporary_step("directory: answer not understood");
      step.kind = SaslStep::Kind::accepted;
      step.login.accepted = true;
      step.login.account = std::make_shared<const Account>(std::move(*account));
      step.login.handle = text_in(answer, "handle").value_or("");
    } else if (kind == "refused") {
      step.kind = SaslStep::Kind::refused;
    } else if (kind == "malformed") {
      step.kind = SaslStep::Kind::malformed;
    } else {
      step.login.reason = away(step.login.reason).what;
    }
    return step;
  }

  const std::shared_ptr<State> state_;
  const SaslRequest request_;
  std::optional<std::uint64_t> number_;  // while the directory waits for a response
};

net::Awaitable<Result<void>> Client::note_quota(std::string account, base::WallTime full_until) {
  object request;
  request["ask"] = "account-full";
  request["name"] = account;
  request["until"] = base::to_microseconds(full_until);
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  co_return Result<void>();
}

void Client::end_login(std::string handle) {
  object request;
  request["ask"] = "handle-end";
  request["handle"] = handle;
  state_->tell(std::move(request));
}

std::unique_ptr<SaslExchange> Client::begin_sasl(SaslRequest request) { return std::make_unique<Exchange>(state_, std::move(request)); }

net::Awaitable<Result<ScriptList>> Client::scripts(std::string handle) {
  object request;
  request["ask"] = "script-list";
  request["handle"] = handle;
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  const auto outcome = script_outcome_in(*answer);
  if (!outcome) co_return away("answer not understood");
  ScriptList list;
  list.outcome = *outcome;
  if (const auto* scripts = answer->if_contains("scripts"); scripts != nullptr && scripts->is_array()) {
    for (const auto& entry : scripts->get_array()) {
      auto script = entry.is_object() ? script_from(entry.get_object()) : Result<ScriptEntry>(away("answer not understood"));
      if (!script) co_return away("answer not understood");
      list.scripts.push_back(std::move(*script));
    }
  }
  co_return list;
}

net::Awaitable<Result<std::optional<std::string>>> Client::script_of(std::string account, std::string name) {
  if (!check_script_name(name)) co_return std::optional<std::string>();
  object request;
  request["ask"] = "account-script";
  request["name"] = account;
  request["script"] = name;
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  co_return text_in(*answer, "text");
}

net::Awaitable<Result<std::optional<std::string>>> Client::ldap_url(std::string url) {
  // What is not UTF-8 could not travel.
  if (!base::is_utf8(url)) co_return Error{Kind::invalid, "not UTF-8"};
  object request;
  request["ask"] = "ldap-url";
  request["url"] = url;
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  co_return text_in(*answer, "text");
}

net::Awaitable<Result<std::optional<std::string>>> Client::domain_attribute(std::string domain, std::string attribute) {
  const auto known = co_await this->domain(std::move(domain));
  if (!known) co_return known.error();
  if (*known == nullptr) co_return std::nullopt;
  if (const std::string* const value = attribute_of(**known, attribute)) co_return *value;
  if (!has_entry(**known) || !canonical_attribute(attribute)) co_return std::nullopt;
  object request;
  request["ask"] = "ldap-attribute";
  request["name"] = (*known)->name;
  request["attribute"] = attribute;
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  co_return text_in(*answer, "text");
}

net::Awaitable<Result<ScriptText>> Client::script(std::string handle, std::string name) {
  ScriptText text;
  if (!check_script_name(name)) {
    text.outcome = ScriptOutcome::not_found;
    co_return text;
  }
  object request = script_question("script-get", handle, name);
  const auto answer = co_await State::ask(state_, std::move(request));
  if (!answer) co_return answer.error();
  const auto outcome = script_outcome_in(*answer);
  if (!outcome) co_return away("answer not understood");
  text.outcome = *outcome;
  text.text = text_in(*answer, "text").value_or("");
  co_return text;
}

net::Awaitable<Result<ScriptOutcome>> Client::State::script_outcome(std::shared_ptr<State> self, object request) {
  const auto answer = co_await ask(self, std::move(request));
  if (!answer) co_return answer.error();
  const auto outcome = script_outcome_in(*answer);
  if (!outcome) co_return away("answer not understood");
  co_return *outcome;
}

// What is not UTF-8 could not travel; the answer is the directory's all the same.
net::Awaitable<Result<ScriptOutcome>> Client::have_space(std::string handle, std::string name, std::uint64_t bytes) {
  if (!check_script_name(name)) co_return ScriptOutcome::bad_name;
  object request = script_question("script-space", handle, name);
  request["bytes"] = bytes;
  co_return co_await State::script_outcome(state_, std::move(request));
}

net::Awaitable<Result<ScriptOutcome>> Client::put_script(std::string handle, std::string name, std::string text) {
  if (!check_script_name(name)) co_return ScriptOutcome::bad_name;
  if (text.size() > kMaxFilterBytes) co_return ScriptOutcome::too_large;
  if (!base::is_utf8(text) || text.find('\0') != std::string::npos) co_return ScriptOutcome::not_text;
  object request = script_question("script-put", handle, name);
  request["text"] = std::move(text);
  co_return co_await State::script_outcome(state_, std::move(request));
}

net::Awaitable<Result<ScriptOutcome>> Client::remove_script(std::string handle, std::string name) {
  if (!check_script_name(name)) co_return ScriptOutcome::not_found;
  object request = script_question("script-remove", handle, name);
  co_return co_await State::script_outcome(state_, std::move(request));
}

net::Awaitable<Result<ScriptOutcome>> Client::rename_script(std::string handle, std::string name, std::string new_name) {
  if (!check_script_name(name)) co_return ScriptOutcome::not_found;
  if (!check_script_name(new_name)) co_return ScriptOutcome::bad_name;
  object request = script_question("script-rename", handle, name);
  request["new_name"] = std::move(new_name);
  co_return co_await State::script_outcome(state_, std::move(request));
}

net::Awaitable<Result<ScriptOutcome>> Client::activate_script(std::string handle, std::string name) {
  if (!name.empty() && !check_script_name(name)) co_return ScriptOutcome::not_found;
  object request = script_question("script-activate", handle, name);
  co_return co_await State::script_outcome(state_, std::move(request));
}

}  // namespace postern::directory
