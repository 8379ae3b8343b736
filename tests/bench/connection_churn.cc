// SPDX-License-Identifier: Apache-2.0
// Opens and ends connections as fast as a server allows, from up to 200 loopback addresses, and says how fast that was and what it
// cost the server's processes. With --serve it is the smallest server there can be, to compare with.
//
// Loads a server, tests nothing: a connection that ends otherwise than it should is counted as failed.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kUsage = R"(Usage: connection_churn --target ADDRESS:PORT [options], or connection_churn --serve PORT
  --target A:P     the server; IPv4 address and port
  --mode churn     connect, read the greeting's line, send QUIT, read until the end (the default)
  --mode refuse    connect, read until the end; a greeting is a failure
  --parallel N     connections at a time (1)
  --threads N      that many threads share them; at most as many as connections (1)
  --seconds S      how long (3)
  --pause MS       between the end of a connection and the next one in its place (0)
  --sources N      source addresses, in turn: 127.0.B.1 and following, at most 200 (200)
  --base B         see --sources (10)
  --pids P,P,…     the server's processes: their CPU time is shown too
  --serve PORT     on 127.0.0.1: greets, reads once, closes; one process, one epoll, no log
One line of JSON comes out: rate (connections/s), p50_us and p99_us (to the greeting's line; mode refuse: to the end), max_us, ended,
failed, cpu_ms (of the server's processes, a connection), cpu_share (of one core).
)";

struct Options {
  sockaddr_in target{};
  bool refuse = false;
  unsigned parallel = 1;
  unsigned threads = 1;
  double seconds = 3;
  unsigned pause_ms = 0;
  unsigned sources = 200;
  unsigned base = 10;
  std::vector<int> pids;
  int serve = 0;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

// Nanoseconds that the processes' threads have run.
std::uint64_t cpu_nanoseconds(const std::vector<int>& pids) {
  std::uint64_t total = 0;
  for (const int pid : pids) {
    const std::string directory = "/proc/" + std::to_string(pid) + "/task";
    DIR* const list = ::opendir(directory.c_str());
    if (list == nullptr) continue;
    while (const dirent* const entry = ::readdir(list)) {
      if (entry->d_name[0] == '.') continue;  // ".." is the process, and would count its first thread twice
      std::ifstream file(directory + "/" + entry->d_name + "/schedstat");
      std::uint64_t ran = 0;
      if (file >> ran) total += ran;
    }
    ::closedir(list);
  }
  return total;
}

int serve(int port) {
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listening, 1024) != 0) die("listen");
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN, {.fd = listening}};
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
  constexpr std::string_view greeting = "220 mail.example.com ESMTP\r\n";
  epoll_event ready[256];
  for (;;) {
    const int count = ::epoll_wait(epoll, ready, 256, -1);
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.fd != listening) {
        char rest[512];
        if (::recv(ready[i].data.fd, rest, sizeof rest, 0) >= 0 || errno != EAGAIN) ::close(ready[i].data.fd);
        continue;
      }
      for (;;) {
        const int connection = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0) break;
        if (::send(connection, greeting.data(), greeting.size(), MSG_NOSIGNAL) < 0) {
          ::close(connection);
          continue;
        }
        event = {EPOLLIN, {.fd = connection}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event);
      }
    }
  }
}

struct Place {
  int socket = -1;
  Clock::time_point began, resume;
  bool greeted = false;
  std::string first;
};

struct Result {
  std::vector<std::uint32_t> latencies_us;
  std::uint64_t ended = 0, failed = 0;
  std::string first_failure;
};

class Load {
 public:
  // `parallel` connections at a time; source addresses are taken from the one of number `first_source` on.
  Load(const Options& options, unsigned parallel, unsigned first_source)
      : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), places_(parallel), next_source_(first_source) {}

  void run(Clock::time_point start) {
    const auto over = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    for (Place& place : places_) place.resume = start;
    epoll_event ready[256];
    for (;;) {
      const auto now = Clock::now();
      if (now >= over) break;
      for (Place& place : places_)
        if (place.socket < 0 && place.resume <= now) open(place);
      const int count = ::epoll_wait(epoll_, ready, 256, options_.pause_ms > 0 ? 1 : 100);
      for (int i = 0; i < count; ++i) read(places_[ready[i].data.u32]);
    }
  }

  [[nodiscard]] const Result& result() const { return result_; }

 private:
  void open(Place& place) {
    place.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (place.socket < 0) die("socket");
    const int one = 1;
    // The port is chosen with the target in mind: all of them can be used for each source address.
    ::setsockopt(place.socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(0x7f000000U | options_.base << 8 | (next_source_++ % options_.sources + 1));
    if (::bind(place.socket, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0) die("bind");
    place.began = Clock::now();
    place.greeted = false;
    place.first.clear();
    if (::connect(place.socket, reinterpret_cast<const sockaddr*>(&options_.target), sizeof options_.target) != 0 && errno != EINPROGRESS)
      return end(place, std::strerror(errno));
    epoll_event event{EPOLLIN | EPOLLRDHUP, {.u32 = static_cast<std::uint32_t>(&place - places_.data())}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, place.socket, &event);
  }

  void read(Place& place) {
    char piece[2048];
    for (;;) {
      const ssize_t got = ::recv(place.socket, piece, sizeof piece, 0);
      if (got < 0) {
        if (errno == EAGAIN) return;
        // A reset ends a refused connection as well as anything.
        return end(place, options_.refuse && errno == ECONNRESET ? nullptr : std::strerror(errno));
      }
      if (got == 0) {
        if (options_.refuse) return end(place, is_greeting(place.first) ? "greeted" : nullptr);
        return end(place, place.greeted ? nullptr : "no greeting");
      }
      if (place.greeted) continue;
      place.first.append(piece, static_cast<std::size_t>(got));
      if (options_.refuse || place.first.find('\n') == std::string::npos) {
        if (options_.refuse && is_greeting(place.first)) return end(place, "greeted");
        continue;
      }
      if (!is_greeting(place.first)) return end(place, "refused");
      place.greeted = true;
      latency(place);
      if (::send(place.socket, "QUIT\r\n", 6, MSG_NOSIGNAL) != 6) return end(place, "QUIT not sent");
      return;
    }
  }

  static bool is_greeting(std::string_view text) { return text.starts_with("220") || text.starts_with("+OK"); }

  void latency(const Place& place) {
    result_.latencies_us.push_back(static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - place.began).count()));
  }

  void end(Place& place, const char* failure) {
    ::close(place.socket);
    place.socket = -1;
    place.resume = Clock::now() + std::chrono::milliseconds(options_.pause_ms);
    if (failure != nullptr) {
      ++result_.failed;
      if (result_.first_failure.empty()) result_.first_failure = failure;
      return;
    }
    ++result_.ended;
    if (options_.refuse) latency(place);
  }

  const Options& options_;
  int epoll_;
  std::vector<Place> places_;
  unsigned next_source_;
  Result result_;
};

