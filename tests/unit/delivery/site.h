// SPDX-License-Identifier: Apache-2.0
#pragma once
// A place for deliverers to work in, for tests.
#include "delivery/deliverer.h"

#include "base/crc32c.h"
#include "base/files.h"
#include "directory/fixed.h"
#include "mail/message_id.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace postern::delivery {

namespace fs = std::filesystem;

// A spool, a store and a directory in a scratch folder, and a deliverer that works on them.
class Site {
 public:
  Site() {
    char name[] = "/tmp/postern-delivery-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directory(root_ / "spool");
    fs::create_directory(root_ / "mail");
    spool_ = base::Descriptor(::open((root_ / "spool").c_str(), O_RDONLY | O_DIRECTORY));
    mail_ = base::Descriptor(::open((root_ / "mail").c_str(), O_RDONLY | O_DIRECTORY));
    spool::JournalSettings settings;
    settings.segment_bytes = 1024 * 1024;
    settings.large_message_bytes = 256 * 1024;
    settings.minimum_free_bytes = 0;
    writer_ = spool::JournalWriter::open(base::system_files(), spool_.get(), settings, 1).value();
    directory_.add_domain("example.com");
  }
  ~Site() {
    writer_->finish();
    fs::remove_all(root_);
  }

  void account(const std::string& name, const std::string& filter = {}) { directory_.add_account(name, {}, filter); }

  // Appends a message from s@example.org to these accounts; the header has `extra` in it.
  spool::Position append(const std::vector<std::string>& accounts, const std::string& extra = {},
                         const std::function<void(mail::Envelope&)>& change = {}, const std::string& text = "body\r\n") {
    mail::Envelope envelope;
    envelope.id = mail::new_message_id(1);
    envelope.received = base::wall_now();
    envelope.reverse_path = "s@example.org";
    envelope.source_channel = "tcp_local";
    for (const std::string& name : accounts) {
      mail::Recipient recipient;
      recipient.address = recipient.original = recipient.account = name;
      recipient.destination_channel = "ims-ms";
      envelope.recipients.push_back(recipient);
    }
    if (change) change(envelope);
    last_id_ = envelope.id;
    std::promise<Result<spool::Position>> done;
    writer_->append(envelope, "From: s@example.org\r\nSubject: test\r\n" + extra + "\r\n" + text,
                    [&](Result<spool::Position> position) { done.set_value(std::move(position)); });
    return done.get_future().get().value();
  }

