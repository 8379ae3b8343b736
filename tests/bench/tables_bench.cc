// SPDX-License-Identifier: Apache-2.0
// What mapping tables cost: compile, load, take-over, memory, and a probe, by shape and size of the table.
//
//   tables_bench probes [SHAPE …] [--sizes 100,10000] [--probes N]   one row a shape and size, in this process
//   tables_bench message                                             the six tables that one message to one recipient asks
//   tables_bench write SHAPE SIZE DIRECTORY                          the same table and probes as files, for other programs, and for Postfix
//   tables_bench shapes                                              the shapes, and what Postfix has that comes nearest
//
// Times are CPU times, so that what runs beside it disturbs less; only the take-over is by the clock.
#include "base/descriptor.h"
#include "base/files.h"
#include "mapping/compile.h"
#include "mapping/loader.h"
#include "mapping/tables.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace postern;

namespace {

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "tables_bench: " << why << "\n";
  std::exit(1);
}

// A number below `size` for each i, all different, in no order that helps a cache.
std::uint64_t spread(std::uint64_t i, std::uint64_t size) { return i * 7919 % size; }

std::string address(std::uint32_t value) {
  return std::to_string(value >> 24) + "." + std::to_string(value >> 16 & 255) + "." + std::to_string(value >> 8 & 255) + "." + std::to_string(value & 255);
}

struct Block {
  std::uint32_t first;
  unsigned bits;
};
// Networks of 1.0.0.0 to 223.255.255.255, as lists of the world have them: most of 24 bits and single addresses, one in fifty large.
Block block(std::uint64_t i) {
  std::mt19937_64 random(i);
  static constexpr unsigned kBits[] = {24, 24, 24, 32, 28, 24, 22, 32, 27, 24};
  const unsigned bits = i % 50 == 9 ? 16 + static_cast<unsigned>(i / 50 % 5) : kBits[i % std::size(kBits)];
  const auto value = static_cast<std::uint32_t>(0x01000000u + random() % 0xdf000000u);
  return {value & (~std::uint32_t{0} << (32 - bits)), bits};
}
std::string block_text(std::uint64_t i) { return address(block(i).first) + "/" + std::to_string(block(i).bits); }
std::uint32_t inside(std::uint64_t i) { return block(i).first | (block(i).bits == 32 ? 0 : static_cast<std::uint32_t>(std::mt19937_64(i + 1)() >> 32 >> block(i).bits)); }

std::string number(std::uint64_t i) { return std::to_string(i); }

// A word that is spelled by its number and occurs in no other one's.
std::string word(std::uint64_t i) {
  std::string out = "q";
  for (; i != 0; i /= 20) out += "bcdfghjklmnprstvwxyz"[i % 20];
  return out + "q";
}

// What the client and the sender of a recipient probe look like. Parts that vary are not in the table.
std::string mail_probe(const std::string& client, const std::string& sender, const std::string& recipient) {
  return "TCP|192.0.2.25|25|" + client + "|40312|SMTP/mail.elsewhere.example|MAIL|tcp_local|" + sender + "|l|" + recipient;
}