void load(const Options& options) {
  std::vector<std::unique_ptr<Load>> loads;
  for (unsigned i = 0; i < options.threads; ++i)
    loads.push_back(std::make_unique<Load>(options, options.parallel / options.threads + (i < options.parallel % options.threads ? 1 : 0),
                                           options.sources * i / options.threads));
  const std::uint64_t cpu = cpu_nanoseconds(options.pids);
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < loads.size(); ++i) threads.emplace_back([&, i] { loads[i]->run(start); });
  loads[0]->run(start);
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double used = static_cast<double>(cpu_nanoseconds(options.pids) - cpu);

  Result all;
  for (const auto& one : loads) {
    const Result& part = one->result();
    all.latencies_us.insert(all.latencies_us.end(), part.latencies_us.begin(), part.latencies_us.end());
    all.ended += part.ended;
    all.failed += part.failed;
    if (all.first_failure.empty()) all.first_failure = part.first_failure;
  }
  std::sort(all.latencies_us.begin(), all.latencies_us.end());
  const auto at = [&](double part) {
    if (all.latencies_us.empty()) return std::uint32_t{0};
    return all.latencies_us[std::min(all.latencies_us.size() - 1, static_cast<std::size_t>(part * static_cast<double>(all.latencies_us.size())))];
  };
  std::printf("{\"rate\": %.0f, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u, \"ended\": %llu, \"failed\": %llu, \"cpu_ms\": %.4f, \"cpu_share\": %.2f, \"first_failure\": \"%s\"}\n",
              static_cast<double>(all.ended) / seconds, at(0.5), at(0.99), all.latencies_us.empty() ? 0 : all.latencies_us.back(),
              static_cast<unsigned long long>(all.ended), static_cast<unsigned long long>(all.failed),
              all.ended == 0 ? 0.0 : used / 1e6 / static_cast<double>(all.ended), used / 1e9 / seconds, all.first_failure.c_str());
}

Options options_from(int count, char** words) {
  Options options;
  bool target = false;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = words[i];
    if (name == "--help") {
      std::cout << kUsage;
      std::exit(0);
    }
    const char* const value = i + 1 < count ? words[++i] : nullptr;
    bool good = value != nullptr;
    if (good && name == "--target") {
      const std::string text = value;
      const auto colon = text.find(':');
      options.target.sin_family = AF_INET;
      options.target.sin_port = htons(static_cast<std::uint16_t>(std::atoi(text.substr(std::min(colon, text.size() - 1) + 1).c_str())));
      target = good = colon != std::string::npos && ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &options.target.sin_addr) == 1;
    } else if (good && name == "--mode") {
      options.refuse = std::string_view(value) == "refuse";
      good = options.refuse || std::string_view(value) == "churn";
    } else if (good && name == "--parallel") {
      options.parallel = static_cast<unsigned>(std::atoi(value));
      good = options.parallel > 0;
    } else if (good && name == "--threads") {
      options.threads = static_cast<unsigned>(std::atoi(value));
      good = options.threads > 0;
    } else if (good && name == "--seconds") {
      options.seconds = std::atof(value);
    } else if (good && name == "--pause") {
      options.pause_ms = static_cast<unsigned>(std::atoi(value));
    } else if (good && name == "--sources") {
      options.sources = static_cast<unsigned>(std::atoi(value));
      good = options.sources > 0 && options.sources <= 200;
    } else if (good && name == "--base") {
      options.base = static_cast<unsigned>(std::atoi(value));
      good = options.base < 256;
    } else if (good && name == "--pids") {
      for (const char* at = value; *at != '\0';) {
        options.pids.push_back(std::atoi(at));
        while (*at != '\0' && *at != ',') ++at;
        if (*at == ',') ++at;
      }
    } else if (good && name == "--serve") {
      options.serve = std::atoi(value);
    } else {
      good = false;
    }
    if (!good) {
      std::cerr << kUsage;
      std::exit(2);
    }
  }
  options.threads = std::min(options.threads, options.parallel);
  if (!target && options.serve == 0) {
    std::cerr << kUsage;
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  const Options options = options_from(count, words);
  if (options.serve != 0) return serve(options.serve);
  load(options);
  return 0;
}
