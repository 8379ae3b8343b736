// SPDX-License-Identifier: Apache-2.0
#include "tools/show_answer.h"

#include "base/log.h"
#include "base/text.h"
#include "base/utf8.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <vector>

namespace postern::tools {
namespace {

std::string place_of(const mapping::TraceLine& line) { return line.file + ":" + std::to_string(line.line); }

// Fields, and what came of them.
std::string shown_effect(const mapping::TraceLine& line) {
  std::string out;
  for (std::size_t i = 0; i < line.fields.size(); ++i) out += std::to_string(i) + "=" + base::quoted_for_log(line.fields[i]) + " ";
  if (line.failed) out += "failed: " + line.reason;
  else out += "gives " + base::quoted_for_log(line.expansion);
  if (line.control != ' ') out += std::string(", $") + line.control;
  return out;
}

std::string entries(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " entry" : " entries"); }

}  // namespace

std::string shown_flags(const mapping::Flags& flags) {
  std::string text;
  for (const char flag : flags.letters()) {
    if (!text.empty()) text += ' ';
    text += flag;
  }
  return text;
}

std::string shown_entry(const mapping::Mapped& mapped) { return mapped.matched ? mapped.file + ":" + std::to_string(mapped.line) : "-"; }

void append_trace(std::string& to, const mapping::Mapped& mapped, std::string_view indent) {
  std::size_t place_width = 0, table_width = 0;
  for (const mapping::TraceLine& line : mapped.trace) {
    place_width = std::max(place_width, place_of(line).size());
    table_width = std::max(table_width, line.table.size() + 2 * static_cast<std::size_t>(line.depth));
  }
  std::uint64_t counted = 0;
  const auto pad = [&](std::string text, std::size_t width) {
    to += text;
    to.append(width - text.size() + 2, ' ');
  };
  for (const mapping::TraceLine& line : mapped.trace) {
    if (line.skipped != 0) to.append(indent).append("(" + entries(line.skipped) + " that cannot match)\n");
    counted += line.skipped;
    to += indent;
    pad(place_of(line), place_width);
    // A table that another one called stands further in.
    pad(std::string(2 * static_cast<std::size_t>(line.depth), ' ') + line.table, table_width);
    if (line.matched) to += "match     " + shown_effect(line);
    else to += line.reason.empty() ? "no match" : line.reason;
    to += '\n';
  }
  if (mapped.skipped > counted) to.append(indent).append("(" + entries(mapped.skipped - counted) + " that cannot match)\n");
}

std::string json_text(std::string_view text) {
  if (base::is_utf8(text)) return std::string(text);
  std::string out;
  for (const char c : text) base::append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

boost::json::object answer_as_json(const mapping::Mapped& mapped, std::string_view probe, std::uint64_t generation, bool trace) {
  boost::json::object out;
  out["probe"] = json_text(probe);
  out["matched"] = mapped.matched;
  out["output"] = json_text(mapped.output);
  out["flags"] = json_text(mapped.flags.letters());
  out["step_limit_exceeded"] = mapped.step_limit_exceeded;
  if (generation != 0) out["generation"] = generation;
  if (mapped.matched) {
    out["file"] = mapped.file;
    out["line"] = mapped.line;
  }
  if (!trace) return out;
  boost::json::array lines;
  for (const mapping::TraceLine& line : mapped.trace) {
    boost::json::object entry;
    entry["depth"] = line.depth;
    entry["table"] = line.table;
    entry["file"] = line.file;
    entry["line"] = line.line;
    entry["matched"] = line.matched;
    entry["skipped_before"] = line.skipped;
    boost::json::array fields;
    for (const std::string& field : line.fields) fields.emplace_back(json_text(field));
    entry["fields"] = std::move(fields);
    entry["expansion"] = json_text(line.expansion);
    entry["failed"] = line.failed;
    entry["reason"] = json_text(line.reason);
    entry["control"] = line.control == ' ' ? std::string() : std::string(1, line.control);
    lines.push_back(std::move(entry));
  }
  out["trace"] = std::move(lines);
  out["skipped"] = mapped.skipped;
  return out;
}

}  // namespace postern::tools
