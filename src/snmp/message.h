// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages of SNMP versions 1 and 2c: RFC 1157 section 4, RFC 1901 section 3, RFC 3416 section 3.
#include "snmp/oid.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::snmp {

enum class Version : std::int32_t { v1 = 0, v2c = 1 };

enum class Operation : std::uint8_t { get = 0xa0, get_next = 0xa1, response = 0xa2, set = 0xa3, get_bulk = 0xa5 };

// RFC 3416 section 3; version 1 knows the first six.
enum class ErrorStatus : std::int32_t { no_error = 0, too_big = 1, no_such_name = 2, not_writable = 17 };

struct Request {
  Version version = Version::v2c;
  std::string_view community;
  Operation operation = Operation::get;
  std::int32_t request_id = 0;
  std::int32_t non_repeaters = 0, max_repetitions = 0;  // of GETBULK, never below 0
  std::vector<Oid> names;
  std::string_view bindings;  // all of them as they came, for answers that repeat them; within the datagram
};

// What a datagram turned out to be. The header is looked at first, so that who does not know the community learns nothing of
// what is wrong with the rest.
struct Header {
  std::optional<Version> version;  // none: of a version that is not served here
  std::string_view community;
  std::string_view rest;  // the PDU
};
// Nothing: not a message of SNMP.
std::optional<Header> read_header(std::string_view datagram);
// The whole request. Nothing: malformed, or no request (answers and traps are nobody's to send us). At most kMostBindings names.
std::optional<Request> read_request(const Header& header);

// More than fit into any datagram that is read: an object needs seven bytes at least.
inline constexpr std::size_t kMostBindings = 2048;

// An answer to `request`; `bindings` are encoded VarBinds, one behind the other.
std::string encode_response(const Request& request, ErrorStatus status, std::int32_t error_index, std::string_view bindings);

}  // namespace postern::snmp
