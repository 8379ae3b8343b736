// SPDX-License-Identifier: Apache-2.0
#include "mapping/aliases.h"

#include "base/text.h"

#include <algorithm>
#include <set>

namespace postern::mapping {
namespace {

// As in mail/address.h.
constexpr std::size_t kLocalPartBytes = 256, kDomainBytes = 255, kLabelBytes = 63;

using Aliases = std::map<std::string, std::string>;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// RFC 5322 section 3.2.3, and UTF-8 by RFC 6531.
bool is_atom_character(char c) {
  return base::is_alpha(c) || base::is_digit(c) || static_cast<unsigned char>(c) >= 0x80 ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// The bytes of the local part that `text` begins with; nothing if its quotes don't end.
std::optional<std::size_t> local_part_bytes(std::string_view text) {
  if (!text.starts_with('"')) return std::min(text.find('@'), text.size());
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    else if (text[i] == '"') return i + 1;
  }
  return std::nullopt;
}

const char* wrong_in_local_part(std::string_view local) {
  if (local.empty()) return "nothing stands before the @";
  if (local.size() > kLocalPartBytes) return "the local part is longer than 256 bytes";
  if (local.starts_with('"')) return local.size() == 2 ? "the quotes are empty" : nullptr;
  for (const std::string_view atom : base::split(local, '.')) {
    if (atom.empty()) return "a dot stands at an end of the local part, or two stand together";
    if (std::any_of(atom.begin(), atom.end(), is_blank)) return "a blank stands in it; targets are separated by commas";
    if (!std::all_of(atom.begin(), atom.end(), is_atom_character)) return "a character stands in the local part that needs double quotes around it";
  }
  return nullptr;
}

const char* wrong_in_domain(std::string_view domain) {
  if (domain.empty()) return "nothing stands behind the @";
  if (domain.size() > kDomainBytes) return "the domain is longer than 255 bytes";
  if (std::any_of(domain.begin(), domain.end(), is_blank)) return "a blank stands in it; targets are separated by commas";
  if (domain.find('@') != std::string_view::npos) return "there are two @";
  if (domain.front() == '[') return domain.size() > 2 && domain.find(']') == domain.size() - 1 ? nullptr : "the address literal is not right";
  for (const std::string_view label : base::split(domain, '.')) {
    if (label.empty()) return "a dot stands at an end of the domain, or two stand together";
    if (label.size() > kLabelBytes) return "a label of the domain is longer than 63 bytes";
    for (const char c : label)
      if (!base::is_alpha(c) && !base::is_digit(c) && c != '-' && c != '_' && static_cast<unsigned char>(c) < 0x80)
        return "a character stands in the domain that names can't have";
  }
  return nullptr;
}

std::string_view domain_of(std::string_view name) {
  const std::size_t at = name.rfind('@');
  return at == std::string_view::npos ? std::string_view() : name.substr(at + 1);
}

// The alias that mail for `target` meets next, if the alias `name` sent it there; end() if it is known to be none.
Aliases::const_iterator next_alias(const Aliases& aliases, const std::set<std::string_view>& local_domains, std::string_view name,
                                   const std::string& target) {
  if (const std::string_view domain = domain_of(target); !domain.empty()) {
    const auto whole = aliases.find(target);
    return whole != aliases.end() || !local_domains.contains(domain) ? whole : aliases.find(target.substr(0, target.size() - domain.size() - 1));
  }
  if (const std::string_view domain = domain_of(name); !domain.empty()) {
    const auto whole = aliases.find(target + "@" + std::string(domain));
    if (whole != aliases.end()) return whole;
  }
  return aliases.find(target);
}

}  // namespace

std::optional<std::string> wrong_in_target(std::string_view target) {
  const auto local_bytes = local_part_bytes(target);
  const bool whole_is_local = !local_bytes || *local_bytes == target.size();
  const std::string_view start = target.substr(target.starts_with('"') ? 1 : 0);
  if (start.starts_with('|')) return "a command is no target: it must be an address or a local name";
  if (start.starts_with(':')) return "an include is no target: it must be an address or a local name";
  // "/G=Ann/S=Bell/@gateway.example" is an address.
  if (start.starts_with('/') && whole_is_local) return "a file is no target: it must be an address or a local name";
  if (std::any_of(target.begin(), target.end(), [](char c) { return base::is_control(c) && c != '\t'; })) return "a control byte stands in it";
  if (!base::is_utf8(target)) return "it is not UTF-8";
  if (!local_bytes) return "the double quotes don't end";
  if (const char* wrong = wrong_in_local_part(target.substr(0, *local_bytes))) return wrong;
  if (whole_is_local) return std::nullopt;
  if (target[*local_bytes] != '@') return "something else than @ stands behind the quotes";
  if (const char* wrong = wrong_in_domain(target.substr(*local_bytes + 1))) return wrong;
  return std::nullopt;
}

std::vector<std::vector<std::string_view>> alias_circles(const Aliases& aliases) {
  std::set<std::string_view> local_domains;
  for (const auto& [name, targets] : aliases)
    if (const std::string_view domain = domain_of(name); !domain.empty()) local_domains.insert(domain);

  // Depth first, with a stack of our own: a chain of aliases may be as long as the file.
  struct Step {
    Aliases::const_iterator alias;
    std::vector<std::string_view> targets;
    std::size_t next = 0;
  };
  std::vector<Step> path;
  std::map<std::string_view, std::size_t> place;  // in `path`, from 1; 0: done with
  std::vector<std::vector<std::string_view>> circles;
  const auto enter = [&](Aliases::const_iterator alias) {
    path.push_back({alias, base::split(alias->second, '\0')});
    place[alias->first] = path.size();
  };
  for (auto start = aliases.begin(); start != aliases.end(); ++start) {
    if (place.contains(start->first)) continue;
    enter(start);
    while (!path.empty()) {
      Step& step = path.back();
      if (step.next == step.targets.size()) {
        place[step.alias->first] = 0;
        path.pop_back();
        continue;
      }
      const auto found = next_alias(aliases, local_domains, step.alias->first, base::lower(step.targets[step.next++]));
      if (found == aliases.end() || found == step.alias) continue;
      const auto known = place.find(found->first);
      if (known == place.end()) {
        enter(found);
      } else if (known->second != 0) {
        std::vector<std::string_view>& circle = circles.emplace_back();
        for (std::size_t i = known->second - 1; i < path.size(); ++i) circle.push_back(path[i].alias->first);
      }
    }
  }
  return circles;
}

}  // namespace postern::mapping
