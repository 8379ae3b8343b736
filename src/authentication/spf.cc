// SPDX-License-Identifier: Apache-2.0
#include "authentication/spf.h"

#include "authentication/spf_record.h"
#include "base/clock.h"
#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

using net::Awaitable;

// A domain that can have an SPF record (RFC 7208 section 4.3): several labels, none of them impossible.
std::optional<std::string> checked_domain(std::string_view text) {
  if (text.starts_with('[')) return std::nullopt;
  auto name = net::canonical_dns_name(text);
  if (!name || name->find('.') == std::string::npos) return std::nullopt;
  return std::move(*name);
}

Outcome outcome_of(char qualifier) {
  switch (qualifier) {
    case '-': return Outcome::fail;
    case '~': return Outcome::softfail;
    case '?': return Outcome::neutral;
    default: return Outcome::pass;
  }
}

// Whether a mechanism says that it is this client; or the end of the whole check.
struct Match {
  bool yes = false;
  std::optional<Outcome> end;
  std::string reason;
};

Match ended(Outcome outcome, std::string reason) {
  Match match;
  match.end = outcome;
  match.reason = std::move(reason);
  return match;
}

class Check {
 public:
  Check(net::Resolver& resolver, SpfQuestion question) : resolver_(resolver), question_(std::move(question)) {
    facts_.client = question_.client;
    facts_.helo = question_.helo;
    facts_.receiver = question_.receiver;
    facts_.now = base::to_microseconds(base::wall_now()) / 1'000'000;
  }

  Awaitable<SpfAnswer> run() {
    SpfAnswer answer;
    const auto at = question_.sender.rfind('@');
    answer.of_helo = question_.sender.empty();
    const auto domain = checked_domain(answer.of_helo ? std::string_view(question_.helo) : std::string_view(question_.sender).substr(at == std::string::npos ? 0 : at + 1));
    if (!domain) {
      answer.reason = "no domain that can be checked";
      co_return answer;
    }
    answer.domain = *domain;
    // RFC 7208 section 4.3: without a local part it is postmaster.
    std::string local = at == std::string::npos || at == 0 ? "postmaster" : question_.sender.substr(0, at);
    facts_.sender = std::move(local) + "@" + *domain;
    Found found = co_await check_host(*domain, true);
    answer.outcome = found.outcome;
    answer.reason = std::move(found.reason);
    answer.explanation = std::move(found.explanation);
    co_return answer;
  }

 private:
  struct Found {
    Outcome outcome = Outcome::none;
    std::string reason, explanation;
  };
  using Answer = Result<net::DnsAnswer>;

  [[nodiscard]] Match over_limit() const { return ended(Outcome::permerror, "more than " + std::to_string(kMostSpfQuestions) + " terms ask the DNS"); }

  // The question of a term itself. Kind::denied: too many of them had no answer.
  Awaitable<Answer> ask(std::string name, std::uint16_t type, bool of_term = true) {
    if (base::steady_now() >= question_.until) co_return Error{Kind::temporary, "no time left"};
    Answer answer = co_await resolver_.query(std::move(name), type);
    // RFC 7208 section 4.6.4: void look-ups, by terms. The hosts of an MX record that have no address of the client's family are none.
    if (of_term && !answer && answer.error().kind == Kind::not_found && ++void_ > kMostSpfVoid)
      co_return Error{Kind::denied, "more than " + std::to_string(kMostSpfVoid) + " questions to the DNS had no answer"};
    co_return answer;
  }
  static Match trouble(const Error& error) {
    return ended(error.kind == Kind::denied ? Outcome::permerror : Outcome::temperror, error.kind == Kind::denied ? error.what : "the DNS does not answer");
  }

