#include "core/user_path.h"

#include <cstdlib>

#include "core/errors.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

class UserPath : public TemporaryFolder {};

TEST_F(UserPath, BeginsWithTheHomeFolder) {
  setenv("HOME", "/home/ann", 1);
  EXPECT_EQ(user_path("~"), "/home/ann");
  EXPECT_EQ(user_path("~/pictures"), "/home/ann/pictures");
  EXPECT_EQ(user_path("runs/a~b"), "runs/a~b");
  EXPECT_EQ(user_path("datasets/x"), "datasets/x");
}

TEST_F(UserPath, IsNotMadeOfVariablesOrOtherPeoplesHomes) {
  for (const char* text : {"$HOME/x", "${HOME}/x", "${oc.env:HOME}/x", "a/$USER", "~bob/x"})
    EXPECT_THROW(user_path(text), ConfigError) << text;
  EXPECT_EQ(user_path("price-$5"), "price-$5");
}

TEST_F(UserPath, ThatExistsIsTakenAsItIsWritten) {
  const std::string odd = write("$HOME", "x").string();
  EXPECT_EQ(user_path(odd), odd);
}

}  // namespace
}  // namespace lockstep
