// SPDX-License-Identifier: Apache-2.0
// Sends mail over many SMTP or LMTP sessions at a time from one thread, and says how fast it was taken.
//
// Every message has a Message-ID of its own; one that is tried again gets a new one, so "accepted" and "in a mailbox" can be
// compared by name (--accepted). Commands are pipelined where the server offers it, as mail servers do (RFC 2920).
//
// The latency of a message runs from its MAIL command (in a new session: from the connect) to the reply that promises it.
// Loads a server, tests nothing: a refused message is counted and not sent again.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kUsage = R"(Usage: smtp_load --target ADDRESS:PORT [options]
  --target A:P       the server; IPv4 address and port
  --sessions N       sessions at a time (1)
  --messages N       messages in each session, then QUIT and a new session (1)
  --total N          stop after N messages; 0: only by time (0)
  --seconds N        begin no new session after N seconds; 0: only by number (0)
  --size BYTES       of a message, header included (10240)
  --from ADDRESS     envelope sender (load@sender.example)
  --to ADDRESS       recipient; several take turns; with --all every message goes to all of them
  --all              see --to
  --lmtp             LHLO, and one reply for each recipient (RFC 2033)
  --no-pipelining    one command at a time
  --id TEXT          first part of every Message-ID (the process id)
  --accepted FILE    write the Message-ID of every accepted message into FILE
  --json             print one JSON object instead of text
)";

struct Options {
  sockaddr_in target{};
  unsigned sessions = 1;
  unsigned messages = 1;
  std::uint64_t total = 0;
  double seconds = 0;
  std::size_t size_bytes = 10240;
  std::string sender = "load@sender.example";
  std::vector<std::string> recipients;
  bool all_recipients = false;
  bool lmtp = false;
  bool pipelining = true;
  std::string id = std::to_string(::getpid());
  std::string accepted_file;
  bool json = false;
};

// What all sessions share: what is still to be sent, and what came of it.
struct Run {
  Options options;
  int epoll = -1;
  Clock::time_point start, last_reply;
  std::uint64_t begun = 0, accepted = 0, failed = 0, connections = 0, broken = 0;
  std::vector<std::uint32_t> latencies_us;
  std::string body;           // behind the header, dot-stuffed, with the final dot
  std::string first_failure;  // what the server said, or what broke
  std::ofstream accepted_ids;

  bool more() const {
    if (options.total != 0 && begun >= options.total) return false;
    return options.seconds <= 0 || Clock::now() - start < std::chrono::duration<double>(options.seconds);
  }
  void fail(const std::string& why) {
    if (first_failure.empty()) first_failure = why;
  }
};

// One connection; when it ends and there is more to send, it begins again.
class Session {
 public:
  explicit Session(Run& run) : run_(run) {}
  ~Session() { close_socket(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool idle() const { return socket_ < 0; }
  void open();
  void ready(std::uint32_t events);

 private:
  enum class State { connecting, greeting, hello, envelope, text, quit };

  void reply(int code, std::string_view line);
  void begin_message();
  void end_message(bool accepted, std::string_view line);
  void next();
  void send(std::string_view bytes);
  void flush();
  void broken(const std::string& why);
  void close_socket();
  void watch();

  Run& run_;
  int socket_ = -1;
  State state_ = State::connecting;
  std::string in_, out_;
  std::size_t out_sent_ = 0;
  bool watching_output_ = false;
  bool server_pipelines_ = false;
  std::deque<std::string> commands_;  // not yet sent, without pipelining
  unsigned replies_due_ = 0;          // of this state
  unsigned recipients_taken_ = 0;
  unsigned sent_in_session_ = 0;
  bool in_message_ = false;
  bool text_refused_ = false;
  std::string message_id_;
  std::vector<std::string_view> recipients_;
  Clock::time_point message_start_;
};

void Session::open() {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return run_.fail(std::string("socket: ") + std::strerror(errno));
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  state_ = State::connecting;
  in_.clear();
  out_.clear();
  out_sent_ = 0;
  commands_.clear();
  sent_in_session_ = 0;
  in_message_ = false;
  server_pipelines_ = false;
  ++run_.connections;
  message_start_ = Clock::now();
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&run_.options.target), sizeof run_.options.target) != 0 &&
      errno != EINPROGRESS)
    return broken(std::string("connect: ") + std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = this;
  watching_output_ = true;
  ::epoll_ctl(run_.epoll, EPOLL_CTL_ADD, socket_, &event);
}

