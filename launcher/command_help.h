// The help texts. Each begins with examples, since most people read no further.
#pragma once

namespace lockstep::help {

extern const char* const kExamples;
extern const char* const kOverviewEnd;
extern const char* const kTrain;
extern const char* const kResume;
extern const char* const kLaunch;
extern const char* const kPlan;
extern const char* const kSweep;
extern const char* const kSample;
extern const char* const kEvaluate;
extern const char* const kBench;
extern const char* const kFid;
extern const char* const kReport;
extern const char* const kRuns;
extern const char* const kLogs;
extern const char* const kData;
extern const char* const kConfig;
extern const char* const kForward;
extern const char* const kExport;
extern const char* const kOptimize;
extern const char* const kPack;
extern const char* const kEnv;

}  // namespace lockstep::help
