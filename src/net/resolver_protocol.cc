// SPDX-License-Identifier: Apache-2.0
#include "net/resolver_protocol.h"

#include "net/frames.h"

#include <boost/json/array.hpp>

namespace postern::net {
namespace {

using boost::json::object;

constexpr std::uint64_t kMaxTimeToLive = 0x7fffffff;  // RFC 2181 section 8

std::optional<std::uint16_t> type_in(const object& from) {
  const auto type = number_in(from, "type");
  if (!type || *type == 0 || *type > 0xffff) return std::nullopt;
  return static_cast<std::uint16_t>(*type);
}

std::optional<std::string> name_in(const object& from) {
  const auto name = text_in(from, "name");
  if (!name) return std::nullopt;
  auto canonical = canonical_dns_name(*name);
  return canonical && *canonical == *name ? name : std::nullopt;
}

}  // namespace

object to_json(const DnsQuestion& question) { return {{"ask", "records"}, {"name", question.name}, {"type", question.type}}; }

Result<DnsQuestion> dns_question_from(const object& from) {
  auto name = name_in(from);
  const auto type = type_in(from);
  if (text_in(from, "ask") != "records" || !name || !type) return Error{Kind::invalid, "not a question"};
  return DnsQuestion{std::move(*name), *type};
}

object to_json(const DnsAnswer& answer) {
  boost::json::array records;
  for (const std::string& record : answer.records) records.emplace_back(to_hex(record));
  return {{"name", answer.canonical_name}, {"type", answer.type}, {"records", std::move(records)},
          {"secure", answer.secure},       {"cut", answer.cut},   {"ttl", answer.time_to_live.count()}};
}

Result<DnsAnswer> dns_answer_from(const object& from, std::uint16_t type) {
  const Error bad{Kind::invalid, "not an answer"};
  auto name = name_in(from);
  const auto secure = truth_in(from, "secure"), cut = truth_in(from, "cut");
  const auto ttl = number_in(from, "ttl");
  const auto* const records = from.if_contains("records");
  if (!name || type_in(from) != type || !secure || !cut || !ttl || *ttl > kMaxTimeToLive) return bad;
  if (records == nullptr || !records->is_array() || records->get_array().empty()) return bad;
  DnsAnswer answer;
  answer.type = type;
  answer.canonical_name = std::move(*name);
  answer.secure = *secure;
  answer.cut = *cut;
  answer.time_to_live = std::chrono::seconds(*ttl);
  for (const auto& record : records->get_array()) {
    auto bytes = record.is_string() ? from_hex(record.get_string()) : std::nullopt;
    if (!bytes || bytes->size() > 0xffff) return bad;
    answer.records.push_back(std::move(*bytes));
  }
  return answer;
}

}  // namespace postern::net