void Session::ready(std::uint32_t events) {
  if (state_ == State::connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return broken(std::string("connect: ") + std::strerror(error));
    state_ = State::greeting;
    replies_due_ = 1;
    watch();
  }
  if ((events & EPOLLOUT) != 0 && !out_.empty()) flush();
  if (socket_ < 0 || (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got < 0) return broken(std::string("receive: ") + std::strerror(errno));
    if (got == 0) {
      if (state_ == State::quit) return close_socket();
      return broken("the server closed the connection");
    }
    in_.append(buffer, static_cast<std::size_t>(got));
    if (static_cast<std::size_t>(got) < sizeof buffer) break;
  }
  std::size_t begin = 0;
  for (std::size_t end; socket_ >= 0 && (end = in_.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
    const std::string line = in_.substr(begin, end - begin);
    if (line.size() < 3) return broken("not a reply: " + line);
    if (state_ == State::hello && line.find("PIPELINING") != std::string::npos) server_pipelines_ = true;
    if (line.size() > 3 && line[3] == '-') continue;
    reply(std::atoi(line.substr(0, 3).c_str()), line);
  }
  if (socket_ >= 0) in_.erase(0, begin);
  if (socket_ >= 0) flush();
}

void Session::reply(int code, std::string_view line) {
  if (replies_due_ > 0) --replies_due_;
  switch (state_) {
    case State::connecting:
      return;
    case State::greeting:
      if (code != 220) return broken(std::string(line));
      state_ = State::hello;
      replies_due_ = 1;
      return send(run_.options.lmtp ? "LHLO load.example\r\n" : "EHLO load.example\r\n");
    case State::hello:
      if (code != 250) return broken(std::string(line));
      return begin_message();
    case State::envelope: {
      if (code == 421) return broken(std::string(line));
      const bool last = replies_due_ == 0 && commands_.empty();
      if (!last) {
        if (code / 100 == 2) ++recipients_taken_;  // MAIL counts too: taken off in the end
        else run_.fail(std::string(line));
        if (!commands_.empty() && replies_due_ == 0) {
          replies_due_ = 1;
          send(commands_.front());
          commands_.pop_front();
        }
        return;
      }
      if (code != 354) return end_message(false, line);
      state_ = State::text;
      text_refused_ = false;
      recipients_taken_ -= std::min(recipients_taken_, 1U);
      replies_due_ = run_.options.lmtp ? std::max(recipients_taken_, 1U) : 1;
      std::string header = "Message-ID: <" + message_id_ + ">\r\nFrom: <" + run_.options.sender + ">\r\nTo: <" +
                           std::string(recipients_.front()) + ">\r\nSubject: load\r\n";
      send(header);
      return send(run_.body);
    }
    case State::text:
      if (code / 100 != 2) text_refused_ = true;
      if (replies_due_ == 0) end_message(!text_refused_, line);
      return;
    case State::quit:
      return close_socket();
  }
}

void Session::begin_message() {
  if (sent_in_session_ > 0 || in_message_) message_start_ = Clock::now();
  in_message_ = true;
  message_id_ = run_.options.id + "." + std::to_string(run_.begun) + "@load.example";
  recipients_.clear();
  if (run_.options.all_recipients)
    for (const auto& recipient : run_.options.recipients) recipients_.push_back(recipient);
  else
    recipients_.push_back(run_.options.recipients[run_.begun % run_.options.recipients.size()]);
  ++run_.begun;
  state_ = State::envelope;
  recipients_taken_ = 0;
  commands_.clear();
  commands_.push_back("MAIL FROM:<" + run_.options.sender + ">\r\n");
  for (const auto recipient : recipients_) commands_.push_back("RCPT TO:<" + std::string(recipient) + ">\r\n");
  commands_.push_back("DATA\r\n");
  if (run_.options.pipelining && server_pipelines_) {
    replies_due_ = static_cast<unsigned>(commands_.size());
    std::string all;
    for (const auto& command : commands_) all += command;
    commands_.clear();
    return send(all);
  }
  replies_due_ = 1;
  send(commands_.front());
  commands_.pop_front();
}

void Session::end_message(bool accepted, std::string_view line) {
  run_.last_reply = Clock::now();
  if (accepted) {
    ++run_.accepted;
    run_.latencies_us.push_back(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(run_.last_reply - message_start_).count()));
    if (run_.accepted_ids.is_open()) run_.accepted_ids << '<' << message_id_ << ">\n";
  } else {
    ++run_.failed;
    run_.fail(std::string(line));
  }
  in_message_ = false;
  ++sent_in_session_;
  next();
}

