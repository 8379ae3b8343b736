// SPDX-License-Identifier: Apache-2.0
#include "policy/rewrite.h"

#include "base/text.h"
#include "net/address.h"
#include "policy/site.h"
#include "policy/table_answer.h"

#include <algorithm>

namespace postern::policy {
namespace {

// access-control.md 3.3, and the match-all for the outside world.
constexpr std::string_view kShipped[] = {
    "[]  $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_internal-daemon",
    ".   $U%$H$D@tcp_local-daemon",
};
constexpr unsigned kRounds = 10;
constexpr std::string_view kDaemon = "-daemon";

using Piece = RewriteRules::Piece;
using Rule = RewriteRules::Rule;

// The address in "[192.0.2.1]", "[IPv6:2001:db8::1]" or "[2001:db8::1]".
std::optional<net::Address> literal_address(std::string_view host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return std::nullopt;
  std::string_view text = host.substr(1, host.size() - 2);
  if (base::starts_with_ignoring_case(text, "IPv6:")) text.remove_prefix(5);
  auto address = net::Address::parse(text);
  if (!address || text.empty() || text.front() == '[') return std::nullopt;
  return *address;
}

std::string normal_host(std::string_view host) {
  if (const auto address = literal_address(host)) return "[" + address->to_literal() + "]";
  return base::lower(host);
}

// Patterns as they are looked up: lower case, addresses in their shortest form.
std::string normal_pattern(std::string_view pattern) { return base::lower(normal_host(pattern)); }

// What is wrong with a pattern, or nothing.
std::optional<std::string> wrong_pattern(std::string_view pattern) {
  if (pattern == "." || pattern == "[]") return std::nullopt;
  if (pattern.front() == '[') {
    if (literal_address(pattern)) return std::nullopt;
    // [192.] [192.0.] [192.0.2.]
    const auto parts = base::split(pattern.substr(1, pattern.size() - 2), '.');
    bool good = pattern.back() == ']' && parts.size() >= 2 && parts.size() <= 4 && parts.back().empty();
    for (std::size_t i = 0; good && i + 1 < parts.size(); ++i) {
      const auto number = base::number_from<std::uint8_t>(parts[i]);
      good = number && std::to_string(*number) == parts[i];
    }
    if (good) return std::nullopt;
    return "expected an address literal or its beginning, like [192.0.2.1], [192.0.] or []";
  }
  for (const std::string_view label : base::split(pattern.front() == '.' ? pattern.substr(1) : pattern, '.')) {
    bool good = !label.empty();
    for (const char c : label) good = good && (base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_' || static_cast<unsigned char>(c) >= 0x80);
    if (!good) return "expected a host name, with a dot in front for all names below it";
  }
  return std::nullopt;
}

// A template in its parts; '@' and '%' that stand in the template itself are parts of their own.
struct Token {
  enum class Kind { piece, at, percent } kind = Kind::piece;
  Piece piece;
};

class TemplateReader {
 public:
  explicit TemplateReader(std::string_view text) : text_(text) {}

  // Reads the whole template into `rule` (all but channel's existence). What is wrong, or nothing.
  std::optional<std::string> read(Rule& rule) {
    std::vector<Token> tokens;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '@' || c == '%') {
        tokens.push_back({c == '@' ? Token::Kind::at : Token::Kind::percent, {}});
        ++at_;
      } else if (c == '$') {
        if (at_ + 1 == text_.size()) return "'$' at the end of the template";
        const char control = text_[at_ + 1];
        if (control == 'E' || control == 'B' || control == 'R' || control == 'F') {
          (control == 'E' ? rule.envelope_only : control == 'B' ? rule.header_only : control == 'R' ? rule.backward_only : rule.forward_only) = true;
          at_ += 2;
          continue;
        }
        Piece piece;
        if (auto wrong = read_sequence(piece)) return wrong;
        tokens.push_back({Token::Kind::piece, std::move(piece)});
      } else {
        const auto end = std::min(text_.find_first_of("$@%", at_), text_.size());
        tokens.push_back({Token::Kind::piece, {Piece::Kind::text, std::string(text_.substr(at_, end - at_)), {}}});
        at_ = end;
      }
    }
    return arrange(tokens, rule);
  }

