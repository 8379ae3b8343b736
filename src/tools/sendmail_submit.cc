// SPDX-License-Identifier: Apache-2.0
#include "tools/sendmail_submit.h"

#include "base/descriptor.h"
#include "base/result.h"
#include "base/text.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>

namespace postern::tools {
namespace {

// RFC 5321 section 4.5.3.2 asks for five minutes and more; ten for the end of the text.
constexpr int kAnswerMilliseconds = 300'000, kTextMilliseconds = 600'000, kConnectMilliseconds = 30'000;
constexpr std::size_t kMostReplyBytes = 64 * 1024;

struct Failed {
  SubmitFailure failure;
};

[[noreturn]] void give_up(int status, const std::string& what) { throw Failed{{status, what}}; }

base::Descriptor connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    give_up(EX_NOHOST, host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, &::freeaddrinfo);
  int last = ECONNREFUSED;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    base::Descriptor socket(::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) {
      last = errno;
      continue;
    }
    int error = ::connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd writable{socket.get(), POLLOUT, 0};
      socklen_t length = sizeof error;
      if (::poll(&writable, 1, kConnectMilliseconds) <= 0) error = ETIMEDOUT;
      else if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    }
    if (error == 0) return socket;
    last = error;
  }
  give_up(EX_TEMPFAIL, "no connection to " + host + ":" + port + ": " + system_error(last, "connect").what);
}

struct Reply {
  int code = 0;
  std::string text;
  std::vector<std::string> lines;
};

class Session {
 public:
  Session(const std::string& host, const std::string& port) : socket_(connect_to(host, port)) {}

  Reply ask(const std::string& line) {
    send(line + "\r\n");
    return reply(kAnswerMilliseconds);
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      else if (errno == EAGAIN) wait(POLLOUT, kAnswerMilliseconds);
      else if (errno != EINTR) give_up(EX_TEMPFAIL, system_error(errno, "the connection to the server broke").what);
    }
  }
  Reply reply(int milliseconds) {
    Reply made;
    std::size_t bytes = 0;
    for (;;) {
      const std::string line = next_line(milliseconds);
      bytes += line.size();
      const auto code = base::number_from<int>(std::string_view(line).substr(0, 3));
      if (bytes > kMostReplyBytes || line.size() < 3 || !code || *code < 200 || *code > 599 || (line.size() > 3 && line[3] != ' ' && line[3] != '-'))
        give_up(EX_PROTOCOL, "the server said what is no reply: " + base::printable(line, 100));
      made.code = *code;
      made.lines.push_back(line.size() > 4 ? line.substr(4) : std::string());
      made.text += (made.text.empty() ? line.substr(0, 3) : std::string()) + " " + base::printable(made.lines.back(), 500);
      if (line.size() == 3 || line[3] == ' ') return made;
    }
  }
  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  std::string next_line(int milliseconds) {
    for (;;) {
      if (const auto end = input_.find('\n'); end != std::string::npos) {
        std::string line = input_.substr(0, end);
        input_.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        return line;
      }
      if (input_.size() > kMostReplyBytes) give_up(EX_PROTOCOL, "the server's reply has no end");
      std::array<char, 4096> buffer;
      const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (got > 0) input_.append(buffer.data(), static_cast<std::size_t>(got));
      else if (got == 0) give_up(EX_TEMPFAIL, "the server closed the connection");
      else if (errno == EAGAIN) wait(POLLIN, milliseconds);
      else if (errno != EINTR) give_up(EX_TEMPFAIL, system_error(errno, "the connection to the server broke").what);
    }
  }
  void wait(short events, int milliseconds) {
    pollfd one{socket_.get(), events, 0};
    const int ready = ::poll(&one, 1, milliseconds);
    if (ready == 0) give_up(EX_TEMPFAIL, "the server does not answer");
  }

  base::Descriptor socket_;
  std::string input_;
};

[[noreturn]] void refused(const std::string& what, const Reply& reply) {
  // RFC 3463: X.1.x is about an address, X.6 and X.7 about the message or a rule.
  const bool address = reply.code == 550 || reply.code == 551 || reply.code == 553;
  give_up(reply.code < 500 ? EX_TEMPFAIL : address ? EX_NOUSER : reply.code == 501 ? EX_DATAERR : EX_UNAVAILABLE, what + reply.text);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// xtext (RFC 3461 section 4).
std::string xtext(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '+' && c != '=') out += c;
    else (out += '+').append({kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return out;
}

void send_text(Session& session, std::string_view text) {
  std::string block;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(line.size());
    if (line.starts_with('.')) block += '.';
    block += line;
    if (block.size() > 64 * 1024) {
      session.send(block);
      block.clear();
    }
  }
  session.send(block + ".\r\n");
}

}  // namespace

