// SPDX-License-Identifier: Apache-2.0
// What goes between the resolver child and those who ask it: whatever the bytes, a question or an answer that reads back as itself comes out, or
// an error; and whatever stands in a record, its typed readers end and give what can be said again.
#include "base/result.h"
#include "net/frames.h"
#include "net/resolver_protocol.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

namespace {

void read_all(net::DnsAnswer answer) {
  for (const std::uint16_t type : {net::dns::kA, net::dns::kAaaa, net::dns::kMx, net::dns::kTxt, net::dns::kPtr, net::dns::kCname, net::dns::kNs, net::dns::kTlsa}) {
    answer.type = type;
    static_cast<void>(answer.addresses());
    static_cast<void>(answer.texts());
    for (const auto& record : answer.tlsa()) POSTERN_ASSERT(!record.data.empty());
    std::vector<std::string> names = answer.names();
    for (const auto& host : answer.mail_exchangers()) names.push_back(host.host);
    for (const std::string& name : names) {
      POSTERN_ASSERT(net::canonical_dns_name(name).value() == name);
      const std::string wire = net::dns_name_to_wire(name);
      std::string_view rest = wire;
      POSTERN_ASSERT(net::take_dns_name(rest) == name && rest.empty());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  net::FrameReader reader(65536);
  reader.feed(bytes);
  for (auto message = reader.next(); message; message = reader.next()) {
    if (const auto question = net::dns_question_from(*message)) POSTERN_ASSERT(net::dns_question_from(net::to_json(*question)).value() == *question);
    static_cast<void>(net::error_in(*message));
    const auto type = net::number_in(*message, "type").value_or(1);
    if (const auto answer = net::dns_answer_from(*message, static_cast<std::uint16_t>(type))) {
      const auto again = net::dns_answer_from(net::to_json(*answer), answer->type);
      POSTERN_ASSERT(again && again->records == answer->records && again->canonical_name == answer->canonical_name);
      read_all(*answer);
    }
  }
  // A record of any form.
  net::DnsAnswer answer;
  answer.records.emplace_back(bytes);
  read_all(answer);
  return 0;
}