void Session::next() {
  const bool by_number = run_.options.total != 0 && run_.begun >= run_.options.total;
  if (sent_in_session_ < run_.options.messages && !by_number) return begin_message();
  state_ = State::quit;
  send("QUIT\r\n");
}

void Session::send(std::string_view bytes) { out_ += bytes; }

void Session::flush() {
  while (out_sent_ < out_.size()) {
    const ssize_t sent = ::send(socket_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return broken(std::string("send: ") + std::strerror(errno));
    out_sent_ += static_cast<std::size_t>(sent);
  }
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  }
  watch();
}

void Session::watch() {
  const bool output = state_ == State::connecting || !out_.empty();
  if (output == watching_output_ || socket_ < 0) return;
  epoll_event event{};
  event.events = EPOLLIN | (output ? EPOLLOUT : 0U);
  event.data.ptr = this;
  watching_output_ = output;
  ::epoll_ctl(run_.epoll, EPOLL_CTL_MOD, socket_, &event);
}

void Session::broken(const std::string& why) {
  run_.fail(why);
  ++run_.broken;
  if (in_message_) ++run_.failed;
  in_message_ = false;
  close_socket();
}

void Session::close_socket() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

double percentile_ms(const std::vector<std::uint32_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[at] / 1000.0;
}

void print(Run& run) {
  std::sort(run.latencies_us.begin(), run.latencies_us.end());
  const double seconds = std::max(std::chrono::duration<double>(run.last_reply - run.start).count(), 0.000001);
  const double rate = static_cast<double>(run.accepted) / seconds;
  const double p50 = percentile_ms(run.latencies_us, 0.5), p90 = percentile_ms(run.latencies_us, 0.9),
               p99 = percentile_ms(run.latencies_us, 0.99), most = percentile_ms(run.latencies_us, 1);
  std::string failure;
  for (const char c : run.first_failure) {
    if (c == '"' || c == '\\') failure += '\\';
    failure += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  const char* format =
      run.options.json
          ? "{\"accepted\": %llu, \"failed\": %llu, \"connections\": %llu, \"broken\": %llu, \"seconds\": %.6f, \"rate\": %.1f, "
            "\"p50_ms\": %.2f, \"p90_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"first_failure\": \"%s\"}\n"
          : "%llu accepted, %llu failed, %llu connections, %llu broken, %.3f s, %.1f messages/s\n"
            "latency: p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms\n%s\n";
  std::printf(format, static_cast<unsigned long long>(run.accepted), static_cast<unsigned long long>(run.failed),
              static_cast<unsigned long long>(run.connections), static_cast<unsigned long long>(run.broken), seconds, rate, p50,
              p90, p99, most, failure.c_str());
}

[[noreturn]] void wrong_usage(const std::string& why) {
  std::cerr << "smtp_load: " << why << '\n' << kUsage;
  std::exit(2);
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) wrong_usage(name + " wants a value");
      return argv[++i];
    };
    if (name == "--help") {
      std::cout << kUsage;
      std::exit(0);
    } else if (name == "--target") {
      const std::string target = value();
      const auto colon = target.rfind(':');
      options.target.sin_family = AF_INET;
      if (colon == std::string::npos || ::inet_pton(AF_INET, target.substr(0, colon).c_str(), &options.target.sin_addr) != 1)
        wrong_usage("--target wants ADDRESS:PORT");
      options.target.sin_port = htons(static_cast<std::uint16_t>(std::atoi(target.c_str() + colon + 1)));
    } else if (name == "--sessions") options.sessions = static_cast<unsigned>(std::atoi(value().c_str()));
    else if (name == "--messages") options.messages = static_cast<unsigned>(std::atoi(value().c_str()));
    else if (name == "--total") options.total = std::strtoull(value().c_str(), nullptr, 10);
    else if (name == "--seconds") options.seconds = std::atof(value().c_str());
    else if (name == "--size") options.size_bytes = std::strtoull(value().c_str(), nullptr, 10);
    else if (name == "--from") options.sender = value();
    else if (name == "--to") options.recipients.push_back(value());
    else if (name == "--all") options.all_recipients = true;
    else if (name == "--lmtp") options.lmtp = true;
    else if (name == "--no-pipelining") options.pipelining = false;
    else if (name == "--id") options.id = value();
    else if (name == "--accepted") options.accepted_file = value();
    else if (name == "--json") options.json = true;
    else wrong_usage("unknown option " + name);
  }
  if (options.target.sin_port == 0) wrong_usage("--target is missing");
  if (options.recipients.empty()) wrong_usage("--to is missing");
  if (options.sessions == 0 || options.messages == 0) wrong_usage("--sessions and --messages begin at 1");
  if (options.total == 0 && options.seconds <= 0) wrong_usage("--total or --seconds must end it");
  return options;
}

