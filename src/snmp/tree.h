// SPDX-License-Identifier: Apache-2.0
#pragma once
// The objects that can be read just now, in the order in which they are walked. Made anew whenever figures are asked for that are not
// fresh; never changed afterwards, so that one answer shows one moment.
#include "snmp/ber.h"
#include "snmp/oid.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::snmp {

// A value as it goes into an answer.
struct Value {
  std::uint8_t tag = kNull;
  std::string encoded;  // the whole element

  static Value integer(std::int32_t number) { return {kInteger, ber_integer(number)}; }
  static Value text(std::string_view bytes) { return {kOctetString, ber(kOctetString, bytes)}; }
  static Value oid(const Oid& oid) { return {kObjectIdentifier, ber_oid(oid)}; }
  // What is more than 32 bits can hold: counters wrap (RFC 2578 section 7.1.6), gauges stay at their top (7.1.7).
  static Value counter32(std::uint64_t number) { return {kCounter32, ber_unsigned(kCounter32, number & 0xffffffff)}; }
  static Value gauge32(std::uint64_t number) { return {kGauge32, ber_unsigned(kGauge32, number > 0xffffffff ? 0xffffffff : number)}; }
  static Value counter64(std::uint64_t number) { return {kCounter64, ber_unsigned(kCounter64, number)}; }
  // Hundredths of a second; wraps after 497 days (7.1.8).
  static Value time_ticks(std::uint64_t hundredths) { return {kTimeTicks, ber_unsigned(kTimeTicks, hundredths & 0xffffffff)}; }
  static Value nothing(Tag why) { return {why, ber(why, {})}; }  // kNull, kNoSuchObject, kNoSuchInstance, kEndOfMibView
};

class Tree {
 public:
  struct Object {
    Oid name;
    Value value;
  };

  // Says that an object type exists, with whatever instances, also none (RFC 3416 section 4.2.1: noSuchInstance, not noSuchObject).
  void add_type(Oid type);
  // An instance of `type`; says that the type exists.
  void add(const Oid& type, const Oid& instance, Value value);
  // After the last add(): puts everything in order.
  void finish();

  // The object of this name, or nullptr.
  [[nodiscard]] const Object* find(const Oid& name) const;
  // The first object behind `name`, or nullptr.
  [[nodiscard]] const Object* after(const Oid& name) const;
  // Whether `name` is an instance, real or not, of a type that exists.
  [[nodiscard]] bool has_type_of(const Oid& name) const;
  [[nodiscard]] const std::vector<Object>& objects() const { return objects_; }

 private:
  std::vector<Object> objects_;
  std::vector<Oid> types_;
};

}  // namespace postern::snmp
