// SPDX-License-Identifier: Apache-2.0
#include "snmp/message.h"

#include "snmp/ber.h"

#include <algorithm>

namespace postern::snmp {

std::optional<Header> read_header(std::string_view datagram) {
  BerReader outer(datagram);
  const auto content = outer.next(kSequence);
  if (!content || !outer.at_end()) return std::nullopt;
  BerReader message(*content);
  const auto version = message.next_integer();
  if (!version) return std::nullopt;
  Header header;
  // Version 3 goes on in another way.
  if (*version != static_cast<std::int32_t>(Version::v1) && *version != static_cast<std::int32_t>(Version::v2c)) return header;
  const auto community = message.next(kOctetString);
  if (!community) return std::nullopt;
  header.version = static_cast<Version>(*version);
  header.community = *community;
  header.rest = message.rest();
  return header;
}

std::optional<Request> read_request(const Header& header) {
  BerReader outer(header.rest);
  const auto pdu = outer.next();
  if (!header.version || !pdu || !outer.at_end()) return std::nullopt;
  Request request;
  request.version = *header.version;
  request.community = header.community;
  switch (pdu->tag) {
    case static_cast<std::uint8_t>(Operation::get):
    case static_cast<std::uint8_t>(Operation::get_next):
    case static_cast<std::uint8_t>(Operation::set): break;
    case static_cast<std::uint8_t>(Operation::get_bulk):
      if (request.version == Version::v1) return std::nullopt;
      break;
    default: return std::nullopt;
  }
  request.operation = static_cast<Operation>(pdu->tag);
  BerReader fields(pdu->content);
  const auto id = fields.next_integer();
  // In a bulk request the figures of the bulk stand where others have zeros (RFC 3416 section 3).
  const auto first = fields.next_integer();
  const auto second = fields.next_integer();
  const auto bindings = fields.next(kSequence);
  if (!id || !first || !second || !bindings || !fields.at_end()) return std::nullopt;
  request.request_id = *id;
  if (request.operation == Operation::get_bulk) {
    // RFC 3416 section 4.2.3: what is less than zero is zero.
    request.non_repeaters = std::max(0, *first);
    request.max_repetitions = std::max(0, *second);
  }
  request.bindings = *bindings;
  BerReader list(*bindings);
  while (!list.at_end()) {
    const auto binding = list.next(kSequence);
    if (!binding || request.names.size() == kMostBindings) return std::nullopt;
    BerReader parts(*binding);
    auto name = parts.next_oid();
    // The value: of no importance in a question, and nothing can be set.
    if (!name || !parts.next() || !parts.at_end()) return std::nullopt;
    request.names.push_back(std::move(*name));
  }
  return request;
}

std::string encode_response(const Request& request, ErrorStatus status, std::int32_t error_index, std::string_view bindings) {
  const std::string pdu = ber_integer(request.request_id) + ber_integer(static_cast<std::int32_t>(status)) + ber_integer(error_index) + ber(kSequence, bindings);
  return ber(kSequence, ber_integer(static_cast<std::int32_t>(request.version)) + ber(kOctetString, request.community) +
                            ber(static_cast<std::uint8_t>(Operation::response), pdu));
}

}  // namespace postern::snmp
