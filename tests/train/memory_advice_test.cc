#include "train/step/memory_advice.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

MemoryUse use(int64_t micro_batch, int64_t rows) {
  MemoryUse use;
  use.fixed = {{"weights", 100}, {"gradients", 100}, {"the optimizer's state", 200}};
  use.total_bytes = 1000;
  use.peak_bytes = 1000;
  use.micro_batch = micro_batch;
  use.rows_of_slot = rows;
  return use;
}

// 600 bytes for 12 rows: 50 a row; 920 − 400 = 520 bytes of room: 10 rows, and 6 is the next
// divisor of 12.
TEST(MemoryAdvice, NamesTheLargestDivisorThatFits) {
  EXPECT_EQ(micro_batch_that_fits(use(12, 12)), 6);
}

TEST(MemoryAdvice, KeepsToDivisorsOfTheSlot) { EXPECT_EQ(micro_batch_that_fits(use(7, 7)), 1); }

TEST(MemoryAdvice, SaysWhenNotEvenOneRowFits) {
  MemoryUse large = use(1, 1);
  EXPECT_EQ(micro_batch_that_fits(large), 0);
  EXPECT_NE(out_of_memory_error(large, "CUDA out of memory").help().find("not even one row"),
            std::string::npos);
}

TEST(MemoryAdvice, ListsWhatIsLargestFirst) {
  const EnvironmentError error =
      out_of_memory_error(use(12, 12), "CUDA out of memory. Tried to allocate 2 GiB\nmore");
  const std::string& fact = error.fact();
  EXPECT_LT(fact.find("activations of 12 rows"), fact.find("the optimizer's state"));
  EXPECT_LT(fact.find("the optimizer's state"), fact.find("weights"));
  EXPECT_EQ(fact.find('\n'), std::string::npos);
  EXPECT_NE(error.help().find("train.micro_batch=6"), std::string::npos);
  EXPECT_EQ(error.code(), ExitCode::kEnvironment);
}

}  // namespace
}  // namespace lockstep
