#include "core/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <gmock/gmock.h>

#include "core/errors.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class Files : public TemporaryFolder {};

TEST_F(Files, AreReadWhole) {
  const std::string content("a\0b\n\xff", 5);
  EXPECT_EQ(read_file(write("a", content)), content);
  EXPECT_EQ(read_file(write("empty", "")), "");
  EXPECT_FALSE(read_file("/proc/self/status").empty());  // a file without a size
}

TEST_F(Files, ThatAreMissingTooLongOrNoFilesAreDataErrors) {
  EXPECT_THROW(read_file(folder_ / "none"), DataError);
  EXPECT_THROW(read_file(folder_), DataError);
  EXPECT_THROW(read_file(write("long", "12345"), 4), DataError);
  EXPECT_EQ(read_file(write("fits", "1234"), 4), "1234");
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(read_file(folder_ / "fifo"), DataError);  // and does not wait for a writer
}

TEST_F(Files, AreReplacedAtomicallyWithoutLeftovers) {
  const fs::path path = write("a", "old");
  write_file_atomic(path, "new");
  EXPECT_EQ(read(path), "new");
  EXPECT_EQ(count_files(), 1u);
}

TEST_F(Files, KeepTheOldContentWhenWritingFails) {
  const fs::path path = write("a", "old");
  EXPECT_THROW(write_atomic(path,
                            [](const fs::path& temporary) {
                              std::ofstream(temporary) << "half";
                              throw NumericError("stopped");
                            }),
               NumericError);
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(count_files(), 1u);
}

TEST_F(Files, OfAFunctionThatWroteNothingAreAnError) {
  EXPECT_THROW(write_atomic(folder_ / "a", [](const fs::path&) {}), EnvironmentError);
  EXPECT_EQ(count_files(), 0u);
}

// A limit on the size of files stands in for a full disk: both make write() fail half-way.
TEST_F(Files, ThatCannotBeWrittenWholeLeaveNothingBehind) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(write_file_atomic(folder_ / "a", std::string(5000, 'x')), EnvironmentError);
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(count_files(), 0u);
}

TEST_F(Files, IntoAMissingFolderAreAnEnvironmentError) {
  try {
    write_file_atomic(folder_ / "no/such/file", "x");
    FAIL();
  } catch (const EnvironmentError& error) {
    EXPECT_THAT(error.message(), HasSubstr("No such file or directory"));
  }
}

TEST_F(Files, HashLikeXxh128sum) {
  // xxhsum 0.8: `printf abc | xxh128sum` and of nothing.
  EXPECT_EQ(hash_bytes("abc", 3), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(hash_bytes(nullptr, 0), "99aa06d3014798d86001c324468d497f");
}

TEST_F(Files, HashInBlocksAsInOnePiece) {
  std::string content(3'000'001, 'x');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 3);
  EXPECT_EQ(hash_file(write("a", content)), hash_bytes(content.data(), content.size()));
  EXPECT_THROW(hash_file(folder_ / "none"), DataError);
}

TEST_F(Files, SafeRelativePathsStayInside) {
  for (const char* good : {"a", "a/b-1.h5", ".hidden", "a..b", "a/./b"})
    EXPECT_TRUE(is_safe_relative(good)) << good;
  for (const char* bad :
       {"", "/a", "..", "a/../b", "a b", "a\nb", "~x", "a\\b", "a/..", "\xc3\xa9"})
    EXPECT_FALSE(is_safe_relative(bad)) << bad;
}

TEST_F(Files, FoldersAreMadeWithTheirParents) {
  make_folders(folder_ / "a/b/c");
  make_folders(folder_ / "a/b/c");
  EXPECT_TRUE(fs::is_directory(folder_ / "a/b/c"));
  write("file", "");
  EXPECT_THROW(make_folders(folder_ / "file/x"), EnvironmentError);
  EXPECT_THROW(make_folders(folder_ / "file"), EnvironmentError);
}

TEST_F(Files, ALockIsHeldOnce) {
  const fs::path path = folder_ / ".lock";
  {
    const FileLock lock(path, "use lockstep resume");
    try {
      const FileLock second(path, "use lockstep resume");
      FAIL();
    } catch (const LockedError& error) {
      EXPECT_EQ(error.help(), "use lockstep resume");
    }
  }
  const FileLock again(path, "");
}

TEST_F(Files, ALockOutlivesItsOwnerInAChild) {
  const fs::path path = folder_ / ".lock";
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  auto lock = std::make_unique<FileLock>(path, "");
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(go[1]);
    (void)!::read(go[0], &byte, 1);  // until the parent closes the pipe
    ::_exit(0);
  }
  lock.reset();
  EXPECT_THROW(FileLock(path, ""), LockedError);
  ::close(go[0]);
  ::close(go[1]);
  ::waitpid(child, nullptr, 0);
  const FileLock again(path, "");
}

TEST_F(Files, LeftoversOfAKilledWriterGoAndNothingElse) {
  for (const char* name : {".tmp-1-0-sweep.yaml", "sweep.yaml", ".lock"})
    write_file_atomic(folder_ / name, "x");
  remove_temporary_files(folder_);
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-1-0-sweep.yaml"));
  EXPECT_TRUE(fs::exists(folder_ / "sweep.yaml"));
  EXPECT_TRUE(fs::exists(folder_ / ".lock"));
  remove_temporary_files(folder_ / "none");
}

}  // namespace
}  // namespace lockstep
