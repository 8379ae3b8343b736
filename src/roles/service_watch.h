// SPDX-License-Identifier: Apache-2.0
#pragma once
// The watch over a session that runs in a StreamService: hands everything on to the session's context, which must outlive it.
//
// A handshake that the session began is logged here, the same way for all protocols: tls-started, tls-not-started.
#include "net/session_watch.h"
#include "service/stream_service.h"

namespace postern::roles {

// What the sessions of all protocols are told of their connection.
template <class SessionInfo>
SessionInfo session_info(const service::SessionContext& context) {
  SessionInfo info;
  info.local = context.local;
  info.remote = context.remote;
  info.id = context.session_id;
  info.tls_outside = context.row->init_tls == conf::InitTls::ext;
  info.clear_text_outside = context.clear_text_outside;
  info.restricted = context.restricted;
  info.idle_time = context.listener->idle_time;
  if constexpr (requires { info.login_time; }) info.login_time = context.listener->login_time;
  return info;
}

class ServiceWatch final : public net::SessionWatch {
 public:
  explicit ServiceWatch(service::SessionContext& context) : context_(context) {}
  [[nodiscard]] bool finishing() const override { return context_.finishing(); }
  void set_idle(bool idle) override { context_.idle = idle; }
  void describe(std::string_view text) override { context_.describe(text); }
  void set_end_reason(std::string_view reason) override { context_.end_reason = reason; }
  [[nodiscard]] bool can_start_tls() const override { return context_.tls() != nullptr; }
  net::Awaitable<Result<void>> start_tls(net::Input& input) override;
  void note_failed_login() override { context_.note_failed_login(); }
  void note_protocol_error() override { context_.note_protocol_error(); }

 private:
  service::SessionContext& context_;
};

}  // namespace postern::roles
