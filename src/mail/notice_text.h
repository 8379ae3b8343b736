// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a notice to a sender, in words that the administrator can change: what a person reads in a delivery status notification.
//
// A text is UTF-8: some header lines "Name: value", an empty line, and what is shown. Names: Subject and From (a display name) are needed, Line
// and Remote-Line say how one recipient is shown, without and with a remote host that said something. In the values and the text
// %{name} stands for host, sender, recipients (all their lines), subject, arrival, retry_until, id, postmaster; in the two lines for
// address, reason, status, remote. "%%" is a percent sign.
//
// Failure: Kind::invalid with the line and what was expected. Limits: a text has at most kMostNoticeTextBytes.
#include "base/result.h"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace postern::mail {

inline constexpr std::size_t kMostNoticeTextBytes = 64 * 1024;

class NoticeText {
 public:
  static Result<NoticeText> parse(std::string_view text);
  // Our own, in English: "failure", "delay" or "success".
  static const NoticeText& built_in(std::string_view name);
  // The same as it would stand in a file.
  static std::string_view built_in_source(std::string_view name);

  // The value of a name of the list above.
  using Values = std::function<std::string(std::string_view name)>;
  [[nodiscard]] std::string subject(const Values& values) const { return filled(subject_, values); }
  [[nodiscard]] const std::string& from() const { return from_; }
  [[nodiscard]] std::string line(const Values& values, bool remote) const { return filled(remote ? remote_line_ : line_, values); }
  // Line ends are CRLF; those of values stay as they are.
  [[nodiscard]] std::string text(const Values& values) const { return filled(text_, values); }

 private:
  static std::string filled(std::string_view form, const Values& values);
  std::string subject_, from_, line_ = "<%{address}>: %{reason}", remote_line_ = "<%{address}>: %{remote}: %{reason}", text_;
};

}  // namespace postern::mail
