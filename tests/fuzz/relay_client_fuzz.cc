// SPDX-License-Identifier: Apache-2.0
// A host that answers anything: the first byte says how (bit 0: LMTP; bit 1: the text has 8 bits), the next how long the first piece
// is; the rest are its bytes. Whatever comes, every recipient has one answer, and what was written has strict lines only.
#include "net/run_coroutine.h"
#include "relay/client.h"
#include "relay/outgoing_text.h"

#include <cstdint>
#include <cstdlib>

using namespace postern;

namespace {

net::Awaitable<bool> talk(net::ScriptedStream& stream, bool lmtp, std::string text) {
  mail::Envelope envelope;
  envelope.id = "0000000000000000000000000a";
  envelope.reverse_path = "a@example.com";
  envelope.recipients.resize(3);
  for (auto& recipient : envelope.recipients) recipient.address = "b@example.net";
  relay::ClientSettings settings;
  settings.lmtp = lmtp;
  relay::Client client(stream, settings);
  auto failed = co_await client.open();
  for (int round = 0; !failed && round < 3 && client.usable(); ++round) {
    relay::Transaction transaction{envelope, {}, text};
    for (const auto& recipient : envelope.recipients) transaction.recipients.push_back(&recipient);
    const relay::Answers answers = co_await client.send(transaction);
    if (answers.recipients.size() != 3) std::abort();
    for (const auto& answer : answers.recipients)
      if (!answer.taken && answer.failure.status.empty()) std::abort();
  }
  co_return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = std::min<std::size_t>(data[1], bytes.size());
  net::ScriptedStream stream({std::string(bytes.substr(0, cut)), std::string(bytes.substr(cut))});
  net::run_coroutine(talk(stream, (data[0] & 1) != 0, (data[0] & 2) != 0 ? "Content-Type: text/plain\r\n\r\n\xc3\xbc\r\n.\r\n" : "A: b\r\n\r\n.c\r\n"));
  if (!stream.written().empty() && !relay::look_at(stream.written()).strict) std::abort();
  // As a text, too.
  const std::string strict = relay::with_strict_lines(bytes), stuffed = relay::dot_stuffed(bytes);
  if (!strict.empty() && !relay::look_at(strict).strict) std::abort();
  if (stuffed.find("\r\n.\r\n") < stuffed.size() - std::min<std::size_t>(5, stuffed.size())) std::abort();
  if (const auto encoded = relay::without_8bit(bytes); encoded && relay::look_at(*encoded).eight_bit()) std::abort();
  return 0;
}
