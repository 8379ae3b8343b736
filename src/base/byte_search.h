// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where a byte stands in text that comes in short lines: memchr() is the quickest where it has a long way to go, but here its call
// costs as much as the search.
#include <bit>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace postern::base {

// The first of `kBytes` in [begin, end); `end` if none of them is there.
template <char... kBytes>
const char* find_byte(const char* begin, const char* end) {
#ifdef __SSE2__
  for (; end - begin >= 16; begin += 16) {
    const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
    __m128i found = _mm_setzero_si128();
    ((found = _mm_or_si128(found, _mm_cmpeq_epi8(text, _mm_set1_epi8(kBytes)))), ...);
    if (const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(found)); bits != 0) return begin + std::countr_zero(bits);
  }
#endif
  for (; begin != end; ++begin)
    if (((*begin == kBytes) || ...)) return begin;
  return end;
}

}  // namespace postern::base
