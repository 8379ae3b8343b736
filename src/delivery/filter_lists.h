// SPDX-License-Identifier: Apache-2.0
#pragma once
// The lists outside of scripts that scripts may ask (RFC 6134), as filters.lists of the configuration names them: files that were read with it,
// aliases and groups of the directory, mapping tables.
//
// A value is in a list of addresses if it stands there, without regard to the case of ASCII letters, or if it is an address of a domain that stands there as
// "@example.com". Groups are looked up before a script runs, since a run can't wait: refresh() costs nothing as long as the directory does not change.
//
// Failure: refresh() is Kind::temporary when the directory is away. Limits: kMostMembers of one group, with those of the groups in it; what is
// beyond is not in the list, and that is logged.
#include "net/asio.h"

#include "conf/configuration.h"
#include "directory/directory.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace postern::delivery {

struct FilterListSource {
  conf::FilterList list;
  std::string text;  // of a file
};

// The values of a list, in their order and each once.
class ListedValues {
 public:
  // A value a line, blanks around it dropped; what begins with '#' is a comment.
  static ListedValues read(std::string_view text);
  void add(std::string_view value);
  // Without regard to case; an address also if its domain stands there as "@example.com".
  [[nodiscard]] bool contains(std::string_view value) const;
  // What is not a domain, at most `most`.
  [[nodiscard]] std::vector<std::string> members(std::size_t most) const;
  [[nodiscard]] const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
  std::unordered_set<std::string> known_;  // the same in lower case
};

class FilterLists {
 public:
  static constexpr std::size_t kMostMembers = 100'000;
  // Whether an entry of the mapping table matches the value.
  using TableMatches = std::function<bool(const std::string& table, const std::string& value)>;
  // Moves whenever the directory changes.
  using Generation = std::function<std::uint64_t()>;

  // `directory` must outlive it.
  explicit FilterLists(directory::Lookups& directory) : directory_(directory) {}
  void set_tables(TableMatches matches) { table_matches_ = std::move(matches); }
  void set_generation(Generation generation) { generation_ = std::move(generation); }
  void set_lists(const std::vector<FilterListSource>& sources);

  // Before scripts run that ask lists.
  net::Awaitable<Result<void>> refresh();

  [[nodiscard]] bool exists(const std::string& name) const { return lists_.contains(name); }
  [[nodiscard]] bool contains(const std::string& name, std::string_view value) const;
  // In their order, at most `most`; none of a table, and no domains.
  [[nodiscard]] std::vector<std::string> members(const std::string& name, std::size_t most) const;

 private:
  struct List {
    conf::FilterList list;
    ListedValues values;
  };
  net::Awaitable<Result<void>> look_up(List& list);
  directory::Lookups& directory_;
  TableMatches table_matches_;
  Generation generation_;
  std::optional<std::uint64_t> looked_up_at_;
  std::map<std::string, List, std::less<>> lists_;
};

}  // namespace postern::delivery
