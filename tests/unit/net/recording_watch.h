// SPDX-License-Identifier: Apache-2.0
#pragma once
// A watch for tests of sessions: keeps what it is told, and lets the session start the TLS that its ScriptedStream has in the script.
#include "net/session_watch.h"

#include <string>

namespace postern::test {

class RecordingWatch final : public net::SessionWatch {
 public:
  [[nodiscard]] bool finishing() const override { return finish; }
  void set_idle(bool on) override { idle = on; }
  void describe(std::string_view text) override { described = text; }
  void set_end_reason(std::string_view reason) override { end_reason = reason; }
  [[nodiscard]] bool can_start_tls() const override { return tls; }
  net::Awaitable<Result<void>> start_tls(net::Input& input) override { return input.start_tls(nullptr, "test", net::Address(), std::string()); }
  void note_failed_login() override { ++failed_logins; }
  void note_protocol_error() override { ++protocol_errors; }

  bool finish = false, idle = false;
  bool tls = false;  // whether a certificate could be used
  std::string described, end_reason;
  unsigned failed_logins = 0, protocol_errors = 0;
};

}  // namespace postern::test
