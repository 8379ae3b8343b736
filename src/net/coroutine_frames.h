// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where the frames of coroutines live. A connection that comes, says one thing and goes takes some twenty of them, one after the other,
// and Asio keeps two of those that were given back: the rest would go to the allocator of the C library and back each time. Here each
// thread keeps some of every size. Not with sanitizers, which are to see each frame by itself.
//
// Included before Asio's awaitable.hpp (net/asio.h), whose two functions for that purpose it takes the place of.
#include <boost/asio/detail/thread_info_base.hpp>

#include <array>
#include <cstddef>
#include <new>

namespace postern::net {

class CoroutineFrames {
 public:
  // Memory for `bytes`, aligned as operator new does. Throws std::bad_alloc.
  static void* take(std::size_t bytes) {
    const std::size_t kind = kind_of(bytes);
    if (kind >= kKinds) return ::operator new(bytes);
    Kept& kept = kept_[kind];
    if (kept.first == nullptr) return ::operator new(bytes_of(kind));
    --kept.count;
    void* const frame = kept.first;
    kept.first = kept.first->next;
    return frame;
  }
  // `bytes` as they were asked for.
  static void give_back(void* frame, std::size_t bytes) noexcept {
    const std::size_t kind = kind_of(bytes);
    if (kind >= kKinds || kept_[kind].count == kMostKept) return ::operator delete(frame);
    Kept& kept = kept_[kind];
    kept.first = new (frame) Frame{kept.first};
    ++kept.count;
  }

 private:
  struct Frame {
    Frame* next;
  };
  struct Kept {
    Frame* first;
    std::size_t count;
  };
  // The C library's blocks are multiples of 16 bytes, 8 of them its own: with 8 less than a multiple of 32 nothing is wasted by both of us.
  static constexpr std::size_t kStep = 32, kOverhead = 8, kKinds = 128;
  // 4.2 MB a thread, were all kinds in use.
  static constexpr std::size_t kMostKept = 16;
  static constexpr std::size_t kind_of(std::size_t bytes) { return (bytes + kOverhead - 1) / kStep; }
  static constexpr std::size_t bytes_of(std::size_t kind) { return (kind + 1) * kStep - kOverhead; }

  static inline thread_local constinit std::array<Kept, kKinds> kept_{};
};

}  // namespace postern::net

#if defined(__SANITIZE_ADDRESS__)
#define POSTERN_FRAMES_ONE_BY_ONE
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSTERN_FRAMES_ONE_BY_ONE
#endif
#endif
#ifndef POSTERN_FRAMES_ONE_BY_ONE
namespace boost::asio::detail {

template <>
inline void* thread_info_base::allocate(awaitable_frame_tag, thread_info_base*, std::size_t size, std::size_t) {
  return postern::net::CoroutineFrames::take(size);
}

template <>
inline void thread_info_base::deallocate(awaitable_frame_tag, thread_info_base*, void* pointer, std::size_t size) {
  postern::net::CoroutineFrames::give_back(pointer, size);
}

}  // namespace boost::asio::detail
#endif