struct Shape {
  const char* name;
  const char* what;
  const char* table;
  std::function<std::string(std::uint64_t)> entry;
  std::function<std::string(std::uint64_t)> hit;
  std::function<std::string(std::uint64_t)> miss;
  // The nearest thing of Postfix: type of table, its line, and probes; empty: none.
  const char* postfix = "";
  std::function<std::string(std::uint64_t)> postfix_line, postfix_hit, postfix_miss;
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {"exact", "user17@example.com", "ADDRESSES",
       [](std::uint64_t i) { return "user" + number(i) + "@example.com"; },
       [](std::uint64_t i) { return "user" + number(i) + "@example.com"; },
       [](std::uint64_t i) { return "nobody" + number(i) + "@example.org"; },
       "hash,lmdb", [](std::uint64_t i) { return "user" + number(i) + "@example.com OK"; },
       [](std::uint64_t i) { return "user" + number(i) + "@example.com"; }, [](std::uint64_t i) { return "nobody" + number(i) + "@example.org"; }},
      {"domains", "*|*@*.dom17.example.com|*|*", "SEND_ACCESS",
       [](std::uint64_t i) { return "*|*@*.dom" + number(i) + ".example.com|*|*"; },
       [](std::uint64_t i) { return "tcp_local|user@mail.dom" + number(i) + ".example.com|l|bob@example.net"; },
       [](std::uint64_t i) { return "tcp_local|user@mail.fine" + number(i) + ".example.org|l|bob@example.net"; },
       "pcre", [](std::uint64_t i) { return "/@.*\\.dom" + number(i) + "\\.example\\.com$/ OK"; },
       [](std::uint64_t i) { return "user@mail.dom" + number(i) + ".example.com"; }, [](std::uint64_t i) { return "user@mail.fine" + number(i) + ".example.org"; }},
      {"blocks", "$(198.51.100.0/24)", "INTERNAL_IP",
       [](std::uint64_t i) { return "$(" + block_text(i) + ")"; },
       [](std::uint64_t i) { return address(inside(i)); },
       [](std::uint64_t i) { return address(static_cast<std::uint32_t>(0xe0000000u + i)); },
       "cidr", [](std::uint64_t i) { return block_text(i) + " OK"; },
       [](std::uint64_t i) { return address(inside(i)); }, [](std::uint64_t i) { return address(static_cast<std::uint32_t>(0xe0000000u + i)); }},
      {"mixed", "blocks, domains, senders, recipients, names", "MAIL_ACCESS",
       [](std::uint64_t i) -> std::string {
         switch (i % 5) {
           case 0: return "TCP|*|25|$(" + block_text(i) + ")|*|SMTP*|MAIL|*|*|*|*";
           case 1: return "*|MAIL|tcp_local|*@*.dom" + number(i) + ".example.com|*|*";
           case 2: return "*|MAIL|tcp_local|user" + number(i) + "@example.com|*|*";
           case 3: return "*|MAIL|*|*|*|user" + number(i) + "@example.net";
           default: return "TCP|*|*|*|*|SMTP/host" + number(i) + ".example.org*|*";
         }
       },
       [](std::uint64_t i) -> std::string {
         switch (i % 5) {
           case 0: return mail_probe(address(inside(i)), "ann@example.org", "bob@example.net");
           case 1: return mail_probe("240.0.0.7", "ann@mx.dom" + number(i) + ".example.com", "bob@example.net");
           case 2: return mail_probe("240.0.0.7", "user" + number(i) + "@example.com", "bob@example.net");
           case 3: return mail_probe("240.0.0.7", "ann@example.org", "user" + number(i) + "@example.net");
           default: return "TCP|192.0.2.25|25|240.0.0.7|40312|SMTP/host" + number(i) + ".example.org|MAIL|tcp_local|ann@example.org|l|bob@example.net";
         }
       },
       [](std::uint64_t i) { return mail_probe(address(static_cast<std::uint32_t>(0xe0000000u + i)), "ann" + number(i) + "@mail.example.org", "bob" + number(i) + "@example.net"); },
       "", nullptr, nullptr, nullptr},
      {"words", "*|*qword*|*|*", "SEND_ACCESS",
       [](std::uint64_t i) { return "*|*" + word(i) + "*|*|*"; },
       [](std::uint64_t i) { return "tcp_local|user." + word(i) + "s@mail.example.org|l|bob@example.net"; },
       [](std::uint64_t i) { return "tcp_local|user" + number(i) + "@mail.example.org|l|bob@example.net"; },
       "pcre", [](std::uint64_t i) { return "/" + word(i) + "/ OK"; },
       [](std::uint64_t i) { return "user." + word(i) + "s@mail.example.org"; }, [](std::uint64_t i) { return "user" + number(i) + "@mail.example.org"; }},
      {"two-words", "*qw*xd*", "SEND_ACCESS",
       [](std::uint64_t i) { return "*" + word(i % 1009).substr(1) + "*" + word(i / 1009).substr(1) + "*"; },
       [](std::uint64_t i) { return "tcp_local|" + word(i % 1009).substr(1) + "." + word(i / 1009).substr(1) + "@mail.example.org|l|bob@example.net"; },
       [](std::uint64_t i) { return "tcp_local|user" + number(i) + "@mail.example.org|l|bob@example.net"; },
       "", nullptr, nullptr, nullptr},
  };
  return all;
}

