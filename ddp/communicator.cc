#include "ddp/communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace lockstep {

std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& mine,
                                            const std::string& what) {
  const int n = comm.size();
  const uint64_t length = mine.size();
  std::vector<uint64_t> lengths(n);
  comm.all_gather(&length, lengths.data(), sizeof(length), what + ", lengths");
  const uint64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> result(n);
  if (longest == 0) return result;
  std::string padded = mine;
  padded.resize(longest);
  std::string all(longest * n, '\0');
  comm.all_gather(padded.data(), all.data(), longest, what);
  for (int r = 0; r < n; ++r) result[r] = all.substr(r * longest, lengths[r]);
  return result;
}

CommError late_error(const std::string& what, int me, double seconds, const std::vector<int>& late,
                     const std::string& elsewhere) {
  if (late.empty())
    return CommError(
        fmt::format("all ranks wait for each other: rank {} at '{}' for {:.3g} s{}", me, what,
                    seconds, elsewhere.empty() ? "" : ", " + elsewhere),
        "the ranks do not make the same calls; please report this with the logs of all ranks");
  return CommError(
      fmt::format("rank{} {} did not arrive at '{}' within {:.3g} s (rank {} waited)",
                  late.size() > 1 ? "s" : "", fmt::join(late, ", "), what, seconds, me),
      fmt::format("see the log of rank {}; raise ddp.timeout_seconds if it may be that slow",
                  late.front()));
}

}  // namespace lockstep
