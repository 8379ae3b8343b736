// SPDX-License-Identifier: Apache-2.0
#pragma once
// The text of a message as it comes from the network: DATA with its dots and its end, or the bytes of BDAT chunks.
//
// Strict (RFC 5321 sections 2.3.8 and 4.1.1.4; hardening.md 3): CR and LF come together or not at all, NUL never, and the one end of
// DATA is CRLF.CRLF. Anything looser lets two servers disagree about where a message ends.
//
// Whole runs of lines are copied at once; there is no work a line but the search for its end.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::smtp {

class TextDecoder {
 public:
  enum class Form {
    data,    // dots in front of lines are removed, "." on a line is the end
    chunks,  // RFC 3030: the bytes are the text; whoever feeds counts them
  };
  enum class State {
    more,
    end,      // DATA only: the end was read; what was not consumed belongs to the next command
    garbage,  // a bare CR, a bare LF or NUL: nothing after it can be trusted
  };
  struct Fed {
    std::size_t consumed = 0;
    State state = State::more;
  };

  explicit TextDecoder(Form form, std::size_t line_limit_bytes) : form_(form), line_limit_bytes_(line_limit_bytes) {}

  // Takes what came and appends the text in it to `out`.
  Fed feed(std::string_view bytes, std::string& out);

  // After the last chunk: completes a last line without its end. False if the text ends within a line end.
  [[nodiscard]] bool finish(std::string& out);

  // A line was longer than the limit (it is in the text all the same).
  [[nodiscard]] bool line_too_long() const { return line_too_long_; }

 private:
  enum class At { line_start, dot, dot_cr, line, cr };
  const Form form_;
  const std::size_t line_limit_bytes_;
  At at_ = At::line_start;
  std::size_t line_bytes_ = 0;
  bool line_too_long_ = false;
};

}  // namespace postern::smtp
