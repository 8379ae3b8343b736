// SPDX-License-Identifier: Apache-2.0
// What a site daemon may answer, the same whole and in pieces; and the same bytes as a URL.
#include "base/result.h"
#include "policy/site_daemons.h"
#include "policy/urls.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace postern;
using State = policy::DaemonAnswer::State;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const policy::DaemonAnswer whole = policy::read_daemon_answer(bytes);
  POSTERN_ASSERT(whole.text.size() <= policy::kDaemonLineBytes && whole.text.find('\n') == std::string::npos && whole.text.find('\0') == std::string::npos);
  POSTERN_ASSERT(whole.reason.empty() == (whole.state != State::wrong));
  // An answer that is complete before its last byte has more than one line, or is too long; then so is the whole.
  for (std::size_t length = 0; length < size && length < 64; ++length)
    POSTERN_ASSERT(policy::read_daemon_answer(bytes.substr(0, length)).state == State::incomplete || whole.state == State::wrong);
  [[maybe_unused]] const auto text = policy::text_of_data_url(bytes);
  if (const auto path = policy::path_of_file_url(bytes))
    POSTERN_ASSERT(path->starts_with('/') && path->find("/../") == std::string::npos && !path->ends_with("/..") && path->find('\0') == std::string::npos);
  return 0;
}
