// SPDX-License-Identifier: Apache-2.0
#include "tools/ctl_ask.h"

#include "base/text.h"
#include "net/frames.h"

#include <boost/json/serialize.hpp>

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

namespace postern::tools {

using boost::json::object;
using boost::json::value;

namespace {

// The base directory that a configuration names although it is not usable: found by its line, as a person would.
std::string base_directory_in(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {};
  auto text = base::read_all(file.get(), conf::kMaxTextBytes);
  if (!text) return {};
  for (std::string_view line : base::split(*text, '\n')) {
    line = base::trim(line);
    if (!line.starts_with("base_directory")) continue;
    const auto from = line.find('"'), to = line.find('"', from + 1);
    if (from != std::string_view::npos && to != std::string_view::npos) return std::string(line.substr(from + 1, to - from - 1));
  }
  return {};
}

}  // namespace

int fail(const Context& context, const Error& error) {
  print_error(context, error.kind == Kind::denied ? "only root and the server's own user may do this (" + error.what + ")"
                                                  : "posternd does not answer: is it running with this configuration? (" + error.what + ")");
  return kFailed;
}

int wrong_usage(const Context& context, const std::string& command) {
  print_error(context, command + " takes no argument");
  return kUsage;
}

Result<base::Descriptor> server_directory(const Context& context) {
  const conf::Loaded loaded = conf::load(context.configuration_path);
  std::string path = loaded.configuration.base_directory;
  if (!loaded.usable()) {
    if (std::string named = base_directory_in(context.configuration_path); !named.empty()) path = std::move(named);
    std::cerr << "posternctl: " << context.configuration_path << " is not usable as it is; asking the server in " << path << "\n";
  }
  base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return system_error(errno, "base directory " + path);
  return directory;
}

Result<object> ask(const Context& context, object order, std::chrono::seconds patience) {
  auto directory = server_directory(context);
  if (!directory) return directory.error();
  return net::ask(directory->get(), kSocket, std::move(order), patience);
}

Result<object> ask(const Context& context, const char* command, std::chrono::seconds patience) {
  return ask(context, object{{"command", command}}, patience);
}

std::string text(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  if (found == nullptr) return "-";
  if (found->is_string()) return std::string(found->get_string());
  return boost::json::serialize(*found);
}

bool truth(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  return found != nullptr && found->is_bool() && found->get_bool();
}

std::vector<std::string> texts(const object& from, std::string_view key) {
  std::vector<std::string> list;
  const value* const found = from.if_contains(key);
  if (found == nullptr || !found->is_array()) return list;
  for (const value& entry : found->get_array())
    if (entry.is_string()) list.emplace_back(entry.get_string());
  return list;
}

std::string duration(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  boost::system::error_code error;
  const auto seconds = found == nullptr ? 0 : found->to_number<std::int64_t>(error);
  if (found == nullptr || error) return "-";
  if (seconds >= 86400) return std::to_string(seconds / 86400) + " d " + std::to_string(seconds % 86400 / 3600) + " h";
  if (seconds >= 3600) return std::to_string(seconds / 3600) + " h " + std::to_string(seconds % 3600 / 60) + " min";
  if (seconds >= 60) return std::to_string(seconds / 60) + " min " + std::to_string(seconds % 60) + " s";
  return std::to_string(seconds) + " s";
}

void print_json(const object& answer) { std::puts(boost::json::serialize(answer).c_str()); }

}  // namespace postern::tools