 private:
  std::optional<std::string> read_sequence(Piece& piece) {
    const char letter = text_[at_ + 1];
    at_ += 2;
    switch (letter) {
      case 'U': piece.kind = Piece::Kind::local_part; return std::nullopt;
      case 'H': piece.kind = Piece::Kind::host_in_front; return std::nullopt;
      case 'D': piece.kind = Piece::Kind::matched; return std::nullopt;
      case 'L': piece.kind = Piece::Kind::literal; return std::nullopt;
      case '{': return read_table(piece);
      default: return std::string("unknown sequence \"$") + base::printable(std::string_view(&letter, 1)) + "\"; known: $U $H $D $L $E $B $R $F ${TABLE,argument}";
    }
  }

  std::optional<std::string> read_table(Piece& piece) {
    const auto end = text_.find('}', at_);
    if (end == std::string_view::npos) return "\"${\" without its '}'";
    const std::string_view inside = text_.substr(at_, end - at_);
    const auto comma = inside.find(',');
    if (comma == std::string_view::npos || comma == 0) return "expected ${TABLE,argument}";
    piece.kind = Piece::Kind::table;
    piece.text = inside.substr(0, comma);
    TemplateReader argument(inside.substr(comma + 1));
    while (argument.at_ < argument.text_.size()) {
      Piece part;
      if (argument.text_[argument.at_] == '$') {
        if (argument.at_ + 1 == argument.text_.size() || argument.text_[argument.at_ + 1] == '{')
          return "expected $U, $H, $D or $L in the argument of a table";
        if (auto wrong = argument.read_sequence(part)) return wrong;
      } else {
        const auto stop = std::min(argument.text_.find('$', argument.at_), argument.text_.size());
        part.text = argument.text_.substr(argument.at_, stop - argument.at_);
        argument.at_ = stop;
      }
      piece.argument.push_back(std::move(part));
    }
    at_ = end + 1;
    return std::nullopt;
  }

