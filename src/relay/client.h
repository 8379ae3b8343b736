// SPDX-License-Identifier: Apache-2.0
#pragma once
// The client's side of SMTP and LMTP (RFC 5321, 2033) on one connection, written against net::Stream.
//
//   Client client(stream, settings);
//   auto failed = co_await client.open();                     // greeting and EHLO; nothing: the host is willing
//   if (client.extensions().starttls) failed = co_await client.start_tls(tls, server);
//   Answers answers = co_await client.send(transaction);      // as often as usable()
//   co_await client.quit();
//
// Used extensions: PIPELINING (2920), SIZE (1870), 8BITMIME (6152), CHUNKING (3030), SMTPUTF8 (6531), DSN (3461), STARTTLS (3207), AUTH
// (4954), ENHANCEDSTATUSCODES (2034), MT-PRIORITY (6710), DELIVERBY (2852), REQUIRETLS (8689). With PIPELINING and CHUNKING a message of up to kAtOnceBytes goes
// out with its commands in one write; a larger one is written, and unless it is in memory read, in pieces. Only where it must be converted for a host without
// 8BITMIME is it wanted whole, up to kMostConvertedBytes.
//
// The host is a stranger: replies are bounded, and each wait has its time limit. Nothing of a message gets into a command but addresses
// and parameters without control characters.
// Failure: never of the program; every recipient has an answer. What can't be understood is temporary. Limits: kRecipientsAtOnce recipients.
#include "net/asio.h"

#include "mail/envelope.h"
#include "net/stream.h"
#include "relay/reply.h"
#include "spool/message_text.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::relay {

// RFC 5321 section 4.5.3.1.8: every host takes so many.
inline constexpr std::size_t kRecipientsAtOnce = 100;
inline constexpr std::size_t kAtOnceBytes = 32 * 1024;
inline constexpr std::uint64_t kMostConvertedBytes = 16 * 1024 * 1024;

// Why something did not come about.
struct Failure {
  bool permanent = false;
  std::string status;      // enhanced status code
  std::string diagnostic;  // one line
  bool replied = false;    // the host said so; else it is our own
};
Failure failure_of(const Reply& reply);
Failure temporary_failure(std::string status, std::string_view diagnostic);
Failure permanent_failure(std::string status, std::string_view diagnostic);

struct Extensions {
  bool extended = false;  // EHLO was understood
  bool pipelining = false, eight_bit_mime = false, chunking = false, smtputf8 = false, dsn = false, starttls = false, priority = false;
  bool size = false, deliver_by = false, require_tls = false;
  std::uint64_t most_bytes = 0;             // of SIZE; 0: not said
  std::chrono::seconds least_deliver_by{0};  // of DELIVERBY: a message that is to come back then has at least so long
  std::vector<std::string> authentication;  // mechanisms, upper case
};
// From the lines of a reply to EHLO; the first one is the host's name.
Extensions read_extensions(const Reply& reply);

struct ClientTimes {
  std::chrono::milliseconds greeting{300000}, command{300000}, data{120000}, write{180000}, end_of_data{600000};
};

struct ClientSettings {
  std::string own_name = "localhost";  // for EHLO
  bool lmtp = false;
  ClientTimes times;
};

struct Transaction {
  const mail::Envelope& envelope;
  std::vector<const mail::Recipient*> recipients;  // 1 to kRecipientsAtOnce
  spool::MessageText message;
  std::string_view added_fields = {};              // to be put in front of it: lines with their ends
};

struct Answer {
  bool taken = false;
  Failure failure;    // unless taken
  std::string reply;  // that took it, one line
};

struct Answers {
  std::vector<Answer> recipients;  // in their order
  // The whole text went out and no answer came: the host may have taken it, and will get it again.
  bool unanswered = false;
  // The host ends the connection (421) in the place of an answer to MAIL: it knows nothing of this message.
  bool not_begun = false;
};

class Client {
 public:
  // `stream` must outlive it.
  Client(net::Stream& stream, ClientSettings settings) : stream_(stream), input_(stream), settings_(std::move(settings)) {}

  net::Awaitable<std::optional<Failure>> open();
  // TLS, and EHLO again. Kind of trouble in `refused`: the host would not (it is usable in clear); else the connection is of no more use.
  net::Awaitable<std::optional<Failure>> start_tls(std::shared_ptr<const net::TlsClient> tls, net::TlsServer server, bool& refused);
  // EHLO after a handshake that was made before the greeting is part of open().
  net::Awaitable<std::optional<Failure>> authenticate(std::string user, std::string password);
  net::Awaitable<Answers> send(Transaction transaction);
  net::Awaitable<void> quit();

  [[nodiscard]] const Extensions& extensions() const { return extensions_; }
  // False: the connection was lost, or nobody knows any more which reply belongs to what.
  [[nodiscard]] bool usable() const { return usable_; }

 private:
  net::Awaitable<std::optional<Failure>> hello();
  net::Awaitable<std::optional<Failure>> write(std::string_view bytes);
  net::Awaitable<std::optional<Failure>> write_in_pieces(std::string_view fields, spool::MessageText message, bool stuffing);
  // The reply, or why there is none; 421 ends the connection.
  net::Awaitable<Result<Reply>> reply(std::chrono::milliseconds limit);
  net::Awaitable<Result<Reply>> command(std::string line, std::chrono::milliseconds limit);
  // What this host can't be asked at all.
  [[nodiscard]] std::optional<Failure> impossible(const Transaction& transaction, bool eight_bit, std::uint64_t bytes) const;
  [[nodiscard]] std::string mail_command(const Transaction& transaction, bool eight_bit, bool utf8, std::uint64_t bytes) const;
  [[nodiscard]] std::string recipient_command(const mail::Recipient& recipient) const;
  net::Awaitable<void> reset();

  net::Stream& stream_;
  net::Input input_;
  ClientSettings settings_;
  Extensions extensions_;
  bool usable_ = true;
};

}  // namespace postern::relay
