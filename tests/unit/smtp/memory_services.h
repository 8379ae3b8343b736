// SPDX-License-Identifier: Apache-2.0
#pragma once
// A server in memory around a session: what was accepted lies in a vector, and every trouble can be switched on.
#include "recording_watch.h"
#include "scripted_milter.h"
#include "fixtures.h"
#include "smtp/engine.h"
#include "smtp/refusal.h"
#include "smtp/session.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::test {

struct Accepted {
  mail::Envelope envelope;
  std::string message;
  bool large = false;
};

class MemoryServices final : public smtp::Services {
 public:
  explicit MemoryServices(const std::string& mappings = kShippedTables, const std::string& aliases = {})
      : MemoryServices(tables_from(mappings, aliases)) {}
  explicit MemoryServices(mapping::Tables tables) : tables(std::move(tables)) {
    settings.host_name = "mail.example.com";
    fill(directory);
  }

  std::shared_ptr<const conf::Configuration> configuration() override {
    if (!shared_) shared_ = std::make_shared<const conf::Configuration>(settings);
    return shared_;
  }
  policy::Access access() override {
    if (!site_) site_ = policy::Site::from(settings);
    return {site_, tables, directory, questions};
  }
  Result<void> check_backlog() override {
    if (backlog) return Error{Kind::temporary, "backlog"};
    return {};
  }
  std::chrono::milliseconds backlog_delay() override {
    ++delays_asked;
    return std::chrono::milliseconds(delay);
  }
  Result<void> check_room() override {
    if (full) return Error{Kind::temporary, "disk full"};
    return {};
  }
  Result<Pending> try_now(const std::string& domain, std::chrono::seconds) override {
    if (domain == "asked.example") return Error{Kind::denied, "just now"};
    return pending;
  }
  std::string new_message_id() override { return "id" + std::to_string(++ids_); }
  std::shared_ptr<void> message_begins() override {
    most_under_way = std::max(most_under_way, ++*under_way);
    return {under_way.get(), [count = under_way](void*) { --*count; }};
  }
  net::Awaitable<Result<smtp::Committed>> commit(mail::Envelope envelope, std::string message, bool each_answered) override {
    co_return take(std::move(envelope), std::move(message), false, each_answered);
  }

  class MemoryFile final : public smtp::LargeText {
   public:
    explicit MemoryFile(MemoryServices& services) : services_(services) {}
    Result<void> append(std::string_view bytes) override {
      if (services_.fails) return Error{Kind::temporary, "write error"};
      text += bytes;
      return {};
    }
    [[nodiscard]] std::uint64_t size_bytes() const override { return text.size(); }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override { return mail::TextInMemory(text).read(offset, into); }
    std::string text;

   private:
    MemoryServices& services_;
  };
  Result<std::unique_ptr<smtp::LargeText>> begin_large(const std::string&) override { return std::unique_ptr<smtp::LargeText>(new MemoryFile(*this)); }
  net::Awaitable<Result<smtp::Committed>> commit_large(mail::Envelope envelope, std::unique_ptr<smtp::LargeText> text, bool each_answered) override {
    co_return take(std::move(envelope), std::move(static_cast<MemoryFile&>(*text).text), true, each_answered);
  }

  milter::Opener* milters() override { return &scripted_milters; }
  bool checks(const policy::SessionFacts&) override { return on_check != nullptr; }
  net::Awaitable<smtp::CheckResult> check(smtp::MessageUnderCheck message) override { co_return on_check(message); }

  // By table and account; above the quota a use is exceeded.
  smtp::Counted count(std::string_view table, const std::string& account) override {
    const auto quota = quotas.find(std::string(table));
    if (quota == quotas.end()) return {};
    unsigned& used = uses[std::string(table) + " " + account];
    if (used < quota->second) {
      ++used;
      return {};
    }
    return {true, used, std::chrono::seconds(600)};
  }
  net::Awaitable<void> tell(std::vector<std::string> addresses, std::string subject, std::string text) override {
    for (const std::string& address : addresses) told.push_back(address);
    told.push_back(std::move(subject));
    told.push_back(std::move(text));
    co_return;
  }