  static std::optional<std::string> arrange(const std::vector<Token>& tokens, Rule& rule) {
    std::size_t at = tokens.size();
    while (at > 0 && tokens[at - 1].kind != Token::Kind::at) --at;
    if (at == 0) return "expected local%host@CHANNEL-daemon or local@host";
    const std::size_t behind = at;  // first token behind the last '@'
    --at;
    std::size_t percent = at;
    while (percent > 0 && tokens[percent - 1].kind != Token::Kind::percent) --percent;
    const auto copy = [&](std::size_t from, std::size_t to, std::vector<Piece>& into) {
      for (std::size_t i = from; i < to; ++i) {
        if (tokens[i].kind == Token::Kind::piece) into.push_back(tokens[i].piece);
        else into.push_back({Piece::Kind::text, tokens[i].kind == Token::Kind::at ? "@" : "%", {}});
      }
    };
    std::string tag;
    if (behind + 1 == tokens.size() && tokens[behind].kind == Token::Kind::piece && tokens[behind].piece.kind == Piece::Kind::text)
      tag = base::lower(tokens[behind].piece.text);
    const bool is_tag = tag.size() > kDaemon.size() && tag.ends_with(kDaemon);
    if (percent > 0) {
      if (!is_tag) return "expected a channel's name with -daemon behind '@'";
      rule.channel = tag.substr(0, tag.size() - kDaemon.size());
      copy(0, percent - 1, rule.local_part);
      copy(percent, at, rule.host);
    } else {
      if (is_tag) return "expected local%host in front of a channel's tag";
      copy(0, at, rule.local_part);
      copy(behind, tokens.size(), rule.host);
    }
    if (rule.host.empty()) return "the host part is empty";
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// The address that is being rewritten, as one pattern sees it.
struct Matched {
  std::string local_part, host_in_front, matched, literal;
};

struct Expanded {
  std::string text;
  bool failed = false;     // a table said no: the rule does not hold
  std::string failed_table;
  bool temporary = false;  // a table used up its steps
  bool lasts = true;       // as Rewritten::lasts
};

void append_plain(std::string& text, const Piece& piece, const Matched& matched) {
  switch (piece.kind) {
    case Piece::Kind::text: text += piece.text; break;
    case Piece::Kind::local_part: text += matched.local_part; break;
    case Piece::Kind::host_in_front: text += matched.host_in_front; break;
    case Piece::Kind::matched: text += matched.matched; break;
    case Piece::Kind::literal: text += matched.literal; break;
    case Piece::Kind::table: break;
  }
}

net::Awaitable<Expanded> expand(const Site& site, const mapping::Tables& tables, Questions& questions, const std::vector<Piece>& pieces,
                                const Matched& matched, ProbeObserver* observer) {
  Expanded expanded;
  QuestionFacts facts;
  facts.clients = &site.clients;
  for (const Piece& piece : pieces) {
    if (piece.kind != Piece::Kind::table) {
      append_plain(expanded.text, piece, matched);
      continue;
    }
    std::string probe;
    for (const Piece& part : piece.argument) append_plain(probe, part, matched);
    const mapping::Mapped mapped = co_await ask_table(tables, piece.text, probe, mapping::Flags(), questions, facts, explanation_of(observer) != nullptr);
    if (observer != nullptr && base::equal_ignoring_case(piece.text, "INTERNAL_IP") &&
        (tables.has(piece.text) || observer->wants_missing("INTERNAL_IP")))
      observer->asked("INTERNAL_IP", mapping::Flags(), probe, mapped, tables.generation());
    expanded.lasts = expanded.lasts && lasts(mapped, site.clients);
    expanded.temporary = mapped.step_limit_exceeded;
    expanded.failed = !mapped.matched || !mapped.flags.has_either_case('Y');
    expanded.failed_table = piece.text;
    if (expanded.temporary || expanded.failed) co_return expanded;
    expanded.text += mapped.output;
  }
  co_return expanded;
}

// One way in which a pattern may fit the host. Parts of the host, and of `made`.
struct Candidate {
  std::string_view pattern;
  std::string_view host_in_front, matched;
  bool ask_directory = false;  // not a pattern: is the host a local domain?
};

std::vector<Candidate> candidates(std::string_view host, std::string& literal, std::vector<std::string>& made) {
  std::vector<Candidate> list;
  list.reserve(8);
  if (host.starts_with('[')) {
    const auto address = literal_address(host);
    literal = address ? address->to_string() : std::string(host.substr(1, host.size() - (host.ends_with(']') ? 2 : 1)));
    made.push_back(base::lower(host));
    if (address && address->is_ipv4()) {
      std::string part = "[" + literal;
      for (int i = 0; i < 3; ++i) {
        part.resize(part.rfind('.', part.size() - 2) + 1);
        made.push_back(part + "]");
      }
    }
    for (const std::string& pattern : made) list.push_back({pattern, "", host});
    list.push_back({"[]", "", host});
  } else {
    list.push_back({host, "", host});
    list.push_back({"", "", host, true});
    for (auto dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1))
      list.push_back({host.substr(dot), host.substr(0, dot), host.substr(dot)});
  }
  list.push_back({".", host, ""});
  return list;
}

}  // namespace

RewriteRules RewriteRules::shipped(const Channels& channels) {
  std::vector<conf::TextLine> lines;
  for (const std::string_view text : kShipped) lines.push_back({std::string(text), {}});
  std::vector<conf::Mistake> mistakes;
  RewriteRules rules = parse(lines, channels, mistakes);
  POSTERN_ASSERT(mistakes.empty());
  return rules;
}

RewriteRules RewriteRules::parse(const std::vector<conf::TextLine>& lines, const Channels& channels, std::vector<conf::Mistake>& mistakes) {
  if (lines.empty()) return shipped(channels);
  RewriteRules rules;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view text = base::trim(lines[i].text);
    if (text.empty() || text.front() == '!') continue;
    const auto mistake = [&](std::string what) {
      mistakes.push_back({lines[i].place, "rewrite[" + std::to_string(i) + "]", std::move(what)});
    };
    const auto blank = text.find_first_of(" \t");
    if (blank == std::string_view::npos) {
      mistake("expected a pattern, blanks and a template");
      continue;
    }
    const std::string_view pattern = text.substr(0, blank);
    const std::string_view body = base::trim(text.substr(blank));
    if (body.find_first_of(" \t") != std::string_view::npos) {
      mistake("text behind the template");
      continue;
    }
    if (auto wrong = wrong_pattern(pattern)) {
      mistake(std::move(*wrong));
      continue;
    }
    Rule rule;
    rule.place = lines[i].place;
    rule.text = std::string(pattern) + " " + std::string(body);
    if (auto wrong = TemplateReader(body).read(rule)) {
      mistake(std::move(*wrong));
      continue;
    }
    if (!rule.channel.empty()) {
      const Channel* channel = channels.find(rule.channel);
      if (channel == nullptr) {
        mistake("there is no channel \"" + base::printable(rule.channel, 64) + "\"");
        continue;
      }
      rule.channel = channel->name;
    }
    rules.rules_[normal_pattern(pattern)].push_back(std::move(rule));
  }
  return rules;
}

