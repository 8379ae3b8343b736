// SPDX-License-Identifier: Apache-2.0
#include "base/descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace postern::base {
namespace {

constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    number_ = other.release();
  }
  return *this;
}

void Descriptor::reset() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

Result<Descriptor> Descriptor::duplicate() const {
  const int copy = ::fcntl(number_, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return system_error(errno, "duplicate descriptor");
  return Descriptor(copy);
}

Result<std::pair<Descriptor, Descriptor>> socket_pair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return system_error(errno, "socketpair");
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

Result<void> set_nonblocking(int descriptor, bool on) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0)
    return system_error(errno, "set O_NONBLOCK");
  return {};
}

Result<void> set_close_on_exec(int descriptor, bool on) {
  if (::fcntl(descriptor, F_SETFD, on ? FD_CLOEXEC : 0) != 0) return system_error(errno, "set FD_CLOEXEC");
  return {};
}

Result<Descriptor> sealed_memory_file(std::string_view name, std::string_view bytes) {
  Descriptor file(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return system_error(errno, "memfd_create");
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(errno, "write memory file");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (auto sealed = seal(file.get()); !sealed) return sealed.error();
  return file;
}

Result<void> seal(int descriptor) {
  if (::fcntl(descriptor, F_ADD_SEALS, kAllSeals) != 0) return system_error(errno, "seal memory file");
  return {};
}

bool is_sealed(int descriptor) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & kAllSeals) == kAllSeals;
}

Result<std::string> read_all(int descriptor, std::size_t limit_bytes) {
  std::string out;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::pread(descriptor, buffer, sizeof buffer, static_cast<off_t>(out.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read");
    if (got == 0) return out;
    if (out.size() + static_cast<std::size_t>(got) > limit_bytes)
      return Error{Kind::invalid, "file is larger than " + std::to_string(limit_bytes) + " bytes"};
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<void> send_with_descriptors(int socket, std::string_view bytes, const std::vector<int>& descriptors) {
  if (descriptors.size() > kMaxDescriptorsPerMessage) return Error{Kind::invalid, "too many descriptors in one message"};
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptorsPerMessage * sizeof(int))];
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    std::memset(control, 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error{Kind::temporary, system_error(errno, "send message").what};
  return {};
}

Result<ReceivedMessage> receive_with_descriptors(int socket, std::size_t limit_bytes) {
  ReceivedMessage received;
  received.bytes.resize(limit_bytes);
  iovec piece{received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptorsPerMessage * sizeof(int))];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return Error{Kind::temporary, system_error(errno, "receive message").what};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof number);
      received.descriptors.emplace_back(number);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Error{Kind::invalid, "message was cut off"};
  received.bytes.resize(static_cast<std::size_t>(got));
  received.end = got == 0;
  return received;
}

}  // namespace postern::base
