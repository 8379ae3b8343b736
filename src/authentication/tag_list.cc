// SPDX-License-Identifier: Apache-2.0
#include "authentication/tag_list.h"

#include "base/base64.h"
#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

bool is_folding(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool is_tag_name(std::string_view name) {
  if (name.empty() || !base::is_alpha(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '_'; });
}

}  // namespace

std::string_view trim_folding(std::string_view text) {
  while (!text.empty() && is_folding(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_folding(text.back())) text.remove_suffix(1);
  return text;
}

Result<TagList> TagList::parse(std::string_view text) {
  if (text.size() > kMostTagListBytes) return Error{Kind::invalid, "too long"};
  // RFC 8616 section 5 lets values be UTF-8; control characters nobody may have.
  if (std::any_of(text.begin(), text.end(), [](char c) { return base::is_control(c) && !is_folding(c); })) return Error{Kind::invalid, "a control character"};
  TagList list;
  for (std::string_view rest = text; !trim_folding(rest).empty();) {
    const auto end = std::min(rest.find(';'), rest.size());
    const std::string_view one = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = one.find('=');
    if (equals == std::string_view::npos) return Error{Kind::invalid, "expected tag=value"};
    const std::string_view name = trim_folding(one.substr(0, equals));
    if (!is_tag_name(name)) return Error{Kind::invalid, "not a tag: " + base::printable(name, 40)};
    if (list.find(name)) return Error{Kind::invalid, "tag " + std::string(name) + " stands there twice"};
    if (list.tags_.size() == kMostTags) return Error{Kind::invalid, "too many tags"};
    list.tags_.push_back({name, one.substr(equals + 1)});
  }
  return list;
}

std::optional<std::string_view> TagList::find(std::string_view name) const {
  for (const Tag& tag : tags_)
    if (tag.name == name) return trim_folding(tag.whole);
  return std::nullopt;
}

std::string_view TagList::whole(std::string_view name) const {
  for (const Tag& tag : tags_)
    if (tag.name == name) return tag.whole;
  return {};
}

std::string without_blanks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return !is_folding(c); });
  return out;
}

std::vector<std::string_view> colon_list(std::string_view text) {
  std::vector<std::string_view> parts = base::split(text, ':');
  for (std::string_view& part : parts) part = trim_folding(part);
  return parts;
}

std::optional<std::string> folded_base64(std::string_view text) {
  std::string bytes = without_blanks(text);
  // Keys in the DNS come without padding too.
  while (bytes.size() % 4 != 0 && bytes.size() % 4 != 1) bytes += '=';
  return base::from_base64(bytes);
}

}  // namespace postern::authentication