  // One deliverer's life: works on `positions`, then ends.
  Deliverer::Counters work(const std::vector<spool::Position>& positions) {
    auto reader = spool::JournalReader::open(base::system_files(), spool_.get()).value();
    auto deferred = spool::Deferred::open(base::system_files(), spool_.get()).value();
    auto held = spool::Held::open(base::system_files(), spool_.get()).value();
    auto discarded = spool::Deferred::open(base::system_files(), spool_.get(), "discarded").value();
    auto store = store::Store::open(*store_files_, mail_.get()).value();
    DelivererParts parts{reader, state_, deferred, held, store, directory_,
                         [this](mail::Envelope envelope, std::string text) -> net::Awaitable<Result<void>> {
                           if (submit_fails_ || ++submits_ == failing_submit_ || (fails_ && fails_())) co_return Error{Kind::temporary, "no room"};
                           submitted_.emplace_back(std::move(envelope), std::move(text));
                           co_return Result<void>();
                         },
                         [this](std::string address) -> net::Awaitable<Result<std::vector<mail::Recipient>>> {
                           if (fails_ && fails_()) co_return Error{Kind::temporary, "no answer"};
                           const bool local = address.ends_with("@example.com");
                           if (!local && !address.ends_with("@example.org")) co_return Error{Kind::permanent, "no way there"};
                           mail::Recipient recipient;
                           recipient.address = address;
                           if (local) recipient.account = address;
                           recipient.destination_channel = !local ? "tcp_local" : address.starts_with("held") ? "hold" : "ims-ms";
                           co_return std::vector<mail::Recipient>{recipient};
                         },
                         &discarded,
                         [this](std::string account, std::string name) -> net::Awaitable<Result<std::optional<std::string>>> {
                           const auto found = scripts_.find(account + " " + name);
                           co_return found == scripts_.end() ? std::nullopt : std::optional(found->second);
                         },
                         [this](std::vector<Outgoing> messages) -> net::Awaitable<std::vector<Result<void>>> {
                           sent_at_once_ += (sent_at_once_.empty() ? "" : " ") + std::to_string(messages.size());
                           std::vector<Result<void>> answers;
                           for (Outgoing& message : messages) {
                             answers.push_back(send_out_fails_ ? Result<void>(Error{Kind::temporary, "no room"}) : Result<void>());
                             if (!send_out_fails_) sent_out_.push_back(std::move(message));
                           }
                           co_return answers;
                         },
                         [this](const mail::Envelope& envelope, const mail::Recipient& recipient) {
                           const std::string asked = envelope.id + " " + std::to_string(envelope.attempts) + " " + recipient.address;
                           asked_.push_back(asked);
                           return handed_on_.contains(asked);
                         },
                         [this](mail::Envelope, std::string_view, std::vector<mail::RecipientStatus> statuses) -> net::Awaitable<Result<void>> {
                           for (const mail::RecipientStatus& one : statuses)
                             told_ += (told_.empty() ? "" : ", ") + std::string(mail::to_string(one.action)) + " " + one.recipient.address;
                           co_return Result<void>();
                         }};
    Deliverer deliverer(parts, settings_);
    deliverer.filtering().lists().set_tables([](const std::string& table, const std::string& value) { return table == "WORDS" && value == "test"; });
    net::asio::io_context io(1);
    for (unsigned attempt = 0; attempt < attempts_; ++attempt) {
      if (before_attempt_) before_attempt_(attempt);
      net::asio::co_spawn(io, deliverer.work(positions), net::asio::detached);
      io.run();
      io.restart();
    }
    deferred_ = deferred.list(100).value().size();
    held_.clear();
    for (const auto& entry : held.list(100).value()) held_.push_back(held.read(entry.id).value().envelope);
    discarded_ = discarded.list(100).value();
    unfinished_ = reader.scan(100).value().size();
    return deliverer.counters();
  }

  // Number of messages in a folder ("" or ".Lists") of an account ("example.com/a").
  std::size_t count(const std::string& account, const std::string& folder = {}) const {
    std::size_t files = 0;
    for (const char* part : {"new", "cur"}) {
      const fs::path path = root_ / "mail" / account / folder / part;
      if (fs::exists(path)) files += static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
    return files;
  }
  // All messages of an account, in whatever folder.
  std::size_t count_all(const std::string& account) const {
    std::size_t files = count(account);
    const fs::path path = root_ / "mail" / account;
    if (!fs::exists(path)) return files;
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_directory() && entry.path().filename().string().starts_with(".")) files += count(account, entry.path().filename().string());
    return files;
  }
  fs::path path_of(const std::string& below) const { return root_ / below; }
  fs::path only_file(const std::string& account, const std::string& folder = {}) const {
    return fs::directory_iterator(root_ / "mail" / account / folder / "new")->path();
  }

  DelivererSettings settings_{.child = 7};
  base::Files* store_files_ = &base::system_files();
  spool::SharedState state_ = spool::SharedState::create(1024).value();
  std::vector<std::pair<mail::Envelope, std::string>> submitted_;
  bool submit_fails_ = false;
  std::function<bool()> fails_;  // asked at each submission, and each time an address is resolved
  std::vector<Outgoing> sent_out_;
  std::string sent_at_once_;  // "2 1": how many messages each time
  std::string told_;          // "delivered a@example.com, …"
  unsigned attempts_ = 1;  // of one deliverer at the same records
  std::function<void(unsigned)> before_attempt_;
  bool send_out_fails_ = false;
  std::set<std::string> handed_on_;  // "id attempts address": what the journal of what goes on has
  std::vector<std::string> asked_;   // what was looked for there
  std::size_t submits_ = 0, failing_submit_ = 0;  // that one fails, counted from 1
  directory::FixedDirectory directory_;
  std::size_t deferred_ = 0, unfinished_ = 0;
  std::map<std::string, std::string> scripts_;  // "account name": what filters of that account may include
  std::vector<mail::Envelope> held_;
  std::vector<spool::DeferredEntry> discarded_;
  std::string last_id_;

 private:
  fs::path root_;
  base::Descriptor spool_, mail_;
  std::unique_ptr<spool::JournalWriter> writer_;
};

inline std::string content(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace postern::delivery
