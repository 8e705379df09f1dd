#include "packing/packed_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/errors.h"

namespace lockstep {
namespace {

struct PlannedRow {
  Row units;
  int64_t tokens = 0, cost = 0, number = 0;
};

std::vector<PlannedRow> plan_rows(const std::vector<Unit>& units,
                                  const PackedOrderSettings& settings) {
  std::vector<int32_t> lengths;
  lengths.reserve(units.size());
  for (const Unit& unit : units) lengths.push_back(static_cast<int32_t>(unit.length()));
  const PackPlan plan = make_plan(*settings.packer, lengths, settings.limits);
  std::vector<PlannedRow> rows(plan.rows());
  for (int64_t number = 0; number < plan.rows(); ++number) {
    PlannedRow& row = rows[number];
    row.number = number;
    for (int64_t i = plan.offsets[number]; i < plan.offsets[number + 1]; ++i) {
      row.units.push_back(units[plan.order[i]]);
      row.tokens += row.units.back().length();
    }
    row.cost = settings.cost.of(row.units);
  }
  return rows;
}

// Moves the `count` least filled rows out of `rows`, of equals the youngest.
std::vector<PlannedRow> take_least_filled(std::vector<PlannedRow>& rows, int64_t count) {
  std::sort(rows.begin(), rows.end(), [](const PlannedRow& a, const PlannedRow& b) {
    return a.tokens != b.tokens ? a.tokens > b.tokens : a.number < b.number;
  });
  std::vector<PlannedRow> taken(std::make_move_iterator(rows.end() - count),
                                std::make_move_iterator(rows.end()));
  rows.erase(rows.end() - count, rows.end());
  return taken;
}

void sort_by_cost(std::vector<PlannedRow>& rows) {
  std::sort(rows.begin(), rows.end(), [](const PlannedRow& a, const PlannedRow& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.number < b.number;
  });
}

// The units of `rows` in the order they have in `units`.
std::vector<Unit> in_window_order(const std::vector<PlannedRow>& rows,
                                  const std::vector<Unit>& units) {
  std::vector<Unit> chosen;
  for (const PlannedRow& row : rows)
    chosen.insert(chosen.end(), row.units.begin(), row.units.end());
  const auto by_place = [](const Unit& a, const Unit& b) {
    return a.id != b.id ? a.id < b.id : a.begin < b.begin;
  };
  std::sort(chosen.begin(), chosen.end(), by_place);
  std::vector<Unit> ordered;
  // A unit carried over an epoch's end may stand in the window twice: count it off.
  std::vector<bool> used(chosen.size());
  for (const Unit& unit : units) {
    auto found = std::lower_bound(chosen.begin(), chosen.end(), unit, by_place) - chosen.begin();
    while (found < static_cast<int64_t>(chosen.size()) && used[found] && chosen[found] == unit)
      ++found;
    if (found == static_cast<int64_t>(chosen.size()) || chosen[found] != unit) continue;
    used[found] = true;
    ordered.push_back(unit);
  }
  return ordered;
}

int64_t tokens_of(const std::vector<Unit>& units) {
  int64_t sum = 0;
  for (const Unit& unit : units) sum += unit.length();
  return sum;
}

}  // namespace

int64_t window_of(int64_t samples, int64_t tokens, int64_t capacity, int64_t global_batch) {
  const auto needed =
      static_cast<__int128>(capacity) * std::max<int64_t>(1000, 8 * global_batch) * samples;
  int64_t window = 4096;
  while (static_cast<__int128>(window) * std::max<int64_t>(1, tokens) < needed &&
         window < int64_t{1} << 60)
    window *= 2;
  return window;
}

double PackingStatistics::fill(int64_t capacity) const {
  const int64_t places = (rows + empty_rows) * capacity;
  return places > 0 ? static_cast<double>(row_tokens) / static_cast<double>(places) : 1.0;
}

PackedOrder::PackedOrder(const LengthSource& source, const PackedOrderSettings& settings)
    : source_(source), settings_(settings), samples_(source.samples(), settings.seed) {
  if (source.samples() > settings.window) return;  // a whole window fills many steps
  const int64_t rows =
      static_cast<int64_t>(plan_rows(
                               [&] {
                                 std::vector<Unit> units;
                                 UnitCounts counts;
                                 for (int64_t i = 0; i < source.samples(); ++i)
                                   append_units(source_, samples_.id(i), settings_.limits.capacity,
                                                settings_.too_long, units, counts);
                                 return units;
                               }(),
                               settings_)
                               .size());
  if (rows < settings.global_batch)
    throw ConfigError(fmt::format("an epoch packs into {} rows, and a step takes {}", rows,
                                  settings.global_batch),
                      "lower train.global_batch or packing.length, or add data");
}

int64_t PackedOrder::number_of(int64_t next_index) const {
  const int64_t samples = samples_.samples(), window = settings_.window;
  const int64_t per_epoch = samples / window + (samples % window != 0);
  return next_index / samples * per_epoch + next_index % samples / window;
}

PackedWindow PackedOrder::plan_window(int64_t next_index, const std::vector<Unit>& carried) const {
  return plan_window(next_index, carried, settings_.epochs);
}

PackedWindow PackedOrder::plan_window(int64_t next_index, const std::vector<Unit>& carried,
                                      int64_t epochs) const {
  const int64_t samples = samples_.samples(), batch = settings_.global_batch;
  const int64_t epoch_end = (next_index / samples + 1) * samples;
  PackedWindow window;
  window.next_index = std::min(epoch_end, next_index + settings_.window);
  std::vector<Unit> units = carried;
  for (int64_t index = next_index; index < window.next_index; ++index)
    append_units(source_, samples_.id(index), settings_.limits.capacity, settings_.too_long, units,
                 window.counts);

  std::vector<PlannedRow> rows = plan_rows(units, settings_);
  std::vector<PlannedRow> left = take_least_filled(rows, static_cast<int64_t>(rows.size()) % batch);
  const bool last = epochs > 0 && window.next_index == epochs * samples;
  if (!last) window.carried = in_window_order(left, units);

  const auto add_group = [&](const PlannedRow* begin, const PlannedRow* end) {
    Group group;
    for (const PlannedRow* row = begin; row != end; ++row) {
      window.row_tokens += row->tokens;
      ++window.rows;
      group.push_back(row->units);
    }
    group.resize(batch);
    window.groups.push_back(std::move(group));
  };
  sort_by_cost(rows);
  const int64_t groups = static_cast<int64_t>(rows.size()) / batch;
  if (groups > 0) {
    const SampleOrder order(groups, settings_.seed, Purpose::kPacking);
    const int64_t first = number_of(next_index) * groups;  // epoch = the window's number
    for (int64_t place = 0; place < groups; ++place) {
      const PlannedRow* begin = rows.data() + order.id(first + place) * batch;
      add_group(begin, begin + batch);
    }
  }
  if (last && !left.empty()) {
    sort_by_cost(left);
    add_group(left.data(), left.data() + left.size());
  }
  return window;
}

std::optional<Group> PackedOrder::next() {
  for (;;) {
    if (settings_.epochs > 0 && state_.next_index >= settings_.epochs * samples_.samples())
      return std::nullopt;
    if (!window_) window_ = plan_window(state_.next_index, state_.carried);
    if (state_.group < static_cast<int64_t>(window_->groups.size()))
      return window_->groups[state_.group++];
    state_ = {window_->next_index, std::move(window_->carried), 0};
    window_.reset();
  }
}

void PackedOrder::restore(const PackedOrderState& state) {
  const int64_t samples = samples_.samples();
  bool fits = state.next_index >= 0 && state.group >= 0 &&
              state.next_index % samples % settings_.window == 0;
  for (const Unit& unit : state.carried)
    fits = fits && unit.id >= 0 && unit.id < samples && unit.begin >= 0 && unit.begin < unit.end &&
           unit.length() <= settings_.limits.capacity && unit.end <= source_.length(unit.id);
  const bool ended = settings_.epochs > 0 && state.next_index >= settings_.epochs * samples;
  std::optional<PackedWindow> window;
  if (fits && !ended) {
    window = plan_window(state.next_index, state.carried);
    fits = state.group <= static_cast<int64_t>(window->groups.size());
  }
  if (!fits)
    throw CheckpointError("the saved place in the packed order does not fit the dataset",
                          "resume with the data and the packing of the run");
  state_ = state;
  window_ = std::move(window);
}

PackingStatistics PackedOrder::statistics(int64_t epochs, int64_t ranks) const {
  PackingStatistics all;
  std::vector<Unit> carried;
  for (int64_t index = 0; index < epochs * samples_.samples();) {
    const PackedWindow window = plan_window(index, carried, epochs);
    all.read += window.counts;
    all.rows += window.rows;
    all.row_tokens += window.row_tokens;
    all.steps += static_cast<int64_t>(window.groups.size());
    for (const Group& group : window.groups) {
      std::vector<int64_t> costs;
      for (const Row& row : group) costs.push_back(settings_.cost.of(row));
      all.balance_sum += balance_of(costs, ranks);
    }
    index = window.next_index;
    carried = window.carried;
  }
  all.empty_rows = all.steps * settings_.global_batch - all.rows;
  all.carried_tokens = tokens_of(carried);
  return all;
}

}  // namespace lockstep
