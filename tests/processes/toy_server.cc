// SPDX-License-Identifier: Apache-2.0
// A master with one toy role, so that processes, gate and reload can be tried without any mail protocol. The listener is
// that of POP3; a session greets, then answers each line; some lines make it misbehave: see session().
#include "master/master.h"
#include "service/stream_service.h"

#include "base/log.h"
#include "base/shared_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <iostream>

namespace postern {
namespace {

service::ControlLink* g_link = nullptr;
service::Start* g_start = nullptr;
base::SharedMutex* g_lock = nullptr;

net::Awaitable<void> session(net::SocketStream& stream, service::SessionContext& context) {
  net::Input input(stream);
  stream.set_time_limit(std::chrono::seconds(60));
  auto greeted = co_await stream.write("+OK toy\r\n");
  if (!greeted) co_return;
  std::string line;
  for (;;) {
    context.idle = true;
    auto read = co_await input.read_line(line, 512);
    context.idle = false;
    if (!read) {
      if (context.finishing()) {
        context.end_reason = "finishing";
        co_await stream.write("-ERR shutting down\r\n");
      }
      co_return;
    }
    if (*read != net::Input::Line::complete) co_return;
    context.describe(line);
    std::string answer = "+OK " + line + "\r\n";
    if (line == "pid") answer = "+OK " + std::to_string(::getpid()) + "\r\n";
    if (line == "crash") throw std::runtime_error("told to");
    if (line == "abort") std::abort();
    if (line == "exit") ::_exit(3);
    if (line == "flood")
      for (int i = 0; i < 1000; ++i) g_link->ask_replacement("again and again");
    if (line == "few files") {
      // Room for three more connections.
      const int next = ::dup(0);
      ::close(next);
      const rlimit few{static_cast<rlim_t>(next) + 3, static_cast<rlim_t>(next) + 3};
      ::setrlimit(RLIMIT_NOFILE, &few);
    }
    if (line == "lock") {
      if (g_lock->lock(std::chrono::seconds(1)) != base::SharedMutex::Locked::timed_out) ::pause();
    }
    if (line == "try lock") {
      const bool got = g_lock->lock(std::chrono::seconds(2)) != base::SharedMutex::Locked::timed_out;
      if (got) g_lock->unlock();
      answer = got ? "+OK got it\r\n" : "-ERR timed out\r\n";
    }
    if (line == "wait") {
      // Something under way: not idle for two seconds.
      net::asio::steady_timer timer(co_await net::asio::this_coro::executor, std::chrono::seconds(2));
      co_await timer.async_wait(net::use_awaitable);
    }
    if (line == "write") answer = g_start->map("toy-read", true) ? "+OK possible\r\n" : "+OK refused\r\n";
    if (line == "read") answer = g_start->map("toy-read", false) ? "+OK possible\r\n" : "+OK refused\r\n";
    if (line == "who") answer = "+OK " + std::to_string(::getuid()) + " " + std::to_string(::getgid()) + " " + (context.is_client ? "client" : "other") + "\r\n";
    if (line == "forbidden") {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      const int saved = errno;
      const int raw = ::socket(AF_INET, SOCK_RAW, 1);
      answer = "+OK fork " + std::string(child < 0 ? std::strerror(saved) : "possible") + ", raw socket " + (raw < 0 ? "refused" : "possible") + "\r\n";
    }
    auto written = co_await stream.write(answer);
    if (!written) co_return;
    if (line == "quit") {
      context.end_reason = "quit";
      co_return;
    }
  }
}

int run_toy(service::Start& start) {
  net::asio::io_context io(1);
  service::ControlLink link(io, start);
  g_link = &link;
  g_start = &start;
  auto memory = start.map("toy-lock", true);
  if (!memory) return 1;
  g_lock = reinterpret_cast<base::SharedMutex*>(memory->data());
  service::StreamService service(io, start, link, session);
  if (auto begun = service.begin(); !begun) {
    base::log_event(base::Severity::critical, "toy-failed", {{"error", begun.error().what}});
    return 1;
  }
  io.run();
  return 0;
}

// Serves nothing; ends when it is told to.
int run_worker(service::Start& start) {
  net::asio::io_context io(1);
  service::ControlLink link(io, start);
  if (start.get("toy-lock") >= 0 || start.get("connections") >= 0) return 1;  // not for this role
  link.on_rescan([] { base::log_event(base::Severity::info, "toy-rescan"); });
  link.ready();
  io.run();
  return 0;
}

int run(const std::string& path) {
  master::Options options;
  options.configuration_path = path;
  options.loaded = conf::load(path);
  for (const auto& mistake : options.loaded.mistakes) std::cerr << mistake.to_string() << "\n";
  if (!options.loaded.usable()) return 2;
  using Access = master::Role::Memory::Access;
  options.roles.push_back({"toy", master::Role::User::network, [](const conf::Configuration& c) { return c.children.pop3; }, {conf::Module::pop3}, 0,
                           {{"connections", Access::write}, {"ledger", Access::write}, {"toy-lock", Access::write}, {"toy-read", Access::read}}});
  options.roles.push_back({"worker", master::Role::User::mail, [](const conf::Configuration&) { return 1U; }, {}, 1, {}});
  options.ready = [](const std::string& failure) { std::cout << (failure.empty() ? "ready" : "failed: " + failure) << std::endl; };
  auto master = master::Master::open(std::move(options));
  if (!master) {
    std::cerr << master.error().what << "\n";
    return 1;
  }
  auto memory = base::SharedMemory::create("toy-lock", 4096);
  if (!memory) return 1;
  auto* const lock = reinterpret_cast<base::SharedMutex*>(memory->data());
  lock->init();
  (*master)->add_resource({"toy-lock", base::Descriptor(::dup(memory->descriptor())),
                           [lock](unsigned child, std::uint64_t) {
                             if (lock->lock(std::chrono::milliseconds(1)) == base::SharedMutex::Locked::timed_out) return false;
                             lock->unlock();
                             base::log_event(base::Severity::info, "toy-released", {{"number", child}});
                             return true;
                           },
                           lock});
  auto read_only = base::SharedMemory::create("toy-read", 4096);
  if (!read_only) return 1;
  (*master)->add_resource({"toy-read", base::Descriptor(::dup(read_only->descriptor())), {}, nullptr});
  return (*master)->run();
}

}  // namespace
}  // namespace postern

int main(int count, char** arguments) {
  using namespace postern;
  if (count == 2 && std::strcmp(arguments[1], "--child") == 0) {
    static constexpr service::RoleMain kRoles[] = {{"toy", run_toy}, {"worker", run_worker}};
    return service::run_child(kRoles);
  }
  if (count != 2) return 2;
  return run(arguments[1]);
}
