// SPDX-License-Identifier: Apache-2.0
#pragma once
// The kernel tells what comes and goes in a directory, so that nobody has to look through a million names.
//
// Begin the watch before the first scan. Where none can be made, that is logged (deferred-not-watched), and whoever wants to know scans.
#include "net/asio.h"

#include <functional>
#include <string>

namespace postern::roles {

class DirectoryWatch {
 public:
  struct Reports {
    std::function<void(const std::string& name)> appeared, disappeared;
    std::function<void()> lost;  // reports: the directory must be looked through
  };
  DirectoryWatch(net::asio::io_context& io, Reports reports) : io_(io), reports_(std::move(reports)), watch_(io) {}
  // `directory`: its descriptor, which is not needed any more afterwards. `after` is called behind each round of reports. To be called once.
  void begin(int directory, std::function<void()> after);
  [[nodiscard]] bool is_open() const { return watch_.is_open(); }
  // Passes on what the kernel has reported until now.
  void catch_up();

 private:
  net::Awaitable<void> listen();
  net::asio::io_context& io_;
  Reports reports_;
  std::function<void()> after_;
  net::asio::posix::stream_descriptor watch_;
};

}  // namespace postern::roles