const std::vector<Rule>* RewriteRules::find(std::string_view pattern) const {
  const auto found = rules_.find(pattern);
  return found == rules_.end() ? nullptr : &found->second;
}

net::Awaitable<Rewritten> rewrite(const Site& site, const mapping::Tables& tables, directory::Lookups* directory, Questions& questions,
                                  Direction direction, std::string local_part, std::string host, ProbeObserver* observer, bool pass_over_deferred) {
  Rewritten result;
  Explanation* const explanation = explanation_of(observer);
  const auto explain = [&](const std::string& rule, const conf::Place& place, std::string reason, const std::string& new_local,
                           const std::string& new_host, const std::string& channel) {
    if (explanation == nullptr) return;
    RewriteStep step{local_part + "@" + host, rule, place, reason.empty(), std::move(reason), {}, channel};
    if (step.held) step.result = new_local + "@" + new_host;
    explanation->rewriting(step);
  };
  host = normal_host(host);
  for (unsigned round = 0; round <= kRounds; ++round) {
    Matched matched;
    std::vector<std::string> made;
    const std::vector<Candidate> list = candidates(host, matched.literal, made);
    matched.local_part = local_part;
    bool again = false;
    for (const Candidate& candidate : list) {
      if (candidate.ask_directory) {
        if (directory == nullptr) continue;
        const Result<bool> local = co_await directory->is_local_domain(host);
        result.lasts = false;
        if (!local) {
          result.outcome = Rewritten::Outcome::temporary;
          result.reason = local.error().what;
          co_return result;
        }
        if (!*local) continue;
        explain("local domain", {}, {}, local_part, host, "l");
        result.outcome = Rewritten::Outcome::done;
        result.local_part = std::move(local_part);
        result.host = std::move(host);
        result.channel = "l";
        co_return result;
      }
      const auto* rules = site.rewrite.find(candidate.pattern);
      if (rules == nullptr) continue;
      matched.host_in_front = candidate.host_in_front;
      matched.matched = candidate.matched;
      for (const Rule& rule : *rules) {
        if (rule.header_only) {
          explain(rule.text, rule.place, "$B: for header addresses only", {}, {}, {});
          continue;
        }
        if (direction == Direction::forward ? rule.backward_only : rule.forward_only) {
          explain(rule.text, rule.place, rule.backward_only ? "$R: for backward-pointing addresses only" : "$F: for forward-pointing addresses only", {}, {}, {});
          continue;
        }
        const Expanded new_local = co_await expand(site, tables, questions, rule.local_part, matched, observer);
        result.lasts = result.lasts && new_local.lasts;
        if (new_local.temporary || new_local.failed) {
          explain(rule.text, rule.place, "table " + new_local.failed_table + " did not answer Y", {}, {}, {});
          if (!new_local.temporary) continue;
          result.outcome = Rewritten::Outcome::temporary;
          result.reason = "a mapping table called by a rewriting rule used up its steps";
          co_return result;
        }
        const Expanded new_host = co_await expand(site, tables, questions, rule.host, matched, observer);
        result.lasts = result.lasts && new_host.lasts;
        if (new_host.temporary || new_host.failed) {
          explain(rule.text, rule.place, "table " + new_host.failed_table + " did not answer Y", {}, {}, {});
          if (!new_host.temporary) continue;
          result.outcome = Rewritten::Outcome::temporary;
          result.reason = "a mapping table called by a rewriting rule used up its steps";
          co_return result;
        }
        const bool passes_over = pass_over_deferred && is_deferred(rule.channel);
        if (passes_over && new_local.text == local_part && normal_host(new_host.text) == host) {
          explain(rule.text, rule.place, "the address has been through channel " + rule.channel, {}, {}, {});
          continue;
        }
        explain(rule.text, rule.place, {}, new_local.text, normal_host(new_host.text), passes_over ? std::string() : rule.channel);
        local_part = new_local.text;
        host = normal_host(new_host.text);
        if (!rule.channel.empty() && !passes_over) {
          result.outcome = Rewritten::Outcome::done;
          result.local_part = std::move(local_part);
          result.host = std::move(host);
          result.channel = rule.channel;
          co_return result;
        }
        again = true;
        break;
      }
      if (again) break;
    }
    if (!again) co_return result;  // no rule
  }
  result.outcome = Rewritten::Outcome::too_many_rounds;
  co_return result;
}

}  // namespace postern::policy