  // RFC 7208 section 4.
  Awaitable<Found> check_host(std::string domain, bool explains) {
    Found found;
    // What is no domain any more after macros have been replaced has no record.
    if (!checked_domain(domain)) {
      found.reason = "no domain that can be checked";
      co_return found;
    }
    if (base::steady_now() >= question_.until) {
      found.outcome = Outcome::temperror;
      found.reason = "no time left";
      co_return found;
    }
    const Answer answer = co_await resolver_.query(domain, net::dns::kTxt);
    if (!answer && answer.error().kind != Kind::not_found) {
      found.outcome = Outcome::temperror;
      found.reason = "the DNS does not answer";
      co_return found;
    }
    std::vector<std::string> texts;
    if (answer) texts = answer->texts();
    std::erase_if(texts, [](const std::string& text) { return !is_spf_record(text); });
    if (texts.empty()) {
      found.reason = "the domain has no record";
      co_return found;
    }
    if (texts.size() > 1) {
      found.outcome = Outcome::permerror;
      found.reason = "the domain has several records";
      co_return found;
    }
    const auto record = parse_spf_record(texts.front());
    if (!record) {
      found.outcome = Outcome::permerror;
      found.reason = record.error().what;
      co_return found;
    }
    const std::string outer = facts_.domain;
    facts_.domain = domain;
    for (const Directive& directive : record->directives) {
      Match match = co_await evaluate(directive, domain);
      if (!match.end && !match.yes) continue;
      found.outcome = match.end ? *match.end : outcome_of(directive.qualifier);
      found.reason = match.end ? match.reason : directive.text;
      if (!match.end && found.outcome == Outcome::fail && explains && !record->explanation.empty()) found.explanation = co_await explain(record->explanation);
      facts_.domain = outer;
      co_return found;
    }
    if (record->redirect.empty()) {
      facts_.domain = outer;
      found.outcome = Outcome::neutral;
      found.reason = "no term matched";
      co_return found;
    }
    // RFC 7208 section 6.1.
    auto next = co_await target(record->redirect, domain);
    facts_.domain = outer;
    const bool limited = ++questions_ > kMostSpfQuestions;
    if (!next || limited) {
      found.outcome = Outcome::permerror;
      found.reason = limited ? over_limit().reason : next.error().what;
      co_return found;
    }
    found = co_await check_host(std::move(*next), explains);
    if (found.outcome == Outcome::none) {
      found.outcome = Outcome::permerror;
      found.reason = "redirect leads to no record";
    }
    co_return found;
  }

  // The domain that a term names.
  Awaitable<Result<std::string>> target(std::string text, std::string domain) {
    if (text.empty()) co_return domain;
    if (asks_validated_name(text)) co_await validate();
    co_return expand_domain(text, facts_);
  }

  Awaitable<Match> evaluate(const Directive& directive, std::string domain) {
    Match match;
    switch (directive.mechanism) {
      case Mechanism::all: match.yes = true; co_return match;
      case Mechanism::ip4:
      case Mechanism::ip6: match.yes = is_within(directive.network, directive); co_return match;
      default: break;
    }
    if (++questions_ > kMostSpfQuestions) co_return over_limit();
    auto name = co_await target(directive.domain, domain);
    if (!name) co_return ended(Outcome::permerror, name.error().what);
    switch (directive.mechanism) {
      case Mechanism::include: {
        // RFC 7208 section 5.2.
        Found inner = co_await check_host(std::move(*name), false);
        facts_.domain = domain;
        switch (inner.outcome) {
          case Outcome::pass: match.yes = true; co_return match;
          case Outcome::temperror: co_return ended(Outcome::temperror, std::move(inner.reason));
          case Outcome::permerror:
          case Outcome::none: co_return ended(Outcome::permerror, directive.text + ": " + inner.reason);
          default: co_return match;
        }
      }
      case Mechanism::a: co_return co_await has_address(std::move(*name), directive);
      case Mechanism::mx: co_return co_await has_exchanger(std::move(*name), directive);
      case Mechanism::ptr: co_return co_await has_name(std::move(*name));
      case Mechanism::exists: {
        const Answer answer = co_await ask(std::move(*name), net::dns::kA);
        if (!answer && answer.error().kind != Kind::not_found) co_return trouble(answer.error());
        match.yes = answer.has_value();
        co_return match;
      }
      default: co_return match;
    }
  }

  [[nodiscard]] bool is_within(const net::Address& address, const Directive& directive) const {
    if (address.family() != question_.client.family()) return false;
    const unsigned bits = address.is_ipv4() ? directive.bits4 : directive.bits6;
    return address.prefix(bits) == question_.client.prefix(bits);
  }

  [[nodiscard]] std::uint16_t address_type() const { return question_.client.is_ipv4() ? net::dns::kA : net::dns::kAaaa; }

  Awaitable<Match> has_address(std::string name, const Directive& directive, bool of_term = true) {
    Match match;
    const Answer answer = co_await ask(std::move(name), address_type(), of_term);
    if (!answer && answer.error().kind != Kind::not_found) co_return trouble(answer.error());
    if (!answer) co_return match;
    const auto addresses = answer->addresses();
    match.yes = std::any_of(addresses.begin(), addresses.end(), [&](const net::Address& one) { return is_within(one, directive); });
    co_return match;
  }

