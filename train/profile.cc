// Operators nest: the time of an outer one holds the inner ones'. The table shows time of their
// own, so the calls of each thread are replayed in order with a stack.
#include "train/profile.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <kineto/ActivityType.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <ATen/Context.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

constexpr size_t kTableRows = 20;

torch::profiler::impl::ProfilerConfig all_threads() {
  torch::profiler::impl::ExperimentalConfig experimental;
  experimental.profile_all_threads = true;  // slot threads and the communication thread too
  return torch::profiler::impl::ProfilerConfig(torch::profiler::impl::ProfilerState::KINETO, false,
                                               false, false, false, false, experimental);
}

// Kernels, copies and fills; a GPU's copies of the host's ranges are left out.
bool is_device_work(const kineto::KinetoEvent& event) {
  const auto type = static_cast<libkineto::ActivityType>(event.activityType());
  return type == libkineto::ActivityType::CONCURRENT_KERNEL ||
         type == libkineto::ActivityType::GPU_MEMCPY || type == libkineto::ActivityType::GPU_MEMSET;
}

std::vector<TimedCall> calls_of(const kineto::ProfilerResult& result) {
  std::vector<TimedCall> out;
  for (const auto& event : result.events()) {
    if (event.deviceType() == at::kCPU)
      out.push_back({event.startThreadId(), event.name(), event.startNs(), event.endNs()});
    else if (is_device_work(event))
      out.push_back({static_cast<uint64_t>(event.deviceResourceId()), event.name(), event.startNs(),
                     event.endNs(), true});
  }
  return out;
}

std::set<ActivityType> activities() {
  std::set<ActivityType> out{ActivityType::CPU};
  if (at::hasCUDA()) out.insert(ActivityType::CUDA);
  return out;
}

}  // namespace

std::vector<OperatorTime> operator_times(std::vector<TimedCall> calls) {
  // Thread by thread, outer calls first.
  std::sort(calls.begin(), calls.end(), [](const TimedCall& a, const TimedCall& b) {
    return std::tuple(a.thread, a.begin_ns, b.end_ns) < std::tuple(b.thread, b.begin_ns, a.end_ns);
  });
  std::map<std::string, OperatorTime> rows;
  std::vector<const TimedCall*> open;
  for (const TimedCall& call : calls) {
    const double ms = static_cast<double>(call.end_ns - call.begin_ns) / 1e6;
    while (!open.empty() &&
           (open.back()->thread != call.thread || open.back()->end_ns <= call.begin_ns))
      open.pop_back();
    if (!open.empty()) rows[open.back()->name].self_ms -= ms;
    open.push_back(&call);
    OperatorTime& row = rows[call.name];
    row.name = call.name;
    row.calls += 1;
    row.total_ms += ms;
    row.self_ms += ms;
  }
  std::vector<OperatorTime> out;
  for (const auto& [name, row] : rows) out.push_back(row);
  return out;
}

std::string operator_table(std::vector<OperatorTime> rows, size_t count, int64_t steps) {
  std::sort(rows.begin(), rows.end(), [](const OperatorTime& a, const OperatorTime& b) {
    return std::pair(-a.self_ms, a.name) < std::pair(-b.self_ms, b.name);
  });
  double all = 0;
  for (const OperatorTime& row : rows) all += row.self_ms;
  std::string text =
      fmt::format("{} steps, milliseconds of all threads; of {} operators and phases the slowest\n",
                  steps, rows.size());
  text += fmt::format("{:>10} {:>7} {:>10} {:>9}  {}\n", "self ms", "share", "total ms", "calls",
                      "name");
  for (size_t i = 0; i < std::min(count, rows.size()); ++i) {
    const OperatorTime& row = rows[i];
    text += fmt::format("{:>10.3f} {:>6.1f}% {:>10.3f} {:>9}  {}\n", row.self_ms,
                        all > 0 ? 100 * row.self_ms / all : 0.0, row.total_ms, row.calls, row.name);
  }
  return text;
}

std::string profile_tables(const std::vector<TimedCall>& calls, size_t count, int64_t steps) {
  std::vector<TimedCall> sides[2];
  for (const TimedCall& call : calls) sides[call.on_device].push_back(call);
  std::string text = operator_table(operator_times(sides[0]), count, steps);
  if (!sides[1].empty())
    text += "\nOn the GPU: " + operator_table(operator_times(sides[1]), count, steps);
  return text;
}

OperatorRecording::OperatorRecording() {
  kineto::prepareProfiler(all_threads(), activities());
  kineto::enableProfiler(
      all_threads(), activities(),
      {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
}

OperatorRecording::~OperatorRecording() {
  if (recording_) kineto::disableProfiler();
}

std::vector<TimedCall> OperatorRecording::finish(const std::filesystem::path& trace) {
  // What still runs on a GPU when the recording ends is not in it.
  if (at::hasCUDA())
    at::detail::getCUDAHooks().deviceSynchronize(at::detail::getCUDAHooks().getCurrentDevice());
  const auto result = kineto::disableProfiler();
  recording_ = false;
  if (!trace.empty())
    write_atomic(trace, [&](const std::filesystem::path& path) { result->save(path.string()); });
  return calls_of(*result);
}

StepProfiler::StepProfiler(ProfileSteps steps, std::filesystem::path prefix)
    : steps_(steps), prefix_(std::move(prefix)) {}

void StepProfiler::before_step(int64_t step) {
  if (recording_ || step < steps_.begin || step >= steps_.end) return;
  recording_ = std::make_unique<OperatorRecording>();
}

std::optional<std::string> StepProfiler::after_step(int64_t step, bool stopping) {
  if (!recording_) return std::nullopt;
  recorded_ += 1;
  if (step + 1 < steps_.end && !stopping) return std::nullopt;
  const std::vector<TimedCall> calls = recording_->finish(prefix_.string() + ".json");
  recording_.reset();
  const std::string table = profile_tables(calls, kTableRows, recorded_);
  write_file_atomic(prefix_.string() + ".txt", table);
  return table;
}

}  // namespace lockstep