const Shape& shape_of(const std::string& name) {
  for (const Shape& shape : shapes())
    if (name == shape.name) return shape;
  stop("no shape " + name);
}

constexpr char kTemplate[] = "  $N$D30|No$ mail$ for$ you";

std::string source_of(const Shape& shape, std::uint64_t size) {
  std::string text = std::string(shape.table) + "\n\n";
  for (std::uint64_t i = 0; i < size; ++i) text += "  " + shape.entry(i) + kTemplate + "\n";
  return text;
}

double cpu_seconds(int whose = RUSAGE_SELF) {
  rusage usage{};
  ::getrusage(whose, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
double wall_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Time {
  double cpu = 0, wall = 0;
};
template <class Work>
Time timed(const Work& work) {
  const double cpu = cpu_seconds(), wall = wall_seconds();
  work();
  return {cpu_seconds() - cpu, wall_seconds() - wall};
}

// Runs `work` in a process of its own, as the server does with the compiler and the loader; the most memory it used, MB.
template <class Work>
double memory_of(const Work& work) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    std::_Exit(0);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child || status != 0) stop("a measuring process failed");
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

base::Descriptor memory_file(const std::string& bytes) {
  base::Descriptor file(::memfd_create("source", MFD_CLOEXEC));
  if (!base::system_files().write_at(file.get(), bytes, 0)) stop("memory file");
  return file;
}

struct Made {
  std::string directory = "/tmp/postern-tables-bench-XXXXXX";
  base::Descriptor place;
  Made() {
    if (::mkdtemp(directory.data()) == nullptr) stop("no scratch directory");
    place = base::Descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~Made() {
    ::unlinkat(place.get(), "tables.db", 0);
    ::rmdir(directory.c_str());
  }
};

mapping::Compilation compile(const std::string& path) {
  mapping::CompileInput input;
  input.mappings = path;
  mapping::Compilation compilation = mapping::compile(input);
  if (!compilation.good()) stop(compilation.messages[0].to_string());
  return compilation;
}

constexpr std::uint64_t kAtOnce = 2000;

// Nanoseconds of CPU a probe. Probes are made some thousand at a time, so that making them is not measured and that they are at hand as the
// text of a session is; each leads to another entry than the one before.
double measure(const mapping::Tables& tables, const char* table, const std::function<std::string(std::uint64_t)>& make, std::uint64_t size, std::uint64_t count, bool matches) {
  std::vector<std::string> probes(kAtOnce);
  double seconds = 0;
  std::uint64_t asked = 0;
  while (asked < count) {
    for (std::uint64_t i = 0; i < kAtOnce; ++i) probes[i] = make(spread(asked + i, size));
    asked += kAtOnce;
    std::uint64_t matched = 0;
    timespec began{}, ended{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    for (const std::string& probe : probes) matched += mapping::evaluate(tables, table, probe).matched ? 1 : 0;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    if (matched != (matches ? kAtOnce : 0)) stop("wrong answers");
    seconds += static_cast<double>(ended.tv_sec - began.tv_sec) + static_cast<double>(ended.tv_nsec - began.tv_nsec) * 1e-9;
  }
  return seconds / static_cast<double>(asked) * 1e9;
}

// Memory of this process alone: what is mapped from the image is not among it.
long private_kilobytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("RssAnon:")) return std::atol(line.c_str() + 8);
  return 0;
}

constexpr std::uint64_t kDistinctProbes = 400'000;

void probes(const std::vector<std::string>& names, const std::vector<std::uint64_t>& sizes, std::uint64_t count) {
  std::printf("%-10s %9s %10s %10s %8s %8s %8s %9s %9s %8s %8s %8s\n", "shape", "entries", "compile s", "compile MB", "file MB", "load s", "load MB", "image MB", "takeover", "own KB",
              "hit ns", "miss ns");
  for (const std::string& name : names) {
    const Shape& shape = shape_of(name);
    double first_hit = 0, first_miss = 0;
    for (const std::uint64_t size : sizes) {
      const base::Descriptor source = memory_file(source_of(shape, size));
      const std::string path = "/proc/self/fd/" + std::to_string(source.get());
      Made made;
      const auto write = [&] {
        if (!mapping::write_tables(compile(path), made.place.get(), "tables.db", 0644, 1, true)) stop("cannot write");
      };
      const double before_children = cpu_seconds(RUSAGE_CHILDREN);
      const double compile_memory = memory_of(write);
      const double compile_cpu = cpu_seconds(RUSAGE_CHILDREN) - before_children;
      const base::Descriptor file(::open((made.directory + "/tables.db").c_str(), O_RDONLY | O_CLOEXEC));
      const auto file_bytes = static_cast<double>(::lseek(file.get(), 0, SEEK_END));
      double loading = 1e9;
      for (int round = 0; round < 3; ++round) {
        const double before = cpu_seconds(RUSAGE_CHILDREN);
        memory_of([&] {
          if (!mapping::load(file.get())) stop("cannot load");
        });
        loading = std::min(loading, cpu_seconds(RUSAGE_CHILDREN) - before);
      }
      const double load_memory = memory_of([&] {
        if (!mapping::load(file.get())) stop("cannot load");
      });
      auto image = mapping::load(file.get());
      if (!image) stop(image.error().what);
      const auto image_bytes = static_cast<double>(::lseek(image->get(), 0, SEEK_END));
      Result<mapping::Tables> tables = Error{};
      const long own_before = private_kilobytes();
      const Time take_over = timed([&] { tables = mapping::Tables::map(std::move(*image)); });
      if (!tables) stop(tables.error().what);
      const double hit = measure(*tables, shape.table, shape.hit, size, count, true);
      const double miss = measure(*tables, shape.table, shape.miss, size, count, false);
      const long own = private_kilobytes() - own_before;
      if (first_hit == 0) first_hit = hit, first_miss = miss;
      std::printf("%-10s %9llu %10.2f %10.0f %8.1f %8.3f %8.0f %9.1f %7.2fms %8ld %8.0f %8.0f   x%.1f x%.1f\n", shape.name, static_cast<unsigned long long>(size), compile_cpu, compile_memory,
                  file_bytes / 1e6, loading, load_memory, image_bytes / 1e6, take_over.wall * 1e3, std::max(own, 0L), hit, miss, hit / first_hit, miss / first_miss);
      std::fflush(stdout);
    }
  }
}

// What one message to one recipient asks: PORT_ACCESS at connect, FROM_ACCESS, and the four recipient tables, of 10,000 entries each.
// The client is internal to nobody, the mail is accepted: every table is asked in vain but for its last entry.
void message() {
  constexpr std::uint64_t kEntries = 10'000;
  std::string text = "INTERNAL_IP\n\n";
  for (std::uint64_t i = 0; i < kEntries; ++i) text += "  $(" + block_text(i) + ")  $Y\n";
  text += "\nPORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n";
  for (std::uint64_t i = 0; i < kEntries; ++i) text += "  TCP|*|25|$(" + block_text(i + kEntries) + ")|*  $N421$ not$ today\n";
  text += "  *  $YEXTERNAL\n\nFROM_ACCESS\n\n";
  for (std::uint64_t i = 0; i < kEntries; ++i) text += i % 2 == 0 ? "  *|MAIL|*|user" + number(i) + "@example.com|*  $N\n" : "  *|MAIL|*|*@*.dom" + number(i) + ".example.com|*  $N\n";
  for (const char* const name : {"ORIG_SEND_ACCESS", "SEND_ACCESS"}) {
    text += "\n" + std::string(name) + "\n\n";
    for (std::uint64_t i = 0; i < kEntries; ++i) text += i % 2 == 0 ? "  *|*|*|user" + number(i) + "@example.net  $N\n" : shape_of("domains").entry(i) + "  $N\n";
    text += "  tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted\n";
  }
  for (const char* const name : {"ORIG_MAIL_ACCESS", "MAIL_ACCESS"}) {
    text += "\n" + std::string(name) + "\n\n";
    for (std::uint64_t i = 0; i < kEntries; ++i) text += "  " + shape_of("mixed").entry(i) + "  $N\n";
  }
  for (std::size_t at = 0; (at = text.find("\n*|*@", at)) != std::string::npos;) text.insert(at + 1, "  ");
  const base::Descriptor source = memory_file(text);
  auto image = mapping::lay_out(compile("/proc/self/fd/" + std::to_string(source.get())), 1, 0);
  const auto tables = mapping::Tables::from_bytes(std::move(*image));
  if (!tables) stop(tables.error().what);
  constexpr std::uint64_t kMessages = 100'000;
  std::uint64_t refused = 0;
  const Time time = timed([&] {
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      const std::string client = address(static_cast<std::uint32_t>(0xe0000000u + i)), sender = "ann" + number(i) + "@mail.example.org", recipient = "bob" + number(i) + "@example.net";
      const std::string connection = "TCP|192.0.2.25|25|" + client + "|40312";
      const std::string send = "tcp_local|" + sender + "|l|" + recipient;
      const auto ask = [&](const char* table, const std::string& probe, const char* flags = "") {
        if (mapping::evaluate(*tables, table, probe, mapping::Flags(flags)).flags.has('N')) ++refused;
      };
      ask("PORT_ACCESS", connection, "A");
      ask("FROM_ACCESS", connection + "|SMTP/mail.elsewhere.example|MAIL|tcp_local|" + sender + "|");
      for (const char* const table : {"ORIG_SEND_ACCESS", "SEND_ACCESS"}) ask(table, send);
      for (const char* const table : {"ORIG_MAIL_ACCESS", "MAIL_ACCESS"}) ask(table, connection + "|SMTP/mail.elsewhere.example|MAIL|" + send);
    }
  });
  if (refused != 0) stop("a message was refused");
  std::printf("PORT_ACCESS (with INTERNAL_IP), FROM_ACCESS and four recipient tables of 10,000 entries each: %.1f us of CPU a message to one recipient\n",
              time.cpu / static_cast<double>(kMessages) * 1e6);
}

