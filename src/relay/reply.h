// SPDX-License-Identifier: Apache-2.0
#pragma once
// Replies of the host that mail is sent to (RFC 5321 section 4.2, RFC 2034). The host is a stranger: lines and their number are bounded,
// and what of a reply is kept is printable.
#include "net/asio.h"

#include "net/stream.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::relay {

// RFC 5321 section 4.5.3.1.5 says 512 octets with CRLF; hosts exceed it.
inline constexpr std::size_t kReplyLineBytes = 2048;
inline constexpr std::size_t kReplyLines = 128;
inline constexpr std::size_t kReplyTextBytes = 480;

struct Reply {
  int code = 0;
  std::string status;              // enhanced status code "4.2.0", of the same class as the code; empty: none
  std::vector<std::string> lines;  // behind the code, as they came (without CRLF)

  [[nodiscard]] bool positive() const { return code / 100 == 2; }
  [[nodiscard]] bool permanent() const { return code / 100 == 5; }
  // "450 4.2.0 busy, come later": one printable line, cut.
  [[nodiscard]] std::string text() const;
  // `status`, or what the code alone stands for: "4.0.0", "5.0.0".
  [[nodiscard]] std::string status_or_class() const;
};

// Puts a reply together from its lines.
class ReplyReader {
 public:
  enum class Step { more, complete, malformed };
  Step add(std::string_view line);
  [[nodiscard]] Reply take() { return std::move(reply_); }

 private:
  Reply reply_;
};

// The next reply. Errors: Kind::temporary; the time limit is over, the connection was lost, or what came is no reply. The connection is of
// no more use then.
net::Awaitable<Result<Reply>> read_reply(net::Input& input);

}  // namespace postern::relay
