// SPDX-License-Identifier: Apache-2.0
// posternctl probe, match, compile: what the access tables answer and why, without a running server.
#include "tools/posternctl.h"

#include "base/files.h"
#include "base/text.h"
#include "mapping/compile.h"
#include "mapping/pattern.h"
#include "mapping/tables.h"
#include "net/address.h"
#include "policy/questions.h"
#include "tools/compile_site.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

struct ProbeOptions {
  std::string table, flags, mappings, general;
  bool trace = false;
  std::optional<std::string> probe;
};

int wrong_usage(const std::string& text) {
  std::cerr << "posternctl: " << text << "\n";
  return kUsage;
}

std::optional<ProbeOptions> probe_options(const std::vector<std::string>& arguments) {
  ProbeOptions options;
  bool only_probe = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (only_probe || !name.starts_with("--")) {
      if (options.probe) {
        wrong_usage("probe takes one string (quote it)");
        return std::nullopt;
      }
      options.probe = name;
      continue;
    }
    if (name == "--") {
      only_probe = true;
      continue;
    }
    if (name == "--trace") {
      options.trace = true;
      continue;
    }
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    std::string* const target = name == "--table"      ? &options.table
                                : name == "--flags"    ? &options.flags
                                : name == "--mappings" ? &options.mappings
                                : name == "--general"  ? &options.general
                                                       : nullptr;
    if (target == nullptr) {
      wrong_usage("probe has no option " + name);
      return std::nullopt;
    }
    if (!value && ++i < arguments.size()) value = arguments[i];
    if (!value) {
      wrong_usage(name + " needs a value");
      return std::nullopt;
    }
    *target = *value;
  }
  if (options.table.empty()) {
    wrong_usage("probe needs --table NAME");
    return std::nullopt;
  }
  return options;
}

Result<mapping::Tables> tables_of_text(const ProbeOptions& options) {
  mapping::CompileInput input;
  input.mappings = std::filesystem::absolute(options.mappings).lexically_normal().string();
  if (!options.general.empty()) input.general = std::filesystem::absolute(options.general).lexically_normal().string();
  input.lint = false;
  const mapping::Compilation compilation = mapping::compile(input);
  for (const mapping::Message& message : compilation.messages) std::cerr << message.to_string() << "\n";
  if (!compilation.good()) return Error{Kind::invalid, options.mappings + " has errors"};
  auto image = mapping::lay_out(compilation, 0, 0);
  if (!image) return image.error();
  return mapping::Tables::from_bytes(std::move(*image));
}

Result<mapping::Tables> tables_of_server(const conf::Configuration& configuration) {
  const std::string path = configuration.tables_directory + "/tables.db";
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, path);
  auto image = mapping::image_of_compiled(file.get());
  if (!image) return image.error().in(path);
  return mapping::Tables::from_bytes(std::move(*image));
}

// The answer to a question, waited for.
std::optional<std::string> answer_of(const mapping::Question& question, policy::Questions& questions, const policy::QuestionFacts& facts) {
  net::asio::io_context io(1);
  std::optional<std::string> text;
  net::asio::co_spawn(io, questions.answer(question, facts), [&](std::exception_ptr, std::optional<std::string> found) { text = std::move(found); });
  io.run();
  return text;
}

std::string trace_text(const mapping::TraceLine& line) {
  std::string out(static_cast<std::size_t>(line.depth) * 2, ' ');
  out += line.file + ":" + std::to_string(line.line) + " " + line.table + ": ";
  if (!line.matched) return out + (line.reason.empty() ? "no match" : line.reason);
  out += "match";
  for (std::size_t i = 0; i < line.fields.size(); ++i) out += " " + std::to_string(i) + "=" + line.fields[i];
  if (line.failed) out += ", failed: " + line.reason;
  else out += ", gives \"" + line.expansion + "\"";
  if (line.control != ' ') out += std::string(", control ") + line.control;
  return out;
}

boost::json::object as_json(const mapping::Mapped& mapped, const std::string& probe, bool trace) {
  boost::json::object out;
  out["probe"] = probe;
  out["matched"] = mapped.matched;
  out["output"] = mapped.output;
  out["flags"] = mapped.flags.letters();
  out["step_limit_exceeded"] = mapped.step_limit_exceeded;
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
    boost::json::array fields;
    for (const std::string& field : line.fields) fields.emplace_back(field);
    entry["fields"] = std::move(fields);
    entry["expansion"] = line.expansion;
    entry["failed"] = line.failed;
    entry["reason"] = line.reason;
    entry["control"] = line.control == ' ' ? std::string() : std::string(1, line.control);
    lines.push_back(std::move(entry));
  }
  out["trace"] = std::move(lines);
  return out;
}

