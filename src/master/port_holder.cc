// SPDX-License-Identifier: Apache-2.0
#include "master/port_holder.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace postern::master {
namespace {

constexpr std::size_t kTableBytes = 64 * 1024 * 1024;
// Descriptors looked at over all processes.
constexpr unsigned kMostLinks = 500000;
constexpr std::string_view kListening = "0A";

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!(line = base::trim(line)).empty()) {
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

template <class Number>
std::optional<Number> number_in(std::string_view text, int base) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// 32-bit words as they stand in the kernel's memory, each printed as a number.
std::optional<net::Address> address_in(std::string_view hexadecimal) {
  std::array<std::uint8_t, 16> bytes{};
  if (hexadecimal.size() != 8 && hexadecimal.size() != 32) return std::nullopt;
  for (std::size_t at = 0; at < hexadecimal.size(); at += 8) {
    const auto word = number_in<std::uint32_t>(hexadecimal.substr(at, 8), 16);
    if (!word) return std::nullopt;
    std::memcpy(&bytes[at / 2], &*word, sizeof *word);
  }
  if (hexadecimal.size() == 32) return net::Address::ipv6(bytes);
  return net::Address::ipv4((std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) | bytes[3]);
}

using Directory = std::unique_ptr<DIR, decltype([](DIR* directory) { ::closedir(directory); })>;

std::string file_in_proc(const std::string& name, std::size_t limit) {
  const base::Descriptor file(::open(("/proc/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  auto text = file.valid() ? base::read_all(file.get(), limit) : Result<std::string>(std::string());
  return text ? std::move(*text) : std::string();
}

// The first process that has one of the sockets open.
std::string process_with(const std::vector<std::string>& sockets) {
  const Directory all(::opendir("/proc"));
  unsigned links = 0;
  while (const dirent* const entry = all ? ::readdir(all.get()) : nullptr) {
    const std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const Directory open(::opendir(("/proc/" + pid + "/fd").c_str()));
    while (const dirent* const link = open ? ::readdir(open.get()) : nullptr) {
      if (++links > kMostLinks) return {};
      char target[64];
      const ssize_t length = ::readlinkat(::dirfd(open.get()), link->d_name, target, sizeof target);
      if (length <= 0 || std::find(sockets.begin(), sockets.end(), std::string_view(target, static_cast<std::size_t>(length))) == sockets.end()) continue;
      std::string name = file_in_proc(pid + "/comm", 64);
      if (name.ends_with('\n')) name.pop_back();
      return (name.empty() ? "a program" : base::printable(name, 32)) + " (pid " + pid + ")";
    }
  }
  return {};
}

}  // namespace

std::vector<std::uint64_t> inodes_in_the_way(std::string_view table, conf::Transport transport, const net::Address& address, std::uint16_t port) {
  std::vector<std::uint64_t> inodes;
  for (const std::string_view line : base::split(table, '\n')) {
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    const auto words = words_of(line);
    if (words.size() < 10 || (transport == conf::Transport::tcp && words[3] != kListening)) continue;
    const auto colon = words[1].find(':');
    if (colon == std::string_view::npos) continue;
    const auto bound = address_in(words[1].substr(0, colon));
    const auto bound_port = number_in<std::uint16_t>(words[1].substr(colon + 1), 16);
    const auto inode = number_in<std::uint64_t>(words[9], 10);
    if (!bound || !bound_port || !inode || *bound_port != port) continue;
    // "::" may stand for all of IPv4 too; whether it does is not shown.
    const bool both = bound->is_any() && bound->family() != address.family() && words[1].size() > 13;
    const bool same_family = bound->family() == address.family();
    if (both || (same_family && (*bound == address || bound->is_any() || address.is_any()))) inodes.push_back(*inode);
  }
  return inodes;
}

std::string port_holder(conf::Transport transport, const net::Address& address, std::uint16_t port) {
  std::vector<std::string> sockets;
  const std::string name = transport == conf::Transport::udp ? "net/udp" : "net/tcp";
  for (const std::string& table : {name, name + "6"})
    for (const std::uint64_t inode : inodes_in_the_way(file_in_proc(table, kTableBytes), transport, address, port))
      if (inode != 0) sockets.push_back("socket:[" + std::to_string(inode) + "]");
  return sockets.empty() ? std::string() : process_with(sockets);
}

}  // namespace postern::master
