// Best fit decreasing on the histogram of lengths.
//
// The rule, document by document: the longest first, equal lengths in the given order; each goes
// into the row with the least room that is enough, among equals into the oldest; without such a row
// it opens one.
//
// Documents of one length L are placed together. The row that took one is now the fullest with
// room, if L still fits: so it takes k = min(⌊room / L⌋, free places) documents before any other
// row takes one. Rows that have the same room and the same number of documents then do the same one
// after the other, so a whole run of neighbouring rows is one step, an Assignment. There are about
// as many of them as different lengths; what remains is linear: a counting sort of the documents,
// and writing them into their rows.
#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include "data/parallel_for.h"
#include "packing/packers.h"

namespace lockstep {
namespace {

// Documents sorted[begin] … sorted[begin + documents − 1], `each` a row, into the rows from
// `first_row` on. The last row may take fewer.
struct Assignment {
  int64_t first_row, begin, documents, each;
};

// Neighbouring rows that look the same.
struct RowRun {
  int64_t first, rows, documents;  // documents of each row
  bool operator>(const RowRun& other) const { return first > other.first; }
};

// Open rows by their room, the oldest first.
class OpenRows {
 public:
  explicit OpenRows(const PackLimits& limits) : limits_(limits) {}

  // The oldest run of the rows that have the least room ≥ length; new rows, at most `documents`
  // of them, if there is none. Returns its room.
  int64_t take(int64_t length, int64_t documents, RowRun& run) {
    const auto found = by_room_.lower_bound(length);
    if (found == by_room_.end()) {
      const int64_t each = places(limits_.capacity, length, 0);
      run = {rows_, (documents + each - 1) / each, 0};
      rows_ += run.rows;
      return limits_.capacity;
    }
    const int64_t room = found->first;
    run = found->second.top();
    found->second.pop();
    if (found->second.empty()) by_room_.erase(found);
    return room;
  }

  // Rows without room for one token or one document are closed.
  void put(int64_t room, const RowRun& run) {
    const bool full = limits_.max_documents > 0 && run.documents >= limits_.max_documents;
    if (run.rows > 0 && room > 0 && !full) by_room_[room].push(run);
  }

  // How many documents of `length` a row takes.
  int64_t places(int64_t room, int64_t length, int64_t documents) const {
    const int64_t fit = room / length;
    return limits_.max_documents > 0 ? std::min(fit, limits_.max_documents - documents) : fit;
  }

  int64_t rows() const { return rows_; }

 private:
  using Runs = std::priority_queue<RowRun, std::vector<RowRun>, std::greater<>>;
  PackLimits limits_;
  std::map<int64_t, Runs> by_room_;
  int64_t rows_ = 0;
};

// `count` documents of one length, sorted[begin] on.
void place_length(OpenRows& open, int64_t length, int64_t begin, int64_t count,
                  std::vector<Assignment>& assignments) {
  while (count > 0) {
    RowRun run;
    const int64_t room = open.take(length, count, run);
    const int64_t each = open.places(room, length, run.documents);
    const int64_t documents = std::min(count, each * run.rows);
    const int64_t whole = documents / each, rest = documents % each;
    assignments.push_back({run.first, begin, documents, each});
    open.put(room - each * length, {run.first, whole, run.documents + each});
    if (rest > 0) open.put(room - rest * length, {run.first + whole, 1, run.documents + rest});
    const int64_t touched = whole + (rest > 0);
    open.put(room, {run.first + touched, run.rows - touched, run.documents});
    begin += documents;
    count -= documents;
  }
}

// Document ids, the longest first, equal lengths in order; `counts[l]` documents have length l.
std::vector<uint32_t> sort_by_length(std::span<const int32_t> lengths, int threads,
                                     std::vector<int64_t>& counts) {
  const auto size = static_cast<int64_t>(lengths.size());
  const int32_t longest = *std::max_element(lengths.begin(), lengths.end());
  // A part needs a histogram of its own, so there are fewer parts than documents per length.
  const int64_t parts = std::clamp<int64_t>(size / (4 * (int64_t{longest} + 1)), 1, threads);
  const auto edge = [&](int64_t part) { return size * part / parts; };
  std::vector<std::vector<int64_t>> places(parts, std::vector<int64_t>(longest + 1));
  parallel_for(0, parts, threads, [&](int64_t part) {
    for (int64_t i = edge(part); i < edge(part + 1); ++i) ++places[part][lengths[i]];
  });
  counts.assign(longest + 1, 0);
  int64_t place = 0;
  for (int64_t length = longest; length > 0; --length)
    for (auto& own : places) {
      const int64_t here = own[length];
      counts[length] += here;
      own[length] = place;
      place += here;
    }
  std::vector<uint32_t> sorted(lengths.size());
  parallel_for(0, parts, threads, [&](int64_t part) {
    for (int64_t i = edge(part); i < edge(part + 1); ++i)
      sorted[places[part][lengths[i]]++] = static_cast<uint32_t>(i);
  });
  return sorted;
}

// The same when there are few documents for the range of lengths.
std::vector<uint32_t> sort_few(std::span<const int32_t> lengths) {
  std::vector<uint32_t> sorted(lengths.size());
  for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = static_cast<uint32_t>(i);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](uint32_t a, uint32_t b) { return lengths[a] > lengths[b]; });
  return sorted;
}

