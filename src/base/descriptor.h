// SPDX-License-Identifier: Apache-2.0
#pragma once
// Descriptors as values: closed by their owner, passed between processes, sealed when they carry what nobody may change.
#include "base/result.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::base {

// Owns one file descriptor; closes it when it goes. Move only.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int owned) : number_(owned) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] bool valid() const { return number_ >= 0; }
  explicit operator bool() const { return valid(); }
  // Gives up ownership and returns the number.
  int release() { return std::exchange(number_, -1); }
  void reset();
  // A second descriptor of the same open file, close-on-exec.
  [[nodiscard]] Result<Descriptor> duplicate() const;

 private:
  int number_ = -1;
};

// Both ends of a connected, close-on-exec Unix socket pair of `type` (SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM).
Result<std::pair<Descriptor, Descriptor>> socket_pair(int type);

// Adds or removes O_NONBLOCK, FD_CLOEXEC.
Result<void> set_nonblocking(int descriptor, bool on);
Result<void> set_close_on_exec(int descriptor, bool on);

// A memory file with `bytes`, sealed against every later change and growth; close-on-exec. `name` shows in /proc only.
Result<Descriptor> sealed_memory_file(std::string_view name, std::string_view bytes);

// Seals an already filled memory file (made with MFD_ALLOW_SEALING) against every later change.
Result<void> seal(int descriptor);

// True if `descriptor` is a memory file that nobody can change any more (all of write, shrink, grow and seal are sealed).
bool is_sealed(int descriptor);

// The whole content of a regular or memory file, from its start, at most `limit_bytes` (more: Kind::invalid).
Result<std::string> read_all(int descriptor, std::size_t limit_bytes);

// Most descriptors that one message may carry; the kernel's own limit is 253 (SCM_MAX_FD).
inline constexpr std::size_t kMaxDescriptorsPerMessage = 200;

// Sends `bytes` as one message over a SOCK_SEQPACKET or SOCK_DGRAM Unix socket, with copies of `descriptors` attached.
// Kind::temporary if the socket is full (non-blocking) or the peer is gone.
Result<void> send_with_descriptors(int socket, std::string_view bytes, const std::vector<int>& descriptors);

struct ReceivedMessage {
  std::string bytes;
  std::vector<Descriptor> descriptors;  // close-on-exec
  bool end = false;                     // the peer has closed
};

// Receives one message of at most `limit_bytes`; a longer one, or one with cut-off descriptors, is Kind::invalid.
// Kind::temporary with EAGAIN's text on a non-blocking socket that has none.
Result<ReceivedMessage> receive_with_descriptors(int socket, std::size_t limit_bytes);

}  // namespace postern::base