void write_lines(const std::string& path, std::uint64_t count, const std::function<std::string(std::uint64_t)>& line) {
  std::ofstream file(path);
  for (std::uint64_t i = 0; i < count; ++i) file << line(i) << "\n";
  if (!file.flush()) stop("cannot write " + path);
}

void write_files(const Shape& shape, std::uint64_t size, const std::string& directory) {
  std::ofstream(directory + "/mappings") << source_of(shape, size);
  const std::uint64_t probes = std::min(size, kDistinctProbes);
  const auto in_turn = [&](const std::function<std::string(std::uint64_t)>& make) { return [&make, size](std::uint64_t i) { return make(spread(i, size)); }; };
  write_lines(directory + "/hits", probes, in_turn(shape.hit));
  write_lines(directory + "/misses", probes, in_turn(shape.miss));
  if (*shape.postfix == '\0') return;
  write_lines(directory + "/postfix", size, shape.postfix_line);
  write_lines(directory + "/postfix.hits", probes, in_turn(shape.postfix_hit));
  write_lines(directory + "/postfix.misses", probes, in_turn(shape.postfix_miss));
}

[[noreturn]] void usage() { stop("probes [SHAPE …] [--sizes N,N] [--probes N] | message | write SHAPE SIZE DIRECTORY | shapes"); }

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) usage();
  if (arguments[0] == "message") return message(), 0;
  if (arguments[0] == "shapes") {
    for (const Shape& shape : shapes()) std::cout << shape.name << "\t" << shape.table << "\t" << shape.what << "\t" << shape.postfix << "\n";
    return 0;
  }
  if (arguments[0] == "write" && arguments.size() == 4) return write_files(shape_of(arguments[1]), std::strtoull(arguments[2].c_str(), nullptr, 10), arguments[3]), 0;
  if (arguments[0] != "probes") usage();
  std::vector<std::string> names;
  std::vector<std::uint64_t> sizes{100, 10'000, 1'000'000};
  std::uint64_t count = 1'000'000;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--sizes" && i + 1 < arguments.size()) {
      sizes.clear();
      std::string list = arguments[++i];
      for (char* part = std::strtok(list.data(), ","); part != nullptr; part = std::strtok(nullptr, ",")) sizes.push_back(std::strtoull(part, nullptr, 10));
    } else if (arguments[i] == "--probes" && i + 1 < arguments.size()) {
      count = std::strtoull(arguments[++i].c_str(), nullptr, 10);
    } else {
      names.push_back(arguments[i]);
    }
  }
  if (names.empty())
    for (const Shape& shape : shapes()) names.emplace_back(shape.name);
  probes(names, sizes, count);
}
