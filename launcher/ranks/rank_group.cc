#include "launcher/ranks/rank_group.h"

#include <csignal>

#include "launcher/ranks/rank_watch.h"

namespace lockstep {
namespace {

constexpr double kLastWordsSeconds = 1;  // they see the end of its connections at once

}  // namespace

RankGroup::RankGroup(const std::vector<Command>& commands, const ChildOptions& options)
    : RankGroup(commands, std::vector<ChildOptions>(commands.size(), options)) {}

RankGroup::RankGroup(const std::vector<Command>& commands, const std::vector<ChildOptions>& options)
    : noted_(commands.size()) {
  for (size_t i = 0; i < commands.size(); ++i)
    children_.push_back(std::make_unique<ChildProcess>(commands[i], options[i]));
}

void RankGroup::note(int index, const ExitStatus& status) {
  noted_[index] = 1;
  if (status.good() || killed_) return;
  const bool more_telling =
      first_failure_ && first_failure_->status.signal == 0 && status.signal != 0;
  if (first_failure_ && !more_telling) return;
  if (!first_failure_) failed_seconds_ = monotonic_seconds();
  first_failure_ = ChildEnd{index, children_[index]->pid(), status};
}

std::optional<ExitStatus> RankGroup::ended() {
  bool all = true;
  for (size_t i = 0; i < children_.size(); ++i) {
    if (noted_[i]) continue;
    if (const auto status = children_[i]->ended())
      note(static_cast<int>(i), *status);
    else
      all = false;
  }
  if (all) return first_failure_ ? first_failure_->status : ExitStatus{};
  if (first_failure_ && !killed_ && monotonic_seconds() - failed_seconds_ > kLastWordsSeconds) {
    killed_ = true;
    signal(SIGKILL);
  }
  return std::nullopt;
}

ExitStatus RankGroup::wait() {
  killed_ = true;
  ExitStatus last;
  for (const auto& child : children_) {
    const ExitStatus status = child->wait();
    if (!status.good()) last = status;
  }
  return first_failure_ ? first_failure_->status : last;
}

void RankGroup::signal(int number) {
  for (const auto& child : children_) child->signal(number);
}

}  // namespace lockstep
