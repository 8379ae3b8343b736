// SPDX-License-Identifier: Apache-2.0
#pragma once
// The site's certificates: reads the files that `tls` names, checks them, and keeps the sealed memory file that the children get.
//
// A pair that can't be read, does not fit, has expired or is not valid yet leaves the one in use before where it was (listeners.md
// T-6): files are replaced under a running server by programs that know nothing of it, and often not in one step. One that is not valid
// yet is taken when its time comes. What is wrong is logged and shown by `posternctl status`; the server never refuses to start or to
// reload for it.
//
// The ticket secret is made here, changed daily, and lives as long as the master; an upgrade takes it along, with its age.
// Blocks for as long as reading small files takes. The files are the administrator's own: nothing here came from the network.
#include "base/descriptor.h"
#include "conf/configuration.h"
#include "net/certificate.h"
#include "net/tls_material.h"

#include <boost/json/array.hpp>

#include <sys/stat.h>

#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace postern::master {

// A certificate and its key as they were read, checked.
struct CheckedPair {
  std::string chain, key, ocsp_response;
  std::time_t ocsp_end = 0;
  net::CertificateFacts facts;
};

class Certificates {
 public:
  Certificates();

  // Reads everything anew: at start and reload. True if the children must get file() again.
  bool read(const conf::Configuration& configuration);
  // Looks whether files have changed, certificates have become valid or have expired, or the ticket secret is a day old; as read().
  bool look(const conf::Configuration& configuration);
  // The sealed file; invalid before the first read().
  [[nodiscard]] const base::Descriptor& file() const { return file_; }
  // An earlier program's file: its ticket secrets go on, and so do its certificates until read() finds better ones.
  void adopt(base::Descriptor sealed_file);
  // One object for each certificate that the configuration names.
  [[nodiscard]] boost::json::array status() const;

  // What is wrong with the files, for `posternd -t`. Warnings: about to expire, OCSP responses that are of no use.
  static std::vector<conf::Mistake> check(const conf::Configuration& configuration);

 private:
  struct Stamp {
    bool there = false;
    struct stat status {};
    [[nodiscard]] bool same_as(const Stamp& other) const;
  };
  // A row of the configuration, told apart by its domain's first name and its place in the row, so that a reload which names
  // another file keeps what is in use until that file is good.
  struct Row {
    std::size_t domain = 0;
    std::string domain_name;
    conf::TlsCertificate paths;
    std::optional<CheckedPair> good;
    std::string error, ocsp_error;
    bool in_use = false;
    std::time_t begins = 0;  // of the file's certificate, if that is not valid yet; else 0
    std::time_t warned = 0;  // when it was last complained that it is not valid, or soon not any more
  };
  static Stamp stamp_of(const std::string& path);
  void read_row(Row& row, std::time_t now);
  void read_authorities(const std::string& path);
  // Chooses, makes the file, and says whether it differs from the one before.
  bool make_file(const conf::Configuration& configuration, std::time_t now);
  void warn(const conf::Configuration& configuration, std::time_t now);

  std::vector<Row> rows_;
  std::map<std::string, Stamp> stamps_;  // of every file that was read
  std::string authorities_path_, authorities_;
  std::string secret_, earlier_secret_;
  std::chrono::steady_clock::time_point secret_made_, looked_;
  std::time_t next_turn_ = 0;  // when the first of those in use, or its OCSP response, expires, or another one becomes valid; 0: never
  std::string text_;          // what file_ holds
  base::Descriptor file_;
};

}  // namespace postern::master
