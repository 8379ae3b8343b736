// SPDX-License-Identifier: Apache-2.0
#include "tools/ctl_ask.h"

#include "base/text.h"
#include "net/frames.h"

#include <boost/json/serialize.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>

namespace postern::tools {

using boost::json::object;
using boost::json::value;

namespace {

// The base directory that a configuration names although it is not usable, or nothing. In a text that can't be read it is found
// by its line, as a person would.
std::string base_directory_in(const std::string& path, const conf::Loaded& loaded) {
  const bool wrong = std::any_of(loaded.mistakes.begin(), loaded.mistakes.end(), [](const conf::Mistake& one) { return !one.warning && one.setting == "base_directory"; });
  if (wrong) return {};
  if (loaded.readable) return loaded.configuration.place_of("base_directory").line > 0 ? loaded.configuration.base_directory : std::string();
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
  switch (error.kind) {
    case Kind::invalid: print_error(context, error.what); return kUsage;
    case Kind::permanent: print_error(context, error.what); return kFailed;
    case Kind::denied: print_error(context, "only root and the server's own user may do this (" + error.what + ")"); return kFailed;
    default: print_error(context, "posternd does not answer: is it running with this configuration? (" + error.what + ")"); return kFailed;
  }
}

int wrong_usage(const Context& context, const std::string& command) {
  print_error(context, command + " takes no argument");
  return kUsage;
}

Result<base::Descriptor> server_directory(const Context& context) {
  const conf::Loaded loaded = conf::load(context.configuration_path);
  std::string path = loaded.configuration.base_directory;
  if (!loaded.usable()) {
    path = base_directory_in(context.configuration_path, loaded);
    if (path.empty()) {
      // The server in the default directory may be another one than was meant.
      const auto mistake = std::find_if(loaded.mistakes.begin(), loaded.mistakes.end(), [](const conf::Mistake& one) { return !one.warning; });
      return Error{Kind::invalid, mistake->to_string() + "; and it names no base_directory, so there is no server to ask"};
    }
    std::cerr << "posternctl: " << context.configuration_path << " is not usable as it is; asking the server in " << path << "\n";
  }
  base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    const int saved = errno;
    return Error{saved == EACCES || saved == EPERM ? Kind::denied : Kind::temporary, system_error(saved, "base directory " + path).what};
  }
  return directory;
}

Result<object> ask(const Context& context, object order, std::chrono::seconds patience) {
  auto directory = server_directory(context);
  if (!directory) return directory.error();
  auto answer = net::ask(directory->get(), kSocket, std::move(order), patience);
  if (!answer) return Error{answer.error().kind == Kind::denied ? Kind::denied : Kind::temporary, answer.error().what};
  // With "done" beside it, it is the outcome of something that was tried, and for the command to tell.
  if (answer->contains("error") && !answer->contains("done"))
    return Error{truth(*answer, "wrong_argument") ? Kind::invalid : Kind::permanent, "posternd: " + text(*answer, "error")};
  return answer;
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
