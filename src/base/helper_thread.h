// SPDX-License-Identifier: Apache-2.0
#pragma once
// A thread beside the event loop, for what blocks.
#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace postern::base {

// A thread that gets no signals: those are the event loop's business. The caller joins it. Throws std::system_error if the system
// gives no thread.
template <class Body>
std::thread helper_thread(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace postern::base