std::optional<SubmitFailure> submit(const Submission& submission) {
  try {
    Session session(submission.host, submission.port);
    if (const Reply greeting = session.reply(kAnswerMilliseconds); greeting.code != 220) refused("the server said ", greeting);
    const Reply hello = session.ask("EHLO " + submission.helo);
    if (hello.code != 250) refused("EHLO: ", hello);
    const auto offered = [&](std::string_view keyword) {
      return std::any_of(hello.lines.begin() + 1, hello.lines.end(), [&](const std::string& line) { return base::equal_ignoring_case(line.substr(0, line.find(' ')), keyword); });
    };
    const bool dsn = offered("DSN");
    const bool utf8 = !is_ascii(submission.sender) || !std::all_of(submission.recipients.begin(), submission.recipients.end(), is_ascii);
    std::string mail = "MAIL FROM:<" + submission.sender + ">";
    if (offered("SIZE")) mail += " SIZE=" + std::to_string(submission.text.size());
    if (!is_ascii(submission.text) && offered("8BITMIME")) mail += " BODY=8BITMIME";
    if (utf8) {
      if (!offered("SMTPUTF8")) give_up(EX_UNAVAILABLE, "the server takes no addresses that are not ASCII");
      mail += " SMTPUTF8";
    }
    if (dsn && !submission.ret.empty()) mail += " RET=" + submission.ret;
    if (dsn && !submission.envelope_id.empty()) mail += " ENVID=" + xtext(submission.envelope_id);
    if (const Reply reply = session.ask(mail); reply.code != 250) refused("sender <" + submission.sender + ">: ", reply);
    for (const std::string& recipient : submission.recipients) {
      std::string command = "RCPT TO:<" + recipient + ">";
      if (dsn && !submission.notify.empty()) command += " NOTIFY=" + submission.notify;
      const Reply reply = session.ask(command);
      if (reply.code / 100 != 2) refused("nothing was sent; recipient <" + recipient + ">: ", reply);
    }
    if (const Reply reply = session.ask("DATA"); reply.code != 354) refused("DATA: ", reply);
    send_text(session, submission.text);
    if (const Reply reply = session.reply(kTextMilliseconds); reply.code != 250) refused("the message was refused: ", reply);
    session.send("QUIT\r\n");
    return std::nullopt;
  } catch (const Failed& failed) {
    return failed.failure;
  }
}

std::optional<SubmitFailure> pass_session(const std::string& host, const std::string& port) {
  try {
    const Session session(host, port);
    const auto copy = [](int from, int to) {
      std::array<char, 16384> buffer;
      const ssize_t got = ::read(from, buffer.data(), buffer.size());
      if (got < 0) return errno == EAGAIN || errno == EINTR;
      for (ssize_t done = 0; done < got;) {
        const ssize_t sent = ::write(to, buffer.data() + done, static_cast<std::size_t>(got - done));
        if (sent > 0) {
          done += sent;
        } else if (errno == EAGAIN) {
          pollfd writable{to, POLLOUT, 0};
          ::poll(&writable, 1, kAnswerMilliseconds);
        } else if (errno != EINTR) {
          return false;
        }
      }
      return got > 0;
    };
    std::array<pollfd, 2> both{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{session.descriptor(), POLLIN, 0}};
    for (;;) {
      if (::poll(both.data(), both.size(), kAnswerMilliseconds) <= 0 && errno != EINTR) give_up(EX_TEMPFAIL, "nothing was said for too long");
      if (both[1].revents != 0 && !copy(session.descriptor(), STDOUT_FILENO)) return std::nullopt;
      if (both[0].revents != 0 && !copy(STDIN_FILENO, session.descriptor())) {
        ::shutdown(session.descriptor(), SHUT_WR);
        both[0].fd = -1;
      }
    }
  } catch (const Failed& failed) {
    return failed.failure;
  }
}

}  // namespace postern::tools
