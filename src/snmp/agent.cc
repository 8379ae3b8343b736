// SPDX-License-Identifier: Apache-2.0
#include "snmp/agent.h"

#include "base/text.h"

#include <algorithm>

namespace postern::snmp {
namespace {

using gate::DatagramOutcome;

std::string binding(const Oid& name, const Value& value) { return ber(kSequence, ber_oid(name) + value.encoded); }

// The object behind `name` that the version can show: version 1 has no 64-bit counters and skips them (RFC 3584 section 4.2.2.1).
const Tree::Object* next_object(const Tree& tree, const Oid& name, Version version) {
  const Tree::Object* object = tree.after(name);
  while (object != nullptr && version == Version::v1 && object->value.tag == kCounter64) object = tree.after(object->name);
  return object;
}

// Collects the objects of an answer as long as they fit.
class Bindings {
 public:
  Bindings(const Request& request, std::size_t most) {
    // The largest frame: lengths of four bytes.
    const std::size_t frame = encode_response(request, ErrorStatus::no_error, 0, {}).size() + 4 * 4;
    room_ = most > frame ? most - frame : 0;
  }
  bool add(const Oid& name, const Value& value) {
    const std::string one = binding(name, value);
    if (one.size() > room_) return false;
    room_ -= one.size();
    bytes_ += one;
    return true;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::size_t room_ = 0;
};

Answer sent(std::string bytes, const AgentSettings& settings) {
  // An answer that repeats what was asked may be too long too: then there is none (RFC 3416 section 4.2.1, snmpSilentDrops).
  if (bytes.size() > settings.message_bytes) return {DatagramOutcome::unanswered, {}};
  return {DatagramOutcome::answered, std::move(bytes)};
}

// Version 1 repeats the question in an answer that says what is wrong with it (RFC 1157 section 4.1.2); so does version 2c, but for
// tooBig, where the question may be what is too long (RFC 3416 section 4.2.1).
Answer refuse(const Request& request, ErrorStatus status, std::size_t index, const AgentSettings& settings) {
  const bool empty = status == ErrorStatus::too_big && request.version != Version::v1;
  return sent(encode_response(request, status, static_cast<std::int32_t>(index), empty ? std::string_view() : request.bindings), settings);
}

Answer get(const Request& request, const AgentSettings& settings, const Tree& tree) {
  const bool v1 = request.version == Version::v1;
  Bindings bindings(request, settings.message_bytes);
  for (std::size_t i = 0; i < request.names.size(); ++i) {
    const Oid& name = request.names[i];
    const Tree::Object* const object = tree.find(name);
    if (v1 && (object == nullptr || object->value.tag == kCounter64)) return refuse(request, ErrorStatus::no_such_name, i + 1, settings);
    const Value value = object != nullptr ? object->value : Value::nothing(tree.has_type_of(name) ? kNoSuchInstance : kNoSuchObject);
    if (!bindings.add(name, value)) return refuse(request, ErrorStatus::too_big, 0, settings);
  }
  return sent(encode_response(request, ErrorStatus::no_error, 0, bindings.bytes()), settings);
}

Answer get_next(const Request& request, const AgentSettings& settings, const Tree& tree) {
  Bindings bindings(request, settings.message_bytes);
  for (std::size_t i = 0; i < request.names.size(); ++i) {
    const Tree::Object* const object = next_object(tree, request.names[i], request.version);
    if (object == nullptr && request.version == Version::v1) return refuse(request, ErrorStatus::no_such_name, i + 1, settings);
    const bool fits = object != nullptr ? bindings.add(object->name, object->value) : bindings.add(request.names[i], Value::nothing(kEndOfMibView));
    if (!fits) return refuse(request, ErrorStatus::too_big, 0, settings);
  }
  return sent(encode_response(request, ErrorStatus::no_error, 0, bindings.bytes()), settings);
}

// RFC 3416 section 4.2.3: what does not fit is left out; who asked goes on from the last that he got.
Answer get_bulk(const Request& request, const AgentSettings& settings, const Tree& tree) {
  Bindings bindings(request, settings.message_bytes);
  const auto finished = [&] { return sent(encode_response(request, ErrorStatus::no_error, 0, bindings.bytes()), settings); };
  const std::size_t once = std::min(request.names.size(), static_cast<std::size_t>(request.non_repeaters));
  for (std::size_t i = 0; i < once; ++i) {
    const Tree::Object* const object = next_object(tree, request.names[i], request.version);
    const bool fits = object != nullptr ? bindings.add(object->name, object->value) : bindings.add(request.names[i], Value::nothing(kEndOfMibView));
    if (!fits) return finished();
  }
  std::vector<Oid> at(request.names.begin() + static_cast<std::ptrdiff_t>(once), request.names.end());
  const unsigned most = std::min<unsigned>(static_cast<unsigned>(request.max_repetitions), settings.repetitions);
  for (unsigned repetition = 0; repetition < most; ++repetition) {
    bool more = false;
    for (Oid& name : at) {
      const Tree::Object* const object = next_object(tree, name, request.version);
      const bool fits = object != nullptr ? bindings.add(object->name, object->value) : bindings.add(name, Value::nothing(kEndOfMibView));
      if (!fits) return finished();
      if (object == nullptr) continue;
      name = object->name;
      more = true;
    }
    if (!more) break;
  }
  return finished();
}

}  // namespace

Checked check(std::string_view datagram, const AgentSettings& settings) {
  const auto header = read_header(datagram);
  if (!header) return {DatagramOutcome::damaged, {}};
  if (!header->version) return {DatagramOutcome::unsupported, {}};
  if (settings.community.empty() || !base::equal_in_constant_time(header->community, settings.community)) return {DatagramOutcome::unauthenticated, {}};
  auto request = read_request(*header);
  if (!request) return {DatagramOutcome::damaged, {}};
  return {DatagramOutcome::answered, std::move(*request)};
}

Answer carry_out(const Request& request, const AgentSettings& settings, const Tree& tree) {
  switch (request.operation) {
    case Operation::get: return get(request, settings, tree);
    case Operation::get_next: return get_next(request, settings, tree);
    case Operation::get_bulk: return get_bulk(request, settings, tree);
    case Operation::set: {
      // No object can be set: RFC 3416 section 4.2.5 (2); in version 1 that is a name that does not exist (RFC 1157 section 4.1.5).
      if (request.names.empty()) return sent(encode_response(request, ErrorStatus::no_error, 0, {}), settings);
      return refuse(request, request.version == Version::v1 ? ErrorStatus::no_such_name : ErrorStatus::not_writable, 1, settings);
    }
    case Operation::response: break;
  }
  return {DatagramOutcome::damaged, {}};
}

}  // namespace postern::snmp
