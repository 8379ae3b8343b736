// SPDX-License-Identifier: Apache-2.0
#pragma once
// A spool and a mail directory for one test, messages for it, what a delivery child does with them, and what must be true afterwards.
#include "base/files.h"
#include "base/log.h"
#include "spool/journal.h"
#include "store/maildir.h"
#include "store/names.h"

#include "../unit/scratch_directory.h"

#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace postern::fault {

// In memory where that can be: nothing of it needs a disk.
class TemporaryDirectory : public test::ScratchDirectory {
 public:
  TemporaryDirectory()
      : ScratchDirectory(std::filesystem::is_directory("/dev/shm") ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) {}
};

struct Sent {
  mail::Envelope envelope;
  std::string text;
};

inline std::string account_of(const mail::Recipient& recipient) {
  const std::size_t at = recipient.address.find('@');
  return recipient.address.substr(at + 1) + "/" + recipient.address.substr(0, at);
}

// A message whose bytes follow from its number.
inline Sent make_message(unsigned number, std::size_t size) {
  Sent sent;
  sent.envelope.id = "message" + std::to_string(number);
  sent.envelope.received = base::from_microseconds(1'700'000'000'000'000 + number * 1'000'000LL);
  sent.envelope.reverse_path = "sender@example.net";
  for (const char* address : {"one@example.com", "two@example.com"}) {
    if (number % 3 != 0 && address[0] == 't') break;
    sent.envelope.recipients.emplace_back().address = address;
  }
  while (sent.text.size() < size) sent.text += "line of message " + std::to_string(number) + " at " + std::to_string(sent.text.size()) + "\r\n";
  return sent;
}

inline store::NewMessage new_message(const mail::Envelope& envelope, const mail::Recipient& recipient, bool suspicious) {
  store::NewMessage message;
  message.account_directory = account_of(recipient);
  message.message_id = envelope.id;
  message.recipient_key = recipient.address;
  message.received = envelope.received;
  message.suspicious = suspicious;
  return message;
}

// What a delivery child does with a batch. Returns false if it has to be done again, as suspicious.
inline bool deliver(spool::JournalReader& reader, store::Store& store, const std::vector<spool::Position>& positions, bool suspicious) {
  auto batch = store.begin_batch();
  std::vector<spool::Position> finished;
  bool all = true;
  for (const spool::Position& position : positions) {
    const auto record = reader.read(position);
    if (!record) {
      all = all && record.error().kind == Kind::not_found;
      continue;
    }
    const store::Text text(record->message());
    bool added = true;
    for (const mail::Recipient& recipient : record->envelope.recipients)
      if (!batch.add(new_message(record->envelope, recipient, suspicious), text)) added = false;
    if (added) finished.push_back(position);
    else all = false;
  }
  if (!batch.commit()) return false;
  return reader.mark_finished(finished).has_value() && all;
}

inline std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Why the mailboxes below `mail` are wrong, empty if they are right: each of `answered` once and whole, no message twice.
inline std::string mailboxes_wrong(const std::filesystem::path& mail, const std::map<std::string, Sent>& sent, const std::set<std::string>& answered) {
  std::map<std::string, std::map<std::string, std::vector<std::filesystem::path>>> found;  // account, base
  for (const char* account : {"example.com/one", "example.com/two"})
    for (const char* directory : {"new", "cur"})
      if (std::filesystem::is_directory(mail / account / directory))
        for (const auto& entry : std::filesystem::directory_iterator(mail / account / directory))
          found[account][std::string(store::name_base(entry.path().filename().string()))].push_back(entry.path());
  for (const auto& [account, names] : found)
    for (const auto& [name, paths] : names)
      if (paths.size() != 1) return account + ": " + name + " is there " + std::to_string(paths.size()) + " times";
  for (const std::string& id : answered) {
    const Sent& message = sent.at(id);
    for (const mail::Recipient& recipient : message.envelope.recipients) {
      const auto& names = found[account_of(recipient)];
      const auto name = names.find(store::delivery_base(message.envelope.received, id, recipient.address));
      if (name == names.end()) return id + " is lost for " + recipient.address;
      if (content(name->second[0]) != store::Text(message.text).stored()) return id + " is damaged for " + recipient.address;
    }
  }
  return {};
}

// Appends messages and waits for the answers; `answered` runs on the writer's thread for each that was taken.
inline std::vector<Result<spool::Position>> append_all(spool::JournalWriter& writer, const std::vector<Sent>& messages,
                                                       const std::function<void(const std::string& id)>& answered) {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t left = messages.size();
  std::vector<Result<spool::Position>> results(messages.size(), Error{Kind::temporary, ""});
  for (std::size_t i = 0; i < messages.size(); ++i) {
    writer.append(messages[i].envelope, messages[i].text, [&, i](Result<spool::Position> result) {
      if (result) answered(messages[i].envelope.id);
      const std::lock_guard lock(mutex);
      results[i] = std::move(result);
      if (--left == 0) changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return left == 0; });
  return results;
}

inline spool::JournalSettings small_journal() {
  spool::JournalSettings settings;
  settings.segment_bytes = 64 * 1024;
  settings.large_message_bytes = 12 * 1024;
  settings.minimum_free_bytes = 0;
  return settings;
}

}  // namespace postern::fault