  conf::Configuration settings;  // to be changed before the first session only
  mapping::Tables tables;
  directory::FixedDirectory directory;
  policy::Questions questions;
  bool backlog = false, full = false, fails = false;
  Pending pending;
  std::map<std::string, unsigned> quotas, uses;
  std::vector<std::string> told;
  unsigned delay = 0, delays_asked = 0;  // milliseconds that MAIL FROM waits
  std::shared_ptr<int> under_way = std::make_shared<int>(0);  // messages that are being received
  int most_under_way = 0;
  std::vector<Accepted> accepted;
  std::map<std::string, std::string> refuse;  // final addresses whose filters refuse every message, and what they say
  ScriptedMilters scripted_milters;  // asked in sessions whose SessionInfo has their settings
  std::function<smtp::CheckResult(const smtp::MessageUnderCheck&)> on_check;  // what the server's own checks say; none: there are none
  std::function<void()> on_commit;  // what happens elsewhere while a session is under way

 private:
  Result<smtp::Committed> take(mail::Envelope envelope, std::string message, bool large, bool each_answered) {
    POSTERN_ASSERT(*under_way > 0);
    if (fails) return Error{Kind::temporary, "write error"};
    std::vector<mail::Refusal> refusals;
    for (std::uint32_t i = 0; i < envelope.recipients.size(); ++i)
      if (const auto found = refuse.find(envelope.recipients[i].address); found != refuse.end()) refusals.push_back({i, found->second});
    smtp::Committed committed;
    for (const auto& refusal : smtp::answerable(envelope, std::move(refusals), each_answered))
      committed.refused.push_back({envelope.recipients[refusal.recipient].original, refusal.text});
    committed.taken = committed.refused.size() < envelope.recipients.size();
    if (committed.taken) accepted.push_back({std::move(envelope), std::move(message), large});
    if (on_commit) on_commit();
    return committed;
  }
  std::shared_ptr<const conf::Configuration> shared_;
  std::shared_ptr<const policy::Site> site_;
  unsigned ids_ = 0;
};

inline smtp::SessionInfo session_info(conf::Module module = conf::Module::smtp) {
  smtp::SessionInfo info;
  info.module = module;
  info.local = endpoint("192.0.2.1", module == conf::Module::smtp ? 25 : 24);
  info.remote = endpoint("198.51.100.7", 40312);
  info.initial_channel = module == conf::Module::smtp ? "tcp_local" : "tcp_lmtp";
  info.id = "test";
  return info;
}

struct Played {
  std::string written;             // all replies
  std::string written_before_tls;
  std::string state;               // after the last command, if the client went away without a word
  std::string end_reason;
  unsigned protocol_errors = 0;
  unsigned failed_logins = 0;
};

// What the client does about TLS: what it has, and what it says once it has it; or why the handshake fails.
struct Tls {
  net::TlsFacts facts{"TLSv1.3", "TLS_AES_256_GCM_SHA384", "", "", "", {}, {}, {}};
  std::vector<std::string> pieces;
  std::optional<Error> failure;
};

// A whole session with a client that says these pieces and goes away. With `tls` there is a certificate, and STARTTLS leads to it.
inline Played play(MemoryServices& services, std::vector<std::string> pieces, smtp::SessionInfo info = session_info(), std::optional<Tls> tls = {}) {
  std::erase_if(pieces, [](const std::string& piece) { return piece.empty(); });
  net::ScriptedStream stream(std::move(pieces));
  RecordingWatch watch;
  watch.tls = tls.has_value();
  if (tls && tls->failure) stream.script_tls(*tls->failure);
  else if (tls) stream.script_tls(tls->facts, tls->pieces);
  std::optional<smtp::Session> session;
  session.emplace(stream, services, std::move(info), watch);
  run(session->run());
  Played played{stream.written(), stream.written_before_tls(), session->state_dump(), watch.end_reason, watch.protocol_errors, watch.failed_logins};
  session.reset();
  POSTERN_ASSERT(*services.under_way == 0);
  return played;
}

}  // namespace postern::test
