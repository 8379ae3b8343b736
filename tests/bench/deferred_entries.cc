// SPDX-License-Identifier: Apache-2.0
// Fills a spool with deferred messages, for `make bench-queue`: deferred_entries SPOOL NUMBER DESTINATIONS SECONDS [links]
//
// NUMBER messages for a@d0.dead.example and so on, each tried once, of which one after the other is due within SECONDS from now on. With "links" they are
// names of few files, as many as a file may have: enough for whoever reads names only, and quicker to make than a million files.
// Nothing is synced.
#include "mail/message_id.h"
#include "spool/deferred.h"

#include "../forwarding_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace postern;

namespace {

class Unsynced : public test::ForwardingFiles {
 public:
  Result<void> sync(int) override { return {}; }
  Result<void> sync_data(int) override { return {}; }
  Result<void> sync_directory(int) override { return {}; }
};

constexpr unsigned kLinks = 60000;  // of one file; ext4 knows 65,000

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return std::fputs("usage: deferred_entries SPOOL NUMBER DESTINATIONS SECONDS [links]\n", stderr), 2;
  const auto number = std::strtoul(arguments[2], nullptr, 10), destinations = std::strtoul(arguments[3], nullptr, 10), seconds = std::strtoul(arguments[4], nullptr, 10);
  const bool links = count > 5;
  if (number == 0 || destinations == 0) return 2;
  ::umask(0007);
  const base::Descriptor spool(::open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Unsynced files;
  auto deferred = spool::Deferred::open(files, spool.get());
  if (!deferred) return std::fprintf(stderr, "%s\n", deferred.error().what.c_str()), 1;
  struct stat owner {};
  ::fstat(deferred->descriptor(), &owner);
  const std::string text = "Subject: waits\r\n\r\n" + std::string(300, 'x') + "\r\n";
  const base::WallTime now = base::wall_now();
  std::optional<spool::DeferredEntry> linked;
  for (unsigned long i = 0; i < number; ++i) {
    mail::Envelope envelope;
    envelope.id = mail::new_message_id(1);
    envelope.received = now;
    envelope.reverse_path = "s@example.com";
    envelope.attempts = 1;
    mail::Recipient recipient;
    recipient.address = recipient.original = "a@d" + std::to_string(i % destinations) + ".dead.example";
    recipient.destination_channel = "tcp_local";
    recipient.last_failure = {"4.4.1", "Connection refused", "", now};
    envelope.recipients.push_back(recipient);
    const base::WallTime due = now + std::chrono::seconds(seconds * i / number);
    if (links && linked && i % kLinks != 0) {
      // The name that it would have got.
      char destination[9];
      std::snprintf(destination, sizeof destination, "%08x", spool::destination_key(envelope));
      const std::string name = envelope.id + "." + std::to_string(std::chrono::floor<std::chrono::seconds>(due).time_since_epoch().count()) + ".0123456789abc" + destination;
      if (auto made = files.link(deferred->descriptor(), linked->name, deferred->descriptor(), name); !made) return std::fprintf(stderr, "%s\n", made.error().what.c_str()), 1;
      continue;
    }
    auto put = deferred->put(envelope, text, due);
    if (!put) return std::fprintf(stderr, "%s\n", put.error().what.c_str()), 1;
    if (::fchownat(deferred->descriptor(), put->name.c_str(), owner.st_uid, owner.st_gid, 0) != 0) return std::perror("chown"), 1;
    linked = *put;
  }
  return 0;
}
