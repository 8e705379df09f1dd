// The commands of `lockstep-worker`: one file each, listed in main.cc.
//
// Each gets the words after its name and returns the exit code of a normal end (0, or 75 after a
// stop); everything else is an Error. Results go to stdout, words for people to stderr.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

using Words = std::vector<std::string>;

int plan_command(const Words& words);
int train_command(const Words& words);
int config_command(const Words& words);
int data_command(const Words& words);
int sample_command(const Words& words);
int evaluate_command(const Words& words);
int bench_command(const Words& words);
int fid_command(const Words& words);
int forward_command(const Words& words);
int export_command(const Words& words);
int optimize_command(const Words& words);
int pack_command(const Words& words);
int env_command(const Words& words);

}  // namespace lockstep
