// SPDX-License-Identifier: Apache-2.0
#include "net/coroutine_frames.h"

#include <cppunit/extensions/HelperMacros.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

using namespace postern;
using net::CoroutineFrames;

namespace {

class CoroutineFramesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(CoroutineFramesTest);
  CPPUNIT_TEST(every_size_has_room_and_is_aligned);
  CPPUNIT_TEST(what_was_given_back_is_used_again);
  CPPUNIT_TEST_SUITE_END();

  // Twice: the second time it is one that was given back.
  void every_size_has_room_and_is_aligned() {
    for (int i = 0; i < 2; ++i)
      for (std::size_t bytes = 1; bytes <= 4200; ++bytes) {
        void* const frame = CoroutineFrames::take(bytes);
        CPPUNIT_ASSERT_EQUAL(std::uintptr_t{0}, reinterpret_cast<std::uintptr_t>(frame) % alignof(std::max_align_t));
        std::memset(frame, 0xff, bytes);
        CoroutineFrames::give_back(frame, bytes);
      }
  }

  // No two at a time have the same memory, however many there are.
  void what_was_given_back_is_used_again() {
    for (const std::size_t bytes : {24, 25, 56, 57, 1000, 4088, 4089, 100'000}) {
      void* const first = CoroutineFrames::take(bytes);
      CoroutineFrames::give_back(first, bytes);
      void* const again = CoroutineFrames::take(bytes);
      if (bytes <= 4088) CPPUNIT_ASSERT(first == again);
      std::vector<void*> frames{again};
      for (int i = 0; i < 40; ++i) frames.push_back(CoroutineFrames::take(bytes));
      for (void* const frame : frames) std::memset(frame, 0xff, bytes);
      CPPUNIT_ASSERT_EQUAL(frames.size(), std::set<void*>(frames.begin(), frames.end()).size());
      for (void* const frame : frames) CoroutineFrames::give_back(frame, bytes);
      std::vector<void*> later;
      for (int i = 0; i < 41; ++i) later.push_back(CoroutineFrames::take(bytes));
      CPPUNIT_ASSERT_EQUAL(later.size(), std::set<void*>(later.begin(), later.end()).size());
      for (void* const frame : later) CoroutineFrames::give_back(frame, bytes);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CoroutineFramesTest);

}  // namespace
