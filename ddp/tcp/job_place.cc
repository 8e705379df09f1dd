#include "ddp/tcp/job_place.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "core/errors.h"

namespace lockstep {

namespace {

std::optional<int> number(const EnvironmentLookup& environment, const char* name, int least,
                          int most) {
  const char* text = environment(name);
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stop != end || value < least || value > most)
    throw ConfigError(
        fmt::format("the variable {} is '{}'", name, text),
        fmt::format("it wants a whole number from {} to {}; whatever started this rank sets it",
                    least, most));
  return value;
}

constexpr int kMostRanks = 65'536;

}  // namespace

bool has_job_place(const EnvironmentLookup& environment) {
  return environment("RANK") != nullptr && environment("WORLD_SIZE") != nullptr;
}

JobPlace read_job_place(const EnvironmentLookup& environment) {
  JobPlace place;
  place.size = number(environment, "WORLD_SIZE", 1, kMostRanks).value_or(1);
  place.rank = number(environment, "RANK", 0, kMostRanks).value_or(0);
  if (place.rank >= place.size)
    throw ConfigError(fmt::format("RANK is {} and WORLD_SIZE {}", place.rank, place.size),
                      "ranks count from 0; start as many of them as WORLD_SIZE says");
  place.local_rank = number(environment, "LOCAL_RANK", 0, kMostRanks).value_or(place.rank);
  place.local_size = number(environment, "LOCAL_WORLD_SIZE", 1, kMostRanks).value_or(place.size);
  place.attempt = number(environment, "TORCHELASTIC_RESTART_COUNT", 0, kMostRanks).value_or(0);
  place.master_socket = number(environment, "LOCKSTEP_MASTER_SOCKET", 0, kMostRanks).value_or(-1);
  place.meet_seconds = number(environment, "LOCKSTEP_MEET_SECONDS", 1, 1'000'000).value_or(0);
  if (const char* secret = environment("LOCKSTEP_SECRET")) place.secret = secret;
  const char* agent = environment("TORCHELASTIC_USE_AGENT_STORE");
  place.agent_store = agent != nullptr && std::strcmp(agent, "True") == 0;
  if (place.size == 1) return place;
  const char* address = environment("MASTER_ADDR");
  const auto port = number(environment, "MASTER_PORT", 1, 65'535);
  if (address == nullptr || *address == '\0' || !port)
    throw EnvironmentError(
        fmt::format("this is rank {} of {}, but {} is not set", place.rank, place.size,
                    port ? "MASTER_ADDR" : "MASTER_PORT"),
        "set MASTER_ADDR and MASTER_PORT to where rank 0 shall listen, or start the ranks with "
        "torchrun, mpirun, or `lockstep train CONFIG --nproc-per-node N`");
  place.master_address = address;
  place.master_port = *port;
  return place;
}

}  // namespace lockstep
