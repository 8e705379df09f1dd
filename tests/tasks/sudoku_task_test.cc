#include "tasks/sudoku/sudoku_task.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "models/sudoku/sudoku_net.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/tasks.h"
#include "tests/tasks/toy_sudoku.h"

namespace lockstep {
namespace {

using testing::toy_grid;
using testing::toy_puzzle;
using testing::ToyDataset;

struct SmallTask {
  TaskTable table = task_kinds();
  std::unique_ptr<Task> task;
  std::unique_ptr<Model> model;
  SmallTask() {
    Choice choice(table, "sudoku");
    auto& options = dynamic_cast<OptionsOf<SudokuTaskOptions>&>(*choice.options).value;
    auto& net = dynamic_cast<OptionsOf<SudokuNetOptions>&>(*options.model.options).value;
    net.iterations = 4;
    net.loss_depths = {2, 4};
    task = table.make(choice);
    model = task->make_model(3);
  }
};

ToyDataset toy_data(int count, int keep = 3) {
  std::vector<SudokuBoard> solutions, puzzles;
  for (int i = 0; i < count; ++i) {
    solutions.push_back(toy_grid(i));
    puzzles.push_back(toy_puzzle(solutions.back(), keep));
  }
  return {solutions, puzzles};
}

TEST(SudokuTask, CountsRowsThatAreNoPadding) {
  const SmallTask small;
  const ToyDataset data = toy_data(4);
  const std::vector<int64_t> ids = {2, 0, -1}, real = {2, 0};
  const Loss padded = small.task->loss(*small.model, data.read(ids), {17, 5});
  const Loss whole = small.task->loss(*small.model, data.read(real), {17, 5});
  EXPECT_EQ(padded.count, 2);
  EXPECT_EQ(padded.sum.item<float>(), whole.sum.item<float>());
  EXPECT_NEAR(whole.sum.item<double>(), 2 * std::log(9), 0.5);  // an untrained network knows little
  EXPECT_EQ(small.task->nominal_count(8), 8);
}

TEST(SudokuTask, LossChangesWithTheStepOnlyThroughMasks) {
  const SmallTask small;
  const ToyDataset data = toy_data(4);
  const std::vector<int64_t> ids = {0, 1, 2, 3};
  const at::NoGradGuard no_grad;
  for (const NamedTensor& p : small.model->parameters())
    p.tensor.add_(at::linspace(-0.3, 0.4, p.tensor.numel()).view_as(p.tensor));
  auto loss = [&](int64_t step) {
    return small.task->loss(*small.model, data.read(ids), {17, step}).sum.item<float>();
  };
  EXPECT_EQ(loss(1), loss(1));
  EXPECT_NE(loss(1), loss(2));
}

TEST(SudokuTask, RefusesDataWithoutPuzzles) {
  const SmallTask small;
  small.task->check(toy_data(1));
  EXPECT_THROW(small.task->check(ToyDataset({toy_grid(0)}, {})), DataError);
}

TEST(SudokuTask, ForwardGivesLogitsAndTheLossOfHiddenCells) {
  const SmallTask small;
  at::Tensor solution = at::zeros({2, 81}, at::kLong), cells = at::zeros({2, 81}, at::kInt);
  for (int64_t cell = 0; cell < 81; ++cell)
    for (int64_t b = 0; b < 2; ++b) {
      solution[b][cell] = toy_grid(int(b))[size_t(cell)];
      cells[b][cell] = b == 0 && cell % 2 == 0 ? 0 : toy_grid(int(b))[size_t(cell)];
    }
  const NamedTensors outputs =
      small.task->forward(*small.model, {{"cells", cells}, {"solution", solution}});
  const at::Tensor& logits = *find_tensor(outputs, "logits");
  EXPECT_EQ(logits.sizes().vec(), (std::vector<int64_t>{2, 81, 9}));
  double expected = 0;
  const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble), -1);
  for (int64_t cell = 0; cell < 81; cell += 2)
    expected -= log_p[0][cell][toy_grid(0)[size_t(cell)] - 1].item<double>() / 41;
  EXPECT_NEAR(find_tensor(outputs, "loss")->item<double>(), expected / 2,
              1e-5);  // grid 1 has nothing hidden: 0
  EXPECT_EQ(find_tensor(small.task->forward(*small.model, {{"cells", cells}}), "loss"), nullptr);
}

