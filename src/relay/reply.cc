// SPDX-License-Identifier: Apache-2.0
#include "relay/reply.h"

#include "base/text.h"

namespace postern::relay {
namespace {

// "4.2.0" at the start of `text`, with the class of `code` (RFC 3463 section 2); empty: none.
std::string enhanced_status(std::string_view text, int code) {
  const auto end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  const auto parts = base::split(word, '.');
  if (parts.size() != 3 || parts[0].size() != 1 || parts[0][0] - '0' != code / 100) return {};
  for (const std::string_view part : {parts[1], parts[2]})
    if (part.empty() || part.size() > 3 || !base::number_from<unsigned>(part)) return {};
  return std::string(word);
}

}  // namespace

std::string Reply::text() const {
  std::string joined = std::to_string(code);
  for (const std::string& line : lines) {
    if (joined.size() > kReplyTextBytes) break;
    std::string_view rest = line;
    // The enhanced code stands in every line; once is enough.
    if (&line != &lines.front() && !status.empty() && rest.starts_with(status)) rest.remove_prefix(status.size());
    rest = base::trim(rest);
    if (!rest.empty()) joined += " " + std::string(rest);
  }
  return base::printable(joined, kReplyTextBytes);
}

std::string Reply::status_or_class() const { return status.empty() ? std::to_string(code / 100) + ".0.0" : status; }

ReplyReader::Step ReplyReader::add(std::string_view line) {
  if (reply_.lines.size() == kReplyLines || line.size() < 3 || line[0] < '2' || line[0] > '5' || !base::is_digit(line[1]) || !base::is_digit(line[2]))
    return Step::malformed;
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  const char sign = line.size() == 3 ? ' ' : line[3];
  if ((sign != ' ' && sign != '-') || (reply_.code != 0 && reply_.code != code)) return Step::malformed;
  const std::string_view text = line.size() > 4 ? line.substr(4) : std::string_view();
  if (reply_.code == 0) reply_.status = enhanced_status(text, code);
  reply_.code = code;
  reply_.lines.emplace_back(text);
  return sign == ' ' ? Step::complete : Step::more;
}

net::Awaitable<Result<Reply>> read_reply(net::Input& input) {
  ReplyReader reader;
  std::string line;
  for (;;) {
    auto read = co_await input.read_line(line, kReplyLineBytes);
    if (!read) co_return Error{Kind::temporary, read.error().what};
    switch (*read) {
      case net::Input::Line::complete: break;
      case net::Input::Line::end: co_return Error{Kind::temporary, "the host closed the connection"};
      case net::Input::Line::too_long: co_return Error{Kind::temporary, "the host's reply has too long a line"};
      case net::Input::Line::garbage: co_return Error{Kind::temporary, "the host's reply has a bad line end, or too long a line"};
    }
    switch (reader.add(line)) {
      case ReplyReader::Step::more: continue;
      case ReplyReader::Step::complete: co_return reader.take();
      case ReplyReader::Step::malformed: co_return Error{Kind::temporary, "what the host sent is no reply: " + base::printable(line, 100)};
    }
  }
}

}  // namespace postern::relay
