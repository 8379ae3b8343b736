// SPDX-License-Identifier: Apache-2.0
#pragma once
// A file layer that fails where a test wants it to: the n-th call of a kind, and some more behind it (hardening.md 4, point 3).
// Syncs that don't fail do nothing, so that thousands of cases run in seconds.
#include "../forwarding_files.h"

#include <atomic>
#include <fcntl.h>
#include <string>

namespace postern::fault {

class FailingFiles final : public test::ForwardingFiles {
 public:
  enum class Call { write, append, sync, rename, link, make, unlink, touch };
  static constexpr Call kCalls[] = {Call::write, Call::append, Call::sync, Call::rename, Call::link, Call::make, Call::unlink, Call::touch};

  // The `first`-th call of this kind from now on fails (from 1), and `count` - 1 more behind it.
  void fail(Call call, unsigned first, unsigned count) {
    call_ = call;
    from_ = first;
    left_ = count;
    seen_ = 0;
    hit_ = 0;
  }
  [[nodiscard]] unsigned hits() const { return hit_; }

  Result<base::Descriptor> open(int directory, const std::string& name, int flags, mode_t mode) override {
    if ((flags & O_CREAT) != 0 && fails(Call::make)) return error("open").error();
    return ForwardingFiles::open(directory, name, flags, mode);
  }
  // A full disk takes the front of what is written.
  Result<void> write_at(int file, std::string_view bytes, std::uint64_t offset) override {
    const bool cut = fails(Call::write);
    auto written = ForwardingFiles::write_at(file, cut ? bytes.substr(0, bytes.size() / 2) : bytes, offset);
    return cut ? error("write") : written;
  }
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    const bool cut = fails(Call::write);
    auto written = ForwardingFiles::write_gather_at(file, cut ? pieces.first(pieces.size() / 2) : pieces, offset);
    return cut ? error("write") : written;
  }
  Result<void> append(int file, std::string_view bytes) override {
    const bool cut = fails(Call::append);
    auto written = ForwardingFiles::append(file, cut ? bytes.substr(0, 7) : bytes);
    return cut ? error("append") : written;
  }
  Result<void> sync_data(int) override { return fails(Call::sync) ? error("fdatasync") : Result<void>(); }
  Result<void> sync(int) override { return fails(Call::sync) ? error("fsync") : Result<void>(); }
  Result<void> sync_directory(int) override { return fails(Call::sync) ? error("fsync directory") : Result<void>(); }
  Result<void> sync_file_system(int) override { return fails(Call::sync) ? error("syncfs") : Result<void>(); }
  Result<void> touch(int file) override { return fails(Call::touch) ? error("futimens") : ForwardingFiles::touch(file); }
  Result<void> rename(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails(Call::rename) ? error("rename") : ForwardingFiles::rename(from_directory, from, to_directory, to);
  }
  Result<void> rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails(Call::rename) ? error("rename") : ForwardingFiles::rename_new(from_directory, from, to_directory, to);
  }
  Result<void> link(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return fails(Call::link) ? error("link") : ForwardingFiles::link(from_directory, from, to_directory, to);
  }
  Result<void> unlink(int directory, const std::string& name) override {
    return fails(Call::unlink) ? error("unlink") : ForwardingFiles::unlink(directory, name);
  }
  Result<void> make_directory(int directory, const std::string& name, mode_t mode) override {
    return fails(Call::make) ? error("mkdir") : ForwardingFiles::make_directory(directory, name, mode);
  }

 private:
  static Result<void> error(const char* doing) { return Error{Kind::temporary, std::string(doing) + ": No space left on device"}; }
  bool fails(Call call) {
    if (left_ == 0 || call != call_) return false;
    const unsigned number = ++seen_;
    if (number < from_ || number >= from_ + left_) return false;
    ++hit_;
    return true;
  }
  std::atomic<Call> call_{Call::write};
  std::atomic<unsigned> from_{0}, left_{0}, seen_{0}, hit_{0};
};

}  // namespace postern::fault
