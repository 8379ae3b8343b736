// SPDX-License-Identifier: Apache-2.0
#include "mail/notice_text.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace postern::mail {
namespace {

// As share/postern/notices/en has them; a test compares.
constexpr std::pair<std::string_view, std::string_view> kBuiltIn[] = {
    {"failure", R"(Subject: Undelivered mail returned to its sender
From: Mail Delivery System
Line: <%{address}>: %{reason}
Remote-Line: <%{address}>: the host %{remote} said: %{reason}

This is the mail system of %{host}.

Your message of %{arrival} could not be delivered to the recipients below. It will not be tried again.

%{recipients}

Please write to %{postmaster} if you need help, and add this notice.
The technical report and your message, or the beginning of it, are attached.
)"},
    {"delay", R"(Subject: Your message takes longer than usual
From: Mail Delivery System
Line: <%{address}>: %{reason}
Remote-Line: <%{address}>: the host %{remote} said: %{reason}

This is the mail system of %{host}.

THIS IS A WARNING ONLY. YOU NEED NOT SEND YOUR MESSAGE AGAIN.

Your message of %{arrival} could not be delivered yet to the recipients below. It will be tried until %{retry_until}.

%{recipients}

Please write to %{postmaster} if you need help, and add this notice.
)"},
    {"success", R"(Subject: Your message has been delivered
From: Mail Delivery System
Line: <%{address}>: %{reason}
Remote-Line: <%{address}>: the host %{remote} said: %{reason}

This is the mail system of %{host}.

You asked to be told of it: this became of your message of %{arrival}.

%{recipients}
)"},
};

constexpr std::array<std::string_view, 8> kNames = {"host", "sender", "recipients", "subject", "arrival", "retry_until", "id", "postmaster"};
constexpr std::array<std::string_view, 4> kLineNames = {"address", "reason", "status", "remote"};

Error wrong(int line, const std::string& what) { return {Kind::invalid, "line " + std::to_string(line) + ": " + what}; }

// Visits the pieces of `form`: text as it stands, and the names between %{ and }. False: a name has no end.
template <class Text, class Name>
bool each_piece(std::string_view form, Text on_text, Name on_name) {
  while (!form.empty()) {
    const auto percent = std::min(form.find('%'), form.size());
    on_text(form.substr(0, percent));
    form.remove_prefix(percent);
    if (form.starts_with("%{")) {
      const auto end = form.find('}');
      if (end == std::string_view::npos) return false;
      on_name(form.substr(2, end - 2));
      form.remove_prefix(end + 1);
    } else if (form.starts_with("%%")) {
      on_text("%");
      form.remove_prefix(2);
    } else if (!form.empty()) {
      on_text("%");
      form.remove_prefix(1);
    }
  }
  return true;
}

Result<void> check_names(std::string_view form, int line, std::span<const std::string_view> names) {
  std::string unknown;
  const bool ended = each_piece(form, [](std::string_view) {}, [&](std::string_view name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) unknown = name;
  });
  if (!ended) return wrong(line, "expected } behind %{");
  if (unknown.empty()) return {};
  std::string known;
  for (const std::string_view name : names) known.append(known.empty() ? "" : ", ").append(name);
  return wrong(line, "expected one of " + known + " between %{ and }, found \"" + base::printable(unknown, 64) + "\"");
}

}  // namespace

Result<NoticeText> NoticeText::parse(std::string_view text) {
  if (text.size() > kMostNoticeTextBytes) return Error{Kind::invalid, "the text has more than " + std::to_string(kMostNoticeTextBytes) + " bytes"};
  if (!base::is_utf8(text) || text.find('\0') != std::string_view::npos) return Error{Kind::invalid, "expected UTF-8"};
  NoticeText made;
  int number = 0;
  bool in_header = true;
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!in_header) {
      if (auto checked = check_names(line, number, kNames); !checked) return checked.error();
      made.text_.append(line).append("\r\n");
      continue;
    }
    if (line.empty()) {
      in_header = false;
      continue;
    }
    const auto colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = colon == std::string_view::npos ? std::string_view() : base::trim(line.substr(colon + 1));
    const bool of_line = base::equal_ignoring_case(name, "Line") || base::equal_ignoring_case(name, "Remote-Line");
    std::string* const target = base::equal_ignoring_case(name, "Subject")       ? &made.subject_
                                : base::equal_ignoring_case(name, "From")        ? &made.from_
                                : base::equal_ignoring_case(name, "Line")        ? &made.line_
                                : base::equal_ignoring_case(name, "Remote-Line") ? &made.remote_line_
                                                                                 : nullptr;
    if (target == nullptr || value.empty()) return wrong(number, "expected \"Subject: \", \"From: \", \"Line: \" or \"Remote-Line: \" and a value, or an empty line");
    if (std::any_of(value.begin(), value.end(), base::is_control)) return wrong(number, "expected a value without control characters");
    auto checked = check_names(value, number, of_line ? std::span<const std::string_view>(kLineNames) : std::span<const std::string_view>(kNames));
    if (!checked) return checked.error();
    *target = value;
  }
  if (made.subject_.empty() || made.from_.empty()) return wrong(number, "expected lines \"Subject: \" and \"From: \" above the first empty line");
  if (made.text_.empty()) return wrong(number, "expected an empty line and a text behind it");
  return made;
}

std::string_view NoticeText::built_in_source(std::string_view name) {
  for (const auto& [known, source] : kBuiltIn)
    if (known == name) return source;
  return kBuiltIn[0].second;
}

const NoticeText& NoticeText::built_in(std::string_view name) {
  static const std::array<NoticeText, std::size(kBuiltIn)> all = [] {
    std::array<NoticeText, std::size(kBuiltIn)> made;
    for (std::size_t i = 0; i < made.size(); ++i) {
      auto parsed = parse(kBuiltIn[i].second);
      POSTERN_ASSERT(parsed.has_value());
      made[i] = std::move(*parsed);
    }
    return made;
  }();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (kBuiltIn[i].first == name) return all[i];
  return all[0];
}

std::string NoticeText::filled(std::string_view form, const Values& values) {
  std::string out;
  static_cast<void>(each_piece(form, [&](std::string_view text) { out.append(text); }, [&](std::string_view name) { out += values(name); }));
  return out;
}

}  // namespace postern::mail
