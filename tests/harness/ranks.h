// Ranks as threads of the test program: distributed logic in one process, under a debugger or
// TSan.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ddp/communicator.h"
#include "ddp/thread_ranks.h"

namespace lockstep::harness {

// Runs `body(comm)` on each rank; returns what they threw, in rank order (null where nothing).
inline std::vector<std::exception_ptr> try_ranks(int ranks,
                                                 const std::function<void(Communicator&)>& body,
                                                 double timeout_seconds = 60) {
  ThreadRendezvous rendezvous(ranks, timeout_seconds);
  std::vector<std::unique_ptr<Communicator>> comms;
  for (int r = 0; r < ranks; ++r) comms.push_back(rendezvous.communicator(r));
  std::vector<std::exception_ptr> errors(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      try {
        body(*comms[r]);
      } catch (...) {
        errors[r] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

// Runs `body(comm)` on each rank. A rank that throws aborts the others, as the worker does; the
// first cause is rethrown here.
inline void run_ranks(int ranks, const std::function<void(Communicator&)>& body,
                      double timeout_seconds = 60) {
  const auto guarded = [&](Communicator& comm) {
    try {
      body(comm);
    } catch (...) {
      comm.abort(70);
      throw;
    }
  };
  std::exception_ptr echo;  // a CommError is often only the echo of another rank's error
  for (const std::exception_ptr& error : try_ranks(ranks, guarded, timeout_seconds)) {
    if (!error) continue;
    try {
      std::rethrow_exception(error);
    } catch (const CommError&) {
      if (!echo) echo = error;
    }
  }
  if (echo) std::rethrow_exception(echo);
}

// The message of an error, "" if there was none.
inline std::string message_of(const std::exception_ptr& error) {
  if (!error) return "";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    return thrown.what();
  }
}

}  // namespace lockstep::harness
