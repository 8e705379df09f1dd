// Heartbeat page, stop flag, log, progress: what a process tells others.
#include <signal.h>
#include <sys/wait.h>

#include <cstring>
#include <stop_token>
#include <thread>

#include <gmock/gmock.h>

#include "core/bounded_queue.h"
#include "core/errors.h"
#include "core/heartbeat.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/stop_flag.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class Pages : public TemporaryFolder {};

TEST_F(Pages, ShowTheSupervisorWhatTheRankWrote) {
  HeartbeatPage rank(folder_ / "rank-0.page", true);
  const HeartbeatPage supervisor(folder_ / "rank-0.page", false);
  EXPECT_EQ(supervisor.read().phase, Phase::kStart);
  rank.write(42, Phase::kCommunicate);
  const Heartbeat beat = supervisor.read();
  EXPECT_EQ(beat.step, 42);
  EXPECT_EQ(beat.phase, Phase::kCommunicate);
  EXPECT_EQ(beat.pid, ::getpid());
  EXPECT_GT(beat.resident_bytes, 1 << 20);
  EXPECT_GT(beat.monotonic_seconds, 0);
}

TEST_F(Pages, HaveTheDocumentedBytes) {
  HeartbeatPage rank(folder_ / "p", true);
  rank.write(42, Phase::kData);
  const std::string bytes = read(folder_ / "p");
  ASSERT_EQ(bytes.size(), 4096u);
  EXPECT_EQ(bytes.substr(0, 8), "LCKPBEAT");
  const auto word = [&](size_t i) {
    int64_t value;
    std::memcpy(&value, bytes.data() + 8 * i, 8);
    return value;
  };
  EXPECT_EQ(word(1), 1);  // version
  EXPECT_EQ(word(2) % 2, 0);
  EXPECT_EQ(word(3), ::getpid());
  EXPECT_EQ(word(4), 42);
  EXPECT_EQ(word(6), static_cast<int64_t>(Phase::kData));
}

TEST_F(Pages, NeverShowHalfAWrite) {
  HeartbeatPage rank(folder_ / "p", true);
  const HeartbeatPage supervisor(folder_ / "p", false);
  const std::jthread writer(
      [&](const std::stop_token& stop) {  // ends with its scope, also after a failure
        for (int64_t step = 0; !stop.stop_requested(); ++step)
          rank.write(step, static_cast<Phase>(step % 7));
      });
  for (int i = 0; i < 20'000; ++i) {
    const Heartbeat beat = supervisor.read();
    ASSERT_EQ(static_cast<int64_t>(beat.phase), beat.step % 7);
  }
}

TEST_F(Pages, ThatAreMissingOrTooShortAreEnvironmentErrors) {
  EXPECT_THROW(HeartbeatPage(folder_ / "none", false), EnvironmentError);
  EXPECT_THROW(HeartbeatPage(write("short", "x"), false), EnvironmentError);
  const HeartbeatPage zero(write("zero", std::string(4096, '\0')), false);
  EXPECT_EQ(zero.read().pid, 0);
}

TEST(Phases, HaveNames) {
  EXPECT_STREQ(phase_name(Phase::kDone), "done");
  EXPECT_STREQ(phase_name(static_cast<Phase>(99)), "unknown");
}

// Runs `body` in a child; its exit status as waitpid gives it.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(StopFlag, IsSetBySignals) {
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) {
    const int status = in_child([signal] {
      install_stop_handlers(false);
      if (stop_requested()) ::_exit(1);
      ::raise(signal);
      ::_exit(stop_requested() ? 5 : 2);
    });
    EXPECT_EQ(WEXITSTATUS(status), 5) << signal;
  }
}

TEST(StopFlag, TheSecondInterruptEndsTheProcess) {
  const int status = in_child([] {
    install_stop_handlers(false);
    ::raise(SIGTERM);
    ::raise(SIGINT);
    ::raise(SIGINT);
  });
  EXPECT_EQ(WEXITSTATUS(status), 130);
}

TEST(StopFlag, WorkersUnderALauncherIgnoreInterrupts) {
  const int status = in_child([] {
    install_stop_handlers(true);
    ::raise(SIGINT);
    ::raise(SIGINT);
    ::_exit(stop_requested() ? 1 : 5);
  });
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

class Logs : public TemporaryFolder {
 protected:
  // What a child that runs `body` writes to stderr.
  template <class Body>
  std::string stderr_of(Body body) const {
    const std::filesystem::path path = folder_ / "stderr";
    const int status = in_child([&] {
      (void)!std::freopen(path.c_str(), "w", stderr);
      body();
    });
    EXPECT_EQ(status, 0);
    return read(path);
  }
};

TEST_F(Logs, OfRankZeroGoToTerminalAndFile) {
  const std::string shown = stderr_of([&] {
    set_up_log({LogLevel::kInfo, 0, folder_ / "logs/rank-0.log"});
    log_debug("hidden");
    log_info("braces {} stay");
    log_warning("slow");
  });
  EXPECT_EQ(shown, "braces {} stay\nwarning: slow\n");
  const std::string file = read(folder_ / "logs/rank-0.log");
  EXPECT_THAT(file, HasSubstr("info braces {} stay\n"));
  EXPECT_THAT(file, HasSubstr("warning slow\n"));
  EXPECT_THAT(file, Not(HasSubstr("hidden")));
}

TEST_F(Logs, OfOtherRanksShowWarningsAlone) {
  const std::string shown = stderr_of([&] {
    set_up_log({LogLevel::kDebug, 3, folder_ / "rank-3.log"});
    log_info("quiet");
    log_error("bad");
  });
  EXPECT_EQ(shown, "[rank 3] error: bad\n");
  EXPECT_THAT(read(folder_ / "rank-3.log"), HasSubstr("info quiet\n"));
}

TEST_F(Logs, WorkBeforeTheyAreSetUp) {
  EXPECT_EQ(stderr_of([] {
              log_debug("hidden");
              log_info("early");
              log_error("bad");
            }),
            "early\nerror: bad\n");
}

TEST_F(Logs, IntoAnImpossibleFileAreEnvironmentErrors) {
  EXPECT_THROW(set_up_log({LogLevel::kInfo, 0, write("file", "") / "x.log"}), EnvironmentError);
}

TEST_F(Logs, ProgressWritesLinesWhereThereIsNoTerminal) {
  const std::string shown = stderr_of([] {
    Progress progress("train", 5000, "step", true, 100, 0);
    progress.update(120, "loss 0.701");
    progress.print("evaluation: 0.9");
    progress.finish();
    Progress silent("train", 10, "step", false);
    silent.update(5);
    silent.finish();
  });
  EXPECT_THAT(shown,
              testing::MatchesRegex(
                  "train 120/5000 .00:00<[0-9:]+, [0-9.]+ step/s. loss 0.701\n"
                  "evaluation: 0.9\ntrain 120/5000 .00:00<[0-9:]+, [0-9.]+ step/s. loss 0.701\n"));
}

TEST(BoundedQueue, HandsItemsOnInOrderAndEnds) {
  BoundedQueue<int> queue(2);
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(queue.push(i));
    queue.close();
    EXPECT_FALSE(queue.push(1));
  });
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(queue.pop(), i);
  EXPECT_EQ(queue.pop(), std::nullopt);
  producer.join();
}

TEST(BoundedQueue, CloseWakesAWaitingProducer) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  std::thread producer([&] { EXPECT_FALSE(queue.push(2)); });
  queue.close();
  producer.join();
  EXPECT_EQ(queue.pop(), 1);
}

}  // namespace
}  // namespace lockstep
