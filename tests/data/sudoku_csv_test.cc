#include <sys/stat.h>
#include <fstream>
#include <thread>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "data/commands.h"
#include "data/datasets.h"
#include "data/sudoku/sudoku_grid.h"
#include "data/text_rows.h"
#include "tests/data/made_folder.h"
#include "tests/data/memory_bound.h"

namespace lockstep {
namespace {

const std::string kPuzzle =
    "000000010400000000020000000000050407008000300001090000300400200050100000000806000";
const std::string kSolution =
    "693784512487512936125963874932651487568247391741398625319475268856129743274836159";

struct Converted {
  MadeFolder folder;
  int64_t count = 0;

  explicit Converted(const std::string& text, ConvertSudokuOptions options = {}) {
    write_file_atomic(folder / "in.csv", text);
    count = convert_sudoku_csv(folder / "in.csv", folder / "out", options, false);
  }
  Batch row(int64_t id) const {
    return open_dataset("grids", {(folder / "out").string()})->read(std::vector<int64_t>{id});
  }
};

std::string dotted(std::string text) {
  for (char& c : text)
    if (c == '0') c = '.';
  return text;
}

void expect_the_puzzle(const Converted& converted, int64_t id) {
  const Batch batch = converted.row(id);
  EXPECT_EQ(grid_text(batch.array("puzzle").const_data_ptr<uint8_t>()), dotted(kPuzzle));
  EXPECT_EQ(grid_text(batch.array("solution").const_data_ptr<uint8_t>()), kSolution);
  EXPECT_EQ(batch.array("givens").const_data_ptr<uint8_t>()[0], 17);
  EXPECT_EQ(batch.array("level").const_data_ptr<uint8_t>()[0], 4);
}

TEST(SudokuCsv, ReadsBothUsualHeaders) {
  for (const std::string header : {"puzzle,solution", "quizzes,solutions", "Puzzle,Solution"}) {
    const Converted converted(header + "\n" + kPuzzle + "," + kSolution + "\n");
    EXPECT_EQ(converted.count, 1);
    expect_the_puzzle(converted, 0);
  }
}

TEST(SudokuCsv, FindsItsColumnsAmongOthers) {
  expect_the_puzzle(
      Converted("id,solution,clues,puzzle\n7," + kSolution + ",17," + dotted(kPuzzle) + "\n"), 0);
}

TEST(SudokuCsv, SolvesPlainLines) {
  const Converted converted(kPuzzle + "\n" + dotted(kPuzzle) + "\n" + kSolution);
  EXPECT_EQ(converted.count, 3);
  expect_the_puzzle(converted, 0);
  expect_the_puzzle(converted, 1);
}

TEST(SudokuCsv, ToleratesWindowsLinesQuotesMarksAndEmptyLines) {
  const Converted converted("\xEF\xBB\xBFpuzzle,solution\r\n\r\n\"" + kPuzzle + "\",\"" +
                            kSolution + "\"\r\n\n  \n" + kPuzzle + " , " + kSolution + "\r\n");
  EXPECT_EQ(converted.count, 2);
  expect_the_puzzle(converted, 0);
  expect_the_puzzle(converted, 1);
}

TEST(SudokuCsv, CutsShardsAndKeepsTheOrder) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += (i % 2 ? kSolution : kPuzzle) + "\n";
  ConvertSudokuOptions options;
  options.samples_per_shard = 10;
  options.prefix = "seventeen";
  const Converted converted(text, options);
  EXPECT_EQ(converted.count, 25);
  EXPECT_TRUE(fs::exists(converted.folder / "out/seventeen-00002.h5"));
  EXPECT_EQ(converted.row(24).array("givens").const_data_ptr<uint8_t>()[0], 17);
  EXPECT_EQ(converted.row(23).array("givens").const_data_ptr<uint8_t>()[0], 81);
}

TEST(SudokuCsv, NamesEveryBadLineByPlaceAndWritesNothing) {
  std::string clash = kPuzzle, wrong = kSolution, changed = kPuzzle, blank = kSolution;
  clash[0] = '4';                 // column 1 has a 4 already
  std::swap(wrong[0], wrong[1]);  // column broken
  changed[7] = '2';               // not the solution's digit there
  changed[9] = '0';
  blank[80] = '0';
  const std::string text = "puzzle,solution\n" + kPuzzle + "," + kSolution + "\n" +  // 2 is good
                           kPuzzle.substr(1) + "," + kSolution + "\n" +              // 3
                           "x" + kPuzzle.substr(1) + "," + kSolution + "\n" +        // 4
                           kPuzzle + "\n" +                                          // 5
                           kPuzzle + "," + blank + "\n" +                            // 6
                           clash + "," + kSolution + "\n" +                          // 7
                           kPuzzle + "," + wrong + "\n" +                            // 8
                           std::string(81, '.') + "," + kSolution + "\n" +  // 9: many solutions
                           std::string(10000, '1') + "\n";                  // 10
  MadeFolder folder;
  write_file_atomic(folder / "in.csv", text);
  const std::string message =
      data_error([&] { convert_sudoku_csv(folder / "in.csv", folder / "out", {}, false); });
  for (const std::string part :
       {"8 bad lines", "in.csv:3:1: the puzzle has 80 cells", "in.csv:4:1: a cell of the puzzle",
        "in.csv:5:1: the line has 1 fields, not 2", "in.csv:6:163: the solution has a blank",
        "in.csv:7:1: the puzzle has no solution", "in.csv:8:83: the solution breaks the rules",
        "in.csv:9:1: the puzzle has more than one solution", "in.csv:10:1: the line is longer"})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\nin\n" << message;
  EXPECT_FALSE(fs::exists(folder / "out/dataset.json"));
  EXPECT_FALSE(fs::exists(folder / "out/.making"));
}

TEST(SudokuCsv, ShowsOneExampleOfEachKindOfFault) {
  std::string text = "puzzle,solution\n";
  for (int i = 0; i < 20; ++i) text += kPuzzle.substr(1) + "," + kSolution + "\n";
  text += "x" + kPuzzle.substr(1) + "," + kSolution + "\n" + std::string(81, '.') + "," + kSolution;
  MadeFolder folder;
  write_file_atomic(folder / "in.csv", text);
  const std::string message =
      data_error([&] { convert_sudoku_csv(folder / "in.csv", folder / "out", {}, false); });
  for (const std::string part :
       {"22 bad lines",
        "in.csv:2:1: the puzzle has 80 cells, not 81 (and 19 more lines of this kind)",
        "in.csv:22:1: a cell of the puzzle", "in.csv:23:1: the puzzle has more than one solution",
        "require_unique=false"})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\nin\n" << message;
}

std::string utf16(const std::string& text, bool little) {
  std::string out = little ? "\xFF\xFE" : "\xFE\xFF";
  for (const char c : text) out += little ? std::string{c, '\0'} : std::string{'\0', c};
  return out;
}

std::string zipped(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(content.size() + 200, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(SudokuCsv, ReadsOtherSeparatorsEncodingsLineEndsNamesAndGzip) {
  const auto table = [](const std::string& separator, const std::string& end) {
    return "puzzle" + separator + "solution" + end + kPuzzle + separator + kSolution + end +
           kPuzzle + separator + kSolution + end;
  };
  const std::string plain = table(",", "\n");
  const std::string extreme = "source,question,answer,rating\nx," + dotted(kPuzzle) + "," +
                              kSolution + ",5\ny," + kPuzzle + "," + kSolution + ",7\n";
  for (const std::string& text :
       {table("\t", "\n"), table(";", "\r\n"), table("|", "\n"), table(",", "\r"),
        utf16(plain, true), utf16(plain, false), utf16(table("\t", "\r\n"), true), zipped(plain),
        zipped(table(",", "\n").substr(0, 100)) + zipped(table(",", "\n").substr(100)), extreme,
        kPuzzle + " " + kSolution + "\n" + kPuzzle + " " + kSolution}) {
    const Converted converted(text);
    EXPECT_EQ(converted.count, 2) << text.substr(0, 40);
    expect_the_puzzle(converted, 0);
    expect_the_puzzle(converted, 1);
  }
}

TEST(SudokuCsv, NamesTheFormatThatIsNotRead) {
  const std::pair<std::string, const char*> cases[] = {
      {std::string("PK\x03\x04", 4) + "....", "zip file"},
      {std::string("\xfd"
                   "7zXZ\0",
                   6) +
           "....",
       "xz file"},
      {"BZh9....", "bzip2 file"},
      {"PAR1....", "Parquet file"},
      {utf16(kPuzzle, true).substr(2), "UTF-16 without a byte order mark"},
      {zipped(kPuzzle).substr(0, 40), "cut short"}};
  for (const auto& [text, expected] : cases) {
    MadeFolder folder;
    write_file_atomic(folder / "in.csv", text);
    const std::string message =
        data_error([&] { convert_sudoku_csv(folder / "in.csv", folder / "out", {}, false); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << "\nin\n" << message;
  }
}

TEST(SudokuCsv, AddsHeldOutPuzzlesAndHoldsAShareOut) {
  MadeFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i) text += kPuzzle + "\n";
  write_file_atomic(folder / "in.csv", text);
  const auto size = [&](const std::string& pattern) {
    return open_dataset("grids", {(folder / pattern).string()})->size();
  };
  ConvertSudokuOptions options;
  EXPECT_EQ(convert_sudoku_csv(folder / "in.csv", folder / "added", options, false), 40);
  options.prefix = "validation";
  EXPECT_EQ(convert_sudoku_csv(folder / "in.csv", folder / "added", options, false), 40);
  EXPECT_EQ(size("added/train-*.h5"), 40);
  EXPECT_EQ(size("added/validation-*.h5"), 40);
  options.prefix = "train";
  options.validation = 0.25;
  EXPECT_EQ(convert_sudoku_csv(folder / "in.csv", folder / "split", options, false), 40);
  EXPECT_EQ(size("split/train-*.h5") + size("split/validation-*.h5"), 40);
  EXPECT_GT(size("split/validation-*.h5"), 2);
}

TEST(SudokuCsv, ReadsFromAPipe) {
  MadeFolder folder;
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe) << "puzzle\n" << kPuzzle << "\n"; });
  EXPECT_EQ(convert_sudoku_csv(pipe, folder / "out", {}, false), 1);
  writer.join();
}

TEST(GzipInput, TakesNoMemoryForWhatASmallFileUnpacksTo) {
  MadeFolder folder;
  std::string bomb = zipped(std::string(size_t{64} << 20, '1'));
  for (int i = 0; i < 3; ++i) bomb += bomb;  // 512 MB in 0.5 MB
  write_file_atomic(folder / "in.csv", bomb);
  EXPECT_EQ(status_within(16,
                          [&] {
                            TextRows rows(folder / "in.csv");
                            for (TextRow row; rows.next(row);) continue;
                          }),
            0);
}

TEST(SudokuCsv, SaysWhatIsWrongWithALine) {
  std::string wrong = kSolution;
  std::swap(wrong[0], wrong[1]);
  const std::pair<std::string, const char*> cases[] = {
      {"puzzle,solution\n" + kPuzzle + "," + wrong, "2:83: the solution breaks the rules"},
      {"puzzle,solution\n" + std::string(81, '.') + "," + kSolution, "more than one solution"},
      {std::string(81, '.'), "1:1: the puzzle has more than one solution"},
      {kPuzzle + "," + kSolution + "," + kPuzzle, "1:165: there is one field too many"},
      {"puzzle\n" + std::string(5000, '1'), "longer than 4096"}};
  for (const auto& [text, expected] : cases) {
    MadeFolder folder;
    write_file_atomic(folder / "in.csv", text);
    const std::string message =
        data_error([&] { convert_sudoku_csv(folder / "in.csv", folder / "out", {}, false); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << "\nin\n" << message;
  }
}

TEST(SudokuCsv, AcceptsAmbiguousPuzzlesOnlyOnRequest) {
  ConvertSudokuOptions options;
  options.require_unique = false;
  const Converted converted("puzzle,solution\n" + std::string(81, '.') + "," + kSolution + "\n",
                            options);
  EXPECT_EQ(converted.count, 1);
}

TEST(SudokuCsv, RefusesFilesThatAreNoPuzzles) {
  for (const std::string text : {"", "\n\n", "puzzle,solution\n", "a,b\n1,2\n", "\x89HDF\r\n"}) {
    MadeFolder folder;
    write_file_atomic(folder / "in.csv", text);
    EXPECT_NE(data_error([&] {
                convert_sudoku_csv(folder / "in.csv", folder / "out", {}, false);
              }).find("in.csv"),
              std::string::npos);
  }
  MadeFolder folder;
  data_error([&] { convert_sudoku_csv(folder / "absent.csv", folder / "out", {}, false); });
}

TEST(TextRows, ReadLinesAcrossBlocks) {
  MadeFolder folder;
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "line " + std::to_string(i) + "\n";
  write_file_atomic(folder / "lines", text + "last");
  TextRows rows(folder / "lines");
  TextRow row;
  for (int i = 0; i < 200000; ++i) {
    ASSERT_TRUE(rows.next(row));
    ASSERT_EQ(row.text, "line " + std::to_string(i));
    ASSERT_EQ(row.number, i + 1);
  }
  ASSERT_TRUE(rows.next(row));
  EXPECT_EQ(row.text, "last");
  EXPECT_FALSE(rows.next(row));
  EXPECT_EQ(rows.bytes_read(), rows.bytes_total());
}

}  // namespace
}  // namespace lockstep
