// SPDX-License-Identifier: Apache-2.0
// Opens many sessions, waits for each greeting, says nothing more and holds them until its standard input ends: for figures of
// what an idle session costs a server. In clear text, or with TLS from the first byte.
//
// Several source addresses of 127.0.0.0/8 take turns, since one has fewer ports than a large figure needs.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char* kUsage = R"(Usage: hold_sessions --port N [options]
  --port N      on 127.0.0.1
  --count N     sessions (1000)
  --tls         TLS from the first byte; the certificate is not verified
  --sources N   source addresses 127.0.1.1 and following (100)
  --threads N   that connect at a time (8)

Prints "holding N, failed N, seconds S" once all are open, and ends when standard input does.
)";

struct Options {
  std::uint16_t port = 0;
  unsigned count = 1000, sources = 100, threads = 8;
  bool tls = false;
};

struct Held {
  int socket = -1;
  SSL* tls = nullptr;
};

unsigned number(const char* text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (end == text || *end != '\0' || value > 1'000'000) {
    std::fprintf(stderr, "hold_sessions: expected a number, found %s\n", text);
    std::exit(2);
  }
  return static_cast<unsigned>(value);
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--tls") {
      options.tls = true;
      continue;
    }
    if (name == "--help" || i + 1 == count) {
      std::fputs(kUsage, name == "--help" ? stdout : stderr);
      std::exit(name == "--help" ? 0 : 2);
    }
    const unsigned value = number(arguments[++i]);
    if (name == "--port") options.port = static_cast<std::uint16_t>(value);
    else if (name == "--count") options.count = value;
    else if (name == "--sources") options.sources = std::max(1U, std::min(value, 250U));
    else if (name == "--threads") options.threads = std::max(1U, value);
    else {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
  }
  if (options.port == 0) {
    std::fputs(kUsage, stderr);
    std::exit(2);
  }
  return options;
}

// One session up to its greeting; a socket of -1 if it did not come so far.
Held open_session(const Options& options, SSL_CTX* context, unsigned index) {
  Held held;
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return held;
  timeval limit{30, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in own{}, server{};
  own.sin_family = server.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(0x7f000100U + 1 + index % options.sources);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server.sin_port = htons(options.port);
  char greeting[512];
  bool good = ::bind(socket, reinterpret_cast<sockaddr*>(&own), sizeof own) == 0 &&
              ::connect(socket, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0;
  if (good && options.tls) {
    held.tls = SSL_new(context);
    SSL_set_fd(held.tls, socket);
    good = SSL_connect(held.tls) == 1 && SSL_read(held.tls, greeting, sizeof greeting) > 0;
  } else if (good) {
    good = ::read(socket, greeting, sizeof greeting) > 0;
  }
  if (good && (greeting[0] == '2' || greeting[0] == '+')) {
    held.socket = socket;
    return held;
  }
  if (held.tls != nullptr) SSL_free(held.tls);
  ::close(socket);
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = parse(count, arguments);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);

  const auto began = std::chrono::steady_clock::now();
  std::vector<Held> sessions(options.count);
  std::atomic<unsigned> next{0}, failed{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < options.threads; ++i)
    threads.emplace_back([&] {
      for (unsigned index; (index = next++) < options.count;) {
        sessions[index] = open_session(options, context, index);
        if (sessions[index].socket < 0) ++failed;
      }
    });
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("holding %u, failed %u, seconds %.2f\n", options.count - failed.load(), failed.load(), seconds);
  std::fflush(stdout);

  char ignored[256];
  while (::read(STDIN_FILENO, ignored, sizeof ignored) > 0) {
  }
  for (const Held& held : sessions) {
    if (held.tls != nullptr) SSL_free(held.tls);
    if (held.socket >= 0) ::close(held.socket);
  }
  SSL_CTX_free(context);
  return failed == 0 ? 0 : 1;
}
