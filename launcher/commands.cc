#include "launcher/commands.h"

#include "launcher/command_help.h"
#include "launcher/train_command.h"
#include "launcher/worker_program.h"

namespace lockstep {
namespace {

CommandEntry by_worker(const std::string& name, const char* summary, const char* help) {
  return {name, summary, help, [name](const std::vector<std::string>& arguments) -> int {
            std::vector<std::string> words{name};
            words.insert(words.end(), arguments.begin(), arguments.end());
            exec_worker(words);
          }};
}

}  // namespace

const std::vector<CommandEntry>& commands() {
  static const std::vector<CommandEntry> list{
      {"train", "train a model: the whole run, on as many ranks as the config asks for",
       help::kTrain, train_command},
      {"resume", "go on with a run from its newest checkpoint, on any number of ranks",
       help::kResume, resume_command},
      {"launch", "torchrun's job for any program: ranks here, by mpirun or by srun", help::kLaunch,
       launch_command},
      {"plan", "what a run would do: ranks, batches, steps, memory, files", help::kPlan,
       plan_command},
      {"sweep", "many runs over a grid, a list or random points, ranked", help::kSweep,
       sweep_command},
      by_worker("sample", "draw samples from a run, or solve a puzzle with it", help::kSample),
      by_worker("evaluate", "scores of a checkpoint", help::kEvaluate),
      by_worker("bench", "samplers side by side: time, memory, distance to a long reference",
                help::kBench),
      by_worker("fid", "FID and KID between two sets of pictures, or their statistics", help::kFid),
      {"report", "one offline HTML page of a run, or of several side by side", help::kReport,
       report_command},
      {"runs", "list runs with their state, step and score", help::kRuns, runs_command},
      {"logs", "print a rank's log", help::kLogs, logs_command},
      by_worker("data", "make, convert, inspect, verify and show datasets", help::kData),
      by_worker("config", "the resolved config, its keys, where a value came from", help::kConfig),
      by_worker("forward", "run a model on tensors from a file", help::kForward),
      by_worker("export", "write what other programs read: safetensors, ONNX, diffusers' folders",
                help::kExport),
      by_worker("optimize", "run an optimizer on tensors from a file", help::kOptimize),
      by_worker("pack", "a packing plan of document lengths, with its fill", help::kPack),
      by_worker("env", "versions and machine, for a bug report", help::kEnv),
  };
  return list;
}

std::string overview() {
  std::string text = help::kExamples;
  text += "\nCommands\n";
  for (const CommandEntry& command : commands()) {
    text +=
        "  " + command.name + std::string(10 - command.name.size(), ' ') + command.summary + "\n";
  }
  return text + help::kOverviewEnd;
}

}  // namespace lockstep
