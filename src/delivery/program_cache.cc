// SPDX-License-Identifier: Apache-2.0
#include "delivery/program_cache.h"

#include "base/log.h"
#include "base/random.h"
#include "sieve/archive.h"
#include "sieve/digest.h"
#include "sieve/program_code.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

namespace postern::delivery {
namespace {

constexpr std::string_view kMagic = "PSTNFLT1";
constexpr std::size_t kDigestBytes = 64;  // in hexadecimal
constexpr std::size_t kMostFileBytes = 64 * 1024 * 1024;
constexpr std::size_t kMostFiles = 1'000'000;
constexpr std::string_view kSuffix = ".program";

std::string checksum(std::string_view bytes) { return sieve::digest({bytes}, 32); }

// A script that was looked for when the program was compiled.
struct Included {
  std::uint32_t place = 0;
  std::string name, digest;  // empty: there was none
  void carry(sieve::Archive& archive) { archive(place, name, digest); }
};

std::string digest_of(const sieve::CompileOptions& options, sieve::ScriptPlace place, const std::string& name) {
  const auto text = options.script ? options.script(place, name) : std::nullopt;
  return text ? checksum(*text) : std::string();
}

struct Kept {
  std::string key;
  std::vector<Included> included;
  std::string program;
  void carry(sieve::Archive& archive) { archive(key, included, program); }
};

// Options that belong to one place only, as those of the test language do.
bool may_be_kept(const sieve::CompileOptions& options) { return options.more_extensions.empty() && options.constants.empty() && !options.only; }

}  // namespace

ProgramCache::Found ProgramCache::find(std::string_view source, const sieve::CompileOptions& options) {
  Found found;
  if (!may_be_kept(options)) return found;
  const std::string key = sieve::program_key(source, options);
  auto bytes = base::read_file(directory_.get(), key + std::string(kSuffix), kMostFileBytes);
  if (!bytes) {
    if (bytes.error().kind != Kind::not_found) ++counters_.refused;
    return found;
  }
  const auto refuse = [&] {
    ++counters_.refused;
    return found;
  };
  const std::string_view all = *bytes;
  if (all.size() < kMagic.size() + kDigestBytes || !all.starts_with(kMagic)) return refuse();
  const std::string_view content = all.substr(kMagic.size() + kDigestBytes);
  if (all.substr(kMagic.size(), kDigestBytes) != checksum(content)) return refuse();
  Kept kept;
  sieve::Archive archive(content, options.run_limits, 0);
  archive(kept);
  if (archive.failed() || !archive.at_end() || kept.key != key) return refuse();
  bool changed = false;
  for (const Included& one : kept.included) {
    if (one.place > static_cast<std::uint32_t>(sieve::ScriptPlace::global)) return refuse();
    found.included.push_back({static_cast<sieve::ScriptPlace>(one.place), one.name});
    changed = changed || digest_of(options, found.included.back().place, one.name) != one.digest;
  }
  if (changed) return found;
  found.program = sieve::decode_program(kept.program, options);
  if (found.program == nullptr) return refuse();
  ++counters_.found;
  // So that it counts as used.
  if (auto file = files_.open(directory_.get(), key + std::string(kSuffix), O_RDONLY)) [[maybe_unused]] const auto touched = files_.touch(file->get());
  return found;
}

void ProgramCache::keep(std::string_view source, const sieve::CompileOptions& options, const sieve::Compiled& compiled) {
  if (!may_be_kept(options) || compiled.program == nullptr) return;
  auto program = sieve::encode_program(*compiled.program);
  if (!program) return;
  Kept kept{sieve::program_key(source, options), {}, std::move(*program)};
  for (const auto& one : compiled.included) kept.included.push_back({static_cast<std::uint32_t>(one.place), one.name, digest_of(options, one.place, one.name)});
  std::string content;
  sieve::Archive archive(content);
  archive(kept);
  const std::string bytes = std::string(kMagic) + checksum(content) + content;
  if (bytes.size() > std::min<std::uint64_t>(kMostFileBytes, most_bytes_)) return;
  const std::string beside = base::random_name() + ".new";
  const auto write = [&]() -> Result<void> {
    auto file = files_.open(directory_.get(), beside, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file) return file.error();
    if (auto written = files_.write_at(file->get(), bytes, 0); !written) return written;
    return files_.rename(directory_.get(), beside, directory_.get(), kept.key + std::string(kSuffix));
  };
  if (auto written = write(); !written) {
    [[maybe_unused]] const auto removed = files_.unlink(directory_.get(), beside);
    if (!std::exchange(trouble_logged_, true)) base::log_event(base::Severity::warning, "program-not-kept", {{"reason", written.error().what}});
    return;
  }
  ++counters_.kept;
  unlisted_bytes_ = unlisted_bytes_ == UINT64_MAX ? UINT64_MAX : unlisted_bytes_ + bytes.size();
  // Other children write too: at the latest after a sixteenth of what there may be, look.
  if (unlisted_bytes_ > most_bytes_ / 16 || listed_bytes_ + unlisted_bytes_ > most_bytes_) make_room();
}

void ProgramCache::make_room() {
  auto names = base::list_directory(directory_.get(), kMostFiles);
  if (!names) return;
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
    std::int64_t used = 0;
  };
  std::vector<File> files;
  listed_bytes_ = unlisted_bytes_ = 0;
  for (std::string& name : *names) {
    struct stat status {};
    if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    files.push_back({std::move(name), static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec});
    listed_bytes_ += files.back().bytes;
  }
  if (listed_bytes_ <= most_bytes_) return;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (listed_bytes_ <= most_bytes_ / 4 * 3) return;
    if (!files_.unlink(directory_.get(), file.name)) continue;
    listed_bytes_ -= file.bytes;
    ++counters_.removed;
  }
}

}  // namespace postern::delivery
