// SPDX-License-Identifier: Apache-2.0
#pragma once
// A compiled program as bytes, so that it can be kept and need not be compiled again.
//
// What is read is checked as far as the interpreter relies on it: references, jumps (forward only, but for loops), blocks that open and close,
// included scripts in the order in which they were compiled. So bytes of whatever origin give a program that runs within its limits, or none. Whether they
// are the program of a certain script is for whoever keeps them (delivery/program_cache.h).
//
// Failure: nothing is returned. Limits: those of the options; memory is a small multiple of the bytes.
#include "sieve/compile.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern::sieve {

// Another one whenever a step carries something else, or means something else by it, or scripts are compiled in another way.
inline constexpr unsigned kProgramVersion = 4;

// Nothing if a step comes from an extension outside of the table (CompileOptions::more_extensions).
std::optional<std::string> encode_program(const Program& program);
// Null for anything that encode_program() of this version did not write.
std::shared_ptr<const Program> decode_program(std::string_view bytes, const CompileOptions& options);

// What tells the program of this script with these options from all others: a SHA-256 in hexadecimal. The scripts that it includes are
// not in it.
std::string program_key(std::string_view source, const CompileOptions& options);

}  // namespace postern::sieve
