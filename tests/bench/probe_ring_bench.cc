// SPDX-License-Identifier: Apache-2.0
// What keeping a probe costs the session (CPU of its own thread), what a file takes, and how fast a replay is.
#include "mapping/compile.h"
#include "rehearsal/probe_ring.h"
#include "rehearsal/replay.h"

#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

using namespace postern;
using namespace postern::rehearsal;

namespace {

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string probe(int number) {
  return "TCP|192.0.2.1|25|198.51.100." + std::to_string(number % 250) + "|" + std::to_string(1024 + number % 60000) +
         "|SMTP/client.example.net|MAIL|tcp_local|sender" + std::to_string(number) + "@example.net|ims-ms|user" + std::to_string(number % 1000) + "@example.com";
}

mapping::Tables tables(const char* first) {
  std::string text = "MAIL_ACCESS\n\n";
  for (int i = 0; i < 1000; ++i) text += "  *|sender" + std::to_string(i * 37) + "@example.net|*  $NNo" + (i == 5 ? first : "") + "\n";
  mapping::CompileInput input;
  input.mappings = "/mappings";
  input.lint = false;
  input.read = [&](const std::string&) -> Result<std::string> { return text; };
  const auto compilation = mapping::compile(input);
  return *mapping::Tables::from_bytes(*mapping::lay_out(compilation, 1, 0));
}

}  // namespace

int main() {
  std::string path = std::filesystem::temp_directory_path().string() + "/postern-ring-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return 1;
  const auto open = [&] { return base::Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); };
  constexpr int kProbes = 1'000'000, kPiece = 2000;
  {
    // In pieces, so that the helper keeps up and nothing is dropped: what it costs is not counted here.
    ProbeRing ring(base::system_files(), open(), "bench0", RingSettings{std::uint64_t{1} << 30, 7, 1});
    double fresh = 0, again = 0;
    for (int done = 0; done < kProbes; done += kPiece) {
      std::vector<std::string> texts;
      for (int i = 0; i < kPiece; ++i) texts.push_back(probe(done + i));
      double start = thread_seconds();
      for (const auto& text : texts) ring.add("MAIL_ACCESS", mapping::Flags("E"), text, {}, 1);
      fresh += thread_seconds() - start;
      start = thread_seconds();
      for (int i = 0; i < kPiece / 10; ++i) ring.add("MAIL_ACCESS", mapping::Flags("E"), texts.back(), {}, 1);
      again += thread_seconds() - start;
      ::timespec pause{0, 2'000'000};
      ::nanosleep(&pause, nullptr);
    }
    ring.finish();
    const auto counters = ring.counters();
    std::printf("keeping a probe that is new %.0f ns, one that is there %.0f ns of CPU; %llu kept, %llu folded, %llu dropped\n", fresh / kProbes * 1e9,
                again / (kProbes / 10) * 1e9, static_cast<unsigned long long>(counters.kept), static_cast<unsigned long long>(counters.folded),
                static_cast<unsigned long long>(counters.dropped));
  }
  std::uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(path)) bytes += file.file_size();
  std::printf("%.1f bytes a probe on disk\n", static_cast<double>(bytes) / kProbes);
  const auto start = std::chrono::steady_clock::now();
  const auto quiet = [](std::uint64_t, std::uint64_t) {};
  ProbeStore store;
  const base::Descriptor directory = open();
  store.load(open_probe_files(directory.get(), 0, [](const std::string&) {}), 0, [](const std::string& text) { std::puts(text.c_str()); }, quiet);
  const auto loaded = std::chrono::steady_clock::now();
  const auto replayed = store.replay(tables(""), tables("$ more"), {}, quiet);
  const auto end = std::chrono::steady_clock::now();
  std::printf("of %llu probes, %llu change: read in %.2f s, asked again in %.2f s\n", static_cast<unsigned long long>(replayed.probes),
              static_cast<unsigned long long>(replayed.changed), std::chrono::duration<double>(loaded - start).count(),
              std::chrono::duration<double>(end - loaded).count());
  std::filesystem::remove_all(path);
  return 0;
}
