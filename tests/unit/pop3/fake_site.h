// SPDX-License-Identifier: Apache-2.0
#pragma once
// A site in memory for POP3 sessions: accounts, mailboxes, and a way to run one session from a script of client bytes.
#include "recording_watch.h"
#include "directory/fixed.h"
#include "net/stream.h"
#include "pop3/session.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace postern::test {

struct FakeMailbox {
  std::vector<std::string> texts;  // CRLF line ends
  std::set<std::size_t> gone;      // removed by another program
  bool in_use = false;
  bool unreadable = false;         // can't be opened
  std::size_t breaks_at = std::string::npos;  // reading fails behind so many bytes
  bool sticks = false;             // removal fails
};

class FakeReader final : public pop3::Reader {
 public:
  FakeReader(std::string text, std::size_t piece, std::size_t breaks_at) : text_(std::move(text)), piece_(piece), breaks_at_(breaks_at) {}
  net::Awaitable<Result<std::string_view>> next() override {
    if (at_ >= breaks_at_) co_return Error{Kind::temporary, "read: Input/output error"};
    const std::size_t count = std::min({piece_, text_.size() - at_, breaks_at_ - at_});
    at_ += count;
    co_return std::string_view(text_).substr(at_ - count, count);
  }

 private:
  std::string text_;
  std::size_t piece_, breaks_at_, at_ = 0;
};

class FakeInbox final : public pop3::Inbox {
 public:
  FakeInbox(FakeMailbox& mailbox, std::size_t piece) : mailbox_(mailbox), piece_(piece) {
    mailbox_.in_use = true;
    for (std::size_t i = 0; i < mailbox_.texts.size(); ++i) {
      pop3::Message message;
      message.unique_id = "id" + std::to_string(mailbox_.texts[i].size()) + "-" + std::to_string(i + 1);
      message.size_bytes = mailbox_.texts[i].size();
      messages_.push_back(message);
    }
  }
  ~FakeInbox() override { mailbox_.in_use = false; }
  [[nodiscard]] const std::vector<pop3::Message>& messages() const override { return messages_; }
  net::Awaitable<Result<std::unique_ptr<pop3::Reader>>> read(std::size_t index) override {
    if (mailbox_.gone.contains(index)) co_return Error{Kind::not_found, "gone"};
    std::unique_ptr<pop3::Reader> reader = std::make_unique<FakeReader>(mailbox_.texts[index], piece_, mailbox_.breaks_at);
    co_return std::move(reader);
  }
  net::Awaitable<Result<void>> remove(std::vector<std::size_t> indexes) override {
    if (mailbox_.sticks) co_return Error{Kind::temporary, "unlink: Read-only file system"};
    for (auto index = indexes.rbegin(); index != indexes.rend(); ++index)
      mailbox_.texts.erase(mailbox_.texts.begin() + static_cast<std::ptrdiff_t>(*index));
    co_return Result<void>();
  }

 private:
  FakeMailbox& mailbox_;
  std::size_t piece_;
  std::vector<pop3::Message> messages_;
};

class FakeSite final : public pop3::Services {
 public:
  FakeSite() {
    configuration_ = std::make_shared<conf::Configuration>();
    configuration_->host_name = "pop.example.com";
    configuration_->pop3.failure_delay = std::chrono::seconds(0);
    std::vector<net::AddressList::Mistake> mistakes;
    configuration_->secure_login.except_from = net::AddressList::compile("127.0.0.0/8\n::1\n", mistakes);
    accounts.add_account("user@example.com", "pass word");
    accounts.add_account("off@example.com", "pass word");
    accounts.disable("off@example.com");
  }
  std::shared_ptr<const conf::Configuration> configuration() override { return configuration_; }
  directory::Lookups& directory() override { return accounts; }
  net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) override {
    logins.push_back(std::move(login));
    co_return login_decision;
  }
  net::Awaitable<Result<std::unique_ptr<pop3::Inbox>>> open_inbox(std::string mailbox_directory) override {
    FakeMailbox& mailbox = mailboxes[mailbox_directory];
    if (mailbox.in_use) co_return Error{Kind::denied, "in use"};
    if (mailbox.unreadable) co_return Error{Kind::temporary, "open: Input/output error"};
    std::unique_ptr<pop3::Inbox> inbox = std::make_unique<FakeInbox>(mailbox, piece);
    co_return std::move(inbox);
  }
  policy::LoginDecision login_decision;    // what LOGIN_ACCESS says
  std::vector<policy::LoginFacts> logins;  // what it was asked
  FakeMailbox& mailbox() { return mailboxes["example.com/user"]; }
  conf::Configuration& settings() { return *configuration_; }

  // Runs a session on what the client sends; what it got. `after_tls`: what it sends behind the handshake, if there is one.
  std::string talk(std::vector<std::string> pieces, std::string_view client = "127.0.0.1", std::vector<std::string> after_tls = {}) {
    net::asio::io_context io(1);
    net::ScriptedStream stream(std::move(pieces));
    if (handshake_failure) stream.script_tls(*handshake_failure);
    else if (watch.tls) stream.script_tls({"TLSv1.3", "TLS_AES_256_GCM_SHA384", "", "", "", {}, {}, {}}, std::move(after_tls));
    info.remote = {net::Address::parse(client).value(), 40000};
    info.id = "test";
    net::asio::co_spawn(io, pop3::run_session(stream, *this, info, watch), net::asio::detached);
    io.run();
    return stream.written();
  }
  // The same with the login in front, and greeting and answers to it cut off.
  std::string talk_in(std::vector<std::string> pieces) {
    pieces.insert(pieces.begin(), "USER user@example.com\r\nPASS pass word\r\n");
    std::string got = talk(std::move(pieces));
    for (int i = 0; i < 3; ++i) {
      const auto end = got.find("\r\n");
      if (end == std::string::npos || !got.starts_with("+OK")) return "no login: " + got;
      got.erase(0, end + 2);
    }
    return got;
  }

  directory::FixedDirectory accounts;
  std::map<std::string, FakeMailbox> mailboxes;
  std::size_t piece = 7;
  pop3::SessionInfo info;
  std::optional<Error> handshake_failure;
  RecordingWatch watch;

 private:
  std::shared_ptr<conf::Configuration> configuration_;
};

}  // namespace postern::test
