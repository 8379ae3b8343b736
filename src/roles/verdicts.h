// SPDX-License-Identifier: Apache-2.0
#pragma once
// Refusals by filters before the reply, as a role that takes mail carries them out: whether a message has to be asked about, the question to a
// delivery child, and what follows from its answer.
//
// Whether a script can refuse is what its program says, with those of the scripts that it includes (sieve/compile.h): a way through it leads to
// reject, ereject or refuse. A text that names none of these, and includes nothing, need not be compiled for that. So a message whose recipients have
// no such script goes its way as if none of this existed.
//
// A record is pending while the question is under way. No answer within delivery.verdict_time, or a delivery child that died with the
// question: the message is taken, and the delivery carries the refusal out by mail.
//
// Failure: as JournalWriter's; the verdict could not be noted: Kind::temporary; a script that can't be looked up may refuse. Limits: one question for each
// session; 4 MiB of programs are kept, and what is known of kMostKnown accounts.
#include "net/asio.h"

#include "conf/configuration.h"
#include "delivery/filtering.h"
#include "directory/client.h"
#include "directory/generation.h"
#include "mail/refusal.h"
#include "roles/submitter.h"
#include "service/child.h"
#include "smtp/session.h"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern::roles {

class Verdicts {
 public:
  // Takes "verdicts-write" over. All references must outlive it.
  static Result<std::unique_ptr<Verdicts>> open(net::asio::io_context& io, service::Start& start, Submitter& submitter, directory::Client& directory,
                                                const directory::Generations& generations);

  // Whether a filter may refuse this message.
  net::Awaitable<bool> may_be_refused(std::shared_ptr<const conf::Configuration> configuration, const mail::Envelope& envelope);
  // Asks about a pending record with this envelope, and notes what is answered. `limit`: how long the answer may take.
  net::Awaitable<Result<smtp::Committed>> decide(spool::Position position, mail::Envelope envelope, bool each_answered, std::chrono::milliseconds limit);

 private:
  Verdicts(net::asio::io_context& io, Submitter& submitter, directory::Client& directory, const directory::Generations& generations,
           std::unique_ptr<spool::VerdictMarker> marker, base::Descriptor questions)
      : io_(io), submitter_(submitter), directory_(directory), generations_(generations), marker_(std::move(marker)), questions_(io, questions.release()) {}
  net::Awaitable<std::vector<mail::Refusal>> ask(spool::Position position, std::chrono::milliseconds limit);
  // The administrator's scripts of a configuration.
  struct Scripts {
    std::shared_ptr<const conf::Configuration> configuration;
    bool server = false, server_before = false;
    std::map<std::string, bool, std::less<>> of_source, of_destination;
  };
  net::Awaitable<void> look_at(std::shared_ptr<const conf::Configuration> configuration);
  net::Awaitable<bool> account_may_refuse(std::string name);
  net::Awaitable<bool> may_refuse(sieve::Level level, const std::string& source, std::string account);

  net::asio::io_context& io_;
  Submitter& submitter_;
  directory::Client& directory_;
  const directory::Generations& generations_;
  std::unique_ptr<spool::VerdictMarker> marker_;
  net::asio::posix::stream_descriptor questions_;
  static constexpr std::size_t kMostPrograms = 500, kMostProgramBytes = 4 * 1024 * 1024;
  delivery::Scripts programs_{kMostPrograms, kMostProgramBytes};
  Scripts scripts_;
  // Accounts whose own or whose domain's script may refuse or may not, as long as the directory does not change: most messages cost one look here.
  std::unordered_map<std::string, bool> known_;
  std::uint64_t known_generation_ = 0;
};

}  // namespace postern::roles