void print_result(const mapping::Mapped& mapped, const ProbeOptions& options, const std::string& probe, bool json) {
  if (json) {
    std::cout << boost::json::serialize(as_json(mapped, probe, options.trace)) << "\n";
    return;
  }
  for (const mapping::TraceLine& line : mapped.trace) std::cout << trace_text(line) << "\n";
  std::string flags;
  for (const char flag : mapped.flags.letters()) flags += std::string(flags.empty() ? "" : " ") + flag;
  std::cout << "matched: " << (mapped.matched ? "yes" : "no") << "\noutput: " << mapped.output << "\nflags:" << (flags.empty() ? "" : " ") << flags
            << "\nentry: " << (mapped.matched ? mapped.file + ":" + std::to_string(mapped.line) : "-") << "\n";
  if (mapped.step_limit_exceeded) std::cerr << "posternctl: the step limit was exceeded: an access table answers this with 451 4.7.1\n";
}

}  // namespace

int run_probe(const Context& context, const std::vector<std::string>& arguments) {
  const auto options = probe_options(arguments);
  if (!options) return kUsage;
  // With --mappings no configuration is needed; the client list is then as shipped.
  std::vector<net::AddressList::Mistake> mistakes;
  net::AddressList clients = net::AddressList::compile("127.0.0.0/8\n::1\n", mistakes);
  Result<mapping::Tables> tables = Error{};
  if (!options->mappings.empty()) {
    tables = tables_of_text(*options);
  } else {
    clients = context.configuration().client_addresses;
    tables = tables_of_server(context.configuration());
  }
  if (!tables) {
    std::cerr << "posternctl: " << tables.error().what << "\n";
    return kUsage;
  }
  if (!tables->has(options->table)) {
    std::cerr << "posternctl: there is no table " << options->table << "\n";
    return kUsage;
  }
  // What needs no server: whether an address is a client's. All else counts as not found.
  policy::Questions questions;
  policy::QuestionFacts facts;
  facts.clients = &clients;
  const auto ask = [&](const std::string& probe) {
    mapping::Evaluation evaluation(*tables, options->table, probe, mapping::Flags(options->flags), options->trace);
    while (evaluation.run() == mapping::Evaluation::State::asks) evaluation.answer(answer_of(evaluation.question(), questions, facts));
    const mapping::Mapped mapped = evaluation.take_result();
    print_result(mapped, *options, probe, context.json);
    return mapped.matched;
  };
  if (options->probe) return ask(*options->probe) ? kDone : kFailed;
  bool all_matched = true;
  for (std::string line; std::getline(std::cin, line);) all_matched = ask(line) && all_matched;
  return all_matched ? kDone : kFailed;
}

int run_match(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return wrong_usage("match needs a pattern and a string");
  const mapping::Pattern pattern = mapping::parse_pattern(arguments[0]);
  for (const mapping::Finding& finding : pattern.findings) std::cerr << "posternctl: " << finding.code << ": " << finding.text << "\n";
  if (!pattern.good()) return kUsage;
  const std::string& subject = arguments[1];
  const mapping::Match match = mapping::match(pattern.code, subject, mapping::kMaxMatchSteps);
  std::vector<std::string> fields;
  for (int i = 0; match.matched && i < std::min(match.fields, mapping::kReachableFields); ++i) {
    const mapping::FieldSpan span = match.field[static_cast<std::size_t>(i)];
    fields.push_back(subject.substr(span.start, span.length));
  }
  if (context.json) {
    boost::json::object out{{"matched", match.matched}};
    boost::json::array list;
    for (const std::string& field : fields) list.emplace_back(field);
    out["fields"] = std::move(list);
    std::cout << boost::json::serialize(out) << "\n";
  } else {
    std::cout << (match.matched ? "yes" : "no") << "\n";
    for (std::size_t i = 0; i < fields.size(); ++i) std::cout << i << "=" << fields[i] << "\n";
  }
  if (match.gave_up) std::cerr << "posternctl: given up after " << match.steps << " steps\n";
  return match.matched ? kDone : kFailed;
}

int run_compile(const Context& context, const std::vector<std::string>& arguments) {
  const std::string& path = context.configuration_path;
  const std::size_t slash = path.rfind('/');
  return compile_site("posternctl compile", slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash), arguments);
}

}  // namespace postern::tools
