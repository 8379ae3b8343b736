// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/replay.h"

#include "base/text.h"
#include "mapping/effect.h"
#include "rehearsal/probe_file.h"
#include "rehearsal/probe_ring.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace postern::rehearsal {
namespace {

constexpr std::size_t kProgressSteps = 4096;

// access-control.md 3.4: a site that forgot its table relays for nobody all the same.
bool closed_without_table(std::string_view table, std::string_view probe) {
  if (table != "ORIG_SEND_ACCESS") return false;
  const auto fields = base::split(probe, '|');
  return fields.size() >= 4 && fields[0] == "tcp_local" && fields[2] == "tcp_local";
}

}  // namespace

std::string name_of(const mapping::Question& question) {
  switch (question.kind) {
    case mapping::Question::Kind::call_out: return question.name + ":" + question.routine;
    case mapping::Question::Kind::url: return "a URL";
    case mapping::Question::Kind::sequence: return "sequence file " + question.name;
    case mapping::Question::Kind::attribute: return "attribute " + question.routine;
  }
  return question.name;
}

Outcome ask_again(const mapping::Tables& tables, std::string_view table, const Probe& probe, const KnownAnswer& known) {
  Outcome outcome;
  if (!tables.has(table)) {
    outcome.result.table = table;
    outcome.result.refuse = closed_without_table(table, probe.text);
    if (outcome.result.refuse) outcome.result.text = "Relaying not permitted";
    return outcome;
  }
  mapping::Evaluation evaluation(tables, table, probe.text, probe.input);
  // Questions may come twice, and be answered differently (a counter): each answer is given once, in order, the last again and again.
  std::vector<bool> used(probe.answers.size());
  while (evaluation.run() == mapping::Evaluation::State::asks) {
    const mapping::Answered* answer = nullptr;
    for (std::size_t i = 0; i < probe.answers.size(); ++i) {
      if (!(probe.answers[i].question == evaluation.question())) continue;
      answer = &probe.answers[i];
      if (used[i]) continue;
      used[i] = true;
      break;
    }
    if (answer != nullptr) {
      evaluation.answer(answer->text);
      continue;
    }
    const auto text = known ? known(evaluation.question()) : std::nullopt;
    if (!text && outcome.open.empty()) outcome.open = name_of(evaluation.question());
    evaluation.answer(text ? *text : std::nullopt);
  }
  if (evaluation.result().by_chance && outcome.open.empty()) outcome.open = "a random number";
  outcome.result = mapping::read_access(table, evaluation.result());
  return outcome;
}

bool ProbeStore::add(std::string_view identity, std::uint64_t count) {
  std::string key(identity);
  if (counts_.size() >= kMaxDistinct && !counts_.contains(key)) return false;
  counts_[std::move(key)] += count;
  return true;
}

std::vector<OpenFile> open_probe_files(int directory, std::int64_t since_microseconds, const std::function<void(const std::string&)>& trouble) {
  std::vector<OpenFile> files;
  for (const std::string& name : probe_files(directory)) {
    const auto began = begin_of_probe_file(name);
    if (!began || *began + std::chrono::microseconds(kFileAge).count() < since_microseconds) continue;
    OpenFile opened{name, base::Descriptor(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)), 0};
    const int saved = errno;
    struct stat status {};
    // A server that runs removes the oldest.
    if (!opened.file && saved == ENOENT) continue;
    if (!opened.file) {
      trouble(system_error(saved, name).what);
    } else if (::fstat(opened.file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      trouble(name + ": no file");
    } else {
      opened.size = static_cast<std::uint64_t>(status.st_size);
      files.push_back(std::move(opened));
    }
  }
  return files;
}

void ProbeStore::load(const std::vector<OpenFile>& files, std::int64_t since_microseconds, const std::function<void(const std::string&)>& trouble,
                      const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::uint64_t all = 0, done = 0, too_many = 0;
  for (const OpenFile& file : files) all += file.size;
  for (const OpenFile& file : files) {
    const auto bytes = base::read_all(file.file.get(), kMaxFileBytes);
    done += file.size;
    if (!bytes) {
      trouble(file.name + ": " + bytes.error().what);
      continue;
    }
    const FileRead read = read_probe_file(*bytes, [&](const Counted& probe, std::uint64_t) {
      if (probe.last_microseconds >= since_microseconds && !add(probe.identity, probe.count)) ++too_many;
    });
    if (!read.trouble.empty()) trouble(file.name + ": " + read.trouble + ": the rest is left out");
    progress(done, all);
  }
  if (too_many != 0) trouble("more than " + std::to_string(kMaxDistinct) + " different probes: " + std::to_string(too_many) + " are left out");
}

ProbeStore::Replayed ProbeStore::replay(const mapping::Tables& before, const mapping::Tables& after, const KnownAnswer& known,
                                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  Replayed replayed;
  replayed.distinct = counts_.size();
  // Only where they stand: a table may change its mind about all of them.
  struct Found {
    std::size_t table;
    const std::string* identity;
    std::uint64_t count;
  };
  std::vector<Found> found;
  std::uint64_t done = 0;
  for (const auto& [identity, count] : counts_) {
    if (++done % kProgressSteps == 0) progress(done, counts_.size());
    const auto probe = probe_of(identity);
    if (!probe) {
      replayed.damaged += count;
      continue;
    }
    replayed.probes += count;
    const std::string_view table = mapping::kAskedTables[probe->table];
    const Outcome old_one = ask_again(before, table, *probe, known), new_one = ask_again(after, table, *probe, known);
    if (!old_one.open.empty() || !new_one.open.empty()) {
      replayed.open += count;
      replayed.open_because[new_one.open.empty() ? old_one.open : new_one.open] += count;
      continue;
    }
    if (mapping::same_effect(old_one.result, new_one.result)) continue;
    replayed.changed += count;
    found.push_back({probe->table, &identity, count});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    if (a.table != b.table) return a.table < b.table;
    if (a.count != b.count) return a.count > b.count;
    return *a.identity < *b.identity;
  });
  if (found.size() > kMaxChanges) {
    replayed.changes_left_out = found.size() - kMaxChanges;
    found.resize(kMaxChanges);
  }
  for (const Found& change : found) {
    auto probe = probe_of(*change.identity);
    const std::string_view table = mapping::kAskedTables[change.table];
    auto old_result = ask_again(before, table, *probe, known).result, new_result = ask_again(after, table, *probe, known).result;
    replayed.changes.push_back({std::move(*probe), change.count, std::move(old_result), std::move(new_result)});
  }
  return replayed;
}

}  // namespace postern::rehearsal
