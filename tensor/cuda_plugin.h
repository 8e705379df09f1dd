// The door to liblockstep_cuda.so, which alone links CUDA, NCCL and LibTorch's CUDA half (design.md
// 2).
//
// It must be opened BEFORE any other call into LibTorch: LibTorch caches its CUDA hooks at the
// first query, and a plug-in that comes later finds CUDA broken for the whole process. So programs
// call open_cuda_plugin() first of all when the device may be a GPU. Never closed.
#pragma once

#include <string>

namespace lockstep {

// Raised whenever what crosses the plug-in's border changes.
constexpr int kCudaPluginAbi = 2;

// The plug-in's file beside liblockstep.so, or what LOCKSTEP_CUDA_PLUGIN names (tests); "" if this
// build has none.
std::string cuda_plugin_file();

// Once per process; later calls do nothing. Throws EnvironmentError if the plug-in is not there,
// cannot be loaded, or belongs to another version.
void open_cuda_plugin();
bool cuda_plugin_is_open();

// What the plug-in's lockstep_FOLDER_cuda(abi) returns: that folder's `const X::CudaParts*`. Throws
// EnvironmentError if the plug-in is not open or is of another version.
const void* cuda_parts_of(const char* folder, int abi = kCudaPluginAbi);

}  // namespace lockstep