TEST(SudokuTask, ForwardRefusesWhatDoesNotFit) {
  const SmallTask small;
  const at::Tensor good = at::zeros({2, 81}, at::kLong);
  auto run = [&](const NamedTensors& inputs) { small.task->forward(*small.model, inputs); };
  EXPECT_THROW(run({}), DataError);
  EXPECT_THROW(run({{"cells", good}, {"clues", good}}), DataError);
  EXPECT_THROW(run({{"cells", at::zeros({2, 9, 9}, at::kLong)}}), DataError);
  EXPECT_THROW(run({{"cells", at::zeros({2, 81})}}), DataError);
  EXPECT_THROW(run({{"cells", good + 10}}), DataError);
  EXPECT_THROW(run({{"cells", good - 1}}), DataError);
  EXPECT_THROW(run({{"cells", good}, {"solution", good}}), DataError);  // 0 is no digit
  EXPECT_THROW(run({{"cells", good}, {"solution", at::ones({3, 81}, at::kLong)}}), DataError);
}

TEST(SudokuTask, UnknownKindsAreConfigErrors) {
  const TaskTable table = task_kinds();
  EXPECT_THROW(Choice(table, "chess"), ConfigError);
  EXPECT_THROW(Choice(sudoku_models(), "chess_net"), ConfigError);
  const KindList evaluations = evaluation_kinds();
  for (const char* kind : {"validation_loss", "solve", "samples"})
    EXPECT_NE(evaluations.find(kind), nullptr) << kind;
}

// --- evaluations ---

std::vector<double> sums_of(const Evaluation& evaluation, Model& model,
                            std::vector<EvaluationChunk>* chunks = nullptr) {
  const at::NoGradGuard no_grad;
  std::vector<double> sums;
  for (int64_t i = 0; i < evaluation.num_chunks(); ++i) {
    EvaluationChunk chunk = evaluation.chunk(model, i);
    sums.resize(chunk.sums.size());
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += chunk.sums[k];
    if (chunks != nullptr) chunks->push_back(std::move(chunk));
  }
  return sums;
}

template <class T>
Choice choose(const char* kind, const T& options) {
  Choice choice(sudoku_evaluations(), kind);
  dynamic_cast<OptionsOf<T>&>(*choice.options).value = options;
  return choice;
}

TEST(SudokuEvaluations, ValidationLossOfAnUntrainedNetworkIsAboutLogNine) {
  const SmallTask small;
  const ToyDataset data = toy_data(9);
  ValidationLossOptions options;
  options.batch = 4;
  const auto evaluation =
      small.task->evaluation(choose("validation_loss", options), &data, {17, 0});
  EXPECT_EQ(evaluation->num_chunks(), 3);
  EXPECT_NEAR(evaluation->scores(sums_of(*evaluation, *small.model)).at("validation_loss"),
              std::log(9), 0.3);
}

TEST(SudokuEvaluations, SolveScoresEveryLevelAndDrawsBoards) {
  const SmallTask small;
  std::vector<SudokuBoard> solutions, puzzles;
  for (int i = 0; i < 8; ++i) {  // 27 givens: hard; 41: easy
    solutions.push_back(toy_grid(i));
    puzzles.push_back(toy_puzzle(solutions.back(), i % 2 == 0 ? 3 : 2));
  }
  const ToyDataset data(solutions, puzzles);
  SudokuSolveOptions options;
  options.levels = {"easy", "hard"};
  options.puzzles = 3;
  options.batch = 4;
  options.boards = 2;
  options.max_passes = 20;
  const auto evaluation = small.task->evaluation(choose("solve", options), &data, {17, 0});
  std::vector<EvaluationChunk> chunks;
  const Scores scores = evaluation->scores(sums_of(*evaluation, *small.model, &chunks));
  for (const char* name : {"solve_rate.easy", "solve_rate.hard", "solve_rate_plain.easy",
                           "passes.hard", "passes_plain.hard"})
    EXPECT_TRUE(scores.contains(name)) << name;
  EXPECT_LE(scores.at("passes.hard"), 20);
  const std::string path = ::testing::TempDir() + "/solve.png";
  EXPECT_TRUE(evaluation->draw(chunks, path));
  EXPECT_GT(std::filesystem::file_size(path), 500u);
  options.puzzles = 5;
  EXPECT_THROW(small.task->evaluation(choose("solve", options), &data, {17, 0}), ConfigError);
  EXPECT_THROW(small.task->evaluation(choose("solve", options), nullptr, {17, 0}), ConfigError);
}

