// SPDX-License-Identifier: Apache-2.0
#pragma once
// The part of the Basic Encoding Rules that SNMP uses (RFC 3417 section 8): definite lengths, primitive values, single-byte tags.
//
// By hand, not with liblber: what arrives here was sent by anybody, and liblber ends the process by assert() on some bytes
// (CVE-2020-36230), allocates for every value, knows neither 64-bit nor unsigned numbers, and turns object identifiers into text.
// What would be left of it is the reading of a tag and a length.
//
// A reader never looks behind its end; nothing is allocated but the numbers of an object identifier, at most kMostNumbers.
#include "snmp/oid.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::snmp {

// Tags; RFC 2578 section 7.1, RFC 3416 section 3.
enum Tag : std::uint8_t {
  kInteger = 0x02,
  kOctetString = 0x04,
  kNull = 0x05,
  kObjectIdentifier = 0x06,
  kSequence = 0x30,
  kIpAddress = 0x40,
  kCounter32 = 0x41,
  kGauge32 = 0x42,
  kTimeTicks = 0x43,
  kCounter64 = 0x46,
  kNoSuchObject = 0x80,
  kNoSuchInstance = 0x81,
  kEndOfMibView = 0x82,
};

class BerReader {
 public:
  explicit BerReader(std::string_view bytes) : rest_(bytes) {}

  struct Element {
    std::uint8_t tag = 0;
    std::string_view content;
  };
  // The next element; nothing if it is cut short, has a tag of several bytes or a length that is indefinite or longer than what
  // there is.
  std::optional<Element> next();
  // The content of the next element, which must have this tag.
  std::optional<std::string_view> next(std::uint8_t tag);
  // A number from -2^31 to 2^31-1.
  std::optional<std::int32_t> next_integer();
  std::optional<Oid> next_oid();

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// The numbers of an object identifier's content; nothing if it is not one (X.690 section 8.19) or longer than kMostNumbers.
std::optional<Oid> decode_oid(std::string_view content);

// Elements, shortest form.
std::string ber(std::uint8_t tag, std::string_view content);
std::string ber_integer(std::int32_t number);
std::string ber_unsigned(std::uint8_t tag, std::uint64_t number);
std::string ber_oid(const Oid& oid);

}  // namespace postern::snmp