// Each thread writes the rows of its share; all read all assignments.
PackPlan write_rows(const std::vector<uint32_t>& sorted, const std::vector<Assignment>& assignments,
                    int64_t rows, int threads) {
  PackPlan plan;
  plan.order.resize(sorted.size());
  plan.offsets.assign(rows + 1, 0);
  const auto each_row = [&](int64_t first, int64_t last, auto&& body) {
    for (const Assignment& step : assignments) {
      const int64_t end = step.first_row + (step.documents + step.each - 1) / step.each;
      for (int64_t row = std::max(first, step.first_row); row < std::min(last, end); ++row) {
        const int64_t skipped = (row - step.first_row) * step.each;
        body(row, step.begin + skipped, std::min(step.each, step.documents - skipped));
      }
    }
  };
  const int64_t shares = std::clamp<int64_t>(rows / 4096, 1, threads);
  const auto edge = [&](int64_t share) { return rows * share / shares; };
  // offsets[row + 1] counts the row's documents, then is where its next document goes, and in the
  // end where the row ends.
  parallel_for(0, shares, threads, [&](int64_t share) {
    each_row(edge(share), edge(share + 1),
             [&](int64_t row, int64_t, int64_t documents) { plan.offsets[row + 1] += documents; });
  });
  int64_t begin = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t documents = plan.offsets[row + 1];
    plan.offsets[row + 1] = begin;
    begin += documents;
  }
  parallel_for(0, shares, threads, [&](int64_t share) {
    each_row(edge(share), edge(share + 1), [&](int64_t row, int64_t from, int64_t documents) {
      int64_t& place = plan.offsets[row + 1];
      for (int64_t i = 0; i < documents; ++i) plan.order[place++] = sorted[from + i];
    });
  });
  return plan;
}

}  // namespace

PackPlan pack_best_fit_decreasing(std::span<const int32_t> lengths, const PackLimits& limits,
                                  int threads) {
  if (lengths.empty()) return {};
  OpenRows open(limits);
  std::vector<Assignment> assignments;
  const auto size = static_cast<int64_t>(lengths.size());
  const bool few = *std::max_element(lengths.begin(), lengths.end()) > 65536 + 4 * size;
  std::vector<int64_t> counts;
  const std::vector<uint32_t> sorted =
      few ? sort_few(lengths) : sort_by_length(lengths, threads, counts);
  for (int64_t begin = 0; begin < size;) {
    const int32_t length = lengths[sorted[begin]];
    int64_t end = begin + 1;
    if (few)
      while (end < size && lengths[sorted[end]] == length) ++end;
    else
      end = begin + counts[length];
    place_length(open, length, begin, end - begin, assignments);
    begin = end;
  }
  return write_rows(sorted, assignments, open.rows(), threads);
}

}  // namespace lockstep
