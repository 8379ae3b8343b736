// SPDX-License-Identifier: Apache-2.0
// posternctl directory dump and load: the account database as text (postern-directory(5)).
#include "base/files.h"
#include "base/random.h"
#include "directory/dump.h"
#include "tools/directory_answers.h"
#include "tools/options.h"
#include "tools/progress.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>
#include <iostream>
#include <unordered_map>
#include <utility>

namespace postern::tools {
namespace {

using boost::json::object;
using Arguments = std::vector<std::string>;

// Of one transaction: few enough that nobody waits long for the directory, enough that a sync is shared.
constexpr std::size_t kBatchRecords = 1000, kBatchBytes = 1024 * 1024;
// Longest record that goes through the running server.
constexpr std::size_t kMostServerBytes = 5 * 1024 * 1024;

Result<void> write_all(int to, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(to, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, "write");
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

// The whole dump into a descriptor.
Result<void> dump_to(const Context& context, int to) {
  DirectoryAccess directory(context, DirectoryAccess::Purpose::look_up);
  if (auto put = write_all(to, std::string(directory::kDumpHead) + "\n"); !put) return put;
  object request{{"ask", "directory-dump"}};
  for (;;) {
    const auto answer = directory.ask(request);
    if (!answer) return answer.error();
    const auto text = directory::text_in(*answer, "text");
    // Without a database there is nothing to dump.
    if (!text) return directory::truth_in(*answer, "found") ? Result<void>() : Error{Kind::temporary, "the answer was not understood"};
    if (auto put = write_all(to, *text); !put) return put;
    if (!directory::truth_in(*answer, "more").value_or(false)) return {};
    request["position"] = directory::text_in(*answer, "position").value_or("");
    request["skip"] = directory::number_in(*answer, "skip").value_or(0);
    request["size"] = directory::number_in(*answer, "size").value_or(0);
  }
}

// Asks in a child of its own: whoever asks may give up root for good, and the file may be in a place that only root can write to.
Result<void> dump_by_child(const Context& context, int to) {
  context.base_directory();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "pipe");
  base::Descriptor from(ends[0]), into(ends[1]);
  std::cout.flush();
  const pid_t child = ::fork();
  if (child < 0) return system_error(errno, "fork");
  if (child == 0) {
    const auto dumped = dump_to(context, into.get());
    if (!dumped) print_error(context, dumped.error().what);
    std::cout.flush();
    ::_exit(dumped ? 0 : 1);
  }
  into = base::Descriptor();
  Result<void> copied;
  for (std::string piece(1 << 16, '\0');;) {
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) copied = system_error(errno, "pipe");
    if (got <= 0) break;
    copied = write_all(to, std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
    if (!copied) break;
  }
  from = base::Descriptor();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (!copied) return copied;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return Error{Kind::temporary, ""};  // it has said why
  return {};
}

int dump(const Context& context, const Arguments& arguments) {
  const auto words = read_words("directory dump", {"[FILE]"}, {arguments.begin() + 1, arguments.end()});
  if (!words) return wrong_usage(context, words.error().what, kDirectoryDetails);
  if (words->empty() || words->front() == "-") {
    const auto dumped = dump_to(context, STDOUT_FILENO);
    return dumped ? kDone : could_not(context, dumped.error().what);
  }
  const std::string& given = words->front();
  const std::filesystem::path path(given);
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  const base::Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return could_not(context, system_error(errno, folder).what);
  base::Files& files = base::system_files();
  const std::string fresh = "." + path.filename().string() + "." + base::random_name();
  auto file = files.open(directory.get(), fresh, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file) return could_not(context, file.error().in(given).what);
  Result<void> written = dump_by_child(context, file->get());
  if (written) written = files.sync(file->get());
  if (written) written = files.rename(directory.get(), fresh, directory.get(), path.filename().string());
  if (written) written = files.sync_directory(directory.get());
  if (written) return kDone;
  [[maybe_unused]] const auto removed = files.unlink(directory.get(), fresh);
  return written.error().what.empty() ? kFailed : could_not(context, written.error().in(given).what);
}

// What can be read only once, as a file that has no name and goes with its descriptor.
Result<base::Descriptor> nameless_copy(int from) {
  const char* const given = std::getenv("TMPDIR");
  const std::string place = given != nullptr && *given != '\0' ? given : "/var/tmp";
  base::Descriptor copy(::open(place.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
  if (!copy) return system_error(errno, "a temporary file in " + place);
  for (std::string piece(1 << 16, '\0');;) {
    const ssize_t got = ::read(from, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read");
    if (got == 0) return copy;
    if (auto put = write_all(copy.get(), std::string_view(piece).substr(0, static_cast<std::size_t>(got))); !put) return put.error().in("a temporary file in " + place);
  }
}

// A file that is read line by line, more than once.
class DumpFile {
 public:
  // "-": standard input.
  static Result<DumpFile> open(const std::string& path) {
    const bool standard_input = path == "-";
    const std::string shown = standard_input ? "standard input" : path;
    base::Descriptor file(standard_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return system_error(errno, shown);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return system_error(errno, shown);
    if (S_ISDIR(status.st_mode)) return system_error(EISDIR, shown);
    if (standard_input || !S_ISREG(status.st_mode)) {
      auto copy = nameless_copy(file.get());
      if (!copy) return copy.error().in(shown);
      file = std::move(*copy);
      if (::fstat(file.get(), &status) != 0) return system_error(errno, shown);
    }
    return DumpFile(shown, std::move(file), static_cast<std::uint64_t>(status.st_size));
  }

  // Each line without its LF and where it begins, from the beginning to the end, or until `take` says no.
  Result<void> read(const char* doing, const std::function<bool(std::string_view line, std::uint64_t offset)>& take) {
    if (::lseek(file_.get(), 0, SEEK_SET) != 0) return system_error(errno, path_);
    Progress progress;
    std::string buffer;
    std::size_t start = 0;
    std::uint64_t lines = 0, offset = 0;
    for (std::uint64_t done = 0;;) {
      const std::size_t kept = buffer.size() - start;
      buffer.erase(0, start);
      start = 0;
      if (kept > directory::kMaxDumpLine) return Error{Kind::invalid, path_ + ":" + std::to_string(lines + 1) + ": the line is longer than " + std::to_string(directory::kMaxDumpLine) + " bytes"};
      buffer.resize(kept + kPieceBytes);
      const ssize_t got = ::read(file_.get(), buffer.data() + kept, kPieceBytes);
      if (got < 0 && errno == EINTR) {
        buffer.resize(kept);
        continue;
      }
      if (got < 0) return system_error(errno, path_);
      buffer.resize(kept + static_cast<std::size_t>(got));
      done += static_cast<std::uint64_t>(got);
      for (;;) {
        const auto end = buffer.find('\n', start);
        if (end == std::string::npos) break;
        const std::string_view line = std::string_view(buffer).substr(start, end - start);
        start = end + 1;
        ++lines;
        if (!take(line, offset)) return {};
        offset += line.size() + 1;
      }
      progress.show(done, size_, doing);
      if (got > 0) continue;
      if (start < buffer.size()) take(std::string_view(buffer).substr(start), offset);
      return {};
    }
  }

  // Some of it, which was there when it was read.
  Result<std::string> piece(std::uint64_t offset, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t done = 0; done < bytes;) {
      const ssize_t got = ::pread(file_.get(), text.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error(errno, path_);
      if (got == 0) return Error{Kind::invalid, path_ + " was changed meanwhile"};
      done += static_cast<std::size_t>(got);
    }
    return text;
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t bytes() const { return size_; }

 private:
  DumpFile(std::string path, base::Descriptor file, std::uint64_t size) : path_(std::move(path)), file_(std::move(file)), size_(size) {}
  std::string path_;
  base::Descriptor file_;
  std::uint64_t size_;
  static constexpr std::size_t kPieceBytes = 256 * 1024;
};

const char* kind_of(const directory::Database::Entry& entry) {
  if (entry.domain) return "domain";
  if (entry.account) return "account";
  return entry.alias->kind == directory::Alias::Kind::group ? "group" : "alias";
}

// A line that is no part of any record.
bool is_between_records(std::string_view line) {
  const std::size_t start = line.find_first_not_of(" \t\r");
  return start == std::string_view::npos || line[start] == '#';
}

struct CheckedRecord {
  std::string name;
  std::uint64_t line = 0, offset = 0;
};

// By their keys in the database, since a page that many records in a row go to is written once: domains first, then by domain and name.
bool goes_before(const CheckedRecord& one, const CheckedRecord& other) {
  const auto at = one.name.rfind('@'), other_at = other.name.rfind('@');
  if (at == std::string::npos || other_at == std::string::npos) return at == std::string::npos && (other_at != std::string::npos || one.name < other.name);
  const std::string_view name = one.name, other_name = other.name;
  if (const int order = name.substr(at).compare(other_name.substr(other_at)); order != 0) return order < 0;
  return name.substr(0, at) < other_name.substr(0, other_at);
}

// The whole file before anything is changed: every field, every name once, every domain above its accounts. What it has, in its order.
Result<std::deque<CheckedRecord>> check_file(DirectoryAccess& directory, DumpFile& file) {
  std::deque<CheckedRecord> records;
  std::unordered_map<std::string_view, std::uint64_t> lines;  // by the names in `records`
  struct Known {
    bool given = false, asked = false, there = false;
    std::string elsewhere;
  };
  std::unordered_map<std::string, Known> domains;
  std::optional<Error> failed;
  directory::DumpReader* self = nullptr;
  directory::DumpReader reader([&](const directory::Database::Entry& entry, std::uint64_t line) {
    const std::string& name = name_of(entry);
    const auto mistake = [&](std::string text) { self->mistake(line, std::string(kind_of(entry)) + " " + name, "", std::move(text)); };
    if (const auto before = lines.find(name); before != lines.end()) return mistake("the name was given in line " + std::to_string(before->second) + " already");
    records.push_back({name, line, 0});
    lines.emplace(records.back().name, line);
    if (entry.domain) {
      domains[name].given = true;
      return;
    }
    const std::string domain = name.substr(name.rfind('@') + 1);
    Known& known = domains[domain];
    if (!std::exchange(known.asked, true)) {
      const auto answer = directory.ask({{"ask", "domain"}, {"name", domain}});
      // What the file itself says needs nobody else, an LDAP server for instance that is away.
      if (!answer && !known.given) failed = answer.error();
      known.there = answer && directory::truth_in(*answer, "found").value_or(false);
      if (answer) known.elsewhere = directory::text_in(*answer, "elsewhere").value_or("");
    }
    if (!known.elsewhere.empty()) mistake(known.elsewhere);
    else if (!known.given && !known.there) mistake("there is no domain " + domain + ", neither above this line nor in the directory");
  });
  self = &reader;
  std::vector<std::uint64_t> beginnings;
  auto read = file.read("checking", [&](std::string_view line, std::uint64_t offset) {
    if (reader.lines() > 0 && !is_between_records(line) && line[0] != ' ' && line[0] != '\t') beginnings.push_back(offset);
    reader.read(line);
    return !failed && reader.mistakes().size() < directory::kMostMistakes;
  });
  reader.end();
  if (!read) return read.error();
  if (failed) return *failed;
  for (const directory::DumpMistake& mistake : reader.mistakes()) std::cerr << file.path() << ":" << mistake.to_string() << "\n";
  if (!reader.mistakes().empty()) return Error{Kind::invalid, file.path() + " has mistakes; nothing was changed"};
  POSTERN_ASSERT(beginnings.size() == records.size());
  for (std::size_t i = 0; i < records.size(); ++i) records[i].offset = beginnings[i];
  return records;
}

// Sends the records of a checked file in batches. While the directory works on one, the next is read.
class Loading {
 public:
  Loading(DirectoryAccess& directory, DumpFile& file, const std::deque<CheckedRecord>& records, bool replace, bool check)
      : directory_(directory), file_(file), most_record_bytes_(directory.through_server() ? kMostServerBytes : SIZE_MAX), replace_(replace), check_(check) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      const std::uint64_t end = i + 1 < records.size() ? records[i + 1].offset : file.bytes();
      records_.push_back({&records[i], static_cast<std::size_t>(end - records[i].offset)});
    }
    const auto before = [](const Record& one, const Record& other) { return goes_before(*one.checked, *other.checked); };
    if (!std::is_sorted(records_.begin(), records_.end(), before)) std::sort(records_.begin(), records_.end(), before);
  }

  void run() {
    Progress progress;
    for (std::size_t i = 0; i < records_.size() && !failed_; ++i) {
      add(i);
      progress.show(i + 1, records_.size(), check_ ? "comparing" : "loading");
    }
    send();
    wait();
  }

  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }
  [[nodiscard]] std::uint64_t count(std::string_view name) const {
    for (const auto& [other, count] : counts_)
      if (other == name) return count;
    return 0;
  }

 private:
  struct Record {
    const CheckedRecord* checked;
    std::size_t bytes;  // up to the next one in the file
  };
  // Those from `first` to before `end`.
  struct Batch {
    std::size_t first = 0, end = 0;
    std::string text;
  };

  [[nodiscard]] std::string place(const Record& record) const { return file_.path() + ":" + std::to_string(record.checked->line); }

  // Puts the record into the batch, without what people have written around it.
  void add(std::size_t number) {
    const Record& record = records_[number];
    const auto piece = file_.piece(record.checked->offset, record.bytes);
    if (!piece) {
      failed_ = piece.error();
      return;
    }
    std::string text;
    for (std::string_view left = *piece; !left.empty();) {
      const std::string_view line = left.substr(0, left.find('\n'));
      left.remove_prefix(std::min(line.size() + 1, left.size()));
      if (!is_between_records(line)) text.append(line) += '\n';
    }
    if (text.size() > most_record_bytes_) {
      failed_ = Error{Kind::invalid, place(record) + ": " + record.checked->name + ": its scripts are too long to go through the running server; load them while it is stopped"};
      return;
    }
    if (batch_.end > batch_.first && batch_.text.size() + text.size() > kBatchBytes) send();
    batch_.text += text;
    batch_.end = number + 1;
    if (batch_.end - batch_.first == kBatchRecords) send();
  }

  // After the one before it: each is durable before the next one begins.
  void send() {
    wait();
    if (batch_.end == batch_.first) return;
    const std::size_t next = batch_.end;
    if (!failed_) {
      object request{{"ask", "directory-load"}, {"text", batch_.text}, {"replace", replace_}, {"check", check_}};
      batch_.text.clear();
      sent_ = std::move(batch_);
      answer_ = std::async(std::launch::async, [this, request = std::move(request)]() mutable { return directory_.ask(std::move(request)); });
    }
    batch_ = {next, next, {}};
  }

  void wait() {
    if (!answer_.valid()) return;
    const auto answer = answer_.get();
    if (!answer) {
      if (!failed_) failed_ = located(answer.error());
      return;
    }
    for (auto& [name, count] : counts_) count += directory::number_in(*answer, name).value_or(0);
  }

  // With file and line in front, if it is about a record of the batch that was sent.
  [[nodiscard]] Error located(const Error& error) const {
    for (std::size_t i = sent_.first; i < sent_.end; ++i)
      if (error.what.starts_with(records_[i].checked->name + ": ")) return error.in(place(records_[i]));
    return error;
  }

  DirectoryAccess& directory_;
  DumpFile& file_;
  const std::size_t most_record_bytes_;
  const bool replace_, check_;
  std::vector<Record> records_;
  Batch batch_, sent_;
  std::pair<const char*, std::uint64_t> counts_[3] = {{"added", 0}, {"replaced", 0}, {"unchanged", 0}};
  std::optional<Error> failed_;
  std::future<Result<object>> answer_;  // last: it waits for what uses the others
};

int load(const Context& context, const Arguments& arguments) {
  bool check = false, replace = false;
  const auto rest = read_options("directory load", {{"--check", &check}, {"--replace", &replace}}, {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, kDirectoryDetails);
  if (const std::string mistake = words_mistake("directory load", {"FILE"}, *rest); !mistake.empty()) return wrong_usage(context, mistake, kDirectoryDetails);
  // Before root is given up.
  auto file = DumpFile::open(rest->front());
  if (!file) return could_not(context, file.error().what);
  DirectoryAccess directory(context, check ? DirectoryAccess::Purpose::look_up : DirectoryAccess::Purpose::change);
  const auto records = check_file(directory, *file);
  if (!records) return could_not(context, records.error().what);

  Loading loading(directory, *file, *records, replace, check);
  loading.run();
  const Result<void> read = loading.failed() ? Result<void>(*loading.failed()) : Result<void>();
  const auto changed = loading.count("added") + loading.count("replaced");
  if (!read) {
    if (!check && changed > 0)
      std::cerr << changed << " records before it were loaded; once that is settled, load the file again: what is there already is passed over\n";
    return could_not(context, read.error().what);
  }
  const object answer{{"records", records->size()}, {"added", loading.count("added")}, {"replaced", loading.count("replaced")}, {"unchanged", loading.count("unchanged")}};
  if (context.json) {
    print_answer(answer);
    return kDone;
  }
  std::cout << records->size() << (records->size() == 1 ? " record: " : " records: ") << loading.count("added") << (check ? " would be added, " : " added, ") << loading.count("replaced")
            << (check ? " would be replaced, " : " replaced, ") << loading.count("unchanged") << " there already\n";
  return kDone;
}

}  // namespace

const char* const kDirectoryDetails =
    "  posternctl directory dump [FILE]\n"
    "  posternctl directory load FILE [--check] [--replace]\n"
    "dump writes all domains, accounts, aliases and groups as text (postern-directory(5)), with\n"
    "the hashes of passwords: FILE can be read by its owner only. load adds what is in FILE;\n"
    "what is there already with the same values is passed over, so that a load can be repeated.\n"
    "FILE may be -: standard output or input.\n"
    "  --replace  what is there with other values gets those of FILE, instead of being an error\n"
    "  --check    look for mistakes and differences only\n";

int run_directory(const Context& context, const Arguments& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "dump") return dump(context, arguments);
  if (verb == "load") return load(context, arguments);
  return wrong_usage(context, verb_mistake("directory", verb), kDirectoryDetails);
}

}  // namespace postern::tools
