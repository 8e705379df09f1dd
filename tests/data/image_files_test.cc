#include "data/images/image_files.h"

#include <fstream>

#include "core/errors.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class ImageFilesTest : public TemporaryFolder {
 protected:
  void touch(const std::string& name) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << "x";
  }
};

TEST_F(ImageFilesTest, FollowLinksToFilesAndFolders) {
  touch("real/a.png");
  touch("elsewhere/b.JPG");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "real/linked");
  fs::create_symlink(folder_ / "real/a.png", folder_ / "real/again.png");
  const ImageFiles files = find_image_files(folder_ / "real");
  EXPECT_EQ(files.paths, (std::vector<std::string>{"a.png", "again.png", "linked/b.JPG"}));
  EXPECT_TRUE(files.left_out.empty());
}

TEST_F(ImageFilesTest, CountWhatTheyLeaveOutAndWhy) {
  touch("a.png");
  touch("b.webp");
  touch("c.webp");
  touch("notes.txt");
  touch(".hidden.png");
  fs::create_symlink(folder_ / "nowhere.png", folder_ / "dangling.png");
  fs::create_directory_symlink(folder_, folder_ / "circle");
  const ImageFiles files = find_image_files(folder_);
  EXPECT_EQ(files.paths, (std::vector<std::string>{"a.png"}));
  EXPECT_EQ(files.left_out.total(), 6);
  EXPECT_EQ(files.left_out.pictures(), 3);  // two of format .webp, one link that leads nowhere
  for (const char* part : {"2 file(s) of format .webp ('b.webp' …)", "nowhere ('dangling.png')",
                           "'notes.txt'", "'.hidden.png'", "'circle'"})
    EXPECT_NE(files.left_out.text().find(part), std::string::npos) << files.left_out.text();
  EXPECT_EQ(files.left_out.text(true).find("notes.txt"), std::string::npos);
}

TEST_F(ImageFilesTest, OfAFolderWithoutPicturesSayWhatIsThere) {
  touch("a.heic");
  try {
    find_image_files(folder_);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(error.message().find(".heic"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace lockstep