  Awaitable<Match> has_exchanger(std::string name, const Directive& directive) {
    Match match;
    const Answer answer = co_await ask(std::move(name), net::dns::kMx);
    if (!answer && answer.error().kind != Kind::not_found) co_return trouble(answer.error());
    if (!answer) co_return match;
    const auto hosts = answer->mail_exchangers();
    if (hosts.size() > kMostSpfHosts) co_return ended(Outcome::permerror, "mx has more than " + std::to_string(kMostSpfHosts) + " hosts");
    for (const net::MailExchanger& host : hosts) {
      if (host.host == ".") continue;
      match = co_await has_address(host.host, directive, false);
      if (match.yes || match.end) co_return match;
    }
    co_return match;
  }

  // RFC 7208 section 5.5: names that don't lead back, and errors on the way, are skipped.
  Awaitable<std::vector<std::string>> confirmed_names() {
    if (names_) co_return *names_;
    std::vector<std::string> confirmed;
    if (base::steady_now() < question_.until) {
      const Answer pointers = co_await resolver_.query(net::reverse_name(question_.client), net::dns::kPtr);
      std::vector<std::string> names;
      if (pointers) names = pointers->names();
      if (names.size() > kMostSpfHosts) names.resize(kMostSpfHosts);
      for (std::string& name : names) {
        if (base::steady_now() >= question_.until) break;
        const Answer answer = co_await resolver_.query(name, address_type());
        if (!answer) continue;
        const auto addresses = answer->addresses();
        if (std::find(addresses.begin(), addresses.end(), question_.client) != addresses.end()) confirmed.push_back(std::move(name));
      }
    }
    names_ = confirmed;
    co_return confirmed;
  }

  static bool is_at_or_below(std::string_view name, std::string_view domain) {
    return name == domain || (name.size() > domain.size() && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.');
  }

  Awaitable<Match> has_name(std::string domain) {
    Match match;
    const std::string wanted = base::lower(domain);
    const auto names = co_await confirmed_names();
    match.yes = std::any_of(names.begin(), names.end(), [&](const std::string& name) { return is_at_or_below(name, wanted); });
    co_return match;
  }

  // %{p} (RFC 7208 section 7.3): the domain itself is best, then one below it, then any.
  Awaitable<void> validate() {
    facts_.validated = "unknown";
    // It counts as a term that asks (RFC 7208 section 4.6.4).
    if (!names_ && ++questions_ > kMostSpfQuestions) co_return;
    const auto names = co_await confirmed_names();
    if (names.empty()) co_return;
    auto best = std::find(names.begin(), names.end(), facts_.domain);
    if (best == names.end()) best = std::find_if(names.begin(), names.end(), [&](const std::string& name) { return is_at_or_below(name, facts_.domain); });
    facts_.validated = best == names.end() ? names.front() : *best;
  }

  // RFC 7208 section 6.2: whatever goes wrong here, there is no explanation.
  Awaitable<std::string> explain(std::string where) {
    if (asks_validated_name(where)) co_await validate();
    auto name = expand_domain(where, facts_);
    if (!name || base::steady_now() >= question_.until) co_return std::string();
    const Answer answer = co_await resolver_.query(std::move(*name), net::dns::kTxt);
    if (!answer) co_return std::string();
    const auto texts = answer->texts();
    if (texts.size() != 1) co_return std::string();
    if (asks_validated_name(texts.front())) co_await validate();
    const auto text = expand_macros(texts.front(), facts_, true);
    if (!text || !std::all_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) co_return std::string();
    co_return base::printable(*text, kExplanationBytes);
  }

  net::Resolver& resolver_;
  SpfQuestion question_;
  MacroFacts facts_;
  unsigned questions_ = 0, void_ = 0;
  std::optional<std::vector<std::string>> names_;
};

}  // namespace

SpfQuestion spf_question(const net::Address& client, std::string helo, std::string sender, std::string receiver, std::chrono::seconds time) {
  return {client, std::move(helo), std::move(sender), std::move(receiver), base::steady_now() + time};
}

Awaitable<SpfAnswer> check_spf(net::Resolver& resolver, SpfQuestion question) {
  Check check(resolver, std::move(question));
  SpfAnswer answer = co_await check.run();
  co_return answer;
}

}  // namespace postern::authentication