// Lines of 76 letters up to about `size` bytes, then the dot that ends the text.
std::string make_body(std::size_t size_bytes) {
  constexpr std::size_t kHeader = 160;
  std::string body = "Content-Type: text/plain\r\n\r\n";
  const std::string letters = "abcdefghijklmnopqrstuvwxyz 0123456789 ";
  std::uint32_t state = 12345;
  while (body.size() + kHeader < size_bytes) {
    for (int i = 0; i < 76; ++i) {
      state = state * 1664525U + 1013904223U;
      body += letters[(state >> 16) % letters.size()];
    }
    body += "\r\n";
  }
  return body + ".\r\n";
}

}  // namespace

int main(int argc, char** argv) {
  Run run;
  run.options = read_options(argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  run.body = make_body(run.options.size_bytes);
  if (!run.options.accepted_file.empty()) run.accepted_ids.open(run.options.accepted_file);
  run.epoll = ::epoll_create1(EPOLL_CLOEXEC);
  run.start = run.last_reply = Clock::now();

  std::vector<std::unique_ptr<Session>> sessions;
  for (unsigned i = 0; i < run.options.sessions; ++i) sessions.push_back(std::make_unique<Session>(run));
  constexpr std::uint64_t kMostBroken = 10000;
  std::vector<epoll_event> events(256);
  auto pause_until = run.start;  // after broken connections: do not spin
  auto last_activity = Clock::now();
  for (;;) {
    unsigned open = 0;
    const auto now = Clock::now();
    for (auto& session : sessions) {
      if (session->idle() && now >= pause_until && run.more() && run.broken < kMostBroken) {
        const auto broken_before = run.broken;
        session->open();
        if (run.broken != broken_before) pause_until = now + std::chrono::milliseconds(20);
      }
      if (!session->idle()) ++open;
    }
    if (open == 0 && (!run.more() || run.broken >= kMostBroken)) break;
    const auto broken_before = run.broken;
    const int got = ::epoll_wait(run.epoll, events.data(), static_cast<int>(events.size()), 50);
    for (int i = 0; i < got; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      static_cast<Session*>(event.data.ptr)->ready(event.events);
    }
    if (run.broken != broken_before) pause_until = Clock::now() + std::chrono::milliseconds(20);
    if (got > 0) last_activity = Clock::now();
    if (Clock::now() - last_activity > std::chrono::seconds(120)) {
      run.fail("nothing happened for 120 s");
      break;
    }
  }
  print(run);
  return run.accepted > 0 && run.failed == 0 ? 0 : 1;
}
