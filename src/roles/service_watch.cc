// SPDX-License-Identifier: Apache-2.0
#include "roles/service_watch.h"

#include "base/log.h"

namespace postern::roles {

net::Awaitable<Result<void>> ServiceWatch::start_tls(net::Input& input) {
  const auto contexts = context_.tls();
  if (!contexts) co_return Error{Kind::not_found, "no certificate can be used any more"};
  // Nobody loses anything if it is cut short because the process finishes.
  context_.idle = true;
  auto done = co_await input.start_tls(contexts, std::string(conf::to_string(context_.module)), context_.local.address, context_.server_name_hint);
  context_.idle = false;
  if (!done && context_.finishing()) co_return done;
  base::Fields fields{{"listener", conf::to_string(context_.module)}, {"session", context_.session_id}, {"remote", context_.remote.to_string()}};
  if (!done) {
    fields.emplace_back("reason", done.error().kind == Kind::not_found ? "tls-no-cert" : "tls-failed");
    fields.emplace_back("local", context_.local.to_string());
    fields.emplace_back("error", done.error().what);
    base::log_event(done.error().kind == Kind::not_found ? base::Severity::warning : base::Severity::info, "tls-not-started", fields);
  } else if (const net::TlsFacts* const tls = context_.stream == nullptr ? nullptr : context_.stream->tls()) {
    fields.emplace_back("protocol", tls->protocol);
    fields.emplace_back("cipher", tls->cipher);
    if (!tls->server_name.empty()) fields.emplace_back("server_name", tls->server_name);
    if (!tls->peer_subject.empty()) fields.emplace_back("certificate", tls->peer_subject);
    base::log_event(base::Severity::info, "tls-started", fields);
  }
  co_return done;
}

}  // namespace postern::roles