TEST(SudokuEvaluations, SamplesCountValidAndDifferentGrids) {
  const SmallTask small;
  SudokuSamplesOptions options;
  options.count = 5;
  options.batch = 2;
  const auto evaluation = small.task->evaluation(choose("samples", options), nullptr, {17, 0});
  std::vector<EvaluationChunk> chunks;
  const Scores scores = evaluation->scores(sums_of(*evaluation, *small.model, &chunks));
  EXPECT_EQ(scores.at("distinct"), 1);
  EXPECT_EQ(scores.at("validity"), 0);  // an untrained network
  const std::string path = ::testing::TempDir() + "/samples.png";
  EXPECT_TRUE(evaluation->draw(chunks, path));
  EXPECT_TRUE(std::filesystem::exists(path));
}

// --- `lockstep sample` ---

TEST(SudokuPuzzlesText, ReadsDotsAndZeros) {
  const std::string line =
      "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
  const SudokuBoard board = read_sudoku_puzzles(line).at(0);
  EXPECT_EQ(board[0], 5);
  EXPECT_EQ(board[2], 0);
  std::string zeros = line;
  std::replace(zeros.begin(), zeros.end(), '.', '0');
  EXPECT_EQ(read_sudoku_puzzles(zeros).at(0), board);
  const std::string path = ::testing::TempDir() + "/puzzles.txt";
  std::ofstream(path) << "# two\n" << line << "\r\n\n" << zeros << "\n";
  EXPECT_EQ(read_sudoku_puzzles(path).size(), 2u);
  EXPECT_EQ(read_sudoku_puzzles("\xEF\xBB\xBF" + line).at(0), board);
  for (const std::string& table :
       {"id,solution,puzzle\n7,x," + line + "\n8,y," + line + "\n",
        "\xEF\xBB\xBF" + line + "\r" + line,
        "source;question;answer\na;" + line + ";b\nc;" + line + ";d\n"}) {
    std::ofstream(path) << table;
    EXPECT_EQ(read_sudoku_puzzles(path), (std::vector<SudokuBoard>{board, board})) << table;
  }
}

TEST(SudokuPuzzlesText, NamesThePlaceOfWhatDoesNotFit) {
  EXPECT_THROW(read_sudoku_puzzles("53..7"), DataError);
  EXPECT_THROW(read_sudoku_puzzles("no/such/file.txt"), DataError);
  EXPECT_THROW(read_sudoku_puzzles("55" + std::string(79, '.')), DataError);
  const std::string path = ::testing::TempDir() + "/broken.txt";
  std::ofstream(path) << std::string(81, '.') << "\n"
                      << std::string(40, '.') << "x" << std::string(40, '.') << "\n";
  try {
    read_sudoku_puzzles(path);
    FAIL() << "read";
  } catch (const DataError& error) {
    EXPECT_EQ(error.place().line, 2);
    EXPECT_EQ(error.place().column, 41);
  }
}

TEST(SudokuPuzzlesText, MarksBothCellsOfAConflict) {
  SudokuBoard board{};
  board[0] = board[20] = 5;  // the same box
  board[80] = 5;
  const auto conflicts = sudoku_conflicts(board);
  EXPECT_TRUE(conflicts[0] && conflicts[20]);
  EXPECT_FALSE(conflicts[80]);
}

TEST(SudokuTask, SamplePrintsOneLineAPuzzleInOrder) {
  const SmallTask small;
  std::vector<std::string> lines;
  SampleRequest request;
  request.result = [&](const std::string& line) { lines.push_back(line); };
  std::string whole;
  for (uint8_t digit : toy_grid(0)) whole += char('0' + digit);
  std::string puzzle = whole;
  puzzle[7] = '.';
  request.flags["--puzzle"] = puzzle;
  request.output = ::testing::TempDir() + "/solved.png";
  small.task->sample(*small.model, request);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), 81u);
  lines[0][7] = whole[7];
  EXPECT_EQ(lines[0], whole);
  EXPECT_TRUE(std::filesystem::exists(request.output));
  request = {};
  request.count = 2;
  request.result = [&](const std::string& line) { lines.push_back(line); };
  small.task->sample(*small.model, request);
  EXPECT_EQ(lines.size(), 3u);
}

}  // namespace
}  // namespace lockstep
