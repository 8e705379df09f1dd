#include <cstdio>

#include "core/errors.h"
#include "core/run_folder.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "report/report.h"

namespace lockstep {

int report_command(const std::vector<std::string>& arguments) {
  const ReportFlags flags = read_report_flags(arguments);
  std::vector<RunFolder> runs;
  for (const std::string& path : flags.runs) runs.push_back(RunFolder::find(path));
  if (runs.size() == 1 && flags.output.empty()) {
    write_report(runs[0]);
    write_tensorboard(runs[0]);
    std::printf("%s\n", runs[0].report().c_str());
    return 0;
  }
  const std::string output = flags.output.empty() ? "report.html" : flags.output;
  write_comparison(runs, output);
  std::printf("%s\n", output.c_str());
  return 0;
}

}  // namespace lockstep
